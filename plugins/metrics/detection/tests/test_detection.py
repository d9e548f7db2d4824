# SPDX-License-Identifier: Apache-2.0
"""The metric ``detection`` against cases worked by hand."""

from __future__ import annotations

import subprocess
import sys
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit.checkpoint import Checkpoint
from synthkit.errors import DatasetError
from synthkit.interfaces import Metric, Runtime, Scored, empty_detections
from synthkit.sample import Detections, Person, RotatedBox, Sample, evolve
from synthkit.seeds import Seeds
from synthkit_detection.config import DetectionConfig
from synthkit_detection.matching import Candidates, partners
from synthkit_detection.metric import DetectionMetric
from synthkit_detection.ranking import precision_recall_f1
from synthkit_detection.truth import truth_boxes


def make_metric(**settings_):
    runtime = Runtime(seeds=Seeds(3), cache_dir=Path("unused"))
    return DetectionMetric(DetectionConfig(**settings_), None, runtime)


def sample(key, boxes, size=(100, 100)):
    people = tuple(Person(head_box_xyxy_px=box, box_xyxy_px=box) for box in boxes)
    return Sample(key=key, image=np.zeros((size[1], size[0], 3), np.uint8), people=people)


def found(key, boxes, scores, labels=None):
    order = np.argsort(-np.asarray(scores, dtype=float), kind="stable")
    return Detections(
        key=key,
        boxes_xyxy_px=np.asarray(boxes, np.float32).reshape(-1, 4)[order],
        scores=np.asarray(scores, np.float32)[order],
        labels=np.asarray(labels if labels is not None else [0] * len(scores), np.int32)[order],
    )


def scored(key, truth, boxes, scores, labels=None):
    return Scored(sample(key, truth), found(key, boxes, scores, labels))


def values(metric, items):
    results = metric.compute({"scored": metric.merge([metric.observe("scored", items)])})
    return {short(result.name): result for result in results if not result.part}


def short(name):
    """Return "ap0.50" for "ap[head, iou=0.50]"."""
    return name.partition("[")[0] + name.partition("=")[2].rstrip("]")


BOX = (10, 10, 30, 30)
FAR = (60, 60, 80, 80)


def test_two_detectors_are_resampled_on_the_same_images_whatever_they_found():
    metric = make_metric(score=0.5, bootstrap=300, ap_ious=(), coco=False)
    truth = [[10, 10, 30, 30], [50, 50, 70, 70]]
    keys = [f"k{n}" for n in range(12)]
    right = [scored(key, truth, truth, [0.9, 0.8]) for key in keys]
    half = [scored(key, truth, truth[: 1 + n % 2], [0.9, 0.8][: 1 + n % 2]) for n, key in enumerate(keys)]
    drawn = [metric.resampled({"scored": metric.observe("scored", items)}) for items in (right, half, half[::-1])]
    results = metric.compute({"scored": metric.observe("scored", half)})
    for name, spread in drawn[1].items():
        assert next(one for one in results if one.name == name).interval == pytest.approx(
            tuple(np.percentile(spread, [2.5, 97.5]))
        )
        assert (drawn[0][name] == 1).all()
        np.testing.assert_array_equal(drawn[2][name], spread)
    # Of images with one person found and images with both, each resample has the share that its recall tells.
    recall = drawn[1]["recall[head, iou=0.50]"]
    assert set(np.round(recall * 24).astype(int)) <= set(range(12, 25))
    assert recall.std() == pytest.approx(0.25 / np.sqrt(12), rel=0.15)


def test_it_is_a_metric():
    assert isinstance(make_metric(), Metric)


def test_two_right_one_wrong_one_missed():
    items = [
        scored("a", [BOX, FAR], [BOX, (40, 0, 50, 10)], [0.9, 0.8]),
        scored("b", [FAR], [FAR], [0.7]),
    ]
    results = values(make_metric(score=0.5, bootstrap=0), items)
    assert results["precision0.50"].value == pytest.approx(2 / 3)
    assert results["recall0.50"].value == pytest.approx(2 / 3)
    assert results["f10.50"].value == pytest.approx(2 / 3)
    # Precision 1 up to recall 1/3 (34 points), 2/3 up to recall 2/3 (33 points), then 0.
    assert results["ap0.50"].value == pytest.approx((34 * 1 + 33 * 2 / 3) / 101)
    assert results["f10.50"].interval is None


def test_a_second_find_of_the_same_person_is_wrong():
    results = values(make_metric(score=0.1), [scored("a", [BOX], [BOX, BOX], [0.9, 0.8])])
    assert results["precision0.50"].value == pytest.approx(0.5)
    assert results["recall0.50"].value == 1.0


def test_without_a_given_score_the_best_f1_is_taken():
    items = [scored("a", [BOX], [BOX, FAR], [0.9, 0.3])]
    result = values(make_metric(), items)["f10.50"]
    assert result.value == 1.0
    assert result.definition["score_threshold"] == pytest.approx(0.9)
    assert "best F1" in result.definition["score_threshold_chosen_by"]


@pytest.mark.parametrize(
    ("told", "value", "who"),
    [(0.2, 2 / 3, "training"), (None, 1.0, "best F1"), (float("nan"), 1.0, "best F1"), ("0.2", 1.0, "best F1")],
)
def test_the_score_that_training_chose_is_taken_where_there_is_one(told, value, who):
    checkpoint = Checkpoint(Path("unused"), "0" * 64, {"operating_score": told})
    items = [scored("a", [BOX], [BOX, FAR], [0.9, 0.3])]
    for config, expected, chosen in ((DetectionConfig(), value, who), (DetectionConfig(score=0.5), 1.0, "given")):
        metric = DetectionMetric(config, checkpoint, Runtime(Seeds(3), Path("unused")))
        result = values(metric, items)["f10.50"]
        assert result.value == pytest.approx(expected)
        assert result.definition["score_threshold_chosen_by"].startswith(chosen)


def test_resamples_without_anybody_have_no_part_in_intervals():
    items = [scored("a", [BOX], [], []), scored("b", [], [], [])]
    assert values(make_metric(score=0.5), items)["recall0.50"].interval == (0, 0)


def test_equal_scores_cannot_be_parted_by_a_threshold():
    items = [scored("a", [BOX, (0, 50, 10, 60)], [BOX, FAR], [0.5, 0.5])]
    assert values(make_metric(), items)["f10.50"].value == pytest.approx(0.5)


def test_overlap_decides():
    shifted = (10, 10, 30, 40)  # overlap 2/3
    assert values(make_metric(iou=0.66), [scored("a", [BOX], [shifted], [0.9])])["recall0.66"].value == 1
    assert values(make_metric(iou=0.67), [scored("a", [BOX], [shifted], [0.9])])["recall0.67"].value == 0


def test_nothing_there_and_nothing_found_is_perfect():
    results = values(make_metric(), [Scored(sample("a", []), empty_detections("a"))])
    assert results["f10.50"].value == 1.0
    assert "ap0.50" not in results


def test_labels_choose_what_is_judged():
    item = scored("a", [BOX], [BOX, FAR], [0.9, 0.8], labels=[1, 0])
    for label, precision in ((1, 1.0), (0, 0.0), (None, 0.5)):
        result = values(make_metric(label=label, score=0.0), [item])["precision0.50"]
        assert result.value == precision
        assert result.definition["label"] == ("all" if label is None else label)


def test_unlabelled_images_are_left_out_and_counted():
    unknown = Sample(key="u", image=np.zeros((10, 10, 3), np.uint8), people=None)
    metric = make_metric()
    results = values(metric, [Scored(unknown, empty_detections("u")), scored("a", [BOX], [BOX], [0.9])])
    assert results["f10.50"].count == 1
    assert results["f10.50"].definition["unlabelled_images_left_out"] == 1
    with pytest.raises(DatasetError, match="nothing to judge"):
        values(metric, [Scored(unknown, empty_detections("u"))])


def random_items(generator, images=6):
    items = []
    for index in range(images):
        corners = generator.uniform(0, 70, (generator.integers(0, 6), 2))
        truth = np.concatenate([corners, corners + generator.uniform(5, 30, corners.shape)], axis=1)
        chosen = truth[generator.random(len(truth)) < 0.8]
        wrong = generator.uniform(0, 70, (generator.integers(0, 4), 2))
        wrong = np.concatenate([wrong, wrong + generator.uniform(5, 30, wrong.shape)], axis=1)
        boxes = np.concatenate([chosen + generator.normal(0, 1.5, chosen.shape), wrong])
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        items.append(scored(f"i{index}", [tuple(box) for box in truth], boxes, generator.random(len(boxes))))
    return items


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 5))
def test_order_and_partition_never_matter(seed, parts):
    generator = np.random.default_rng(seed)
    items = random_items(generator)
    metric = make_metric(bootstrap=20)
    whole = metric.merge([metric.observe("scored", items)])
    shuffled = [items[index] for index in generator.permutation(len(items))]
    states = [metric.observe("scored", shuffled[start::parts]) for start in range(parts)]
    for order in list(permutations(states))[:3]:
        merged = metric.merge(order)
        for name in whole:
            np.testing.assert_array_equal(merged[name], whole[name], strict=True)


def test_intervals_hold_the_value_and_are_seeded():
    items = random_items(np.random.default_rng(5), images=30)
    first, second = (values(make_metric(), items) for _ in range(2))
    for name, result in first.items():
        assert result.interval == second[name].interval
        assert result.interval[0] <= result.value <= result.interval[1]


def test_matching_prefers_the_best_free_truth():
    found = Candidates(np.array([[1, 0], [1, 0], [1, 0]]), np.array([[0.9, 0.6], [0.8, 0.55], [0.9, 0.9]]))
    nobody = np.zeros(2, dtype=bool)
    taken = partners(found, np.arange(3), np.array([0.5, 0.7]), nobody, nobody)
    assert taken.tolist() == [[1, 0, -1], [1, -1, 0]]


def test_equations_of_the_thesis():
    assert precision_recall_f1(np.array([6, 2, 4])) == pytest.approx([0.75, 0.6, 2 * 0.75 * 0.6 / 1.35])


def test_a_rotated_box_stands_for_a_person_and_is_clipped():
    person = Person(rotated_box=RotatedBox(90, 50, 20, 40, -90))
    thing = Sample(key="a", image=np.zeros((100, 100, 3), np.uint8), people=(person,))
    assert truth_boxes(thing, "person") == pytest.approx(np.array([[70, 40, 100, 60]]))
    with pytest.raises(DatasetError, match="target=person"):
        truth_boxes(thing, "head")


def test_the_plugin_module_is_light():
    code = "import sys, synthkit_detection.plugin; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def of(key, truth, boxes, scores, sequence=None, turned=None):
    item = scored(key, truth, boxes, scores)
    meta = {} if turned is None else {"turned": {"of": turned, "degrees": 5.0}}
    return Scored(evolve(item.sample, sequence=sequence, meta=meta), item.detections)


def test_all_turns_of_an_image_are_resampled_together():
    """Of two images one is all right and one all wrong: whatever their turns, a resample is one of four."""
    good = [of(f"a{n}", [BOX], [BOX], [0.9], turned="a") for n in range(6)]
    bad = [of(f"b{n}", [BOX], [FAR], [0.9], turned="b") for n in range(6)]
    together = values(make_metric(score=0.5, bootstrap=200), good + bad)["f10.50"]
    assert (together.value, together.interval, together.count) == (0.5, (0.0, 1.0), 2)
    assert together.definition["images"] == 12
    assert together.definition["interval"].startswith("95 % percentile bootstrap over 2 images,")
    assert together.cautions == ("the intervals rest on 2 images, too few for them: they may be too narrow",)
    metric = make_metric(score=0.5)
    evidence = metric.explain({"scored": metric.observe("scored", good + bad)})
    assert [len(shown) for shown in evidence.exhibits.values()] == [2, 2]  # of one image, whatever its turns
    alone = [of(item.sample.key, [BOX], [BOX if item in good else FAR], [0.9]) for item in good + bad]
    low, high = values(make_metric(score=0.5, bootstrap=200), alone)["f10.50"].interval
    assert 0.1 < low < high < 0.9


def test_frames_of_a_sequence_are_resampled_together_where_that_is_asked():
    frames = [of(f"{clip}{n}", [BOX] * (clip == "a"), [BOX], [0.9], clip) for clip in "ab" for n in range(3)]
    results = values(make_metric(score=0.5, bootstrap=200, resample="sequence"), frames)
    assert results["precision0.50"].interval == (0.5, 1.0)  # without clip a there is nobody to be found
    assert results["count_mae"].interval == (0.0, 1.0)
    assert results["count_mae"].count == 6
    assert "over 2 sequences" in results["ap0.50"].definition["interval"]
    (one, *_) = (values(make_metric(score=0.5, resample="sequence"), frames[:3])).values()
    assert (one.interval, one.cautions) == (None, ("no intervals can be told from one sequence alone",))
    with pytest.raises(DatasetError, match="resample: no sample tells which sequence it is of"):
        values(make_metric(resample="sequence"), [scored("a", [BOX], [BOX], [0.9])])


def seated(key, postures, boxes, scores):
    people = [Person(box_xyxy_px=box, attributes={"posture": posture}) for box, posture in postures.items()]
    return Scored(evolve(sample(key, []), people=people), found(key, boxes, scores))


def test_only_people_with_an_attribute_are_to_be_found_where_that_is_asked():
    item = seated("a", {BOX: "sitting", FAR: "standing", (0, 60, 20, 80): "sitting"}, [BOX, FAR], [0.9, 0.8])
    some = {"target": "person", "people": "posture=sitting", "score": 0.5, "bootstrap": 0}

    def judged(**others):
        found = make_metric(**some, **others)
        results = found.compute({"scored": found.observe("scored", [item])})
        assert results[0].name == "precision[posture=sitting, iou=0.50]"
        return [result.value for result in results[:2]], results[0].definition

    assert judged()[0] == [0.5, 0.5]  # the find of who stands is a false alarm
    numbers, definition = judged(others="left out")
    assert numbers == [1, 0.5]
    assert (definition["truths"], definition["optional_truths"]) == (2, 1)
    assert (definition["people"], definition["finds_of_others"]) == ("posture=sitting", "left out")
    with pytest.raises(DatasetError, match="nobody in the set is posture=lying; known of it: sitting, standing"):
        values(make_metric(**some | {"people": "posture=lying"}), [item])
    with pytest.raises(ValueError, match="must be ATTRIBUTE=VALUE"):
        make_metric(people="sitting")


def test_what_matters_to_the_numbers_alone_is_not_observed():
    told = make_metric(iou=0.3, bootstrap=7, resample="sequence", score=0.1).observed("scored")
    assert told == make_metric().observed("scored")
    assert told != make_metric(people="posture=sitting").observed("scored")
