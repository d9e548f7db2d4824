# SPDX-License-Identifier: Apache-2.0
"""What a detector answers, as people: whose heads are whose, and who is who among several detectors' finds."""

from __future__ import annotations

import numpy as np
import pytest
from bright_people import picture

from synthkit import assignment, finds
from synthkit.finds import heads
from synthkit.sample import Detections, Person, RotatedBox, Sample, Sidecar


def test_finds_in_the_padding_around_an_image_are_nobody():
    sample = Sample(key="s", image=picture(0))
    boxes = np.array([(0, 3, 0, 9), (2, 2, 9, 9), (4, 16, 9, 16)], np.float32)
    answer = Detections("s", boxes, np.array([0.9, 0.8, 0.7], np.float32), np.zeros(3, np.int32))
    side = finds.sidecar_of(answer, sample, ["person"], 0.5)
    assert [person.box_xyxy_px for person in side.people] == [(2, 2, 9, 9)]
    assert finds.sidecar_of(answer, sample, ["person"], 0.95).people == ()


def heads_and_bodies(*finds_):
    """What is kept of finds (label, score, box) with a mask each, by a detector of people and heads."""
    labels, scores, boxes = zip(*finds_, strict=True)
    instances = np.zeros((40, 60), np.uint8)
    for n, (left, top, right, bottom) in enumerate(boxes, 1):
        instances[top:bottom, left:right] = n
    answer = Detections(
        "s", np.array(boxes, np.float32), np.array(scores, np.float32),
        np.array([("person", "head").index(label) for label in labels], np.int32), layers={"instances": instances},
    )  # fmt: skip
    return finds.sidecar_of(answer, Sample(key="s", image=np.zeros((40, 60, 3), np.uint8)), ["person", "head"], 0.5)


def test_a_head_is_that_of_the_person_in_whose_box_it_lies():
    kept = heads_and_bodies(
        ("head", 0.95, (30, 5, 40, 15)), ("person", 0.9, (2, 2, 20, 30)), ("head", 0.8, (5, 0, 15, 6))
    )
    alone, person = kept.people
    assert alone == Person(
        1, head_px=(35, 10), head_box_xyxy_px=(30, 5, 40, 15), attributes={"score": 0.95, "label": "head"}
    )
    assert person == Person(
        2, box_xyxy_px=(2, 2, 20, 30), head_px=(10, 3), head_box_xyxy_px=(5, 0, 15, 6),
        attributes={"score": 0.9, "label": "person", "head_score": 0.8},
    )  # fmt: skip
    assert kept.layers["instances"][10, 35] == 1
    assert (kept.layers["instances"][:30, 2:20] > 0).sum() == (kept.layers["instances"] == 2).sum()
    assert kept.layers["instances"][1, 10] == 2  # of the head beyond the body's box


def test_more_than_half_of_a_head_inside_is_enough_and_less_is_not():
    for top, people in ((6, 1), (4, 2)):  # 0.6 and 0.4 of it
        kept = heads_and_bodies(("person", 0.9, (10, 10, 30, 40)), ("head", 0.8, (12, top, 22, top + 10)))
        assert len(kept.people) == people


def test_nobody_has_two_heads_and_as_many_heads_as_can_be_have_a_body():
    # Both heads lie in the first box, one of them in the second too: taken one by one, the nearest first, the
    # other would be nobody's.
    first, second = ("person", 0.9, (0, 0, 40, 40)), ("person", 0.8, (14, 14, 26, 40))
    shared, own = ("head", 0.7, (15, 15, 25, 25)), ("head", 0.6, (2, 2, 8, 8))
    people = heads_and_bodies(first, second, shared, own).people
    assert [person.head_box_xyxy_px for person in people] == [(2, 2, 8, 8), (15, 15, 25, 25)]
    third = ("head", 0.55, (30, 30, 36, 36))
    people = heads_and_bodies(first, second, shared, own, third).people
    assert [person.attributes["label"] for person in people] == ["person", "person", "head"]


def test_of_bodies_that_hold_a_head_alike_the_nearest_middle_counts():
    left, right = ("person", 0.9, (0, 0, 40, 20)), ("person", 0.8, (20, 0, 60, 20))
    people = heads_and_bodies(left, right, ("head", 0.7, (34, 5, 38, 9)), ("head", 0.6, (22, 5, 26, 9))).people
    assert [person.head_px for person in people] == [(24, 7), (36, 7)]


def test_a_head_beside_a_tilted_body_is_not_in_it():
    tilted = Person(rotated_box=RotatedBox(50, 50, 20, 100, 45))
    inside, beside = Person(head_box_xyxy_px=(70, 20, 80, 30)), Person(head_box_xyxy_px=(70, 70, 80, 80))
    assert heads.owners([inside, beside], [tilted]) == {0: 0}  # both are in the upright box around it
    assert heads.owners([inside], []) == {}


def test_heads_and_bodies_without_number_cost_no_time(monkeypatch):
    monkeypatch.delattr(assignment, "cheapest_pairs")  # the best pairing: minutes for thousands
    count = 201
    many = [Person(head_box_xyxy_px=(50 + n / count, 50, 60, 60)) for n in range(count)]
    bodies = [Person(box_xyxy_px=(0, 0, 100 + n / count, 100)) for n in range(count)]
    whose = heads.owners(many, bodies)
    assert sorted(whose) == sorted(whose.values()) == list(range(count))
    with pytest.raises(NameError):
        heads.owners(many[1:], bodies)


def test_heads_are_taken_off_people_again_for_those_who_do_not_rely_on_it():
    whole = heads_and_bodies(("person", 0.9, (2, 2, 20, 30)), ("head", 0.8, (5, 0, 15, 6)))
    body, head = finds.apart(whole).people
    assert body == box(1, 2, 2, 20, 30)
    assert (head.head_box_xyxy_px, head.attributes) == ((5, 0, 15, 6), {"score": 0.8, "label": "head"})
    labelled = side(Person(1, box_xyxy_px=(0, 0, 9, 9), head_box_xyxy_px=(1, 1, 3, 3)))
    assert finds.apart(labelled) is labelled


def side(*people, instances=None):
    layers = {} if instances is None else {"instances": np.asarray(instances, np.uint8)}
    return Sidecar("s", people=people, layers=layers, meta={"size_px": [8, 4]})


def box(number, *edges, score=0.9):
    return Person(number, box_xyxy_px=edges, attributes={"score": score, "label": "person"})


def test_finders_mean_the_same_person_by_the_greatest_overlap():
    first = side(box(1, 0, 0, 10, 10), box(2, 20, 0, 30, 10))
    # The first overlaps 1 by 80/120; the second by 70/130, and 2 not at all; the third is 2 itself.
    second = side(box(1, 0, 2, 10, 12), box(2, 0, 3, 10, 13), box(3, 20, 0, 30, 10))
    assert finds.matched({"a": first, "b": second}) == [{"a": 0, "b": 0}, {"a": 1, "b": 2}, {"b": 1}]
    assert finds.matched({"a": first, "b": second}, iou=0.7) == [{"a": 0}, {"a": 1, "b": 2}, {"b": 0}, {"b": 1}]
    third = side(box(1, 0, 3, 10, 13))  # knows b's second better than a's first
    assert finds.matched({"a": first, "b": second, "c": third})[2] == {"b": 1, "c": 0}
    assert finds.matched({"a": first, "b": Sidecar("s")}) == [{"a": 0}, {"a": 1}]


def test_four_tenths_are_enough_and_less_is_not():
    wide = side(box(1, 0, 0, 10, 1))
    assert finds.matched({"a": wide, "b": side(box(1, 0, 0, 4, 1))}) == [{"a": 0, "b": 0}]
    assert finds.matched({"a": wide, "b": side(box(1, 0, 0, 3.9, 1))}) == [{"a": 0}, {"b": 0}]


def test_rotated_boxes_are_compared_as_such_and_with_upright_ones_by_what_is_around_them():
    tilted = Person(1, rotated_box=RotatedBox(50, 50, 10, 100, 45))
    crossing = Person(1, rotated_box=RotatedBox(50, 50, 10, 100, -45))
    around = box(1, 15, 15, 85, 85)
    assert finds.matched({"a": side(tilted), "b": side(crossing)}) == [{"a": 0}, {"b": 0}]
    assert finds.matched({"a": side(tilted), "b": side(around)}) == [{"a": 0, "b": 0}]


def test_a_head_is_never_a_whole_person():
    head = Person(1, head_box_xyxy_px=(0, 0, 10, 10))
    assert finds.matched({"a": side(box(1, 0, 0, 10, 10)), "b": side(head)}) == [{"a": 0}, {"b": 0}]


def test_masks_are_united_and_decide_where_there_are_two():
    row = np.zeros((4, 8))
    ones, others = row.copy(), row.copy()
    ones[:, :3], ones[:, 6:] = 1, 2
    others[:, 1:4] = 1
    first = side(box(1, 0, 0, 8, 4, score=0.6), box(2, 0, 0, 8, 4, score=0.7), instances=ones)
    second = side(box(1, 0, 0, 1, 1, score=0.9), instances=others)
    assert finds.matched({"a": first, "b": second}) == [{"a": 0, "b": 0}, {"a": 1}]  # 8 of 16 pixels
    both = finds.combined({"a": first, "b": second})
    assert [person.instance for person in both.people] == [1, 2]
    assert both.people[0].attributes == {"score": 0.9, "label": "person", "scores": {"a": 0.6, "b": 0.9}}
    assert both.people[0].box_xyxy_px == (0, 0, 1, 1)  # the surest one's
    assert both.layers["instances"].tolist() == [[1, 1, 1, 1, 0, 0, 2, 2]] * 4
    assert finds.combined({"a": Sidecar("s", people=())}).people == ()
