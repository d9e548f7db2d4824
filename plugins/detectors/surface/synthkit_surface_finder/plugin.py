# SPDX-License-Identifier: Apache-2.0
"""What this distribution brings: the detectors ``surface`` and ``surface-ceiling``."""

from __future__ import annotations

from collections.abc import Iterable

from synthkit.hookspecs import hookimpl
from synthkit.interfaces import Component
from synthkit_surface_finder.config import SHIPPED, SurfaceFinderConfig

_TARGET = "synthkit_surface_finder.detector:SurfaceFinder"


@hookimpl
def synthkit_components() -> Iterable[Component]:
    """Return the components of this plugin."""
    return [
        Component(
            kind="detector",
            name="surface",
            summary="people as SqueezeDet finds them, each with a mask and the places of the body's surface",
            config=SurfaceFinderConfig,
            target=_TARGET,
            trainable=True,
            reads={"instances", "surface"},
        ),
        Component(
            kind="detector",
            name="surface-ceiling",
            summary="the same, trained: masks and surfaces of people below ceiling fisheyes; learned from renders",
            config=SurfaceFinderConfig,
            target=_TARGET,
            trainable=True,
            reads={"instances", "surface"},
            demo_checkpoint=SHIPPED,
        ),
    ]
