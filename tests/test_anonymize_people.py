# SPDX-License-Identifier: Apache-2.0
"""Whose pixels are whose where methods differ, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from synthkit.anonymization.people import SEEN, TRACKS, TRUTH, Look, Quarantined, together
from synthkit.anonymization.policy import Policy
from synthkit.anonymization.treating import Treatment
from synthkit.camera import FisheyeCamera, looking_down
from synthkit.sample import Person, RotatedBox, Sample, Sidecar, evolve

BOX = (4.0, 4.0, 12.0, 12.0)


def masked():
    """Somebody of whom the mask is 4 x 8 of the 8 x 8 pixels of their box."""
    instances = np.zeros((20, 20), np.uint8)
    instances[4:12, 4:8] = 1
    return Look(Sidecar("a", people=[Person(1, box_xyxy_px=BOX)], layers={"instances": instances}))


def boxed():
    return Look(Sidecar("a", people=[Person(1, box_xyxy_px=BOX)]))


@pytest.mark.parametrize(
    ("names", "area_px"),
    [(("masks",), 32), (("masks", "boxes"), 64), ((TRUTH, "boxes"), 32), (("masks", TRACKS), 64), (("boxes",), 64)],
)
def test_boxes_of_detectors_without_masks_count_beside_masks(names, area_px):
    looks = {name: boxed() if name in ("boxes", TRACKS) else masked() for name in names}
    (found,) = together(looks, (20, 20), Policy())
    inner = found.region.on((20, 20))[4:12, 4:12]
    assert inner.sum() == area_px
    if area_px == 32:
        assert not inner[:, 4:].any()


@pytest.mark.parametrize(("name", "area_px"), [("masks", 64), (TRUTH, 2)])
def test_a_trace_of_a_mask_does_not_take_the_place_of_a_detectors_box(name, area_px):
    instances = np.zeros((20, 20), np.uint8)
    instances[6, 6:8] = 1
    side = Sidecar("a", people=[Person(1, box_xyxy_px=BOX)], layers={"instances": instances})
    (found,) = together({name: Look(side)}, (20, 20), Policy())
    assert found.region.on((20, 20))[4:12, 4:12].sum() == area_px


@pytest.mark.parametrize(("seen", "score"), [(True, 0.9), (True, 0.3), (False, 0.9)])
def test_the_box_of_a_track_counts_unless_somebody_was_found_in_that_frame_for_sure(seen, score):
    """It is the upright one around a rotated one; where another frame tells it, nothing else may."""
    turned = RotatedBox(10.0, 10.0, 4.0, 16.0, 45.0)
    corners = turned.corners_px()
    around = (*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist())
    alone = {"turned": Look(Sidecar("a", people=[Person(1, rotated_box=turned, attributes={"score": score})]), 0.5)}
    track = Person(1, identity="track0000", box_xyxy_px=around, attributes={SEEN: True} if seen else {})
    looks = {**alone, TRACKS: Look(Sidecar("a", people=[track]))}
    ((without,), (found,)) = (together(known, (20, 20), Policy()) for known in (alone, looks))
    assert found.track == "track0000"
    if seen and score > 0.5:
        assert (found.region.on((20, 20)) == without.region.on((20, 20))).all()
    else:
        assert found.region.area_px > 1.5 * without.region.area_px


@pytest.mark.parametrize("name", [TRUTH, "masks"])
def test_of_two_people_with_one_number_both_are_treated(name):
    look = masked()
    people = [*look.sidecar.people, Person(1, box_xyxy_px=(14.0, 4.0, 18.0, 12.0))]
    found = together({name: Look(evolve(look.sidecar, people=people))}, (20, 20), Policy())
    covered = np.any([one.region.on((20, 20)) for one in found], axis=0)
    assert covered[4:12, 4:8].all()
    assert covered[4:12, 14:18].all()
    assert not covered[4:12, 9:13].any()


@pytest.mark.parametrize(("second", "apart"), [("one", True), ("other", False)])
def test_a_second_head_on_a_body_by_the_same_method_is_somebody_elses(second, apart):
    """Of whom nothing more was found, which stops the image; another method's may be of the same person."""
    heads = [
        Person(head_px=(x, 7.0), head_box_xyxy_px=(x - 2, 5.0, x + 2, 9.0), attributes={"score": 0.9, "label": "head"})
        for x in (6.0, 11.0)
    ]
    body, looks = Person(1, box_xyxy_px=BOX, attributes={"score": 0.9}), {"one": [], "other": []}
    looks["one"].append(heads[0])
    looks[second].append(heads[1])
    sides = {name: Look(Sidecar("a", people=[body, *people])) for name, people in looks.items()}
    found = together(sides, (20, 20), Policy())
    assert [one.head_only for one in found] == ([False, True] if apart else [False])


def test_who_looks_again_knows_the_camera_as_those_did_who_looked():
    camera = FisheyeCamera.equidistant(20, 20, world_from_camera=looking_down(2.5))
    sample, shown = Sample("a", np.zeros((20, 20, 3), np.uint8), camera=camera), []

    def look(seen):
        shown.append(seen)
        return Look(Sidecar("a", people=()))

    treatment = Treatment("mask", lambda given: given, False, "body", Policy(), ("check", look))
    treatment(sample, {"masks": masked()}, "a")
    assert [seen.camera for seen in shown] == [camera]


def test_who_is_made_by_a_refiner_that_sees_nobody_may_be_like_them():
    """A generator puts people into the same outlines: detail goes together, though no pixel was known."""
    image = np.zeros((20, 20, 3), np.uint8)
    image[::2, ::2] = 200
    sample, seen = Sample("a", image), []

    def made(given):
        seen.append(given.image.copy())
        return evolve(given, image=image)

    treated = Treatment("generator", made, False, "body", Policy())(sample, {"masks": masked()}, "a")
    assert not (seen[0] == image)[4:12, 4:8].all()  # it could not have copied them
    assert (treated.image == image).all()
    with pytest.raises(Quarantined, match="detail of somebody was still there after refiner"):
        Treatment("refiner", made, True, "body", Policy())(sample, {"masks": masked()}, "a")
