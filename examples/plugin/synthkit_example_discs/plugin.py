# SPDX-License-Identifier: Apache-2.0
"""What this plugin brings; imported on every discovery, so it imports nothing heavy."""

from __future__ import annotations

from synthkit.hookspecs import hookimpl
from synthkit.interfaces import Component, Tunable
from synthkit_example_discs.config import DiscsConfig, TintConfig

DISCS = "synthkit_example_discs.renderer:DiscsRenderer"
TUNABLE = (
    Tunable("people", 0, 50, fits="people"),
    Tunable("camera_height_m", 2.2, 8.0, fits="size"),
    Tunable("light", 0.1, 1.0, fits="value", log=True),
)
PROVIDES = {"instances", "background", "people.head", "people.box", "people.rotated_box"}


@hookimpl
def synthkit_components() -> list[Component]:
    """Declare the renderer ``discs``, a preset of it, and the refiner ``tint``."""
    return [
        Component(
            kind="renderer",
            name="discs",
            summary="people as discs and ellipses under a ceiling fisheye; instant",
            config=DiscsConfig,
            target=DISCS,
            provides=PROVIDES,
            demo={"source": {}},
            tunable=TUNABLE,
        ),
        Component(  # a preset: the same class with other defaults
            kind="renderer",
            name="discs-dim",
            summary="discs in dim light: a stand-in for a target domain",
            config=DiscsConfig,
            defaults={"light": 0.5},
            target=DISCS,
            provides=PROVIDES,
            demo={"target": {}},
            tunable=TUNABLE,
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
