# SPDX-License-Identifier: Apache-2.0
"""What decides about bytes besides configuration."""

from __future__ import annotations

import contextlib
import platform
import sys
import zlib
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import numpy as np
import PIL
from PIL import features

import synthkit

_SHOWN = 5


def environment() -> dict[str, Any]:
    """Return what decides about bytes besides configuration: interpreter, libraries, machine.

    Nothing is imported for it: every writing of a set asks for it. What a stage's plugin uses besides
    is added by whoever runs the stage.
    """
    return {
        "synthkit": synthkit.__version__,
        "python": platform.python_version(),
        "platform": f"{sys.platform} {platform.machine()}",
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "jpeg": str(features.version("libjpeg_turbo") or features.version("jpg")),
        "zlib": str(features.version("zlib") or zlib.ZLIB_RUNTIME_VERSION),
        # They decode, resize and warp what refined and converted samples are made from.
        "opencv": _installed("opencv-python-headless", "opencv-python"),
        "simplejpeg": _installed("simplejpeg"),
    }


def _installed(*names: str) -> str:
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            return metadata.version(name)
    return "unknown"


def differences(old: Any, new: Any, path: str = "") -> list[str]:
    """Return what changed between two plain values, a few lines with paths."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        found = []
        for key in sorted({*old, *new}):
            found += differences(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))
        return found[:_SHOWN]
    return [] if old == new else [f"{path}: {_short(old)} there, {_short(new)} now"]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
