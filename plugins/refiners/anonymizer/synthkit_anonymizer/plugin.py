# SPDX-License-Identifier: Apache-2.0
"""What this plugin brings; imported on every discovery, so it imports nothing heavy."""

from __future__ import annotations

from synthkit.hookspecs import hookimpl
from synthkit.interfaces import Component
from synthkit_anonymizer.config import CellsConfig, MaskConfig

_CELLS_REVISION = 2


@hookimpl
def synthkit_components() -> list[Component]:
    """Declare the refiners that leave nobody recognisable; they need masks or boxes of people, either will do."""
    return [
        Component(
            kind="refiner",
            name="anonymizer-mask",
            summary="covers people with one colour; nothing of them is left but their outline",
            config=MaskConfig,
            target="synthkit_anonymizer.refiner:MaskRefiner",
            keeps_people=False,
            sees_people=False,
        ),
        Component(
            kind="refiner",
            name="anonymizer-blur",
            summary="blurs people, the larger they are the more, into a few greys",
            config=CellsConfig,
            target="synthkit_anonymizer.refiner:BlurRefiner",
            revision=_CELLS_REVISION,
            keeps_people=False,
        ),
        Component(
            kind="refiner",
            name="anonymizer-pixelate",
            summary="gives people a few large grey pixels, as many whatever their size",
            config=CellsConfig,
            target="synthkit_anonymizer.refiner:PixelateRefiner",
            revision=_CELLS_REVISION,
            keeps_people=False,
        ),
    ]
