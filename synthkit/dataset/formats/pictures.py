# SPDX-License-Identifier: Apache-2.0
"""Samples as exports take them: the image in its stored bytes, everything else decoded."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import attrs
import numpy as np
from PIL import Image

from synthkit.camera import FisheyeCamera
from synthkit.dataset import codec, description, images, stores
from synthkit.dataset.formats import originals
from synthkit.dataset.formats.source import Source
from synthkit.dataset.reader import Dataset
from synthkit.errors import DatasetError
from synthkit.sample import Layer, Person

LAYERS = ("instances", "mask", "surface", "surface_smpl")  # what an export can use
_JPEG_QUALITY = 95


@attrs.frozen(eq=False)
class Picture:
    """A sample whose image stays undecoded.

    Args:
        key: the sample's. suffix: ``png`` or ``jpg``. data: the image file's bytes.
        size_px: (width, height). people: None when unknown. layer: returns a layer by name, or None.
        camera, sequence, frame, time_s, meta: as in ``Sample``.
    """

    key: str
    suffix: str
    data: bytes
    size_px: tuple[int, int]
    people: tuple[Person, ...] | None
    layer: Callable[[str], Layer | None]
    camera: FisheyeCamera | None = None
    sequence: str | None = None
    frame: int | None = None
    time_s: float | None = None
    meta: Mapping[str, Any] = attrs.field(factory=dict)


class Pictures(Protocol):
    """What is exported."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """Plain JSON that determines the pictures."""

    @property
    def notes(self) -> Mapping[str, Any]:
        """Plain JSON that says where they come from."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Picture: ...


class DatasetPictures:
    """The samples of a data set."""

    def __init__(self, location: Path | str) -> None:
        self._dataset = Dataset.open(location, layers=LAYERS)
        manifest = self._dataset.manifest
        at_url = stores.is_url(location)
        self.name = str(location).rstrip("/").rpartition("/")[2] if at_url else Path(location).resolve().name
        self.identity: Mapping[str, Any] = {"dataset": self._dataset.fingerprint}
        self.notes: Mapping[str, Any] = {} if manifest is None else manifest.notes

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Picture:
        """Return a picture.

        Raises:
            DatasetError: when the sample is damaged.
        """
        key, members = self._dataset.members(index)
        where = f"{self._dataset.location}: sample {key}"
        stored = codec.image_file(members)
        if stored is None:
            raise DatasetError(f"{where} has no image")
        try:
            known = description.from_json(members[codec.JSON_SUFFIX]) if codec.JSON_SUFFIX in members else {}
        except ValueError as error:
            raise DatasetError(f"{where} cannot be read: {error}") from None

        def layer(name: str) -> Layer | None:
            found = [(kind, members[f"{name}.{kind}"]) for kind in ("png", "npy") if f"{name}.{kind}" in members]
            try:
                return codec.decode_layer(*found[0]) if found else None
            except ValueError as error:
                raise DatasetError(f"{where} cannot be read: {error}") from None

        return picture(key, stored[1], where, {"people": None, **known}, layer)


class SourcePictures:
    """The samples of another format's set.

    Image files are taken over as they are; shrunk images and frames of videos become JPEG of quality 95.

    Args:
        name: what people call it. source: the set. identity: what determines its samples.
    """

    def __init__(self, name: str, source: Source, identity: Mapping[str, Any]) -> None:
        self._source = source
        self.name, self.identity, self.notes = name, identity, source.notes

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Picture:
        """Return a picture.

        Raises:
            DatasetError: when its file is damaged.
        """
        sample, stored = self._source.read(index)
        data = images.jpeg(sample.image, _JPEG_QUALITY) if stored is None else stored[1]
        names = ("people", "camera", "sequence", "frame", "time_s", "meta")
        known = {name: getattr(sample, name) for name in names}
        return picture(sample.key, data, f"{self.name}: sample {sample.key}", known, sample.layers.get)


def picture(
    key: str, data: bytes, where: str, known: Mapping[str, Any], layer: Callable[[str], Layer | None]
) -> Picture:
    """Return a picture from an image file's bytes, of which only the header is read.

    What it tells besides its pixels, such as places and owners, stays behind. With it goes an EXIF
    orientation, on which programs disagree: pixels are where the labels have them. An image whose pixels
    would not be the same without all that is stored anew as PNG.

    Args:
        where: names the picture in errors. known: further arguments of ``Picture``.

    Raises:
        DatasetError: when it is no JPEG or PNG, or too large.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
            if image.width * image.height > images.MAX_PIXELS:
                raise DatasetError(f"{where}: an image of {image.width}x{image.height} pixels is refused")
            suffix, size = {"PNG": "png", "JPEG": "jpg"}[str(image.format)], image.size
            kept = originals.same_without_metadata(suffix, data)
            if kept is None:
                suffix, kept = "png", images.png(np.asarray(image.convert("RGB")))
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise DatasetError(f"{where}: its image is damaged or no PNG or JPEG: {error}") from None
    return Picture(key=key, suffix=suffix, data=kept, size_px=size, layer=layer, **known)
