# SPDX-License-Identifier: Apache-2.0
"""What this distribution brings: the detector ``onnx``."""

from __future__ import annotations

from collections.abc import Iterable

from synthkit.hookspecs import hookimpl
from synthkit.interfaces import Component
from synthkit_onnx.config import OnnxConfig


@hookimpl
def synthkit_components() -> Iterable[Component]:
    """Return the components of this plugin."""
    return [
        Component(
            kind="detector",
            name="onnx",
            summary="any detector in an ONNX file that a small card describes: synthkit's own, the YOLO family's",
            config=OnnxConfig,
            target="synthkit_onnx.detector:OnnxDetector",
        )
    ]
