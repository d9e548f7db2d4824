# SPDX-License-Identifier: Apache-2.0
"""What is in a data set, in numbers: people, their sizes and places, images, cameras, and what is missing."""

from __future__ import annotations

import collections
import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.crops import camera_nadir_px
from synthkit.dataset.reader import Dataset
from synthkit.dataset.tools.survey import Glance, glances
from synthkit.drift.counting import DriftCounts, DriftTally
from synthkit.interfaces import Progress, silent
from synthkit.sample import Person

Floats = npt.NDArray[np.float64]

SECTORS = 12
_DECILES = 10


@attrs.frozen
class Spread:
    """How many values there are, and their smallest, 5th percentile, median, 95th percentile and largest."""

    count: int
    low: float
    p5: float
    median: float
    p95: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread | None:
        """Return the spread of values; None of none."""
        listed = np.fromiter(values, np.float64)
        if not len(listed):
            return None
        found = (round(float(v), 3) for v in np.percentile(listed, [0, 5, 50, 95, 100]))
        return cls(len(listed), *found)


@attrs.frozen(eq=False)
class Places:
    """Where people are: centres of their boxes (visible, else rotated), as parts of the image's width and height.

    Args:
        x, y: (N,) 0 to 1. width_px, height_px: a common image size to draw them in.
    """

    x: Floats
    y: Floats
    width_px: int
    height_px: int


@attrs.frozen(eq=False)
class Stats:
    """The numbers; those in pixels are the images' own.

    Args:
        samples, skipped: how many; reasons with their counts.
        people: how many in all; people_per_image: images by number of people. unknown_people: images
            of which nobody knows who is in them.
        box_width_px, box_height_px: of visible boxes; long_side_px, short_side_px: of rotated ones.
        centre_distance: from the image's centre (where the camera is known, from what is straight below it) to
            the middle of the box, in half the image's shorter side. sectors: people by direction from there, twelve
            of 30 degrees clockwise from the right. places: for the map.
        visible_fraction: people by tenths, 1 in the last; hidden: how many are at 0; unknown_visible:
            of how many it is not known.
        heads, keypoints, masks: how many people have them.
        identities: different ones; images_per_identity; unnamed: people without one.
        image_sizes_px: images by size. layers: samples by layer. sequences, backgrounds: different ones.
        cameras: different lenses; camera_height_m; unknown_camera: samples without.
        drift: what the drift guard found in the samples' last refinement; None where it did not look.
    """

    samples: int
    skipped: int
    reasons: Mapping[str, int]
    people: int
    people_per_image: Mapping[int, int]
    unknown_people: int
    box_width_px: Spread | None
    box_height_px: Spread | None
    long_side_px: Spread | None
    short_side_px: Spread | None
    centre_distance: Spread | None
    sectors: Sequence[int]
    visible_fraction: Sequence[int]
    hidden: int
    unknown_visible: int
    heads: int
    keypoints: int
    masks: int
    identities: int
    images_per_identity: Spread | None
    unnamed: int
    image_sizes_px: Mapping[str, int]
    layers: Mapping[str, int]
    sequences: int
    backgrounds: int
    cameras: int
    camera_height_m: Spread | None
    unknown_camera: int
    drift: DriftCounts | None
    places: Places

    def to_plain(self) -> dict[str, Any]:
        """Return everything but the single places, as JSON values."""
        return attrs.asdict(self, filter=lambda attribute, _: attribute.name != "places")


def stats(path: Path | str, *, progress: Progress = silent) -> Stats:
    """Count what is in a set; no pixel is decoded.

    Raises:
        DatasetError: when it cannot be read, or a description is damaged.
    """
    data = Dataset.open(path, layers=())
    tally = _Tally()
    for seen in glances(data, stage="count", progress=progress):
        tally.add(seen)
    return tally.result(data)


class _Tally:
    def __init__(self) -> None:
        self._numbers: dict[str, array[float]] = collections.defaultdict(lambda: array("d"))
        self._counts: collections.Counter[str] = collections.Counter()
        self._per_image: collections.Counter[int] = collections.Counter()
        self._sizes: collections.Counter[tuple[int, int]] = collections.Counter()
        self._layers: collections.Counter[str] = collections.Counter()
        self._identities: collections.Counter[str] = collections.Counter()
        self._different: dict[str, set[Any]] = collections.defaultdict(set)
        self._drift = DriftTally()

    def add(self, seen: Glance) -> None:
        """Count one sample."""
        self._counts["samples"] += 1
        if seen.size_px is not None:
            self._sizes[seen.size_px] += 1
        self._layers.update(seen.layers)
        if seen.sequence is not None:
            self._different["sequence"].add(seen.sequence)
        if seen.background is not None:
            self._different["background"].add(seen.background)
        self._add_camera(seen)
        self._drift.add(seen.meta)
        if seen.people is None:
            self._counts["unknown people"] += 1
            return
        self._per_image[len(seen.people)] += 1
        self._counts["keypoints"] += seen.with_keypoints
        self._identities.update({p.identity for p in seen.people if p.identity is not None})
        centre = _centre_px(seen)
        for person in seen.people:
            self._add_person(person, seen, centre)

    def _add_camera(self, seen: Glance) -> None:
        camera = seen.camera
        if camera is None:
            self._counts["unknown camera"] += 1
            return
        lens = (camera.width_px, camera.height_px, camera.cx_px, camera.cy_px, camera.theta_coefficients)
        self._different["camera"].add((*lens, camera.max_theta_rad))
        self._numbers["camera height"].append(float(camera.world_from_camera[2, 3]))

    def _add_person(self, person: Person, seen: Glance, centre_px: tuple[float, float]) -> None:
        self._counts["unnamed"] += person.identity is None
        self._counts["heads"] += person.head_px is not None
        self._counts["masks"] += person.instance is not None and "instances" in seen.layers
        if person.visible_fraction is None:
            self._counts["unknown visible"] += 1
        else:
            self._numbers["visible"].append(person.visible_fraction)
        box, turned = person.box_xyxy_px, person.rotated_box
        if box is not None:
            self._numbers["box width"].append(box[2] - box[0])
            self._numbers["box height"].append(box[3] - box[1])
        if turned is not None:
            self._numbers["long side"].append(turned.h)
            self._numbers["short side"].append(turned.w)
        if box is not None:
            self._add_place((box[0] + box[2]) / 2, (box[1] + box[3]) / 2, seen, centre_px)
        elif turned is not None:
            self._add_place(turned.cx, turned.cy, seen, centre_px)

    def _add_place(self, x: float, y: float, seen: Glance, centre_px: tuple[float, float]) -> None:
        if seen.size_px is None:
            return
        width, height = seen.size_px
        dx, dy = x - centre_px[0], y - centre_px[1]
        self._numbers["distance"].append(math.hypot(dx, dy) / (min(width, height) / 2))
        self._numbers["direction"].append(math.degrees(math.atan2(dy, dx)) % 360)
        self._numbers["x"].append(x / width)
        self._numbers["y"].append(y / height)

    def result(self, data: Dataset) -> Stats:
        """Return the numbers over all samples that were counted."""
        numbers, counts = self._numbers, self._counts
        skipped = data.skipped
        visible = np.asarray(numbers["visible"])
        directions = np.asarray(numbers["direction"])
        width, height = self._sizes.most_common(1)[0][0] if self._sizes else (1, 1)
        return Stats(
            samples=counts["samples"],
            skipped=len(skipped),
            reasons=dict(collections.Counter(reason for _, reason in skipped).most_common()),
            people=sum(count * images for count, images in self._per_image.items()),
            people_per_image=dict(sorted(self._per_image.items())),
            unknown_people=counts["unknown people"],
            box_width_px=Spread.of(numbers["box width"]),
            box_height_px=Spread.of(numbers["box height"]),
            long_side_px=Spread.of(numbers["long side"]),
            short_side_px=Spread.of(numbers["short side"]),
            centre_distance=Spread.of(numbers["distance"]),
            sectors=np.histogram(directions, SECTORS, (0, 360))[0].tolist(),
            visible_fraction=np.histogram(visible.clip(0, 1), _DECILES, (0, 1))[0].tolist(),
            hidden=int((visible <= 0).sum()),
            unknown_visible=counts["unknown visible"],
            heads=counts["heads"],
            keypoints=counts["keypoints"],
            masks=counts["masks"],
            identities=len(self._identities),
            images_per_identity=Spread.of(self._identities.values()),
            unnamed=counts["unnamed"],
            image_sizes_px={f"{w}x{h}": count for (w, h), count in self._sizes.most_common()},
            layers=dict(sorted(self._layers.items())),
            sequences=len(self._different["sequence"]),
            backgrounds=len(self._different["background"]),
            cameras=len(self._different["camera"]),
            camera_height_m=Spread.of(numbers["camera height"]),
            unknown_camera=counts["unknown camera"],
            drift=self._drift.result(),
            places=Places(np.asarray(numbers["x"]), np.asarray(numbers["y"]), width, height),
        )


def rows(found: Stats) -> list[tuple[str, str]]:
    """Return the numbers as lines of a table: what, and how much."""
    return [
        ("samples", _and(found.samples, {"skipped": found.skipped})),
        *((f"  skipped: {reason}", str(count)) for reason, count in list(found.reasons.items())[:5]),
        ("images", _counted(found.image_sizes_px, " px")),
        ("layers", ", ".join(_of(name, n, found.samples) for name, n in found.layers.items()) or "none"),
        ("people", _and(found.people, {"images of unknown people": found.unknown_people})),
        ("people per image", _counted(found.people_per_image, "", most=12)),
        ("visible box, width px", _spread(found.box_width_px)),
        ("visible box, height px", _spread(found.box_height_px)),
        ("rotated box, long side px", _spread(found.long_side_px)),
        ("rotated box, short side px", _spread(found.short_side_px)),
        ("from the centre", _spread(found.centre_distance)),
        ("by direction", _told(found.sectors, "30° each, clockwise from the right")),
        ("visible, by tenths", _told(found.visible_fraction, f"0: {found.hidden}, unknown: {found.unknown_visible}")),
        ("with head, key points, mask", f"{found.heads}, {found.keypoints}, {found.masks}"),
        ("identities", _and(found.identities, {"people without": found.unnamed})),
        ("images per identity", _spread(found.images_per_identity)),
        ("sequences, backgrounds", f"{found.sequences}, {found.backgrounds}"),
        ("lenses", _and(found.cameras, {"samples without": found.unknown_camera})),
        ("camera height m", _spread(found.camera_height_m)),
        *((("drift in refinement", str(found.drift)),) if found.drift else ()),
    ]  # fmt: skip


def _centre_px(seen: Glance) -> tuple[float, float]:
    """Return what is straight below the camera, or the image's centre where that is not known."""
    if seen.camera is not None:
        x, y = camera_nadir_px(seen.camera).tolist()
        return x, y
    width, height = seen.size_px or (0, 0)
    return width / 2, height / 2


def _and(count: int, besides: Mapping[str, int]) -> str:
    more = ", ".join(f"{n} {what}" for what, n in besides.items() if n)
    return f"{count}" + (f"  ({more})" if more else "")


def _told(counts: Sequence[int], what: str) -> str:
    return " ".join(map(str, counts)) + f"  ({what})" if any(counts) else "unknown"


def _of(name: str, count: int, total: int) -> str:
    return name if count == total else f"{name} ({count} of {total})"


def _counted(counts: Mapping[Any, int], unit: str, most: int = 6) -> str:
    shown = [f"{value}{unit}: {count}" for value, count in list(counts.items())[:most]]
    return ", ".join(shown + ([f"and {len(counts) - most} more"] if len(counts) > most else [])) or "none"


def _spread(spread: Spread | None) -> str:
    if spread is None:
        return "unknown"
    return f"{spread.median:g}  ({spread.low:g} to {spread.high:g}; nine tenths {spread.p5:g} to {spread.p95:g})"
