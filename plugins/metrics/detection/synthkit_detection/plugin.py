# SPDX-License-Identifier: Apache-2.0
"""What this distribution brings: the metric ``detection``."""

from __future__ import annotations

from collections.abc import Iterable

from synthkit.hookspecs import hookimpl
from synthkit.interfaces import Component
from synthkit_detection.config import DetectionConfig


@hookimpl
def synthkit_components() -> Iterable[Component]:
    """Return the components of this plugin."""
    return [
        Component(
            kind="metric",
            name="detection",
            summary="precision, recall, F1, average precision and counts, of upright and rotated boxes and of points",
            config=DetectionConfig,
            target="synthkit_detection.metric:DetectionMetric",
            revision=3,
            reads={"instances"},
            demo={
                "settings": {
                    "target": "person",
                    "ap_ious": [0.5],
                    "coco": False,
                    "size_edges_px": [],
                    "distance_edges": [],
                }
            },
        )
    ]
