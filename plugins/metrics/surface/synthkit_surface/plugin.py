# SPDX-License-Identifier: Apache-2.0
"""What this distribution brings: the metric ``surface-consistency``."""

from __future__ import annotations

from collections.abc import Iterable

from synthkit.hookspecs import hookimpl
from synthkit.interfaces import Component
from synthkit_surface.config import SurfaceConfig


@hookimpl
def synthkit_components() -> Iterable[Component]:
    """Return the component of this plugin."""
    return [
        Component(
            kind="metric",
            name="surface-consistency",
            summary="whether people keep their colours on the same place of the body, whatever the pose and the view",
            config=SurfaceConfig,
            target="synthkit_surface.metric:SurfaceMetric",
            needs={"instances", "surface"},
            reads={"instances", "surface"},
        ),
    ]
