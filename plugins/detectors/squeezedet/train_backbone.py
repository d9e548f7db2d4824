# SPDX-License-Identifier: Apache-2.0
"""Train the weights from which ``backbone = "rendered"`` starts, and put them into the package.

They are for places where ImageNet's SqueezeNet cannot be had: the features of a SqueezeDet that has learned to
find heads and people in our own renders, without its last layer, in half precision::

    synthkit render --renderer blender --count 40 --seed 5 --out backbone-data
    python plugins/detectors/squeezedet/train_backbone.py backbone-data backbone-work --steps 1500

Interrupted, it goes on when run again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from synthkit.checkpoint import Checkpoint
from synthkit.dataset import Dataset
from synthkit.errors import SynthkitError
from synthkit.interfaces import ComponentSpec, Runtime
from synthkit.plugins import discover
from synthkit.seeds import Seeds
from synthkit.training.checkpoints import load_tensors, save_checkpoint

NAME = "rendered"
FILE = Path(__file__).parent / "synthkit_squeezedet" / "weights" / f"{NAME}.safetensors"


def train(args: argparse.Namespace) -> Checkpoint:
    """Return a detector of heads and people, trained from scratch on the renders."""
    options = {"target": "both", "backbone": "none", "steps": args.steps, "batch": 4}
    runtime = Runtime(
        seeds=Seeds(args.seed).child("backbone"),
        cache_dir=args.workdir / "cache",
        device=args.device,
        threads=args.threads,
        progress=_report,
    )
    with discover().build(ComponentSpec("detector", "squeezedet", options), runtime) as detector:
        found: Checkpoint = detector.fit({"train": Dataset.open(args.data)}, args.workdir)
    return found


def ship(checkpoint: Checkpoint) -> None:
    """Write the features in half precision, with a card that says what they learned from."""
    tensors = {
        name: tensor.to(torch.float16)
        for name, tensor in load_tensors(checkpoint).items()
        if not name.startswith("conv12.")
    }
    card = {
        "kind": "backbone",
        "name": NAME,
        "licence": "Apache-2.0",
        "about": "SqueezeDet's layers before the last, trained from scratch on images rendered by synthkit-blender",
        "trained": {key: checkpoint.card[key] for key in ("config", "data", "design", "seed", "steps")},
    }
    save_checkpoint(FILE, tensors, card)


def _report(stage: str, done: int, total: int | None, note: str = "") -> None:
    sys.stderr.write(f"\r\x1b[K{stage} {done}/{total or '?'} {note}")
    sys.stderr.flush()


def main() -> int:
    """Train and ship; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="data set of the renderer")
    parser.add_argument("workdir", type=Path, help="folder for the training")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    try:
        ship(train(args))
    except SynthkitError as error:
        sys.stderr.write(f"\n{error}\n")
        return error.exit_code
    sys.stderr.write(f"\nwritten: {FILE}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
