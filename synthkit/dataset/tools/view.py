# SPDX-License-Identifier: Apache-2.0
"""A data set as one HTML file to look at: images with their truth on top, which the browser switches on and off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import cv2
import numpy as np
from PIL import Image

from synthkit.config import setting
from synthkit.dataset import codec, description
from synthkit.dataset.reader import Dataset
from synthkit.dataset.tools.layers import AMODAL
from synthkit.dataset.tools.page import check_page, write_page
from synthkit.dataset.tools.truth import INSTANCES
from synthkit.errors import ConfigError, DatasetError
from synthkit.interfaces import Progress, SampleSet, silent
from synthkit.report import layers as pictures
from synthkit.report.drawing import Picture, data_url
from synthkit.sample import Layer, Person, RotatedBox, Sample
from synthkit.seeds import Seeds

_COMMAND = "view"
_OVERLAYS = (INSTANCES, AMODAL)  # layers that are drawn as masks
_DECIMALS = 1
_DIGITS = 4  # of numbers that colours stand for
_SIDES = ("left", "right")
_FINGERS = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
_LIMBS = (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
SKELETON: Sequence[tuple[str, str]] = (
    *((f"{side}_{a}", f"{side}_{b}") for side in _SIDES for a, b in _LIMBS),
    *((f"{side}_shoulder", f"{side}_hip") for side in _SIDES),
    *(("nose", f"{side}_eye") for side in _SIDES),
    *((f"{side}_eye", f"{side}_ear") for side in _SIDES),
    ("left_shoulder", "right_shoulder"),
    ("left_hip", "right_hip"),
    ("pelvis", "lower_spine"),
    ("lower_spine", "spine"),
    ("spine", "chest"),
    ("chest", "neck"),
    *((f"{side}_ankle", f"{side}_{toe}") for side in _SIDES for toe in ("heel", "big_toe", "small_toe")),
    *((f"{side}_wrist", f"{side}_{finger}1") for side in _SIDES for finger in _FINGERS),
    *((f"{side}_{finger}{n}", f"{side}_{finger}{n + 1}") for side in _SIDES for finger in _FINGERS for n in (1, 2, 3)),
)
"""Which named points are joined by a line: COCO's seventeen, spine, feet and hands (named as in COCO-WholeBody)."""


@attrs.frozen
class Shown:
    """What is shown: how many samples, chosen by which seed, the longer side of their pictures, and their layers."""

    count: int = setting(48, help="samples")
    seed: int = setting(0, help="seed of their choice")
    size_px: int = setting(640, help="longer side of a picture at most")
    layers: bool = setting(True, help="layers as pictures too")


def view(path: Path | str, out: Path, shown: Shown | None = None, *, progress: Progress = silent) -> int:
    """Write a page of samples, evenly drawn by a seed where not all are shown; return how many it holds.

    The page needs nothing but itself: pictures are embedded, and its policy forbids it the network.

    Raises:
        ConfigError: when ``out`` is not named as HTML, lies in a data set, or is a page of somebody else.
        DatasetError: when the set cannot be read, or is one of sidecars whose images are not known or not there.
        SynthkitError: when jinja2 is not installed.
    """
    shown = shown or Shown()
    if out.suffix.lower() not in (".html", ".htm"):
        raise ConfigError([f"--out {out}: expected a name that ends in .html"])
    check_page(out, "--out", _COMMAND)
    data = Dataset.open(path, layers=None if shown.layers else _OVERLAYS)
    samples = _pictured(data)
    chosen = _chosen(len(data), shown)
    items = []
    for n, index in enumerate(chosen):
        progress("view", n, len(chosen))
        items.append(_item(samples[index], shown.size_px))
    progress("view", len(chosen), len(chosen))
    content = {"samples": items, "skeleton": [list(pair) for pair in SKELETON]}
    write_page(out, _COMMAND, "view", data, content, total=len(data), digest=data.fingerprint[:12], shown=shown)
    return len(items)


def _pictured(data: Dataset) -> SampleSet:
    """Return the samples to show: of a set of finds the images that it notes, with these."""
    if set(codec.IMAGE_SUFFIXES) & data.members(0)[1].keys():
        return data
    from synthkit.found import Found, is_of_images  # all formats, which only this needs

    if not is_of_images(data):
        raise DatasetError(
            f"{data.location}: has no images to show: it is a set of sidecars; view the set it belongs to"
        )
    return Found.beside(data)


def _chosen(total: int, shown: Shown) -> list[int]:
    if shown.count >= total:
        return list(range(total))
    draw = Seeds(shown.seed).stream("view")
    return sorted(draw.choice(total, shown.count, replace=False).tolist())


def _item(sample: Sample, size_px: int) -> dict[str, Any]:
    return {
        "key": sample.key,
        "size": list(sample.size_px),
        "source": _source(sample.image, size_px),
        "layers": {name: _layer(sample, name, size_px) for name in sorted(sample.layers) if _is_picture(sample, name)},
        "place": [str(part) for part in (sample.sequence, sample.frame) if part is not None],
        "meta": _texts(sample.meta),
        "people": None if sample.people is None else [_person(person, sample.layers) for person in sample.people],
    }


def _is_picture(sample: Sample, name: str) -> bool:
    return name not in _OVERLAYS and sample.layers[name].size > 0


def _layer(sample: Sample, name: str, size_px: int) -> dict[str, Any]:
    """Return a layer as a picture, and from where to where its colours go, when they stand for numbers."""
    span = pictures.span(sample, name)
    return {
        "source": _source(pictures.picture(sample, name), size_px),
        "span": None if span is None else [float(f"{value:.{_DIGITS}g}") for value in span],
    }


def _source(picture: Picture, size_px: int) -> str:
    """Return the URL of a picture, shrunk where its longer side is longer than ``size_px``."""
    height, width = picture.shape[:2]
    scale = min(1.0, size_px / max(width, height))
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        picture = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))
    return data_url(picture)


def _person(person: Person, layers: Mapping[str, Layer]) -> dict[str, Any]:
    number, layer, planes = person.instance, layers.get(INSTANCES), layers.get(AMODAL)
    table = {
        "instance": person.instance,
        "identity": person.identity,
        "visible": person.visible_fraction,
        "hider": person.occluder,
        "floor": None if person.floor_m is None else [round(value, 2) + 0.0 for value in person.floor_m],
        "box": _rounded(person.box_xyxy_px),
        "full": _rounded(person.full_box_xyxy_px),
        "rotated": _corners(person.rotated_box),
        "radial": _corners(person.radial_box),
        "head": _rounded(person.head_px),
        "headBox": _rounded(person.head_box_xyxy_px),
        "points": {
            name: [*(_rounded((point.x_px, point.y_px)) or ()), point.visible is not False]
            for name, point in person.keypoints.items()
        },
        "mask": "" if layer is None or number is None else outline(layer == number),
        "whole": "" if planes is None or number is None else outline(planes >> planes.dtype.type(number - 1) & 1 == 1),
        "attributes": _texts(person.attributes),
    }
    return {key: value for key, value in table.items() if value not in (None, "", {})}


def _corners(box: RotatedBox | None) -> list[float] | None:
    return None if box is None else _rounded(box.corners_px().ravel().tolist())


def outline(pixels: Layer) -> str:
    """Return the outlines of a mask (H, W) as the data of an SVG path, holes too."""
    if pixels.ndim != 2:
        return ""
    mask = pixels.astype(np.uint8)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return ""
    top, left = int(rows[0]), int(columns[0])
    cut = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    # Doubled with a border: contours run through pixels' centres, here a quarter of a pixel within the edges.
    doubled = np.pad(cv2.resize(cut, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST), 1)
    contours, _ = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    parts = []
    for contour in contours:
        corners = cv2.approxPolyDP(contour, 1.4, True)[:, 0]
        places = [f"{left + (x - 0.5) / 2:g},{top + (y - 0.5) / 2:g}" for x, y in corners.tolist()]
        if len(places) > 2:
            parts.append(f"M{' '.join(places)}Z")
    return "".join(parts)


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Return short texts of plain values, for reading."""
    found = {}
    for name, value in values.items():
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            text = ", ".join(value)
        else:
            text = value if isinstance(value, str) else description.dump(value).decode()
        found[str(name)] = text if len(text) <= 120 else f"{text[:117]}..."
    return found


def _rounded(values: Sequence[float] | None) -> list[float] | None:
    return None if values is None else [round(value, _DECIMALS) + 0.0 for value in values]
