# SPDX-License-Identifier: Apache-2.0
"""What this distribution brings: the detectors ``squeezedet``, ``squeezedet-plus`` and ``squeezedet-ceiling``."""

from __future__ import annotations

from collections.abc import Iterable

from synthkit.hookspecs import hookimpl
from synthkit.interfaces import Component
from synthkit_squeezedet.config import SHIPPED, SqueezeDetConfig

_PLAIN = {"zoom": 1.0, "colour": 0.0, "noise": 0.0}  # variation pays in long trainings


@hookimpl
def synthkit_components() -> Iterable[Component]:
    """Return the components of this plugin."""
    return [
        Component(
            kind="detector",
            name="squeezedet",
            summary="SqueezeDet: a small detector of heads or people for embedded devices, exported as ONNX",
            config=SqueezeDetConfig,
            target="synthkit_squeezedet.detector:SqueezeDetector",
            trainable=True,
            reads={"instances"},
            demo={"settings": {"target": "person", "steps": 240, "batch": 4, "evaluate_every": 40, **_PLAIN}},
        ),
        Component(
            kind="detector",
            name="squeezedet-plus",
            summary="SqueezeDet+: the larger network of the same paper, with as much to set",
            config=SqueezeDetConfig,
            target="synthkit_squeezedet.detector:SqueezeDetector",
            defaults={"network": "squeezedet-plus"},
            trainable=True,
            reads={"instances"},
        ),
        Component(
            kind="detector",
            name="squeezedet-ceiling",
            summary="SqueezeDet, trained: finds people below ceiling fisheyes, as rotated boxes; learned from renders",
            config=SqueezeDetConfig,
            target="synthkit_squeezedet.detector:SqueezeDetector",
            defaults={"target": "person", "boxes": "rotated", "input_px": [320, 320], "nms_iou": 0.5},
            trainable=True,
            demo_checkpoint=SHIPPED,
        ),
    ]
