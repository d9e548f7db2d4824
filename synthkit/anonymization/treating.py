# SPDX-License-Identifier: Apache-2.0
"""One image: everybody treated, by the refiner or, in doubt, by a blur, and looked at before it is handed on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from synthkit.anonymization import obscuring
from synthkit.anonymization.checking import detail_left, survivors
from synthkit.anonymization.obscuring import Pixels
from synthkit.anonymization.people import TRUTH, Found, Look, Quarantined, surfaces_of, together
from synthkit.anonymization.policy import Policy
from synthkit.anonymization.regions import Extent, Located, Region, extent_of
from synthkit.sample import Layer, Person, Sample, Skipped, evolve

REVISION = 7
"""Raised when the same image and finds come out otherwise; part of every fingerprint."""

NOTE = "anonymized"
"""In ``Sample.meta``: what was done, and in ``people`` for everybody how they were found and treated."""

BLANK = (118, 118, 118)
"""What a refiner that does not look at people sees in their place."""

LEFT_BLANK = "left blank"
"""How somebody was treated in whose place a refiner tells that it could put nobody; see ``told_blank``."""

_BLURRED = "blurred"
_BODY_CELLS, _HEAD_CELLS = 3.0, 2.0  # over somebody in doubt, and over a head that was found alone
_LEAST_MARGIN_PX = 4.0
_SCORE_DECIMALS, _SHARE_DECIMALS = 4, 3


@attrs.frozen(eq=False)
class Treatment:
    """What is done to images.

    Args:
        name: the refiner's. refine: applies it. sees_people: whether it looks at people's pixels; else it gets none.
        extent: what of people it treats. policy: what is done in doubt.
        check: the name of a detector that looks once more, and what asks it; it raises ``Quarantined`` without answer.
    """

    name: str
    refine: Callable[[Sample], Sample | Skipped]
    sees_people: bool
    extent: Extent
    policy: Policy
    check: tuple[str, Callable[[Sample], Look]] | None = None

    def __call__(self, sample: Sample, looks: Mapping[str, Look], key: str) -> Sample:
        """Return the image to be handed on, with nothing of the sample but its pixels, people's places and masks.

        Args:
            sample: the original. looks: what each method found in it. key: its new key.

        Raises:
            Quarantined: when it must not be handed on.
        """
        if not looks:
            raise Quarantined("nothing tells who is in it")
        found = together(looks, sample.size_px, self.policy)
        if self.extent == "body" and any(one.head_only for one in found):
            raise Quarantined("of somebody only the head was found")
        if found:
            image, records = self._treated(sample, found, surfaces_of(looks))
            self._look_again(sample, image, found)
            done = self._handed_on(sample, key, image, self._people(found), self._note("treated", looks, records))
            return evolve(done, layers={"instances": _instances(found, sample.size_px)})
        if TRUTH in looks:
            self._look_again(sample, sample.image, found)
            return self._handed_on(sample, key, sample.image, (), self._note("empty", looks))
        if self.policy.on_miss == "quarantine":
            raise Quarantined("nobody was found in it")
        if self.policy.on_miss == "blur-image":
            return self._handed_on(sample, key, obscuring.blur_all(sample.image), None, self._note(_BLURRED, looks))
        self._look_again(sample, sample.image, found)
        return self._handed_on(sample, key, sample.image, None, self._note("passed", looks))

    def _treated(
        self, sample: Sample, found: Sequence[Found], surfaces: Mapping[str, Layer]
    ) -> tuple[Pixels, list[dict[str, Any]]]:
        """Return the image with everybody treated, and a record for each."""
        image = sample.image.copy()
        for one in found:
            if one.doubt:
                _blur(image, one, self.policy.doubt_margin)
        sure = [one for one in found if not one.doubt]
        blank: frozenset[int] = frozenset()
        if sure:
            image, blank = self._refined(sample, image, sure, surfaces)
        treated_by = {one: LEFT_BLANK if number in blank else self.name for number, one in enumerate(sure, 1)}
        records = []
        for one in found:
            region = one.region if one.doubt else self._region(one, sample.size_px)
            left = detail_left(sample.image, image, region)
            # What a refiner makes that saw nobody may be like them by chance: outlines alone are.
            if left > self.policy.detail_left and (one.doubt or self.sees_people):
                raise Quarantined(f"detail of somebody was still there after {_BLURRED if one.doubt else self.name}")
            records.append(self._record(one, treated_by.get(one, _BLURRED), left))
        return image, records

    def _refined(
        self, sample: Sample, image: Pixels, sure: Sequence[Found], surfaces: Mapping[str, Layer]
    ) -> tuple[Pixels, frozenset[int]]:
        """Return an image with those who are not in doubt treated by the refiner, and the numbers of who is blank."""
        if not self.sees_people:
            for one in sure:
                obscuring.fill(image, self._region(one, sample.size_px), BLANK)
        given = Sample(
            key=sample.key,
            image=image,
            people=[_known(one, number) for number, one in enumerate(sure, 1)],
            camera=sample.camera,
            layers={**surfaces, "instances": _instances(sure, sample.size_px)},
            sequence=sample.sequence,
            frame=sample.frame,
            time_s=sample.time_s,
        )
        result = self.refine(given)
        if isinstance(result, Skipped):
            raise Quarantined(f"refiner {self.name!r} could not treat it")
        if result.image.shape != given.image.shape:
            raise Quarantined(f"refiner {self.name!r} gave an image of another size")
        return result.image, told_blank(result)

    def _look_again(self, sample: Sample, image: Pixels, found: Sequence[Found]) -> None:
        """Look for survivors in what is to be handed on."""
        if self.check is None:
            return
        name, look = self.check
        shown = Sample(key=sample.key, image=image, camera=sample.camera)
        seen = together({name: look(shown)}, sample.size_px, Policy(agree=1))
        left = survivors(seen, [one.region for one in found], sample.size_px)
        if left:
            raise Quarantined(f"{name} still found {len(left)} who had not been treated")

    def _region(self, one: Found, size_px: tuple[int, int]) -> Region:
        return extent_of(self.extent)(Located(one.person, None, one.region), size_px)

    def _people(self, found: Sequence[Found]) -> list[Person]:
        people = [_known(one, number) for number, one in enumerate(found, 1)]
        if self.policy.identities:
            return people
        return [evolve(person, identity=one.track) for person, one in zip(people, found, strict=True)]

    def _record(self, one: Found, treated: str, left: float) -> dict[str, Any]:
        scores = {name: None if score is None else round(score, _SCORE_DECIMALS)
                  for name, score in one.found_by.items()}  # fmt: skip
        return {
            "found_by": scores,
            "track": one.track,
            "box_xyxy_px": list(one.region.box_xyxy_px),
            "pixels": one.region.area_px,
            "treated": treated,
            "extent": "body" if one.doubt else self.extent,
            "doubt": one.doubt,
            "detail_left": round(left, _SHARE_DECIMALS),
        }

    def _note(self, image: str, looks: Mapping[str, Look], people: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
        return {
            "image": image,
            "looked": sorted(looks),
            "looked_again": None if self.check is None else self.check[0],
            "people": list(people),
        }

    def _handed_on(
        self, sample: Sample, key: str, image: Pixels, people: Sequence[Person] | None, note: Mapping[str, Any]
    ) -> Sample:
        """Return what leaves: pixels, places and the note; no text or name but the key, and that of a kept clip."""
        return Sample(
            key=key,
            image=image,
            people=people,
            camera=sample.camera,
            sequence=sample.sequence if self.policy.names == "keep" else None,
            frame=sample.frame,
            time_s=sample.time_s,
            meta={NOTE: note},
        )


def told_blank(refined: Sample) -> frozenset[int]:
    """Return the instance numbers of those in whose place a refiner tells that it put nobody.

    It does so in the last table of ``meta["refined_by"]``, as the list ``blank_instances``.
    """
    notes = refined.meta.get("refined_by")
    last = notes[-1] if isinstance(notes, list | tuple) and notes else None
    numbers = last.get("blank_instances") if isinstance(last, Mapping) else None
    return frozenset(n for n in numbers if type(n) is int) if isinstance(numbers, list | tuple) else frozenset()


def _blur(image: Pixels, one: Found, margin: float) -> None:
    length_px = one.region.length_px
    by_px = max(_LEAST_MARGIN_PX, margin * length_px)
    region = one.region.grown(by_px, (image.shape[1], image.shape[0]))
    obscuring.blur(image, region, length_px, _HEAD_CELLS if one.head_only else _BODY_CELLS)


def _known(one: Found, number: int) -> Person:
    """Return somebody under another number, with nothing that people or programs wrote about them."""
    person = one.person
    occluder = None if isinstance(person.occluder, int) else person.occluder
    identity = one.track or person.identity
    return evolve(person, instance=number, identity=identity, attributes={}, occluder=occluder)


def _instances(found: Sequence[Found], size_px: tuple[int, int]) -> Layer:
    """Return the layer in which each has the number of their place, from 1; the smallest are in front."""
    layer = np.zeros(size_px[::-1], np.uint8 if len(found) < 256 else np.uint16)
    for number, one in sorted(enumerate(found, 1), key=lambda item: -item[1].region.area_px):
        layer[one.region.window][one.region.mask] = number
    return layer
