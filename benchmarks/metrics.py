# SPDX-License-Identifier: Apache-2.0
"""Average precision beside pycocotools, on the same boxes: time, and whether the numbers are the same.

    python benchmarks/metrics.py            10,000 images of 10 boxes
    python benchmarks/metrics.py --quick    within a minute

Both judge at ten overlaps, all boxes and those of three sizes. pycocotools starts from the dictionaries it
reads from JSON, ours from the arrays it keeps of samples. Rotated boxes and confidence intervals have no peer there.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from reporting import Result, report

from synthkit.interfaces import Runtime, State
from synthkit.seeds import Seeds
from synthkit_detection.config import DetectionConfig
from synthkit_detection.metric import DetectionMetric

BOXES = 10


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer images, one round")
    args = parser.parse_args()
    images, rounds = (1000, 1) if args.quick else (10_000, 3)
    upright, rotated = boxes(images), turned(images)
    seconds, same = timed({"ours": lambda: ours(upright), "pycocotools": lambda: theirs(upright)}, rounds)
    more, _ = timed(
        {
            "rotated boxes": lambda: ours(rotated, boxes="rotated"),
            "upright boxes, with intervals": lambda: ours(upright, bootstrap=1000),
            "rotated boxes, with intervals": lambda: ours(rotated, boxes="rotated", bootstrap=1000),
        },
        rounds,
    )
    report(
        f"Average precision on {images} images of {BOXES} boxes; {'the same' if same else 'OTHER'} numbers by the peer",
        [
            Result("upright boxes", "s", seconds["ours"], seconds["pycocotools"], "pycocotools"),
            *(Result(name, "s", value) for name, value in more.items()),
        ],
    )


def timed(tasks: Mapping[str, Callable[[], Any]], rounds: int) -> tuple[dict[str, float], bool]:
    """Return the median seconds of each task, and whether all of them answered the same."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    answers = {}
    for _ in range(rounds):
        for name, task in tasks.items():
            began = time.perf_counter()
            answers[name] = task()
            seconds[name].append(time.perf_counter() - began)
    first, *others = answers.values()
    return {name: median(values) for name, values in seconds.items()}, all(other == first for other in others)


def boxes(images: int) -> State:
    """Return people's boxes in whole pixels, found a little off and sometimes not at all, as the metric keeps them."""
    generator = np.random.default_rng(1)
    corners = generator.integers(0, 400, (images * BOXES, 2))
    truth = np.concatenate([corners, corners + generator.integers(12, 150, corners.shape)], axis=1)
    found = truth + np.rint(generator.normal(0, 5, truth.shape)).astype(int)
    found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
    return state(truth, found, generator)


def turned(images: int) -> State:
    """Return rotated boxes, found a little off."""
    generator = np.random.default_rng(2)
    count = images * BOXES
    truth = generator.uniform([0, 0, 20, 60, -90], [400, 400, 60, 150, 90], (count, 5))
    return state(truth, truth + generator.normal(0, 1, truth.shape) * [5, 5, 4, 6, 8], generator)


def state(truth: Any, found: Any, generator: np.random.Generator) -> State:
    """Return what the metric keeps of so many true boxes and as many found ones."""
    count = len(truth)
    images = count // BOXES
    each = np.full(images, BOXES)
    return {
        "key": np.array([f"{n:06d}" for n in range(images)]), "digest": np.zeros((images, 2), np.uint64),
        "frame": np.tile([240.0, 240.0, 240.0], (images, 1)), "truths": each, "detections": each,
        "truth": truth.astype(np.float64), "detected": found.astype(np.float64),
        "optional": np.zeros(count, bool), "region": np.zeros(count, bool), "visible": np.full(count, np.nan),
        "scores": np.sort(generator.random((images, BOXES)), axis=1)[:, ::-1].ravel(),
        "unlabelled": np.zeros(1, np.int64),
    }  # fmt: skip


def ours(judged: State, **choices: Any) -> list[float]:
    """Return AP, AP50 and AP75, and AP of small, medium and large boxes."""
    settings = {"target": "person", "ap_ious": (0.5, 0.75), "distance_edges": (), "bootstrap": 0, **choices}
    metric = DetectionMetric(DetectionConfig(**settings), None, Runtime(Seeds(0), Path("unused")))
    results = metric.compute({"scored": judged})
    mean = [result.value for result in results if "0.50:0.95" in result.name]
    single = [result.value for result in results if result.name.startswith("ap") and not result.part][:2]
    return [mean[0], *single, *mean[1:]]


def theirs(judged: State) -> list[float]:
    """Return the same by pycocotools."""
    image = np.repeat(np.arange(len(judged["truths"])), BOXES)
    with contextlib.redirect_stdout(io.StringIO()):
        sides = [_coco(judged["truth"], image, None), _coco(judged["detected"], image, judged["scores"])]
        run = COCOeval(*sides, "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return [float(value) for value in run.stats[:6]]


def _coco(rows: Any, image: Any, scores: Any) -> COCO:
    side = COCO()
    entries = []
    for number, (left, top, right, bottom) in enumerate(rows.tolist()):
        width, height = right - left, bottom - top
        entries.append({
            "id": number + 1, "image_id": int(image[number]), "category_id": 1, "iscrowd": 0,
            "bbox": [left, top, width, height], "area": width * height,
        } | ({} if scores is None else {"score": float(scores[number])}))  # fmt: skip
    side.dataset = {
        "images": [{"id": n} for n in range(int(image.max()) + 1)], "categories": [{"id": 1}], "annotations": entries
    }  # fmt: skip
    side.createIndex()
    return side


if __name__ == "__main__":
    main()
