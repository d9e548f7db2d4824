# SPDX-License-Identifier: Apache-2.0
"""Put a trained detector of people into the package, in half precision.

What ships learned from rendered rooms alone, and was chosen on rendered rooms of another kind. The settings lie in
``ceiling`` beside this script; the second round starts from the layers of the first, which by then are those that ship.
MAKEHUMAN is a folder of MakeHuman's clothes and hair, BVH one of motion capture (see docs/rendering.md), and SQUEEZENET
the weights of ImageNet's SqueezeNet 1.1 (docs/detecting.md)::

    synthkit render --config ceiling/meeting.toml       --count 600 --seed 61 --out meeting
    synthkit render --config ceiling/modern.toml        --count 500 --seed 62 --out modern
    synthkit render --config ceiling/institutional.toml --count 400 --seed 63 --out institutional
    synthkit render --config ceiling/heldout.toml       --count 160 --seed 64 --out heldout \\
        --set renderer.people.assets=MAKEHUMAN --set renderer.people.motions=BVH
    synthkit train --config ceiling/detector.toml --set detector.backbone_file=SQUEEZENET \\
        --train meeting --train modern --train institutional --validation heldout --out first
    python ship_ceiling.py first
    synthkit train --config ceiling/detector-320.toml \\
        --train meeting --train modern --train institutional --validation heldout --out second
    python ship_ceiling.py second

    cd synthkit_squeezedet/weights
    synthkit export ceiling.safetensors --onnx ceiling.onnx --check heldout
    synthkit export ceiling.safetensors --onnx ceiling-int8.onnx --int8 --calibrate modern --images 256 --check heldout
"""

from __future__ import annotations

from pathlib import Path

from synthkit.checkpoint import Checkpoint
from synthkit.training import shipping

FILE = Path(__file__).parent / "synthkit_squeezedet" / "weights" / "ceiling.safetensors"
LICENCE = (
    "Apache-2.0; learned from images rendered by synthkit-blender, starting from ImageNet's SqueezeNet 1.1"
    " (forresti/SqueezeNet, BSD-2-Clause)"
)


NMS_IOU = 0.5
"""The filter's, chosen after the training by AP on the held-out rooms; 0.4, as released, costs people who sit close."""


def ship(trained: Path) -> Checkpoint:
    """Write the detector into the package; ``trained`` is a training's folder or its checkpoint."""
    return shipping.ship(trained, FILE, "detector", "squeezedet", LICENCE, {"nms_iou": NMS_IOU})


if __name__ == "__main__":
    raise SystemExit(shipping.main(ship, __doc__))
