# SPDX-License-Identifier: Apache-2.0
"""Pictures of a training on its way: sheets of crops."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from synthkit.training.checkpoints import write_atomic

T = TypeVar("T", bound=np.generic)
Pixels = npt.NDArray[np.uint8]

_COLUMNS = 8


def spread(items: npt.NDArray[T], count: int = _COLUMNS) -> npt.NDArray[T]:
    """Return up to ``count`` items from all over a set (N, ...), always the same."""
    return np.asarray(items[np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)])


def sheet(rows: Sequence[npt.NDArray[np.uint8] | npt.NDArray[np.float32]]) -> Pixels:
    """Return rows of crops, each (N, h, w, 3) in 0..255, as one picture (H, W, 3); short rows end in white."""
    height, width = rows[0].shape[1:3]
    picture = np.full((len(rows) * height, max(map(len, rows)) * width, 3), 255, np.uint8)
    for n, row in enumerate(rows):
        strip = np.concatenate(list(row), axis=1)
        picture[n * height : (n + 1) * height, : strip.shape[1]] = np.clip(np.rint(strip), 0, 255)
    return picture


def write_png(path: Path, picture: Pixels) -> None:
    """Write a picture (H, W, 3), whole or not at all."""
    encoded = io.BytesIO()
    Image.fromarray(picture).save(encoded, "png")
    write_atomic(path, encoded.getvalue())
