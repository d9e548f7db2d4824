# SPDX-License-Identifier: Apache-2.0
"""The metric ``detection`` on rotated boxes, points, parts of a set and truth that may be missed, and its errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from synthkit.camera import FisheyeCamera
from synthkit.config import structure
from synthkit.errors import ConfigError, DatasetError
from synthkit.interfaces import Explaining, Runtime, Scored, empty_detections
from synthkit.sample import Detections, Person, RotatedBox, Sample, evolve
from synthkit.seeds import Seeds
from synthkit_detection.config import DetectionConfig
from synthkit_detection.evidence import BADLY, BELOW, MERGED, MISPLACED, NOBODY, TWICE, UNSEEN
from synthkit_detection.metric import DetectionMetric
from synthkit_detection.ranking import Ranked
from synthkit_detection.truth import truth_boxes


def metric(**choices):
    choices = {"target": "person", "bootstrap": 0, "score": 0.5} | choices
    return DetectionMetric(DetectionConfig(**choices), None, Runtime(Seeds(3), Path("unused")))


def seen(key, people, boxes=(), scores=(), size=(200, 200), **more):
    image = np.zeros((size[1], size[0], 3), np.uint8)
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    found = Detections(key, boxes, np.asarray(scores, np.float32), np.zeros(len(scores), np.int32), **more)
    return Scored(Sample(key=key, image=image, people=people), found)


def judged(items, **choices):
    chosen = metric(**choices)
    results = chosen.compute({"scored": chosen.observe("scored", items)})
    return {
        (result.name.partition("[")[0], result.part): result.value for result in results if "0.30" not in result.name
    }


def numbers(items, part="", **choices):
    found = judged(items, **choices)
    return [found[name, part] for name in ("precision", "recall")]


def turned(*boxes):
    return {"rotated_boxes": np.array(boxes, np.float32).reshape(-1, 5)}


PERSON = Person(
    box_xyxy_px=(50, 50, 150, 150), rotated_box=RotatedBox(100, 100, 30, 110, 45),
    radial_box=RotatedBox(100, 100, 40, 100, -45), visible_fraction=0.8,
)  # fmt: skip
AROUND = [(50, 50, 150, 150)]


def test_each_shape_has_its_own_truth():
    right = seen("a", [PERSON], AROUND, [0.9], **turned((100, 100, 30, 110, 45)))
    assert numbers([right], boxes="rotated") == [1, 1]
    assert numbers([right], boxes="radial") == [0, 0]
    assert numbers([right], boxes="upright") == [1, 1]
    crossed = seen("a", [PERSON], AROUND, [0.9], **turned((100, 100, 100, 40, 45)))  # -45 written with w > h
    assert numbers([crossed], boxes="radial") == [1, 1]


def test_rotated_finds_are_needed_for_rotated_truth():
    with pytest.raises(DatasetError, match=r"a: the detector gives no rotated boxes.*set boxes=upright"):
        numbers([seen("a", [PERSON], AROUND, [0.9])], boxes="rotated")
    assert numbers([Scored(seen("a", [PERSON]).sample, empty_detections("a"))], boxes="rotated") == [0, 0]


def test_heads_have_no_rotated_boxes():
    with pytest.raises(ConfigError, match="boxes=rotated needs target=person"):
        structure(DetectionConfig, {"boxes": "rotated"})
    with pytest.raises(ConfigError, match="must rise"):
        structure(DetectionConfig, {"size_edges_px": [96, 32]})


def test_points_are_right_within_half_the_heads_diagonal():
    head = Person(head_box_xyxy_px=(40, 40, 46, 48))  # diagonal 10, middle (43, 44)
    for x, right in ((43, 1), (47.9, 1), (48.1, 0)):
        item = seen("a", [head], [(0, 0, 9, 9)], [0.9], points_px=np.array([[x, 44]], np.float32))
        assert numbers([item], target="head", boxes="points") == [right, right]
    middle = seen("a", [head], [(40, 40, 46, 48)], [0.9])  # without points the middle of the box stands for it
    assert numbers([middle], target="head", boxes="points") == [1, 1]


def test_heads_known_as_points_need_a_size():
    item = seen("a", [Person(head_px=(43, 44))], [(40, 40, 46, 48)], [0.9])
    with pytest.raises(DatasetError, match="set point_px"):
        numbers([item], target="head", boxes="points")
    assert numbers([item], target="head", boxes="points", point_px=10.0) == [1, 1]


@pytest.mark.parametrize(
    ("people", "choices", "advice"),
    [
        ([Person(head_box_xyxy_px=(1, 1, 9, 9))], {}, "it has a head box: set target=head"),
        (
            [Person(rotated_box=RotatedBox(9, 9, 4, 8, 0))],
            {"boxes": "radial"},
            "a person rotated box: set boxes=rotated",
        ),
        ([Person(box_xyxy_px=(1, 1, 9, 9))], {"boxes": "rotated"}, "it has a person box: set boxes=upright"),
        ([Person(identity="x")], {}, "none of its people has a person box$"),
    ],
)
def test_what_lacks_is_named_with_what_is_there(people, choices, advice):
    with pytest.raises(DatasetError, match=advice):
        numbers([seen("a", people)], **choices)


def test_who_is_fully_hidden_is_no_truth():
    hidden = Person(head_box_xyxy_px=(1, 1, 9, 9), visible_fraction=0.0)
    assert numbers([seen("a", [hidden])]) == [1, 1]
    assert truth_boxes(seen("a", [hidden]).sample, "person").shape == (0, 4)


def test_optional_truth_is_neither_right_nor_wrong():
    small, hardly = Person(box_xyxy_px=(10, 10, 11.5, 40)), Person(box_xyxy_px=(60, 60, 90, 90), visible_fraction=0.05)
    boxes = [small.box_xyxy_px, hardly.box_xyxy_px, hardly.box_xyxy_px]
    item = seen("a", [PERSON, small, hardly], [*boxes, *AROUND], [0.9, 0.8, 0.7, 0.6])
    # One find of each is forgiven, the second of the same is not.
    assert numbers([item], min_visible=0.1) == [1 / 2, 1]
    assert judged([item], min_visible=0.1)["count_mae", ""] == 1
    assert numbers([item]) == [2 / 3, 1]


def test_crowds_forgive_every_find_within():
    crowd = Person(box_xyxy_px=(0, 0, 100, 100), attributes={"iscrowd": True})
    inside = [(0, 0, 20, 20), (10, 10, 30, 30), (90, 90, 110, 110)]  # of the last a quarter is inside
    assert numbers([seen("a", [crowd], inside, [0.9, 0.8, 0.7])]) == [0, 0]
    assert numbers([seen("a", [crowd], inside[:2], [0.9, 0.8])]) == [1, 1]
    assert truth_boxes(seen("a", [crowd]).sample, "person").shape == (0, 4)
    flat = turned((10, 10, 20, 20, 0))
    assert numbers([seen("a", [crowd, PERSON], inside[:1], [0.9], **flat)], boxes="rotated") == [0, 0]


def test_parts_by_size_hold_what_belongs_to_them():
    near, far = (90, 90, 120, 120), (0, 0, 30, 80)  # 30 and 49 px; 0.07 and 1.14 from the nadir
    item = seen("a", [Person(box_xyxy_px=near), Person(box_xyxy_px=far)], [near, (150, 0, 200, 60)], [0.9, 0.8])
    found = judged([item], size_edges_px=(40.0,), distance_edges=(0.5,))
    parts = {part: [found[name, part] for name in ("precision", "recall")] for _, part in found if part}
    # The false alarm is 55 px large and 1.0 from the nadir: it counts among the large and among the far.
    assert parts == {
        "size 0 to 40 px": [1, 1], "size over 40 px": [0, 0],
        "distance 0 to 0.5": [1, 1], "distance over 0.5": [0, 0],
    }  # fmt: skip
    assert found["ap", "size 0 to 40 px"] == pytest.approx(1)
    assert found["ap", "size over 40 px"] == 0


def test_a_part_without_anybody_is_not_told():
    parts = {part for _, part in judged([seen("a", [PERSON], AROUND, [0.9])])}
    assert parts == {"", "size over 96 px", "distance 0 to 0.35"}


def test_the_distance_is_from_what_is_below_the_camera(straight_down):
    person = Person(box_xyxy_px=(0, 90, 20, 110))
    item = seen("a", [person], [(0, 90, 20, 110)], [0.9])
    assert ("recall", "distance over 0.7") in judged([item])
    moved = Scored(Sample(key="a", image=item.sample.image, people=[person], camera=straight_down), item.detections)
    assert ("recall", "distance 0 to 0.35") in judged([moved])


@pytest.fixture
def straight_down():
    """Return a camera whose nadir is at the image's left."""
    return evolve(FisheyeCamera.equidistant(200, 200), cx_px=15.0)


def test_counts_are_compared_image_by_image():
    two, none = seen("a", [PERSON], [*AROUND, (0, 0, 9, 9), (9, 9, 20, 20)], [0.9, 0.8, 0.1]), seen("b", [PERSON])
    assert judged([two, none])["count_mae", ""] == 1  # one too many, one too few: they do not make up for each other
    assert judged([two, none], score=0.05)["count_mae", ""] == 1.5


def test_errors_are_sorted_by_kind_and_shown():
    body = (20, 20, 80, 80)
    people = [Person(box_xyxy_px=box) for box in (body, (20, 25, 80, 80), (100, 100, 150, 150), (150, 0, 190, 40))]
    finds = {
        body: 0.95, (20, 19, 80, 80): 0.9, (100, 100, 128, 150): 0.7, (0, 150, 30, 180): 0.6, (150, 0, 190, 40): 0.2,
    }  # fmt: skip
    item = seen("a", people, list(finds), list(finds.values()))
    alone = seen("b", [Person(box_xyxy_px=body)], [body, (21, 20, 80, 80)], [0.9, 0.8])
    merged = seen("c", [Person(box_xyxy_px=body), Person(box_xyxy_px=(30, 20, 90, 80))], [body], [0.9])
    nobody = seen("d", [Person(box_xyxy_px=body)])
    chosen = metric(iou=0.7)
    assert isinstance(chosen, Explaining)
    evidence = chosen.explain({"scored": chosen.observe("scored", [item, alone, merged, nobody])})
    assert evidence.counts == {
        "false alarms": {NOBODY: 1, MISPLACED: 1, TWICE: 1},
        "missed": {UNSEEN: 1, BELOW: 1, BADLY: 1, MERGED: 1},
    }
    assert [exhibit.note for exhibit in evidence.exhibits["false alarms"]] == [
        f"{TWICE}, score 0.80", f"{MISPLACED}, score 0.70", f"{NOBODY}, score 0.60",
    ]  # fmt: skip
    missed = evidence.exhibits["missed"]
    assert [(exhibit.key, exhibit.note) for exhibit in missed][:2] == [("c", MERGED), ("d", UNSEEN)]  # 60 x 60 px
    assert missed[1].focus_px.tolist() == [[20, 20], [80, 20], [80, 80], [20, 80]]
    assert not missed[1].found_px
    shown = {how: [exhibit.key for exhibit in images] for how, images in evidence.images.items()}
    assert (shown["with the best finds"], shown["with the worst finds"]) == (["c", "b", "a", "d"], ["d", "a", "c", "b"])
    assert sorted(shown["drawn by lot"]) == ["a", "b", "c", "d"]
    worst = evidence.images["with the worst finds"]
    assert worst[1].note == "2 of 4 found, 2 false alarms, F1 0.50"
    assert len(worst[1].found_px) == 4
    titles = [chart.title for chart in evidence.charts]
    assert titles == ["Precision over recall", "Scores over the threshold", "Error of the number of people"]
    assert evidence.charts[1].mark == 0.5


def test_evidence_of_nothing_is_empty():
    chosen = metric(score=None)
    evidence = chosen.explain({"scored": chosen.observe("scored", [seen("a", [])])})
    assert not evidence.charts
    assert not any(evidence.exhibits.values())


def test_resampled_precision_is_that_of_the_resampled_set():
    generator = np.random.default_rng(6)
    images, finds = 12, 60
    ranked = Ranked(
        scores=np.sort(generator.random(finds))[::-1],
        right=generator.random(finds) < 0.6,
        image=generator.integers(0, images, finds),
        truths=generator.integers(3, 9, images),
    )
    draws = np.array(
        [np.bincount(generator.integers(0, images, images), minlength=images) for _ in range(40)], np.int32
    )
    draws[0], draws[1] = 1, 0
    found = ranked.resampled_precision(draws)
    assert np.isnan(found[1])
    for times, value in zip(draws[[0, *range(2, 40)]], found[[0, *range(2, 40)]], strict=True):
        repeated = np.repeat(np.arange(finds), times[ranked.image])
        whole = Ranked(ranked.scores[repeated], ranked.right[repeated], ranked.image[repeated], times * ranked.truths)
        # A resample holds a find several times at one rank: those who look between them see precision rise within.
        assert value == pytest.approx(whole.precision_at_recalls().mean(), abs=0.02)
    assert found[0] == pytest.approx(ranked.precision_at_recalls().mean(), abs=1e-12)
