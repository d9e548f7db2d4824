# SPDX-License-Identifier: Apache-2.0
"""What is in a set without decoding a pixel: each sample's description, and its image's header."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
from PIL import Image

from synthkit.camera import FisheyeCamera
from synthkit.dataset import codec, description
from synthkit.dataset.reader import Dataset
from synthkit.errors import DatasetError
from synthkit.interfaces import Progress, silent
from synthkit.sample import Person

BACKGROUND = "background"
"""Key of ``Sample.meta`` that names the photo of the empty room behind a sample, where there is one."""


@attrs.frozen(eq=False)
class Glance:
    """A sample without its arrays; fields as in ``Sample``.

    Args:
        size_px: (width, height) as the image's header states; of a sidecar, which has no image, as its meta tells,
            else None.
        layers: names of the stored layers.
        people: without their key points, which take most of the time; with_keypoints: how many have some.
    """

    key: str
    size_px: tuple[int, int] | None
    layers: tuple[str, ...]
    people: tuple[Person, ...] | None
    with_keypoints: int
    camera: FisheyeCamera | None
    sequence: str | None
    meta: Mapping[str, Any]

    @property
    def background(self) -> str | None:
        """The name of the photo behind the people, when it is known."""
        name = self.meta.get(BACKGROUND)
        return name if isinstance(name, str) else None


def glances(data: Dataset, *, stage: str, progress: Progress = silent) -> Iterator[Glance]:
    """Yield what is known about each sample of a set, in order of positions.

    Args:
        data: opened with ``layers=()``, so that no other layer is read.

    Raises:
        DatasetError: naming shard and key, when a description or an image's header is damaged.
    """
    total = len(data)
    entries = ((n, entry) for n in range(len(data.shards)) for entry in data.index(n).entries())
    for position, ((shard, entry), (key, members)) in enumerate(zip(entries, data.raw(), strict=True)):
        progress(stage, position, total)
        try:
            seen = _glance(key, members, [suffix for suffix, _, _ in entry.members])
        except (ValueError, TypeError) as error:
            where = f"{data.where(shard)}: sample {key}"
            raise DatasetError(f"{where}: cannot be read: {error}; see 'synthkit verify'") from None
        yield seen
    progress(stage, total, total)


def _glance(key: str, members: Mapping[str, bytes], suffixes: Sequence[str]) -> Glance:
    table, with_keypoints = _described(members.get(codec.JSON_SUFFIX, b"{}"))
    return Glance(
        key=key,
        size_px=_size_px(members) or _told_size_px(table.get("meta") or {}),
        layers=_layer_names(suffixes),
        people=table.get("people"),
        with_keypoints=with_keypoints,
        camera=table.get("camera"),
        sequence=table.get("sequence"),
        meta=table.get("meta") or {},
    )


def _described(text: bytes) -> tuple[dict[str, Any], int]:
    """Return the arguments of ``Sample`` in a description, and of how many people it has key points."""
    count = 0
    try:
        table = json.loads(text)  # what is not cut away is checked below
        if isinstance(table, dict) and isinstance(table.get("people"), list):
            for person in table["people"]:
                count += isinstance(person, dict) and bool(person.pop("keypoints", None))
        return description.from_json(description.dump(table)), count
    except RecursionError:
        raise ValueError("its description is nested too deeply") from None


def _layer_names(suffixes: Sequence[str]) -> tuple[str, ...]:
    known = {*codec.IMAGE_SUFFIXES, codec.JSON_SUFFIX}
    return tuple(sorted(s.rpartition(".")[0] for s in suffixes if s not in known and codec.is_wanted(s, None)))


def _told_size_px(meta: Mapping[str, Any]) -> tuple[int, int] | None:
    match meta.get("size_px"):
        case [int(width), int(height)] if width > 0 and height > 0:
            return width, height
    return None


def _size_px(members: Mapping[str, bytes]) -> tuple[int, int] | None:
    suffix = next((s for s in codec.IMAGE_SUFFIXES if s in members), None)
    if suffix is None:
        return None
    try:
        with Image.open(io.BytesIO(members[suffix]), formats=("PNG", "JPEG")) as image:
            return image.size
    except (OSError, SyntaxError, EOFError, OverflowError, Image.DecompressionBombError) as error:
        raise ValueError(f"its image is damaged or no PNG or JPEG: {error}") from None
