# SPDX-License-Identifier: Apache-2.0
"""What this plugin brings; imported on every discovery, so it imports nothing heavy."""

from __future__ import annotations

from synthkit.hookspecs import hookimpl
from synthkit.interfaces import Component
from synthkit_stylize.config import StylizeConfig


@hookimpl
def synthkit_components() -> list[Component]:
    """Declare the refiner ``stylize``."""
    return [
        Component(
            kind="refiner",
            name="stylize",
            summary="blends people with textures from a folder of pictures (S_style of thesis 000)",
            config=StylizeConfig,
            target="synthkit_stylize.refiner:StylizeRefiner",
            needs={"instances"},
            keeps_people=False,  # nobody moves, but the drift guard goes by edges, and textures are full of them
        )
    ]
