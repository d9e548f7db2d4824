# SPDX-License-Identifier: Apache-2.0
"""Writing COCO, in bounded memory.

``images/SPLIT/`` and ``annotations/instances_SPLIT.json`` for each split; ``default`` holds images of no split.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np

from synthkit.dataset import description
from synthkit.dataset.formats import coco_origin, coco_points, masks
from synthkit.dataset.formats.exporting import Export
from synthkit.dataset.formats.labels import HULLS, clipped, hull
from synthkit.dataset.formats.pictures import Picture
from synthkit.dataset.formats.splits import stated_split
from synthkit.errors import DatasetError
from synthkit.sample import Layer, Person, Sample

PERSON_ID, HEAD_ID = 1, 2
_NO_SPLIT = "default"
_MOST_SPLITS = 100  # each keeps two files open
_NO_POINTS: Mapping[str, Any] = {"keypoints": [0] * (3 * len(coco_points.NAMES)), "num_keypoints": 0}
_OWN_FIELDS = ("box_xyxy_px", "rotated_box")  # of a person, that stand in fields of their own


def write(export: Export) -> None:
    """Put all images, and then a JSON of the labels of each split.

    Raises:
        DatasetError: when there are more splits than any set has.
    """
    with ExitStack() as files:
        tables: dict[str, _Table] = {}
        for picture in export:
            split = stated_split(picture.meta) or _NO_SPLIT
            if split not in tables:
                if len(tables) == _MOST_SPLITS:
                    raise DatasetError(f"{export.name}: has more than {_MOST_SPLITS} splits, which is taken for damage")
                tables[split] = _Table(
                    export, files.enter_context(TemporaryFile()), files.enter_context(TemporaryFile())
                )
            export.put(f"images/{split}/{picture.key}.{picture.suffix}", picture.data)
            tables[split].add(picture)
        for split, table in tables.items() or {_NO_SPLIT: _Table(export, io.BytesIO(), io.BytesIO())}.items():
            export.put_chunks(f"annotations/instances_{split}.json", table.chunks())


class _Table:
    """The lists of images and annotations, kept on disk line by line until everything is known."""

    def __init__(self, export: Export, images: IO[bytes], annotations: IO[bytes]) -> None:
        self._export, self._images, self._annotations = export, images, annotations
        self._licences = coco_origin.Numbers()
        self._image_id = self._annotation_id = 0
        self._heads = self._points = False

    def add(self, picture: Picture) -> None:
        self._image_id += 1
        licence, fields, meta = coco_origin.parted(picture.meta)
        table = _described(picture, meta)
        entry: dict[str, Any] = {
            **fields,
            "id": self._image_id,
            "file_name": f"{picture.key}.{picture.suffix}",
            "width": picture.size_px[0],
            "height": picture.size_px[1],
        }
        if licence is not None:
            entry["license"] = self._licences.of(licence)
        extra = {key: value for key, value in table.items() if key not in ("schema", "people")}
        if picture.people is None:
            extra["people"] = None
            self._export.remark("images whose people are unknown have no annotations, as if nobody were there")
        self._images.write(json.dumps({**entry, "synthkit": extra}).encode() + b"\n")
        layer = picture.layer("instances") if picture.people else None
        if layer is not None and layer.shape != picture.size_px[::-1]:
            raise DatasetError(
                f"sample {picture.key}: its instances are {layer.shape}, its image {picture.size_px[::-1]}"
            )
        columns = None if layer is None else np.asfortranarray(layer)
        for person, person_table in zip(picture.people or (), table.get("people", ()), strict=True):
            self._add_person(picture, person, person_table, columns)

    def _add_person(self, picture: Picture, person: Person, table: dict[str, Any], layer: Layer | None) -> None:
        extra = {key: value for key, value in table.items() if key not in _OWN_FIELDS}
        category, box = PERSON_ID, table.get("box_xyxy_px")
        if box is None and person.rotated_box is not None:
            box, extra["box_of"] = clipped(hull(person.rotated_box), picture.size_px), "rotated_box"
            self._export.remark(HULLS)
        if box is None and person.rotated_box is None and person.head_box_xyxy_px is not None:
            category, box, self._heads = HEAD_ID, extra.pop("head_box_xyxy_px"), True
        if box is None:
            self._export.dropped("people without a box")
            return
        left, top, right, bottom = (round(float(value), description.PIXEL_DECIMALS) for value in box)
        width, height = (round(value, description.PIXEL_DECIMALS) for value in (right - left, bottom - top))
        mask = None if layer is None or person.instance is None else layer == person.instance
        pixels = 0 if mask is None else int(np.count_nonzero(mask))
        area = round(width * height, description.PIXEL_DECIMALS)
        entry: dict[str, Any] = {"bbox": [left, top, width, height], "area": area, "segmentation": []}
        if mask is not None and pixels:
            entry |= {"area": pixels, "segmentation": masks.encode(mask)}
        if "rotated_box" in table:
            entry["rotated_box"] = table["rotated_box"]
        points = _points(extra, picture.size_px)
        self._write(category, entry | points, extra, int(bool(person.attributes.get("iscrowd"))))

    def _write(self, category: int, fields: dict[str, Any], extra: dict[str, Any], crowd: int) -> None:
        self._annotation_id += 1
        self._points |= "keypoints" in fields
        ids = {"id": self._annotation_id, "image_id": self._image_id, "category_id": category, "iscrowd": crowd}
        mark = b"-" if category == PERSON_ID and "keypoints" not in fields else b"+"
        self._annotations.write(mark + json.dumps({**ids, **fields, "synthkit": extra}).encode() + b"\n")

    def chunks(self) -> Iterator[bytes]:
        """Yield the JSON file; whole at the end only, as categories and licences are known then."""
        person: dict[str, Any] = {"id": PERSON_ID, "name": "person", "supercategory": "person"}
        if self._points:
            place = {name: number for number, name in enumerate(coco_points.NAMES, 1)}
            skeleton = [[place[a], place[b]] for a, b in coco_points.SKELETON]
            person |= {"keypoints": list(coco_points.NAMES), "skeleton": skeleton}
        categories = [person]
        if self._heads:
            categories.append({"id": HEAD_ID, "name": "head", "supercategory": "person"})
        info = coco_origin.info(self._export.notes, self._export.name)
        head = {"info": info, "licenses": self._licences.table(), "categories": categories}
        yield json.dumps(head)[:-1].encode() + b',\n"images": [\n'
        self._images.seek(0)
        yield from _joined(self._images)
        yield b'],\n"annotations": [\n'
        self._annotations.seek(0)
        yield from _joined(self._completed())
        yield b"]}\n"

    def _completed(self) -> Iterator[bytes]:
        """Yield the annotations; evaluators expect key points of all people when some have them."""
        missing = b", " + json.dumps(_NO_POINTS)[1:].encode() + b"\n"
        for line in self._annotations:
            fill = self._points and line.startswith(b"-")
            yield line[1:].rstrip(b"\n")[:-1] + missing if fill else line[1:]


def _joined(lines: IO[bytes] | Iterator[bytes]) -> Iterator[bytes]:
    """Yield lines with commas between them."""
    comma = b""
    for line in lines:
        yield comma + line.rstrip(b"\n")
        comma = b",\n"
    yield b"\n"


def _described(picture: Picture, meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything but image and layers as the data set describes it: rounded, with unknown keys.

    Args:
        meta: what of the picture's has no field of its own.
    """
    sample = Sample(
        key=picture.key,
        image=np.zeros((1, 1, 3), np.uint8),
        people=picture.people,
        camera=picture.camera,
        sequence=picture.sequence,
        frame=picture.frame,
        time_s=picture.time_s,
        meta=meta,
    )
    return dict(description.load(description.to_json(sample)))


def _points(extra: dict[str, Any], size_px: tuple[int, int]) -> dict[str, Any]:
    """Return COCO's key points of a person; what these cannot say is left in ``extra``."""
    points = extra.pop("keypoints", {})
    flat: list[float] = []
    labelled, rest = 0, dict(points)
    for name in coco_points.NAMES:
        point = points.get(name)
        if point is None or not (0 <= point["x_px"] <= size_px[0] and 0 <= point["y_px"] <= size_px[1]):
            flat += [0, 0, coco_points.UNKNOWN]
            continue
        x, y = (round(point[axis] - coco_points.CENTRE_PX, description.PIXEL_DECIMALS) for axis in ("x_px", "y_px"))
        flat += [x, y, coco_points.HIDDEN if point.get("visible") is False else coco_points.SEEN]
        labelled += 1
        rest[name] = {key: value for key, value in point.items() if key not in ("x_px", "y_px", "visible")}
        if "visible" not in point:
            rest[name]["visible"] = None
    rest = {name: point for name, point in rest.items() if point}
    if rest:
        extra["keypoints"] = rest
    return {"keypoints": flat, "num_keypoints": labelled} if labelled else {}
