# SPDX-License-Identifier: Apache-2.0
"""Train the small demonstration checkpoint that ships with this plugin, and write its card.

The checkpoint shows what refining does before anybody has given photographs of their own. Its source is
our renderer and its target a stand-in, the same renderer with other light, materials and sensor::

    synthkit render --renderer blender      --count 96 --seed 11 --out demo-source
    synthkit render --renderer blender-dusk --count 96 --seed 12 --out demo-target
    python plugins/refiners/cyclegan/train_demo.py demo-source demo-target demo-work --steps 4000

Interrupted, it goes on when run again. The result lies in ``synthkit_cyclegan/weights``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from synthkit.checkpoint import Checkpoint
from synthkit.dataset import Dataset
from synthkit.errors import SynthkitError
from synthkit.interfaces import ComponentSpec, Runtime
from synthkit.plugins import discover
from synthkit.seeds import Seeds

NAME = "demo-dfm"
WEIGHTS = Path(__file__).parent / "synthkit_cyclegan" / "weights"


def train(args: argparse.Namespace) -> Checkpoint:
    """Return the checkpoint trained on the sets of the command line."""
    registry = discover()
    small = registry.get("refiner", "cyclegan-dfm").component.demo["settings"]
    spec = ComponentSpec(
        "refiner",
        "cyclegan-dfm",
        options={**small, "steps": args.steps, "precision": args.precision, "picture_every": 500},
    )
    runtime = Runtime(
        seeds=Seeds(args.seed).child("demo checkpoint"),
        cache_dir=args.workdir / "cache",
        device=args.device,
        threads=args.threads,
        progress=_report,
    )
    data = {"source": Dataset.open(args.source), "target": Dataset.open(args.target)}
    with registry.build(spec, runtime) as refiner:
        return refiner.fit(data, args.workdir)


def ship(checkpoint: Checkpoint, folder: Path) -> None:
    """Put the checkpoint and a readable card into the package."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(checkpoint.path, folder / f"{NAME}.safetensors")
    (folder / f"{NAME}.md").write_text(_card_text(checkpoint), encoding="utf-8")


def _card_text(checkpoint: Checkpoint) -> str:
    card = checkpoint.card
    source, target = card["data"]["source"], card["data"]["target"]
    return f"""# The demonstration checkpoint of `cyclegan-dfm`

What it is: the generator of a CycleGAN with a skip connection (D^S of thesis 000), with
{card["architecture"]["generator"]["filters"]} filters in its first layer where the published one has 64, trained for
{card["steps"]} steps on crops of {card["architecture"]["crop_px"]} pixels.

What it learned from: {source["crops"]} crops of people in {source["images"]} images rendered by synthkit's `blender`
renderer, towards {target["crops"]} crops in {target["images"]} images of a **stand-in** for a real sensor: the same
renderer with other light, materials and sensor (`blender-dusk`). It has never seen a photograph of a room and makes
nothing more realistic; it shows what refining does, and that the truth stays. For your own sensor's look, train
with your own images: `synthkit fit`, or `synthkit build --real DATASET`.

Perceptual network in training: {card["perceptual"]["network"]}, {" and ".join(card["perceptual"]["scales"])}
({card["perceptual"]["weights_licence"]}). No data set of others went in besides it. Licence of these weights:
Apache-2.0, as the project.

Made by `train_demo.py`; sha256 `{checkpoint.sha256}`. The file's own card:

```json
{json.dumps(dict(card), indent=2, sort_keys=True)}
```
"""


def _report(stage: str, done: int, total: int | None, note: str = "") -> None:
    sys.stderr.write(f"\r\x1b[K{stage} {done}/{total or '?'} {note}")
    sys.stderr.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="data set of the renderer")
    parser.add_argument("target", type=Path, help="data set of the stand-in target")
    parser.add_argument("workdir", type=Path, help="folder for the training")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    return parser.parse_args()


def main() -> int:
    """Train and ship; return the exit code."""
    try:
        ship(train(_arguments()), WEIGHTS)
    except SynthkitError as error:
        sys.stderr.write(f"\n{error}\n")
        return error.exit_code
    sys.stderr.write(f"\nwritten: {WEIGHTS / NAME}.safetensors\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
