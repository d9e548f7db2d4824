# SPDX-License-Identifier: Apache-2.0
"""Reading files of unknown origin: only inside one folder, only up to a size, only what is asked for."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from synthkit.files import small_file

MAX_TEXT_BYTES = 32 << 20
MAX_IMAGE_BYTES = 64 << 20
MAX_IMAGE_PIXELS = 8192 * 8192
IMAGE_FORMATS = ("PNG", "JPEG", "TGA")


class AssetError(Exception):
    """An asset cannot be used; the message says which file and why."""


class AssetFolder:
    """A folder of assets and nothing outside it."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def name(self, path: Path) -> str:
        """Return the path below the folder, without its suffix, as a name."""
        return path.relative_to(self.root).with_suffix("").as_posix()

    def beside(self, path: Path, reference: str) -> Path:
        """Return the file that `path` refers to.

        Raises AssetError when it lies outside the folder, also by way of a link, or is not there.
        """
        try:
            target = (path.parent / reference.replace("\\", "/")).resolve()
            inside = target.is_relative_to(self.root) and target.is_file()
        except (OSError, ValueError, RuntimeError):  # a name too long, a null byte, links in a circle
            inside = False
        if not inside:
            raise AssetError(f"{path.name} names {reference[:80]!r}, which is no file inside the folder")
        return target

    def read(self, path: Path, most_bytes: int) -> bytes:
        """Return a file's bytes.

        Raises AssetError for a file that is larger, lies outside the folder, or cannot be read.
        """
        try:
            if not path.resolve().is_relative_to(self.root):
                raise AssetError(f"{path.name} leads out of the folder")
            return small_file(path, most_bytes, "an asset")
        except (OSError, ValueError) as error:
            raise AssetError(f"{path.name} {error}") from None

    def read_text(self, path: Path) -> str:
        """Return a text file; what is not UTF-8 becomes replacement characters."""
        return self.read(path, MAX_TEXT_BYTES).decode("utf-8", errors="replace")

    def read_image(self, path: Path, most_px: int) -> NDArray[np.uint8]:
        """Return an image as (H, W, 4) sRGB with alpha, at most `most_px` wide and high, first row on top.

        Raises AssetError for what is no image, or one of more than `MAX_IMAGE_PIXELS`.
        """
        return decoded_image(self.read(path, MAX_IMAGE_BYTES), path.name, most_px)


def decoded_image(data: bytes, name: str, most_px: int) -> NDArray[np.uint8]:
    """Return an image (H, W, 4) sRGB as `AssetFolder.read_image` does, from the bytes of its file; same errors."""
    try:
        with Image.open(io.BytesIO(data), formats=IMAGE_FORMATS) as image:
            if image.width * image.height > MAX_IMAGE_PIXELS:
                raise AssetError(f"{name} has more than {MAX_IMAGE_PIXELS >> 20} million pixels")
            pixels = np.asarray(image.convert("RGBA"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise AssetError(f"{name} is no readable image: {error}") from None
    return shrunk(pixels, most_px)


def shrunk(pixels: NDArray[np.uint8], most_px: int) -> NDArray[np.uint8]:
    """Return an image (H, W, 4) at most `most_px` wide and high; see-through pixels lend no colour."""
    height, width = pixels.shape[:2]
    if max(height, width) <= most_px:
        return np.ascontiguousarray(pixels)
    scale = most_px / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    weighted = pixels.astype(np.float32)
    weighted[..., :3] *= weighted[..., 3:] / 255
    small = cv2.resize(weighted, size, interpolation=cv2.INTER_AREA)
    small[..., :3] = small[..., :3] / np.maximum(small[..., 3:], 1) * 255
    return np.asarray(np.rint(np.clip(small, 0, 255)), np.uint8)
