# SPDX-License-Identifier: Apache-2.0
"""One photo: whether it can be read, its size, and where its image circle lies."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import attrs
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from synthkit.dataset.images import MAX_PIXELS
from synthkit.errors import DatasetError
from synthkit_blender.people.arrays import ArrayCache, Table
from synthkit_blender.plates.circle import find_circle

DAMAGE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)
DEEP_MODES = ("I", "F")  # 16 or 32 bits a pixel: which value is white is not known
SIDEWAYS = frozenset({5, 6, 7, 8})
LEAST_PX = 16  # of a photo's shorter side
SEARCHED_PX = 512  # the longer side, about, of what the image circle is looked for in
CACHE_VERSION = 1  # of what is found in a photo

Circle = tuple[float, float, float]


@attrs.frozen
class Photo:
    """A photo, of which what was found once is kept in a folder, by its content: to hash it is much less work."""

    path: Path
    cache_dir: Path | None = None

    def size_px(self) -> tuple[int, int]:
        """Return its upright size; the first time all of it is decoded.

        Raises:
            DatasetError: when it cannot be used.
        """
        try:
            width, height = self._kept("size", lambda: {"px": np.array(self._decoded_size())})["px"].tolist()
        except DAMAGE as error:
            reason = f"is not an image that can be read ({error}); replace it or take it out of the folder"
            raise DatasetError(f"background {self.path}: {reason}") from None
        if min(width, height) < LEAST_PX:
            raise DatasetError(f"background {self.path}: has {width}x{height} pixels; at least {LEAST_PX} are needed")
        return int(width), int(height)

    def circle_px(self, size_px: tuple[int, int]) -> tuple[Circle, bool]:
        """Return its image circle, and whether it was found; if not, it is taken to touch the shorter sides.

        Raises one of ``DAMAGE``.
        """
        found = self._kept("circle", lambda: {"px": np.array(self._found_circle(size_px) or ())})["px"]
        if len(found) == 0:
            return (size_px[0] / 2, size_px[1] / 2, min(size_px) / 2), False
        x, y, radius = found.tolist()
        return (x, y, radius), True

    def _kept(self, what: str, compute: Callable[[], Table]) -> Table:
        if self.cache_dir is None:
            return compute()
        digest = hashlib.sha256(self.path.read_bytes()).hexdigest()
        return ArrayCache(self.cache_dir, f"{CACHE_VERSION}-{digest[:32]}").get(what, compute)

    def _decoded_size(self) -> tuple[int, int]:
        with Image.open(self.path) as image:
            width, height = image.size[::-1] if image.getexif().get(0x0112) in SIDEWAYS else image.size
            if width * height > MAX_PIXELS:
                raise DatasetError(
                    f"background {self.path}: has {width}x{height} pixels, more than {MAX_PIXELS} are refused"
                )
            if image.mode.split(";")[0] in DEEP_MODES:
                raise DatasetError(
                    f"background {self.path}: has {image.mode} pixels; expected 8 bits a channel: convert it"
                )
            image.draft("RGB", (1, 1))  # a JPEG is read to its end all the same, and eight times as fast
            image.load()
        return width, height

    def _found_circle(self, size_px: tuple[int, int]) -> Circle | None:
        with Image.open(self.path) as image:
            image.draft("RGB", (SEARCHED_PX, SEARCHED_PX))  # a JPEG is read smaller, and faster
            pixels = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        shrink = max(pixels.shape[:2]) / (2 * SEARCHED_PX)
        if shrink > 1:
            size = [max(1, round(side / shrink)) for side in pixels.shape[1::-1]]
            pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
        found = find_circle(pixels)
        if found is None:
            return None
        scale = size_px[0] / pixels.shape[1]
        return found[0] * scale, found[1] * scale, found[2] * scale


def read_photo(path: Path) -> NDArray[np.uint8]:
    """Return a photo (h, w, 3), upright; raises one of ``DAMAGE``."""
    with Image.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
