# SPDX-License-Identifier: Apache-2.0
"""Plates written."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from synthkit.dataset.storage import disk_errors, write_atomically
from synthkit.errors import ConfigError


def check_png(path: Path, *, force: bool) -> None:
    """Check where a PNG will go, before any work.

    Raises:
        ConfigError: when it is called otherwise, or is there already and ``force`` is not given.
    """
    if path.suffix.lower() != ".png":
        raise ConfigError([f"{path}: expected a name that ends in .png"])
    if path.exists() and not (force and path.is_file()):
        raise ConfigError([f"{path}: is there already; give another name, or --force to replace it"])


def write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write (H, W, 3) as PNG, whole or not at all."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, [stream.getvalue()])
