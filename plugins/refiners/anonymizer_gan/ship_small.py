# SPDX-License-Identifier: Apache-2.0
"""Put a trained generator of people into the package, in half precision.

What ships learned from rendered rooms alone, at 40x72 pixels, on one core: 120 people who come again in 215 rooms below
ceiling fisheyes, and 758 more in 110 rooms that had taught ``surface-ceiling`` (see its ``ship_ceiling.py``)::

    SURFACE='renderer.layers=["surface"]'
    synthkit render --config small/people.toml --count 215 --seed 71 --out people
    synthkit render --config ../../detectors/squeezedet/ceiling/meeting.toml --count 60 --seed 81 --out meeting \\
        --set "$SURFACE"
    synthkit render --config ../../detectors/squeezedet/ceiling/modern.toml --count 50 --seed 82 --out modern \\
        --set "$SURFACE"
    synthkit merge people meeting modern --rename --out all
    synthkit fit --refiner anonymizer-small --target all --out generator --seed 1 --set threads=1 \\
        --set refiner.images=80000                     # stopped by SIGTERM after step 5,000: the preset's 40,000 images
    python ship_small.py generator/latest.safetensors

``docs/generating.md`` tells what it is worth, and by which commands that was found out.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from synthkit.checkpoint import Checkpoint
from synthkit.errors import SynthkitError
from synthkit.training.checkpoints import load_tensors, save_checkpoint

FILE = Path(__file__).parent / "synthkit_anonymizer_gan" / "weights" / "small.safetensors"
LICENCE = "Apache-2.0; learned from images rendered by synthkit-blender"


def ship(trained: Path, file: Path = FILE) -> Checkpoint:
    """Write the generator into the package; ``trained`` is a training's folder or its checkpoint."""
    checkpoint = Checkpoint.open(trained / "checkpoint.safetensors" if trained.is_dir() else trained)
    checkpoint.require("refiner", "anonymizer-gan")
    halves = {name: tensor.to(torch.float16) for name, tensor in load_tensors(checkpoint).items()}
    return save_checkpoint(file, halves, {**checkpoint.card, "licence": LICENCE})


def main() -> int:
    """Ship; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trained", type=Path, help="folder of the training, or its checkpoint")
    try:
        shipped = ship(parser.parse_args().trained)
    except SynthkitError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stderr.write(f"written: {shipped.path}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
