# SPDX-License-Identifier: Apache-2.0
"""The drift guard: a refined sample whose people moved, vanished or multiplied is given its rendered pixels back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from synthkit import crops
from synthkit.crops.coverage import Coverage
from synthkit.drift.measuring import CROP_PX, measure_newcomers, measure_person
from synthkit.drift.settings import GuardSettings
from synthkit.errors import PluginError
from synthkit.sample import Sample, evolve

META = "drift"
"""Key of ``Sample.meta``: a list with one record for each refinement that was guarded; see ``guarded``."""

Pixels = npt.NDArray[np.uint8]

_DIGITS = 3  # decisions are made on what is recorded
_FEATHER_PX = 0.0  # without the layer alpha a person has all of the mask
_PEOPLE_ACROSS = 6  # about so many people's boxes fit across an image of an empty room


def guarded(before: Sample, after: Sample, settings: GuardSettings, refiner: str) -> Sample:
    """Return the refined sample with its drift recorded and, in mode ``on``, what drifted taken back.

    The record, the last in ``meta["drift"]``, has ``refiner``; ``people``: of each with an instance number who is
    large enough to be cropped the ``instance``, ``moved``, ``lost``, and whether ``drifted``; ``new``; whether the
    ``image`` drifted; and ``rolled_back``, whether what drifted has its rendered pixels again. Without the layer
    ``instances`` nobody can be checked, and nothing is recorded.

    Args:
        before, after: the sample before and after refinement. settings: mode and limits.
        refiner: its name, for the record.

    Raises:
        PluginError: when the refined image has another size.
    """
    if settings.mode == "off" or "instances" not in before.layers:
        return after
    if before.image.shape != after.image.shape:
        raise PluginError(
            f"refiner {refiner!r}: the image of {before.key} had {before.size_px} pixels and has {after.size_px}, so"
            " that its labels fit no more; a refiner that is meant to change people declares keeps_people=False"
        )
    people, new = _people(before, after, settings), _new(before, after)
    record = {
        "refiner": refiner,
        "people": people,
        "new": new,
        "image": new > settings.new,
        "rolled_back": settings.mode == "on",
    }
    image = after.image
    if settings.mode == "on":
        drifted = [person["instance"] for person in people if person["drifted"]]
        image = before.image if record["image"] else with_pixels_of(before, image, drifted)
    return evolve(after, image=image, meta={**after.meta, META: [*before.meta.get(META, ()), record]})


def with_pixels_of(before: Sample, image: Pixels, instances: Iterable[int]) -> Pixels:
    """Return an image with every pixel that some of the people cover, and be it a part of it, as it was before."""
    coverage, result = Coverage.of(before, _FEATHER_PX), image.copy()
    for instance in instances:
        window, covered = coverage.of_person(instance)
        result[window] = np.where(covered[..., None] > 0, before.image[window], result[window])
    return result


def _people(before: Sample, after: Sample, settings: GuardSettings) -> list[dict[str, Any]]:
    """Return what is recorded of each person."""
    found = []
    for plan in crops.plan_crops(before, (CROP_PX, CROP_PX)):
        if plan.instance is None:
            continue
        mask = crops.extract_mask(before.layers["instances"] == plan.instance, plan)
        rendered, refined = crops.extract(before.image, plan), crops.extract(after.image, plan)
        drift = measure_person(rendered, refined, mask, plan.scale)
        moved, lost = round(drift.moved, _DIGITS), round(drift.lost, _DIGITS)
        drifted = moved > settings.moved or lost > settings.lost
        found.append({"instance": plan.instance, "moved": moved, "lost": lost, "drifted": drifted})
    return found


def _new(before: Sample, after: Sample) -> float:
    people = before.layers["instances"] > 0
    return round(measure_newcomers(before.image, after.image, people, person_side_px(before)), _DIGITS)


def person_side_px(sample: Sample) -> float:
    """Return the side in pixels of a box around a person of usual size in an image."""
    sides = [CROP_PX / plan.scale for plan in crops.plan_crops(sample, (CROP_PX, CROP_PX))]
    return float(np.median(sides)) if sides else min(sample.size_px) / _PEOPLE_ACROSS
