# SPDX-License-Identifier: Apache-2.0
"""Image files with labels beside them: what readers of most formats have in common."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import attrs
import numpy as np
from PIL import Image

from synthkit.dataset import images
from synthkit.dataset.formats.originals import Pixels, taken_over
from synthkit.dataset.formats.source import FileSource, Stored
from synthkit.dataset.images import MAX_PIXELS
from synthkit.errors import DatasetError
from synthkit.interfaces import Progress, silent
from synthkit.sample import Layer, Person, Sample

SUFFIXES = (".jpg", ".jpeg", ".png")
NOT_STATED = "not stated"
DOUBTS = "doubts"
"""In ``Sample.meta["source"]`` of a photo that may not be what it seems: a list of these."""
TRANSPARENT, TURN_UNCLEAR, SIZELESS = "transparent", "turn unclear", "boxes without size"
"""What transparency hid can be seen; the labels may count on the photo as stored or as its EXIF orientation shows it;
people of the labels are left out, as their boxes have no width or height."""
_UNCLEAR = (
    "{count} photos have an EXIF orientation, and nothing tells whether their labels count on them as they are stored,"
    " or as viewers turn them: they are taken as stored"
)
_IMAGE_FORMATS = ("JPEG", "PNG")
_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


@attrs.frozen
class Photo:
    """An image file below a set's folder.

    Args:
        name: relative to the folder, with forward slashes. size_px: (width, height) as the labels count.
        turned: whether the labels count on the image as its EXIF orientation shows it.
        unclear: whether the size that the labels state does not tell that.
        damage: why it can be no image, empty where it may be one.
    """

    path: Path
    name: str
    size_px: tuple[int, int]
    turned: bool = False
    unclear: bool = False
    damage: str = ""

    @classmethod
    def open(cls, folder: Path, path: Path, *, turned: bool = False) -> Photo:
        """Return a photo, of which only the header is read.

        Args:
            turned: whether an EXIF orientation counts.

        Raises:
            ValueError: when it is no JPEG or PNG, or too large.
        """
        try:
            with Image.open(path, formats=_IMAGE_FORMATS) as image:
                size, orientation = image.size, _orientation(image)
        except _DAMAGE as error:
            raise ValueError(f"{path} is no JPEG or PNG image: {error}") from None
        if size[0] * size[1] > MAX_PIXELS:
            raise ValueError(f"{path} has {size[0]}x{size[1]} pixels, more than {MAX_PIXELS} are refused")
        turned = turned and orientation in _TURNS
        shown = size[::-1] if turned and orientation in _SIDEWAYS else size
        return cls(path, path.relative_to(folder).as_posix(), (shown[0], shown[1]), turned)

    @classmethod
    def of_stated_size(cls, folder: Path, path: Path, width: Any, height: Any) -> Photo:
        """Return a photo of the size that the labels state (None: any), by its EXIF orientation if need be.

        Raises:
            ValueError: when it is no image, or of another size.
        """
        photo, upright = cls.open(folder, path), cls.open(folder, path, turned=True)
        if _fits(photo, width, height):
            return attrs.evolve(photo, unclear=upright.turned and _fits(upright, width, height))
        if _fits(upright, width, height):
            return upright
        size = photo.size_px
        raise ValueError(f"{path} has {size[0]}x{size[1]} pixels, the labels say {width!s:.20}x{height!s:.20}")

    def read(self) -> tuple[Pixels, Stored, bool]:
        """Return (H, W, 3) uint8, a file with just these pixels, and whether transparency hides any of the original.

        The file has the original's own bytes where they are just these pixels, else it is a PNG.

        Raises:
            DatasetError: when the file is damaged.
        """
        if self.damage:
            raise DatasetError(self.damage)
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise DatasetError(f"{self.path}: cannot be read: {error.strerror}") from None
        found = None if self.turned else taken_over(data)
        suffix, kept, pixels = found or ("png", b"", self._decoded(data))
        if pixels.shape[1::-1] != self.size_px:
            raise DatasetError(f"{self.path}: was exchanged while it was being read")
        try:
            hides = images.hides(data)
        except ValueError as error:
            raise DatasetError(f"{self.path}: cannot be read as an image: {error}") from None
        return pixels, (suffix, kept or images.png(pixels)), hides

    def _decoded(self, data: bytes) -> Pixels:
        """Decode what is turned, or of a kind that data sets do not store."""
        try:
            with Image.open(io.BytesIO(data), formats=_IMAGE_FORMATS) as image:
                orientation = _orientation(image) if self.turned else 1
                shown = images.eight_bits(image)
                return np.asarray(shown.transpose(_TURNS[orientation]) if orientation in _TURNS else shown)
        except _DAMAGE as error:
            raise DatasetError(f"{self.path}: cannot be read as an image: {error}") from None


def _orientation(image: Image.Image) -> int:
    """Return an image's EXIF orientation, 1 where its EXIF is damaged: the image itself need not be."""
    try:
        number = image.getexif().get(_ORIENTATION, 1)
    except (*_DAMAGE, struct.error, TypeError, KeyError, OverflowError):
        return 1
    return number if isinstance(number, int) else 1


def _fits(photo: Photo, width: Any, height: Any) -> bool:
    return (width is None or width == photo.size_px[0]) and (height is None or height == photo.size_px[1])


def _no_layers() -> Mapping[str, Layer]:
    return {}


@attrs.frozen(eq=False)
class Frame:
    """A photo with its labels; ``layers`` makes them when they are asked for."""

    key: str
    photo: Photo
    people: tuple[Person, ...] | None
    layers: Callable[[], Mapping[str, Layer]] = _no_layers
    sample: Mapping[str, Any] = attrs.field(factory=dict)
    """Further arguments of ``Sample``: sequence, frame, time_s, camera."""
    meta: Mapping[str, Any] = attrs.field(factory=dict)
    """Besides ``source`` and ``licence``, which are filled in."""
    doubts: tuple[str, ...] = ()
    """Of the labels; see ``DOUBTS``."""


class PhotoSource(FileSource):
    """An opened set of photos with labels.

    Args:
        form: the format's name. folder: the set's. frames: in their order, with unique keys.
        labels_sha256: of all label files. notes: plain JSON about the whole set. remarks: lines for the user.
    """

    def __init__(
        self, form: str, folder: Path, frames: Sequence[Frame], labels_sha256: str,
        notes: Mapping[str, Any] | None = None, remarks: Sequence[str] = (),
    ) -> None:  # fmt: skip
        told = {"source": f"{form} format", "folder": folder.resolve().name, "licence": NOT_STATED, **(notes or {})}
        unclear = sum(frame.photo.unclear and frame.people is not None for frame in frames)
        super().__init__(told, [*remarks, *([_UNCLEAR.format(count=unclear)] if unclear else [])])
        self._form, self._frames, self._labels_sha256 = form, frames, labels_sha256

    def identify(self, progress: Progress = silent) -> Mapping[str, Any]:
        """Return the hashes of label files, and of the images with their names."""
        images = {frame.photo.name: frame.photo.path for frame in self._frames}
        return {"labels_sha256": self._labels_sha256, "images_sha256": self._hashed(images, progress)}

    def __len__(self) -> int:
        return len(self._frames)

    def key(self, index: int) -> str:
        """Return a sample's key."""
        return self._frames[index].key

    def read(self, index: int) -> tuple[Sample, Stored | None]:
        """Return one image with its people, and its file.

        Raises:
            DatasetError: when the image file is damaged.
        """
        frame = self._frames[index]
        pixels, stored, transparent = frame.photo.read()
        source: dict[str, Any] = {
            "format": self._form, "file": frame.photo.name, "size_px": list(frame.photo.size_px)
        }  # fmt: skip
        doubts = [*([TRANSPARENT] if transparent else []), *([TURN_UNCLEAR] if frame.photo.unclear else []),
                  *frame.doubts]  # fmt: skip
        source |= {DOUBTS: doubts} if doubts else {}
        sample = Sample(
            key=frame.key,
            image=pixels,
            people=frame.people,
            layers=frame.layers(),
            meta={"source": source, "licence": NOT_STATED, **frame.meta},
            **frame.sample,
        )
        return sample, stored


def below(name: Any) -> PurePosixPath:
    """Return a name that labels give to a file, checked to stay below the set's folder; links are the user's.

    Raises:
        ValueError: when it does not.
    """
    if not isinstance(name, str) or not name:
        raise ValueError(f"a file name must be text, got {name!r:.80}")
    relative = PurePosixPath(name)
    if relative.is_absolute() or ".." in relative.parts or "\\" in name or not name.isprintable():
        raise ValueError(f"file_name {name!r:.80} is refused: expected a name below the set's folder")
    return relative


def key_of(name: str) -> str:
    """Return the sample key for a text: letters, digits, ``_`` and ``-`` as they are, the rest ``_``."""
    return re.sub(r"[^\w-]", "_", name) or "_"


def keys_for(names: Sequence[str]) -> list[str]:
    """Return a key for each image file: its stem, its whole path where stems meet, with a number if those meet.

    Args:
        names: relative, with forward slashes, each once.
    """
    stems = [key_of(PurePosixPath(name).stem) for name in names]
    if len(set(stems)) == len(stems):
        return stems
    paths = [key_of(name.rpartition(".")[0]) for name in names]
    if len(set(paths)) == len(paths):
        return paths
    return [f"{path}_{number}" for number, path in enumerate(paths)]
