# SPDX-License-Identifier: Apache-2.0
"""What this distribution brings: the detector ``squeezedet``."""

from __future__ import annotations

from collections.abc import Iterable

from synthkit.hookspecs import hookimpl
from synthkit.interfaces import Component
from synthkit_squeezedet.config import SqueezeDetConfig


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
            demo={"settings": {"target": "person", "steps": 240, "batch": 4, "evaluate_every": 40}},
        )
    ]
