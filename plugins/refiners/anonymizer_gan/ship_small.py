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
    synthkit fit --refiner anonymizer-small --target all --out generator --seed 2 --set threads=1 \\
        --set refiner.images=160000                    # stopped by SIGTERM after step 12,000 of 20,000
    python ship_small.py generator/latest.safetensors

``docs/generating.md`` tells what it is worth, and by which commands that was found out.
"""

from __future__ import annotations

from pathlib import Path

from synthkit.checkpoint import Checkpoint
from synthkit.training import shipping

FILE = Path(__file__).parent / "synthkit_anonymizer_gan" / "weights" / "small.safetensors"
LICENCE = "Apache-2.0; learned from images rendered by synthkit-blender"


def ship(trained: Path, file: Path = FILE) -> Checkpoint:
    """Write the generator into the package; ``trained`` is a training's folder or its checkpoint."""
    return shipping.ship(trained, file, "refiner", "anonymizer-gan", LICENCE)


if __name__ == "__main__":
    raise SystemExit(shipping.main(ship, __doc__))
