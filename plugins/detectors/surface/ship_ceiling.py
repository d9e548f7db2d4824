# SPDX-License-Identifier: Apache-2.0
"""Put a trained finder of people's surfaces into the package, in half precision.

What ships learned from rendered rooms alone, and was chosen on rendered rooms of another kind: those of
``squeezedet/ceiling`` beside this plugin, with the layer ``surface`` and other seeds. MAKEHUMAN is a folder of
MakeHuman's clothes and hair, BVH one of motion capture (see docs/rendering.md)::

    cd ../squeezedet/ceiling
    SURFACE='renderer.layers=["surface"]'
    synthkit render --config meeting.toml       --count 120 --seed 81 --out meeting --set "$SURFACE"
    synthkit render --config modern.toml        --count 120 --seed 82 --out modern --set "$SURFACE"
    synthkit render --config institutional.toml --count 110 --seed 83 --out institutional --set "$SURFACE"
    synthkit render --config heldout.toml       --count 60  --seed 84 --out heldout --set "$SURFACE" \\
        --set renderer.people.assets=MAKEHUMAN --set renderer.people.motions=BVH
    synthkit train --config ../../surface/ceiling/finder.toml \\
        --train meeting --train modern --train institutional --validation heldout --out trained
    python ../../surface/ship_ceiling.py trained
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from synthkit.checkpoint import Checkpoint
from synthkit.errors import SynthkitError
from synthkit.training.checkpoints import load_tensors, save_checkpoint

FILE = Path(__file__).parent / "synthkit_surface_finder" / "weights" / "ceiling.safetensors"
LICENCE = "Apache-2.0; learned from images rendered by synthkit-blender; holds the vertices of MakeHuman's mesh (CC0)"


def ship(trained: Path) -> Checkpoint:
    """Write the finder into the package; ``trained`` is a training's folder or its checkpoint."""
    checkpoint = Checkpoint.open(trained / "checkpoint.safetensors" if trained.is_dir() else trained)
    checkpoint.require("detector", "surface")
    halves = {
        name: tensor.to(torch.float16) if tensor.is_floating_point() else tensor
        for name, tensor in load_tensors(checkpoint).items()
    }
    return save_checkpoint(FILE, halves, {**checkpoint.card, "licence": LICENCE})


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
