# SPDX-License-Identifier: Apache-2.0
"""What was found, as the list of results that COCO's evaluators read.

An entry is a find: ``image_id``, ``category_id`` (1 a person, 2 a head), ``bbox`` (left, top, width, height in pixels;
of a rotated box what is around it in the image), ``score``; ``segmentation`` where the detector gives masks; and, which
evaluators pass over, ``key``, ``label``, and ``rotated_box`` (cx, cy, w, h, degrees clockwise) where that was found.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from synthkit import finds
from synthkit.dataset import Dataset, storage
from synthkit.dataset.description import PIXEL_DECIMALS
from synthkit.dataset.formats import masks
from synthkit.dataset.formats.coco_write import HEAD_ID, PERSON_ID
from synthkit.dataset.formats.labels import clipped, hull
from synthkit.dataset.sidecars import SidecarSet
from synthkit.dataset.tools.outputs import check_file
from synthkit.errors import DatasetError
from synthkit.sample import Person, Sidecar, Skipped

_LOOKED_AT = 4096


def check_results(out: Path) -> None:
    """Check that the list can be written.

    Raises:
        ConfigError: when it is somebody else's file, or is where nothing can be written.
    """
    check_file(out, "--coco", lambda data: data.split() == [b"[", b"]"] or b'"category_id"' in data[:_LOOKED_AT])


def write_results(data: Dataset, out: Path) -> int:
    """Write the finds of a set; return how many they are.

    ``image_id`` is what the COCO file says that the images come from; of other images the place among them, from 1, of
    which those count as well that could not be looked at. Of these the list has nothing, as of images without people.

    Raises:
        DatasetError: when ids come twice, as those of several label files may.
    """
    count = 0

    def chunks() -> Iterator[bytes]:
        nonlocal count
        yield b"[\n"
        for count, entry in enumerate(_entries(data), 1):
            yield (b",\n" if count > 1 else b"") + json.dumps(entry).encode()
        yield b"\n]\n"

    storage.write_atomically(out, chunks())
    return count


def _entries(data: Dataset) -> Iterator[dict[str, Any]]:
    sides = SidecarSet("found", data)
    ids = _image_ids(sides)
    for place, slot in enumerate(data.slots(), 1):
        if isinstance(slot, Skipped):
            continue
        side = sides.at(slot)
        for person in side.people or ():
            yield from _of_person(ids.get(side.key, place), person, side)


def _image_ids(sides: SidecarSet) -> dict[str, int | str]:
    """Return the ids that COCO's files say, by key; none where not all images have one."""
    found: dict[str, int | str] = {}
    taken: dict[int | str, str] = {}
    for position in range(len(sides)):
        side = sides.at(position)
        number = side.meta.get("coco", {}).get("id")
        if number is None:
            return {}
        if number in taken:
            raise DatasetError(
                f"{sides.data.location}: images {taken[number]} and {side.key} both have COCO's id {number}, as they"
                " come from several label files: look for people in each one's images by themselves"
            )
        found[side.key] = number
        taken[number] = side.key
    return found


def _of_person(image: int | str, person: Person, side: Sidecar) -> Iterator[dict[str, Any]]:
    """Yield what was found of somebody: all of them, and the head where it was found too."""
    size_px: tuple[int, int] = tuple(side.meta["size_px"])
    for find in (person, finds.head_of(person)):
        if find is None:
            continue
        rotated = find.rotated_box
        box = find.box_xyxy_px or (find.head_box_xyxy_px if rotated is None else clipped(hull(rotated), size_px))
        assert box is not None  # else it would not have been kept
        left, top, right, bottom = box
        entry: dict[str, Any] = {
            "image_id": image,
            "category_id": HEAD_ID if finds.is_head(find) else PERSON_ID,
            "bbox": [round(value, PIXEL_DECIMALS) for value in (left, top, right - left, bottom - top)],
            "score": find.attributes["score"],
            "key": side.key,
            "label": find.attributes["label"],
        }
        if rotated is not None:
            entry["rotated_box"] = list(rotated.as_tuple())
        instances = side.layers.get("instances")
        if instances is not None and find.instance and (instances == find.instance).any():
            entry["segmentation"] = masks.encode(instances == find.instance)
        yield entry
