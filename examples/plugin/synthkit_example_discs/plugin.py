# SPDX-License-Identifier: Apache-2.0
"""What this plugin brings; imported on every discovery, so it imports nothing heavy."""

from __future__ import annotations

from synthkit.hookspecs import hookimpl
from synthkit.interfaces import Component
from synthkit_example_discs.config import DiscsConfig, TintConfig


@hookimpl
def synthkit_components() -> list[Component]:
    """Declare the renderer ``discs`` and the refiner ``tint``."""
    return [
        Component(
            kind="renderer",
            name="discs",
            summary="people as discs and ellipses under a ceiling fisheye; instant",
            config=DiscsConfig,
            target="synthkit_example_discs.renderer:DiscsRenderer",
            provides={"instances", "background", "people.head", "people.box", "people.rotated_box"},
        ),
        Component(
            kind="refiner",
            name="tint",
            summary="moves the colours of people towards a given one, inside the instance mask",
            config=TintConfig,
            target="synthkit_example_discs.refiner:TintRefiner",
            needs={"instances"},
        ),
    ]
