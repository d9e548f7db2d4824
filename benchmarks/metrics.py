# SPDX-License-Identifier: Apache-2.0
"""Metrics beside their peers, on the same data: time, and whether the numbers are the same.

    python benchmarks/metrics.py            10,000 images of 10 boxes, 16 pairs of images, 128 + 128 images
    python benchmarks/metrics.py --quick    within a minute

Average precision beside pycocotools: both judge at ten overlaps, all boxes and those of three sizes. pycocotools starts
from the dictionaries it reads from JSON, ours from the arrays it keeps of samples. Rotated boxes and confidence
intervals have no peer there.

LPIPS beside the package lpips, where one is installed (``pip install --no-deps lpips==0.1.4``; torchvision is not
needed): both take the same drawn weights, which are as much work as the published ones.

Ranks of people beside torchreid's Python evaluator, whose folder ``--torchreid`` names: see ``reid.py``.

FID and its statistics beside torch-fidelity, where one is installed, on one thread each: see ``fidelity.py``.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import importlib
import importlib.util
import io
import sys
import time
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import fidelity
import numpy as np
import reid
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from reporting import Result, report

from synthkit.interfaces import Runtime, State
from synthkit.seeds import Seeds
from synthkit.training.perceptual import FeatureNet
from synthkit_detection.config import DetectionConfig
from synthkit_detection.metric import DetectionMetric
from synthkit_detection.state import Image, pack
from synthkit_detection.truth import Truth
from synthkit_lpips.config import Network
from synthkit_lpips.distance import TRUNKS, PerceptualDistance

BOXES = 10


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer images, one round")
    parser.add_argument("--torchreid", type=Path, help="folder with torchreid's rank.py and distance.py")
    args = parser.parse_args()
    results = [
        *average_precision(args.quick),
        *perceptual_distance(args.quick),
        *reid.ranking(args.quick, args.torchreid),
        *fidelity.distances_apart(args.quick),
    ]
    report("Metrics beside their peers", results)


def average_precision(quick: bool) -> list[Result]:
    """Return how long average precision takes, beside pycocotools."""
    images, rounds = (1000, 1) if quick else (10_000, 3)
    upright, rotated = boxes(images), turned(images)
    seconds, answers = timed({"ours": lambda: ours(upright), "pycocotools": lambda: theirs(upright)}, rounds)
    more, _ = timed(
        {
            "rotated boxes": lambda: ours(rotated, boxes="rotated"),
            "upright boxes, with intervals": lambda: ours(upright, bootstrap=1000),
            "rotated boxes, with intervals": lambda: ours(rotated, boxes="rotated", bootstrap=1000),
        },
        rounds,
    )
    same = answers["ours"] == answers["pycocotools"]
    what = f"of {images} images of {BOXES}, {'the same' if same else 'OTHER'} numbers"
    return [
        Result(f"AP, upright boxes {what}", "s", seconds["ours"], seconds["pycocotools"], "pycocotools"),
        *(Result(f"AP, {name}", "s", value) for name, value in more.items()),
    ]


def perceptual_distance(quick: bool) -> list[Result]:
    """Return how long LPIPS of pairs of images takes, beside the package lpips where there is one."""
    pairs, side, rounds = (4, 128, 1) if quick else (16, 256, 3)
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.rand(pairs, 3, side, side, generator=generator) for _ in range(2))
    results = []
    for network, trunk in TRUNKS.items():
        torch.manual_seed(0)
        drawn = FeatureNet(trunk.features, trunk.layers)
        distance = PerceptualDistance(drawn, [torch.rand(drawn.taps[layer].channels) for layer in trunk.layers])
        tasks: dict[str, Callable[[], Any]] = {"ours": lambda distance=distance: distance(first, second)}
        if importlib.util.find_spec("lpips") is not None:
            peer = lpips_of(network, distance)
            tasks["lpips"] = lambda peer=peer: peer(first, second, normalize=True).flatten()
        with torch.inference_mode():
            seconds, answers = timed(tasks, rounds)
        same = all(torch.allclose(answer, answers["ours"], rtol=1e-6, atol=0) for answer in answers.values())
        name = f"LPIPS {network}, {pairs} pairs of {side} px" + ("" if same else ", OTHER numbers")
        theirs = seconds.get("lpips")
        results.append(Result(name, "s", seconds["ours"], theirs, None if theirs is None else "lpips", goal=theirs))
    return results


def lpips_of(network: Network, distance: PerceptualDistance) -> Any:
    """Return the package's LPIPS with the same weights; what it takes from torchvision is made of the same layers."""
    own = copy.deepcopy(distance.network.features).to(memory_format=torch.contiguous_format)
    layers = [torch.nn.ReLU(inplace=True) if isinstance(module, torch.nn.ReLU) else module for module in own]
    models = types.ModuleType("torchvision.models")
    made = types.SimpleNamespace(features=torch.nn.Sequential(*layers))
    setattr(models, TRUNKS[network].features, lambda pretrained: made)
    sys.modules.setdefault("torchvision", types.ModuleType("torchvision"))
    sys.modules["torchvision"].models = models  # type: ignore[attr-defined]
    lpips = importlib.import_module("lpips")
    lpips.pretrained_networks.tv = models
    peer = lpips.LPIPS(net=network, pnet_rand=True, pretrained=False, verbose=False)
    for number, linear in enumerate(peer.lins):
        linear.model[-1].weight.data.copy_(distance.get_buffer(f"head{number}"))
    return peer


def timed(tasks: Mapping[str, Callable[[], Any]], rounds: int) -> tuple[dict[str, float], dict[str, Any]]:
    """Return the median seconds of each task, and what it answered."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    answers = {}
    for _ in range(rounds):
        for name, task in tasks.items():
            began = time.perf_counter()
            answers[name] = task()
            seconds[name].append(time.perf_counter() - began)
    return {name: median(values) for name, values in seconds.items()}, answers


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
    images = len(truth) // BOXES
    scores = np.sort(generator.random((images, BOXES)), axis=1)[:, ::-1]
    none, visible = np.zeros(BOXES, bool), np.full(BOXES, np.nan)

    def image(number: int) -> Image:
        rows = slice(number * BOXES, (number + 1) * BOXES)
        people = Truth(truth[rows].astype(np.float64), none, none, visible)
        key = f"{number:06d}"
        return Image.of(key, (key, key), (240.0, 240.0, 240.0), people, found[rows].astype(np.float64), scores[number])

    return pack([image(number) for number in range(images)], unlabelled=0, columns=truth.shape[1])


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
