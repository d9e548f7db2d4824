# SPDX-License-Identifier: Apache-2.0
"""Put a trained finder of people's surfaces into the package, in half precision.

What ships learned from rendered rooms alone: their settings are those of ``squeezedet/ceiling`` beside this plugin.
1,500 rooms teach masks, the ones that ``squeezedet/ship_ceiling.py`` renders as ``meeting``, ``modern`` and
``institutional``. 110 more have the layer ``surface`` and teach surfaces as well; 60 of another kind judge. MAKEHUMAN
is a folder of MakeHuman's clothes and hair, BVH one of motion capture (see docs/rendering.md)::

    cd ../squeezedet/ceiling
    SURFACE='renderer.layers=["surface"]'
    synthkit render --config meeting.toml --count 60 --seed 81 --out surface-meeting --set "$SURFACE"
    synthkit render --config modern.toml  --count 50 --seed 82 --out surface-modern --set "$SURFACE"
    synthkit render --config heldout.toml --count 60 --seed 84 --out surface-heldout --set "$SURFACE" \\
        --set renderer.people.assets=MAKEHUMAN --set renderer.people.motions=BVH
    SETS="--train surface-meeting --train surface-modern --train meeting --train modern --train institutional"
    synthkit train --config ../../surface/ceiling/finder.toml $SETS --out begun \\
        --set detector.steps=2200 --set detector.whole_share=0      # stopped by Ctrl-C after step 877
    synthkit train --config ../../surface/ceiling/finder.toml $SETS --out trained \\
        --set detector.start=begun/latest.safetensors               # stopped after step 938
    python ../../surface/ship_ceiling.py trained/latest.safetensors
    cd ../../../..
    python benchmarks/surface.py surface-heldout
    python benchmarks/anonymize_recall.py surface-heldout
"""

from __future__ import annotations

from pathlib import Path

from synthkit.checkpoint import Checkpoint
from synthkit.training import shipping

FILE = Path(__file__).parent / "synthkit_surface_finder" / "weights" / "ceiling.safetensors"
MASK_THRESHOLD = 0.2
"""With which it ships: on the held-out rooms, rather more pixels than people have than fewer."""

LICENCE = (
    "Apache-2.0; learned from images rendered by synthkit-blender, starting from squeezedet-ceiling, which started from"
    " ImageNet's SqueezeNet 1.1 (forresti/SqueezeNet, BSD-2-Clause); holds vertices of MakeHuman's mesh (CC0)"
)


def ship(trained: Path) -> Checkpoint:
    """Write the finder into the package; ``trained`` is a training's folder or its checkpoint."""
    return shipping.ship(trained, FILE, "detector", "surface", LICENCE, {"mask_threshold": MASK_THRESHOLD})


if __name__ == "__main__":
    raise SystemExit(shipping.main(ship, __doc__))
