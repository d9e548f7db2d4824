# SPDX-License-Identifier: Apache-2.0
"""From which value on surface maps are to be believed: the measures of crops, and how truth judges them (appendix A).

The thesis sorts 2,000 crops by each measure, and a person puts the lowest into three classes. Where crops were cut from
finds in rendered images, truth puts all of them there: by the share of a map's pixels that are on the right part of the
body.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.bodies.cutting import CROP
from synthkit.bodies.misdetections import LEAST_PER_PART, Parts, parts_of, unique_vertices, vertices_per_part
from synthkit.bodies.reading import BodyCrops
from synthkit.crops.cutting import extract_layer
from synthkit.crops.planning import CropPlan
from synthkit.dataset import Dataset
from synthkit.dataset.tools import copying
from synthkit.dataset.tools.outputs import check_apart
from synthkit.errors import DatasetError
from synthkit.interfaces import Progress, silent
from synthkit.sample import Sample, Skipped
from synthkit.surfaces import SurfaceSpace, checked

CLASSES = ("should be filtered away", "should probably be filtered away", "should be kept")
"""The thesis's (section A.2)."""

_RIGHT = (0.5, 0.75)  # shares of right pixels from which on a map is of the second, and the third class
LOOKED_AT = 0.15
"""Share of crops, the lowest by value, among which a threshold is looked for (section A.4)."""
_MOST_REMOVED, _GOOD_KEPT = 0.10, 0.5


@attrs.frozen
class Measures:
    """What is measured of a crop.

    Args:
        place: in its set. key: the crop's. vertices: different ones on its map. per_part: their mean number for each
            part of the body. right: share of the map's pixels on the right part; None without truth.
    """

    place: int
    key: str
    vertices: int
    per_part: float
    right: float | None = None

    @property
    def judgement(self) -> str:
        """Its class, where truth is known."""
        if self.right is None:
            raise ValueError("there is no truth to judge by")
        return CLASSES[int(np.searchsorted(_RIGHT, self.right, side="right"))]


def measures(
    crops: BodyCrops, parts: Parts, truth: Dataset | None = None, progress: Progress = silent
) -> Iterator[Measures]:
    """Yield the measures of all crops, in their order.

    Args:
        parts: of the crops' space. truth: the rendered set in which people were found, with layers in this space.

    Raises:
        DatasetError: when a crop is none, or has no truth.
    """
    for place in range(len(crops)):
        progress("measure", place, len(crops))
        sample = crops.samples[place]
        crop = crops.of(sample)
        right = None if truth is None else _right(sample, crop.surface, crops.space, parts, truth)
        per_part = round(vertices_per_part(crop.surface, parts), 4)
        yield Measures(place, crop.key, unique_vertices(crop.surface), per_part, right)


def _right(sample: Sample, surface: npt.NDArray[np.uint16], space: SurfaceSpace, parts: Parts, truth: Dataset) -> float:
    """Return the share of a map's pixels whose part of the body is that of truth."""
    where = f"{truth.location}: the truth of crop {sample.key}"
    try:
        noted = sample.meta[CROP]
        key, plan = str(noted["of"]), CropPlan(0, None, sample.size_px, noted["crop_from_image"])
    except (TypeError, KeyError, ValueError):
        raise DatasetError(f"{where}: cannot be found, as the crop does not tell where it was cut") from None
    whole = truth.by_key(key)
    if space.layer not in whole.layers:
        raise DatasetError(f"{where}: has no layer {space.layer}")
    real = extract_layer(checked(whole.layers[space.layer], space).astype(np.uint16), plan)
    shown = surface > 0
    named = np.concatenate([np.full(1, -1), parts.astype(np.int64)])
    return round(float((named[surface[shown]] == named[real[shown]]).mean()), 4) if shown.any() else 0.0


def suggested(found: Sequence[Measures]) -> float:
    """Return the threshold that section A.4 chooses: it leaves out about 10 % of all crops and keeps most good ones.

    It is the largest value below which there are at most 10 % of all crops and, of the good ones among the lowest 15 %,
    less than half. (Of the thesis's 2,000 crops 300 were looked at, and 135 left out 10 % of all.)

    Raises:
        ValueError: when there are no crops.
    """
    ranked = sorted(found, key=lambda one: one.per_part)
    looked_at = ranked[: max(1, int(LOOKED_AT * len(ranked)))]
    good = sum(one.judgement == CLASSES[-1] for one in looked_at)
    best, lost = ranked[0].per_part, 0
    for place, one in enumerate(looked_at):
        if place > _MOST_REMOVED * len(ranked) or lost > (1 - _GOOD_KEPT) * good:
            break
        best = one.per_part
        lost += one.judgement == CLASSES[-1]
    return best


def cumulative(found: Sequence[Measures]) -> dict[str, list[tuple[float, float]]]:
    """Return by class the share of its crops up to each value, of the lowest 15 % (figure A.6)."""
    ranked = sorted(found, key=lambda one: one.per_part)[: max(1, int(LOOKED_AT * len(found)))]
    curves = {}
    for name in CLASSES:
        values = [one.per_part for one in ranked if one.judgement == name]
        if values:
            curves[name] = [(value, (n + 1) / len(values)) for n, value in enumerate(values)]
    return curves


def lowest(found: Sequence[Measures], by: str, share: float = 0.05) -> dict[str, float]:
    """Return by class the share of the crops that are lowest by a measure (table A.1: the lowest 100 of 2,000).

    Args:
        by: ``vertices`` or ``per_part``.
    """
    ranked = sorted(found, key=lambda one: getattr(one, by))[: max(1, int(share * len(found)))]
    return {name: sum(one.judgement == name for one in ranked) / len(ranked) for name in CLASSES}


def filtered(
    source: Path | str,
    out: Path | str,
    least: float | None = None,
    parts: Path | None = None,
    *,
    progress: Progress = silent,
) -> tuple[Dataset, int]:
    """Write the crops whose maps are believed as a set at ``out``, member for member; return it, and of how many.

    Args:
        least: vertices for each part of the body; None takes what holds for the mesh, 0 believes all maps, and looks at
            none. parts: as ``parts_of`` takes it.

    Raises:
        DatasetError: when no crop is left, one is none, or ``out`` holds something else.
        ConfigError: as ``parts_of`` does.
    """
    crops = BodyCrops.open(source)
    least = LEAST_PER_PART[crops.space.name] if least is None else least
    check_apart([crops.samples], out)
    measured = measures(crops, parts_of(crops.space, parts), progress=progress) if least else ()
    wrong = {one.place for one in measured if one.per_part < least}
    places = copying.picks(crops.samples)
    chosen = [pick for pick in places if isinstance(pick.slot, Skipped) or pick.slot not in wrong]
    made = copying.copy(
        [copying.Origin(Dataset.open(source))],
        chosen,
        out,
        identity={"bodies_filter": {"least": least}, "source": crops.fingerprint},
        notes=copying.inherited(crops.samples, out, bodies_filter={"least": least, "places": len(places)}),
        verb="filter",
        progress=progress,
    )
    return made, len(crops)
