# SPDX-License-Identifier: Apache-2.0
"""The pictures of a folder: all of them checked before any work starts, each read again when it is needed."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from synthkit.dataset import images, limits
from synthkit.errors import DatasetError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
PROBLEMS_TOLD = 5

_KEPT_PX = 1024  # of a picture's shorter side; a crop shows no more
_KEPT = 16  # pictures, some 70 MB

Pixels = npt.NDArray[np.uint8]


@attrs.frozen
class Texture:
    """A picture's file, its name below the folder, and what its bytes were when it was checked."""

    path: Path
    name: str
    sha256: str


class Textures:
    """A folder's pictures, by name; the same folder is the same list on every machine."""

    def __init__(self, items: tuple[Texture, ...]) -> None:
        self.items = items
        self._kept = functools.lru_cache(maxsize=_KEPT)(_shrunk)

    @classmethod
    def open(cls, folder: Path) -> Textures:
        """Return the pictures in a folder and the folders below it, each decoded once; hidden files are left out.

        Raises:
            DatasetError: when there is no such folder or no picture in it, or naming those that cannot be read.
        """
        if not folder.is_dir():
            raise DatasetError(f"textures {folder}: is not a folder; expected a folder of pictures")
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        named = [(path, path.relative_to(folder)) for path in paths]
        checked = [_checked(path, name.as_posix()) for path, name in named if not name.name.startswith(".")]
        if not checked:
            raise DatasetError(f"textures {folder}: holds no picture; expected {', '.join(sorted(SUFFIXES))} files")
        problems = [one for one in checked if isinstance(one, str)]
        if problems:
            more = len(problems) - PROBLEMS_TOLD
            rest = [f"and {more} more of the {len(checked)} pictures in {folder}"] if more > 0 else []
            raise DatasetError("\n".join([*problems[:PROBLEMS_TOLD], *rest]))
        return cls(tuple(one for one in checked if isinstance(one, Texture)))

    def __len__(self) -> int:
        return len(self.items)

    def pixels(self, index: int) -> Pixels:
        """Return a picture (h, w, 3), shrunk where its shorter side is longer than 1024 pixels.

        It is as it is stored: an EXIF orientation, on which programs disagree, is not looked at.

        Raises:
            DatasetError: when the file is no longer what it was.
        """
        return self._kept(self.items[index])


def _checked(path: Path, name: str) -> Texture | str:
    """Return a picture that can be decoded, or what is wrong with it."""
    try:
        if path.stat().st_size > limits.MAX_MEMBER_BYTES:
            raise ValueError(f"has more than {limits.MAX_MEMBER_BYTES} bytes")
        data = path.read_bytes()
        images.decode(data, rgb=True)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        return f"texture {path}: cannot be used ({reason}); replace it or take it out of the folder"
    return Texture(path, name, hashlib.sha256(data).hexdigest())


def _shrunk(texture: Texture) -> Pixels:
    try:
        data = texture.path.read_bytes()
    except OSError as error:
        raise DatasetError(f"texture {texture.path}: cannot be read any more: {error.strerror}") from None
    if hashlib.sha256(data).hexdigest() != texture.sha256:
        raise DatasetError(f"texture {texture.path}: was changed while people were being stylized; run again")
    pixels = images.decode(data, rgb=True)
    height, width = pixels.shape[:2]
    shrink = min(width, height) / _KEPT_PX
    if shrink <= 1:
        return pixels
    size = round(width / shrink), round(height / shrink)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
