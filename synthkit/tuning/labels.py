# SPDX-License-Identifier: Apache-2.0
"""What labels of real images tell without a search: how many people there are, and how large they are seen."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.sample import Person, Sample
from synthkit.tuning.features import circle_of
from synthkit.tuning.space import Dial

_LEAST_SIZES = 12  # people, below which nothing is said of sizes
_SIZE_RINGS = (0.0, 0.35, 0.6, 0.9)  # of the circle's radius: people are seen smaller towards the rim
_USUAL = (5.0, 95.0)  # percentiles of people per image; beyond are rare ones


@attrs.frozen(eq=False)
class Sizes:
    """People as they are seen: distance from the circle's centre and size, of its radius, and whose image it is.

    Args:
        radius, size: (N,). image: (N,) the number of the image.
    """

    radius: npt.NDArray[np.float64]
    size: npt.NDArray[np.float64]
    image: npt.NDArray[np.int64]


def people_counts(samples: Iterable[Sample]) -> tuple[int, int] | None:
    """Return the least and the most people that images usually have, or None where nobody has labelled them."""
    counts = [len(sample.people) for sample in samples if sample.people is not None]
    if not counts:
        return None
    low, high = np.percentile(counts, _USUAL, method="nearest")
    return int(low), int(high)


def shared(total: tuple[int, int], dials: Sequence[Dial]) -> dict[str, list[int]]:
    """Return (least, most) for each of the settings that share the people of an image, by path.

    They share them as the middles of their ranges do at the start; what does not divide goes to the largest rests.
    """
    middles = np.array([sum(dial.start) / 2 for dial in dials])
    parts = middles / middles.sum() if middles.sum() > 0 else np.full(len(dials), 1 / len(dials))
    ends = [_apportioned(count, parts) for count in total]
    pairs = {dial.setting: sorted((low, high)) for dial, low, high in zip(dials, *ends, strict=True)}
    limits = {dial.setting: (int(dial.tunable.low), int(dial.tunable.high)) for dial in dials}
    return {path: [min(max(end, limits[path][0]), limits[path][1]) for end in pair] for path, pair in pairs.items()}


def sizes(samples: Iterable[Sample]) -> Sizes | None:
    """Return how people are seen in images with boxes, or None where there are too few of them."""
    rows = []
    for number, sample in enumerate(samples):
        cx, cy, radius = circle_of(sample)
        for person in sample.people or ():
            box = _box(person)
            if box is not None:
                x, y, area = box
                rows.append((math.hypot(x - cx, y - cy) / radius, math.sqrt(area) / radius, number))
    if len(rows) < _LEAST_SIZES:
        return None
    radius_share, size, image = np.array(rows).T
    return Sizes(radius_share, size, image.astype(np.int64))


def size_ratio(real: Sizes, rendered: Sizes) -> tuple[float, float] | None:
    """Return the logarithm of how much larger real people are seen than rendered ones, and its standard error.

    Medians are compared ring by ring, as people are seen smaller towards the rim; the error is the jackknife's over
    images. None where no ring holds people of both.
    """
    whole = _log_ratio(real, rendered)
    if whole is None:
        return None
    variance = 0.0
    for first, second in ((real, rendered), (rendered, real)):
        without = [_log_ratio(_less(first, n), second) for n in np.unique(first.image)]
        found = np.array([value for value in without if value is not None])
        if len(found) > 1:
            variance += (len(found) - 1) / len(found) * float(((found - found.mean()) ** 2).sum())
    return whole, math.sqrt(variance)


def _box(person: Person) -> tuple[float, float, float] | None:
    """Return centre and area of a person's box in pixels."""
    if person.rotated_box is not None:
        box = person.rotated_box
        return (box.cx, box.cy, box.w * box.h) if box.w * box.h > 0 else None
    if person.box_xyxy_px is not None:
        left, top, right, bottom = person.box_xyxy_px
        area = (right - left) * (bottom - top)
        return ((left + right) / 2, (top + bottom) / 2, area) if area > 0 else None
    return None


def _less(sizes: Sizes, image: int) -> Sizes:
    kept = sizes.image != image
    return Sizes(sizes.radius[kept], sizes.size[kept], sizes.image[kept])


def _log_ratio(real: Sizes, rendered: Sizes) -> float | None:
    total, weight = 0.0, 0
    for low, high in itertools.pairwise(_SIZE_RINGS):
        of_real, of_rendered = (one.size[(one.radius >= low) & (one.radius < high)] for one in (real, rendered))
        fewer = min(len(of_real), len(of_rendered))
        if fewer >= 3:
            total += fewer * float(np.log(np.median(of_real)) - np.log(np.median(of_rendered)))
            weight += fewer
    return total / weight if weight else None


def _apportioned(total: int, parts: npt.NDArray[np.float64]) -> list[int]:
    """Return whole numbers in about these parts with this sum (largest remainders)."""
    whole = np.floor(total * parts).astype(int)
    order = np.argsort(-(total * parts - whole), kind="stable")
    whole[order[: total - int(whole.sum())]] += 1
    return [int(n) for n in whole]
