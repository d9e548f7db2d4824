# SPDX-License-Identifier: Apache-2.0
"""Put a trained generator of people into the package, in half precision.

Not done yet: nothing ships. What is meant to learn from rendered rooms alone, at 40x72 pixels, on a CPU; people are
seen several times each, for ``pairs``::

    synthkit render --renderer blender --set 'renderer.layers=["surface"]' --count 2000 --seed 71 --out people \\
        --set renderer.people.identities=400
    synthkit fit --refiner anonymizer-consistent --target people --out generator --set threads=2 \\
        --set refiner.crop_px=[40,72] --set refiner.channels=16 --set refiner.discriminator_channels=16 \\
        --set refiner.latent=128 --set refiner.batch=16 --set refiner.images=400000 --set refiner.pairs=0.5
    python ship_small.py generator
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
