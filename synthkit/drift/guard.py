# SPDX-License-Identifier: Apache-2.0
"""The drift guard: a refined sample whose people moved, vanished or multiplied is given its rendered pixels back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from synthkit import crops
from synthkit.crops.coverage import Coverage
from synthkit.drift.measuring import CROP_PX, PersonDrift, measure_newcomers, measure_person
from synthkit.drift.settings import GuardSettings
from synthkit.errors import PluginError
from synthkit.sample import Sample, evolve

META = "drift"
"""Key of ``Sample.meta``: a list with one record for each refinement; see ``guarded`` and ``unguarded``."""

Pixels = npt.NDArray[np.uint8]
Picture = npt.NDArray[Any]

_DIGITS = 3  # decisions are made on what is recorded
_FEATHER_PX = 0.0  # without the layer alpha a person has all of the mask
_PEOPLE_ACROSS = 6  # about so many people's boxes fit across an image of an empty room


def guarded(
    before: Sample,
    after: Sample,
    settings: GuardSettings,
    refiner: str,
    reinserted: Sequence[crops.Reinsertion] = (),
) -> Sample:
    """Return the refined sample with its drift recorded and, in mode ``on``, what drifted taken back.

    The record, the last in ``meta["drift"]``, has ``refiner``; ``people``: of each with an instance number who is
    large enough to be cropped the ``instance``, ``moved``, ``lost``, and whether ``drifted``; ``new``; whether the
    ``image`` drifted; the ``limits`` above which they did; and ``rolled_back``, whether what drifted has its rendered
    pixels again. Without the layer ``instances`` nobody can be checked, and nothing is recorded; see ``unguarded``.

    Crops that were put back are compared as they were before: masks hide what moved out of them. The image is
    compared, too, where something else came into it.

    Args:
        before, after: the sample before and after refinement. settings: mode and limits.
        refiner: its name, for the record. reinserted: what it was seen to put back.

    Raises:
        PluginError: when the refined image has another size.
    """
    if settings.mode == "off" or "instances" not in before.layers:
        return unguarded(before, after)
    if before.image.shape != after.image.shape:
        raise PluginError(
            f"refiner {refiner!r}: the image of {before.key} had {before.size_px} pixels and has {after.size_px}, so"
            " that its labels fit no more; a refiner that is meant to change people declares keeps_people=False"
        )
    plans = [plan for plan in crops.plan_crops(before, (CROP_PX, CROP_PX)) if plan.instance is not None]
    image = None if _is_put_back(before, after.image, reinserted) else after.image
    people = _people(before, plans, image, settings, reinserted)
    new = 0.0 if image is None else _new(before, image, plans)
    record = {
        "refiner": refiner,
        "people": people,
        "new": new,
        "image": new > settings.new,
        "limits": {"moved": settings.moved, "lost": settings.lost, "new": settings.new},
        "rolled_back": settings.mode == "on",
    }
    image = after.image
    if settings.mode == "on":
        drifted = [person["instance"] for person in people if person["drifted"]]
        image = before.image if record["image"] else with_pixels_of(before, image, drifted)
    return evolve(after, image=image, meta={**after.meta, META: [*_records(before), record]})


def unguarded(before: Sample, after: Sample) -> Sample:
    """Return a refined sample at which nobody looked: where earlier refinements have records, None stands for its own.

    So the last record is always that of the last refinement.
    """
    earlier = _records(before)
    return evolve(after, meta={**after.meta, META: [*earlier, None]}) if earlier else after


def _records(sample: Sample) -> list[Any]:
    """Return the records of earlier refinements; what others wrote under the name is none."""
    found = sample.meta.get(META)
    return list(found) if isinstance(found, list | tuple) else []


def with_pixels_of(before: Sample, image: Pixels, instances: Iterable[int]) -> Pixels:
    """Return an image with every pixel that some of the people cover, and be it a part of it, as it was before."""
    coverage, result = Coverage.of(before, _FEATHER_PX), image.copy()
    for instance in instances:
        window, covered = coverage.of_person(instance)
        result[window] = np.where(covered[..., None] > 0, before.image[window], result[window])
    return result


def _is_put_back(before: Sample, image: Pixels, reinserted: Sequence[crops.Reinsertion]) -> bool:
    """Return whether an image differs from that before by nothing but crops that came through everybody's own masks."""
    for one in reversed(reinserted):
        masks = one.sample.layers["instances"]
        if np.array_equal(one.image, image) and np.array_equal(masks, before.layers["instances"]):
            image = one.sample.image
    return np.array_equal(image, before.image)


def _people(
    before: Sample,
    plans: list[crops.CropPlan],
    after: Pixels | None,
    settings: GuardSettings,
    reinserted: Sequence[crops.Reinsertion],
) -> list[dict[str, Any]]:
    """Return what is recorded of each person; arguments as in ``person_drift``."""
    found = []
    for plan in plans:
        drift = person_drift(before, plan, after, reinserted)
        moved, lost = round(drift.moved, _DIGITS), round(drift.lost, _DIGITS)
        drifted = moved > settings.moved or lost > settings.lost
        found.append({"instance": plan.instance, "moved": moved, "lost": lost, "drifted": drifted})
    return found


def person_drift(
    before: Sample, plan: crops.CropPlan, after: Pixels | None, reinserted: Sequence[crops.Reinsertion] = ()
) -> PersonDrift:
    """Return the most that a person drifted in any picture that there is of it.

    Args:
        before: the sample before refinement. plan: of the person, with crops of ``CROP_PX``.
        after: (H, W, 3) refined, None where nothing came into it but what was put back, so that nobody is new either.
        reinserted: what was put back.
    """
    mask = crops.extract_mask(before.layers["instances"], plan)
    found = [measure_person(*pair, mask, plan.scale) for pair in _pictures(before, plan, after, reinserted)]
    return PersonDrift(max((one.moved for one in found), default=0.0), max((one.lost for one in found), default=0.0))


def _pictures(
    before: Sample, plan: crops.CropPlan, after: Pixels | None, reinserted: Sequence[crops.Reinsertion]
) -> Iterator[tuple[Picture, Picture]]:
    """Yield a person as rendered and as refined, each time as the plan shows it."""
    for one in reinserted:
        for other, crop in one.crops:
            if other.instance == plan.instance and one.sample.size_px == before.size_px:
                # Both have the resolution of the refiner's crops, and reach as far.
                rendered = crops.extract(before.image, other)
                yield crops.transfer(rendered, other, plan), crops.transfer(crop, other, plan)
    if after is not None:
        yield crops.extract(before.image, plan), crops.extract(after, plan)


def _new(before: Sample, after: Pixels, plans: list[crops.CropPlan]) -> float:
    people = before.layers["instances"] > 0
    side_px = person_side_px(plans, before.size_px)
    return round(measure_newcomers(before.image, after, people, side_px), _DIGITS)


def person_side_px(plans: list[crops.CropPlan], size_px: tuple[int, int]) -> float:
    """Return the side in pixels of a box around a person of usual size, by plans for an image of some size."""
    sides = [plan.size_px[0] / plan.scale for plan in plans]
    return float(np.median(sides)) if sides else min(size_px) / _PEOPLE_ACROSS
