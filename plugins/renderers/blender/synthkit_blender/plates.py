# SPDX-License-Identifier: Apache-2.0
"""Background plates: photos of an empty room, checked before any work starts."""

from __future__ import annotations

from pathlib import Path

import attrs
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from synthkit.errors import DatasetError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})


@attrs.frozen
class Plates:
    """The plates of a folder in the order of their names."""

    paths: tuple[Path, ...]

    @classmethod
    def open(cls, folder: Path) -> Plates:
        """List a folder's images and check that each can be read.

        Raises:
            DatasetError: when there is no such folder, no image in it, or a file that is no image.
        """
        if not folder.is_dir():
            raise DatasetError(f"backgrounds {folder}: is not a folder; expected a folder of photos of the empty room")
        paths = tuple(sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES))
        if not paths:
            raise DatasetError(f"backgrounds {folder}: holds no image; expected {', '.join(sorted(SUFFIXES))} files")
        for path in paths:
            _check(path)
        return cls(paths)

    def read(self, index: int, width_px: int, height_px: int) -> NDArray[np.uint8]:
        """Return plate ``index`` (modulo their number) as (H, W, 3) sRGB, fitted into a size with black around it.

        Raises:
            DatasetError: when it can no longer be read.
        """
        path = self.paths[index % len(self.paths)]
        try:
            with Image.open(path) as image:
                pixels = np.asarray(image.convert("RGB"))
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
            raise DatasetError(f"background {path}: cannot be read: {error}") from None
        return fitted(pixels, width_px, height_px)


def fitted(pixels: NDArray[np.uint8], width_px: int, height_px: int) -> NDArray[np.uint8]:
    """Return an image scaled to fit into a size, centred, black around it; its image circle stays whole."""
    height, width = pixels.shape[:2]
    scale = min(width_px / width, height_px / height)
    size = max(1, min(width_px, round(width * scale))), max(1, min(height_px, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = pixels if size == (width, height) else cv2.resize(pixels, size, interpolation=method)
    canvas = np.zeros((height_px, width_px, 3), np.uint8)
    top, left = (height_px - size[1]) // 2, (width_px - size[0]) // 2
    canvas[top : top + size[1], left : left + size[0]] = scaled
    return canvas


def _check(path: Path) -> None:
    try:
        with Image.open(path) as image:
            image.verify()
    except (OSError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DatasetError(
            f"background {path}: is not an image that can be read ({error}); replace it or take it out of the folder"
        ) from None
