# SPDX-License-Identifier: Apache-2.0
"""Writing FDH's tars; see ``fdh.py`` for what they hold.

Shards hold 3,000 samples or 200 MiB, as the original's. Key points are written as fractions, as the original's
loader takes them, and masks as 0 and 255. Licences are those that samples state, and no others.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from tempfile import TemporaryFile
from typing import IO, Any

import attrs
import numpy as np
import numpy.typing as npt
from PIL import Image

from synthkit.bodies.masks import dilated
from synthkit.dataset import tar
from synthkit.dataset.formats import coco_points, fdh_arrays, fdh_metadata
from synthkit.dataset.formats.bodies import NO_CROP, checked
from synthkit.dataset.formats.exporting import Export
from synthkit.dataset.formats.labels import count_dropped
from synthkit.dataset.formats.photos import NOT_STATED
from synthkit.dataset.formats.pictures import Picture
from synthkit.dataset.formats.splits import TRAIN, VAL, stated_split
from synthkit.errors import DatasetError
from synthkit.surfaces import SMPL, SPACES, SurfaceSpace, space_of
from synthkit.surfaces import checked as checked_surface

_SIZE_PX = (160, 288)
_PROPORTION = 1.8  # of height to width
_SLACK = 0.01
_SHARD_SAMPLES, _SHARD_BYTES = 3000, 200 << 20
_CHUNK_BYTES = 1 << 20
_OTHER_SIZE = "the images are not all 160x288: DeepPrivacy2's configurations need their resolution set"
_DILATED = "samples without the layer 'mask' have the person's mask, dilated as FDH's are"
_NO_SURFACE = "samples without the layer 'surface_smpl' or 'surface' have no surface: load them without embedding"
_OTHER_SPACE = (
    "surfaces are of {mesh}: metadata.json names it ('surface'), and embeddings must be of that mesh, not FDH's own"
)
_MERGED = "images of the split {split!r} are in train, as FDH has only train and val"
_SIDE_FILE = "embed_map.torch{which} is not written: put it beside the tars' folders"


def write(export: Export) -> None:
    """Put the tars and the metadata.

    Raises:
        DatasetError: telling all samples that are no such crops, before anything is written.
    """
    checked(export, _masks)
    with TemporaryFile() as train, TemporaryFile() as val, TemporaryFile() as lines:
        shards = {"train": _Shards(export, "train", train), "val": _Shards(export, "val", val)}
        for picture in export:
            stated = stated_split(picture.meta)
            split = VAL if stated == VAL else TRAIN
            if stated not in (TRAIN, VAL, None):
                export.remark(_MERGED.format(split=stated))
            masks = _masks(picture)
            shards[split].add(_members(export, picture, masks))
            entry = json.dumps({picture.key: _origin(picture, masks.space, split)}, ensure_ascii=False)
            lines.write(entry[1:-1].encode() + b"\n")
        for part in shards.values():
            part.finish()
        export.put_chunks(fdh_metadata.NAME, _joined(lines))


@attrs.define
class _Shards:
    """The tars of one split; the one under way is kept in a file."""

    export: Export
    split: str
    file: IO[bytes]
    number: int = 0
    samples: int = 0
    size: int = 0

    def add(self, members: list[tuple[str, bytes]]) -> None:
        packed = b"".join(tar.pack(name, data) for name, data in members)
        if self.samples and (self.samples == _SHARD_SAMPLES or self.size + len(packed) > _SHARD_BYTES):
            self.finish()
        self.file.write(packed)
        self.samples, self.size = self.samples + 1, self.size + len(packed)

    def finish(self) -> None:
        """Put the tar under way, if it holds anything."""
        if self.samples:
            self.export.put_chunks(f"{self.split}/out-{self.number:06d}.tar", self._chunks())
            self.file.seek(0)
            self.file.truncate()
            self.number, self.samples, self.size = self.number + 1, 0, 0

    def _chunks(self) -> Iterator[bytes]:
        self.file.seek(0)
        while chunk := self.file.read(_CHUNK_BYTES):
            yield chunk
        yield tar.ending(self.size)


@attrs.frozen(eq=False)
class _Masks:
    """A sample's layers, (H, W): where the person is, and what else is known."""

    body: npt.NDArray[np.bool_]
    kept: npt.NDArray[Any] | None
    space: SurfaceSpace | None
    surface: npt.NDArray[Any] | None


def _masks(picture: Picture) -> _Masks:
    """Return a sample's layers.

    Raises:
        ValueError: when it is no crop of one person, of another shape, or without the person's mask.
    """
    people, (width, height) = picture.people, picture.size_px
    if people is None or len(people) != 1:
        raise ValueError(NO_CROP)
    if abs(height / width / _PROPORTION - 1) > _SLACK:
        raise ValueError("not 160x288 pixels, nor of that proportion; cut people out so")
    names = ("instances", "mask", *(space.layer for space in SPACES.values()))
    layers = {name: layer for name in names if (layer := picture.layer(name)) is not None}
    for name, layer in layers.items():
        if layer.shape != (height, width) or layer.dtype.kind not in "biu":
            raise ValueError(
                f"wrong: has a layer {name} of {layer.dtype} {layer.shape}, expected whole numbers for each pixel"
            )
    if "instances" not in layers:
        raise ValueError("without the layer 'instances': FDH has a mask of each person; segment people first")
    try:
        space = space_of(layers)
        surface = None if space is None else checked_surface(layers[space.layer], space)
    except DatasetError as error:
        raise ValueError(f"wrong: {error}") from None
    number, instances = people[0].instance, layers["instances"]
    body = np.zeros(instances.shape, bool) if number is None else instances == number
    return _Masks(body, layers.get("mask"), space, surface)


def _members(export: Export, picture: Picture, masks: _Masks) -> list[tuple[str, bytes]]:
    """Return a sample's members in the order of their names, as the original's."""
    assert picture.people
    person = picture.people[0]
    if picture.size_px != _SIZE_PX:
        export.remark(_OTHER_SIZE)
    if masks.kept is None:
        export.remark(_DILATED)
    members = {
        "image.png": _image(picture),
        "keypoints.npy": fdh_arrays.points_npy(person.keypoints, picture.size_px),
        "mask.png": _mask(~dilated(masks.body) if masks.kept is None else masks.kept > 0),
        "maskrcnn_mask.png": _mask(~masks.body),
    }
    if masks.space is None or masks.surface is None:
        export.remark(_NO_SURFACE)
    else:
        _remark_space(export, masks.space)
        vertices = np.maximum(masks.surface.astype(np.int32) - 1, 0).astype(np.int16)
        members |= {"E_mask.png": _mask(masks.surface > 0), "vertices.npy": fdh_arrays.npy(vertices)}
    others = [name for name in person.keypoints if name not in coco_points.NAMES]
    if others:
        export.dropped("key points of other names", len(others))
    count_dropped(export, person, ("instance", "box_xyxy_px", "keypoints", "identity"))
    return [(f"{picture.key}.{name}", data) for name, data in sorted(members.items())]


def _remark_space(export: Export, space: SurfaceSpace) -> None:
    if space != SMPL:
        export.remark(_OTHER_SPACE.format(mesh=space.mesh))
        return
    sha256 = (export.notes.get("embed_map") or {}).get("sha256", "")
    export.remark(_SIDE_FILE.format(which=f" (sha256 {sha256[:16]}...)" if sha256 else ""))


def _mask(keep: npt.NDArray[np.bool_]) -> bytes:
    return fdh_arrays.png(np.where(keep, np.uint8(fdh_arrays.KEEP), np.uint8(0)))


def _image(picture: Picture) -> bytes:
    """Return PNG bytes, the stored ones where they are."""
    if picture.suffix == "png":
        return picture.data
    with Image.open(io.BytesIO(picture.data), formats=("JPEG",)) as image:
        return fdh_arrays.png(np.asarray(image.convert("RGB")))


def _origin(picture: Picture, space: SurfaceSpace | None, split: str) -> dict[str, Any]:
    """Return a key's entry in the metadata: what the sample knows of its origin, and its split."""
    known = picture.meta.get("fdh")
    entry = fdh_metadata.restored(known) if isinstance(known, dict) else {}
    licence, url = picture.meta.get("licence"), picture.meta.get("licence_url")
    if "license" not in entry and isinstance(licence, str) and licence not in ("", NOT_STATED):
        entry["license"] = licence
        entry |= {"license_url": url} if isinstance(url, str) and url else {}
    if space not in (None, SMPL):
        entry[fdh_metadata.SURFACE] = space.name
    identity = picture.people[0].identity if picture.people else None
    if identity is not None:
        entry[fdh_metadata.IDENTITY] = identity
    return {**entry, fdh_metadata.SPLIT: split}


def _joined(lines: IO[bytes]) -> Iterator[bytes]:
    """Yield one table of all entries."""
    yield b"{"
    comma = b"\n"
    lines.seek(0)
    for line in lines:
        yield comma + line.rstrip(b"\n")
        comma = b",\n"
    yield b"\n}\n"
