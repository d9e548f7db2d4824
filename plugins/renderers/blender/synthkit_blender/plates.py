# SPDX-License-Identifier: Apache-2.0
"""Background plates: photos of an empty room, checked before any work starts."""

from __future__ import annotations

from pathlib import Path

import attrs
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from synthkit.dataset.images import MAX_PIXELS
from synthkit.errors import DatasetError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)
CIRCLE_TOLERANCE = 0.01  # of the image circle's diameter
DEEP_MODES = ("I", "F")  # 16 or 32 bits a pixel: which value is white is not known
SIDEWAYS = frozenset({5, 6, 7, 8})
PROBLEMS_TOLD = 5


@attrs.frozen
class Plates:
    """The plates of a folder in the order of their names, for images of one size."""

    paths: tuple[Path, ...]
    size_px: tuple[int, int]

    @classmethod
    def open(cls, folder: Path, width_px: int, height_px: int) -> Plates:
        """List a folder's images, and decode each once to know that it can be used.

        Raises:
            DatasetError: when there is no such folder, no image in it, or a file that is no image, or whose image
                circle cannot meet that of a (width_px, height_px) image. All that are wrong are named.
        """
        if not folder.is_dir():
            raise DatasetError(f"backgrounds {folder}: is not a folder; expected a folder of photos of the empty room")
        paths = tuple(sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES))
        if not paths:
            raise DatasetError(f"backgrounds {folder}: holds no image; expected {', '.join(sorted(SUFFIXES))} files")
        problems = [problem for path in paths if (problem := _problem(path, width_px, height_px)) is not None]
        if problems:
            more = len(problems) - PROBLEMS_TOLD
            rest = [f"and {more} more of the {len(paths)} files in {folder}"] if more > 0 else []
            raise DatasetError("\n".join([*problems[:PROBLEMS_TOLD], *rest]))
        return cls(paths, (width_px, height_px))

    def read(self, index: int) -> NDArray[np.uint8]:
        """Return plate ``index`` (modulo their number) as (H, W, 3) sRGB, fitted into the size with black around it.

        Raises:
            DatasetError: when it can no longer be read.
        """
        path = self.paths[index % len(self.paths)]
        try:
            with Image.open(path) as image:
                pixels = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        except DAMAGE as error:
            raise DatasetError(f"background {path}: cannot be read: {error}") from None
        return fitted(pixels, *self.size_px)


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


def _problem(path: Path, width_px: int, height_px: int) -> str | None:
    """Return what is wrong with a plate, or None."""
    try:
        with Image.open(path) as image:
            width, height = image.size[::-1] if image.getexif().get(0x0112) in SIDEWAYS else image.size
            if width * height > MAX_PIXELS:
                return f"background {path}: has {width}x{height} pixels, more than {MAX_PIXELS} are refused"
            if image.mode.split(";")[0] in DEEP_MODES:
                return f"background {path}: has {image.mode} pixels; expected 8 bits a channel: convert it"
            image.draft("RGB", (1, 1))  # a JPEG is read to its end all the same, and eight times as fast
            image.load()
    except DAMAGE as error:
        reason = f"is not an image that can be read ({error}); replace it or take it out of the folder"
        return f"background {path}: {reason}"
    return _misfit(path, (width, height), (width_px, height_px))


def _misfit(path: Path, plate_px: tuple[int, int], image_px: tuple[int, int]) -> str | None:
    """Return why the image circles of plate and image, which touch their shorter sides, would not meet."""
    scale = min(image_px[0] / plate_px[0], image_px[1] / plate_px[1])
    shown, rendered = min(plate_px) * scale, min(image_px)
    if abs(shown - rendered) <= CIRCLE_TOLERANCE * rendered:
        return None
    fitting = tuple(round(side * rendered / min(plate_px)) for side in plate_px)
    plate, image = "x".join(map(str, plate_px)), "x".join(map(str, image_px))
    return (
        f"background {path}: is {plate}; in an image of {image} its circle would be {shown:.0f} px wide, and people "
        f"are rendered for {rendered}; set width_px={fitting[0]} and height_px={fitting[1]}, or crop it to the circle"
    )
