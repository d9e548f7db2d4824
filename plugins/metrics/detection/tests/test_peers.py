# SPDX-License-Identifier: Apache-2.0
"""The metric ``detection`` against pycocotools, and against what the public overhead-fisheye evaluators said."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from synthkit.interfaces import Runtime, Scored
from synthkit.sample import Detections, Person, RotatedBox, Sample
from synthkit.seeds import Seeds
from synthkit_detection.config import DetectionConfig
from synthkit_detection.metric import DetectionMetric

SIDE = 240
COCO_STATS = {
    "ap[person, iou=0.50:0.95]": 0,
    "ap[person, iou=0.50]": 1,
    "ap[person, iou=0.75]": 2,
    "ap[person, iou=0.50:0.95] size 0 to 32 px": 3,
    "ap[person, iou=0.50:0.95] size 32 to 96 px": 4,
    "ap[person, iou=0.50:0.95] size over 96 px": 5,
}
OVERHEAD = json.loads((Path(__file__).parent / "overhead_cases.json").read_text())["cases"]


def judged(items, **choices):
    metric = DetectionMetric(
        DetectionConfig(target="person", bootstrap=0, **choices), None, Runtime(Seeds(1), Path("unused"))
    )
    state = metric.observe("scored", items)
    results = metric.compute({"scored": state})
    return state, {f"{result.name} {result.part}".strip(): result for result in results}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_average_precision_is_pycocotools_to_the_last_bit(seed):
    """Crowds, ties of scores and of overlaps, sizes on the edges of ranges, images without truth or finds."""
    items = [coco_item(f"i{number}", np.random.default_rng([seed, number])) for number in range(9)]
    state, found = judged(items, min_box_px=0.0, ap_ious=[0.5, 0.75])
    by_key = {item.sample.key: item for item in items}
    stats = pycocotools([by_key[str(key)] for key in state["key"]])
    for name, place in COCO_STATS.items():
        assert (found[name].value if name in found else -1.0) == stats[place], name


def coco_item(key, generator):
    """Return an image with whole-numbered boxes, which the peer's (left, top, width, height) holds exactly."""
    count = generator.integers(0, 7)
    corners = generator.integers(0, 120, (count, 2))
    # Steps of 8 and small shifts: overlaps and areas meet thresholds exactly, and detections tie.
    truth = np.concatenate([corners, corners + 8 * generator.integers(1, 15, (count, 2))], axis=1)
    crowd = generator.random(count) < 0.2
    people = tuple(
        Person(box_xyxy_px=tuple(map(int, box)), attributes={"iscrowd": True} if some else {})
        for box, some in zip(truth, crowd, strict=True)
    )
    sources = truth[generator.integers(0, count, generator.integers(0, 9))] if count else np.zeros((2, 4), int)
    shifts = generator.integers(-1, 2, sources.shape) * generator.choice([0, 2, 8], sources.shape)
    boxes = np.clip(sources + shifts, 0, SIDE)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    scores = np.sort(generator.integers(1, 9, len(boxes)) / 8)[::-1]
    detections = Detections(key, boxes.astype(np.float32), scores.astype(np.float32), np.zeros(len(boxes), np.int32))
    return Scored(Sample(key=key, image=np.zeros((SIDE, SIDE, 3), np.uint8), people=people), detections)


def pycocotools(items):
    """Return COCOeval's twelve numbers."""
    truth, found = [], []
    for number, item in enumerate(items, start=1):
        for person in item.sample.people:
            crowd = int(bool(person.attributes.get("iscrowd")))
            truth.append(coco_entry(len(truth), number, person.box_xyxy_px) | {"iscrowd": crowd})
        for box, score in zip(item.detections.boxes_xyxy_px, item.detections.scores, strict=True):
            found.append(coco_entry(len(found), number, box) | {"score": float(score)})
    with contextlib.redirect_stdout(io.StringIO()):
        sides = []
        for annotations in (truth, found):
            side = COCO()
            images = [{"id": number} for number in range(1, len(items) + 1)]
            side.dataset = {"images": images, "categories": [{"id": 1}], "annotations": annotations}
            side.createIndex()
            sides.append(side)
        run = COCOeval(*sides, "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run.stats


def coco_entry(number, image, box):
    left, top, right, bottom = map(float, box)
    width, height = right - left, bottom - top
    return {
        "id": number + 1, "image_id": image, "category_id": 1, "bbox": [left, top, width, height],
        "area": width * height, "iscrowd": 0,
    }  # fmt: skip


@pytest.mark.parametrize("case", OVERHEAD)
def test_rotated_boxes_score_as_the_public_overhead_evaluators_say(case):
    """Boxes of our own, as CEPDOF_tools@20f3bab (AP) and RAPiD@3e55294 (the rest, at score 0.5) judged them.

    They paint boxes into masks where we cut polygons; the cases keep clear of their thresholds.
    """
    items = [overhead_item(f"{number:02d}", image) for number, image in enumerate(case["images"])]
    _, found = judged(items, boxes="rotated", score=0.5, ap_ious=[0.3, 0.5, 0.75])
    expected = case["expected"]
    for name, level in {"ap30": "0.30", "ap50": "0.50", "ap75": "0.75", "ap": "0.50:0.95"}.items():
        assert found[f"ap[person, rotated, iou={level}]"].value == pytest.approx(expected[name], abs=1e-12)
    right, wrong, missed = (expected[name] for name in ("right", "wrong", "missed"))
    assert found["precision[person, rotated, iou=0.50]"].value == pytest.approx(right / (right + wrong))
    assert found["recall[person, rotated, iou=0.50]"].value == pytest.approx(right / (right + missed))
    assert found["count_mae[person, rotated]"].value == pytest.approx(expected["count_mae"])
    _, best = judged(items, boxes="rotated")
    threshold = best["f1[person, rotated, iou=0.50]"].definition["score_threshold"]
    assert threshold == pytest.approx(expected["best_score"], abs=5e-4)


def overhead_item(key, image):
    people = tuple(Person(rotated_box=RotatedBox(*box)) for box in image["truth"])
    rows = np.array(image["found"], dtype=np.float64).reshape(-1, 6)
    rows = rows[np.argsort(-rows[:, 5], kind="stable")]
    detections = Detections(
        key, np.zeros((len(rows), 4), np.float32), rows[:, 5], np.zeros(len(rows), np.int32), rotated_boxes=rows[:, :5]
    )
    return Scored(Sample(key=key, image=np.zeros((1024, 1024, 3), np.uint8), people=people), detections)
