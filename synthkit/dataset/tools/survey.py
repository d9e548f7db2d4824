# SPDX-License-Identifier: Apache-2.0
"""What is in a set without decoding a pixel: each sample's description, and its image's header."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
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
        size_px: (width, height) as the image's header states. layers: names of the stored layers.
        people: without their key points, which take most of the time; with_keypoints: how many have some.
    """

    key: str
    size_px: tuple[int, int]
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
    """Yield what is known about each sample of a set, in order.

    Raises:
        DatasetError: naming set and key, when a description or an image's header is damaged.
    """
    total = len(data)
    for index in range(total):
        progress(stage, index, total)
        yield glance(data, index)
    progress(stage, total, total)


def glance(data: Dataset, index: int) -> Glance:
    """Return what is known about the sample at a position.

    Raises:
        DatasetError: naming set and key, when its description or its image's header is damaged.
    """
    key, members = data.members(index)
    try:
        table, with_keypoints = _described(members.get(codec.JSON_SUFFIX, b"{}"))
        return Glance(
            key=key,
            size_px=_size_px(members),
            layers=tuple(_layer_names(members)),
            people=table.get("people"),
            with_keypoints=with_keypoints,
            camera=table.get("camera"),
            sequence=table.get("sequence"),
            meta=table.get("meta") or {},
        )
    except (ValueError, TypeError) as error:
        raise DatasetError(f"{data.path}: sample {key} cannot be read: {error}; see 'synthkit verify'") from None


def _described(text: bytes) -> tuple[dict[str, Any], int]:
    """Return the arguments of ``Sample`` in a description, and of how many people it has key points."""
    table, count = description.load(text), 0
    if isinstance(table, dict) and isinstance(table.get("people"), list):
        for person in table["people"]:
            count += isinstance(person, dict) and bool(person.pop("keypoints", None))
    return description.from_json(description.dump(table)), count


def _layer_names(members: Mapping[str, bytes]) -> list[str]:
    return sorted(s.rpartition(".")[0] for s in members if s != codec.JSON_SUFFIX and s not in codec.IMAGE_SUFFIXES)


def _size_px(members: Mapping[str, bytes]) -> tuple[int, int]:
    suffix = next((s for s in codec.IMAGE_SUFFIXES if s in members), None)
    if suffix is None:
        raise ValueError("it has no image")
    try:
        with Image.open(io.BytesIO(members[suffix]), formats=("PNG", "JPEG")) as image:
            return image.size
    except (OSError, SyntaxError, EOFError, OverflowError, Image.DecompressionBombError) as error:
        raise ValueError(f"its image is damaged or no PNG or JPEG: {error}") from None
