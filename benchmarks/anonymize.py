# SPDX-License-Identifier: Apache-2.0
"""What anonymizing an image costs, by stage, and what memory it takes; detectors are measured by detector.py.

Images of drawn people with masks go through what a worker of ``synthkit anonymize`` does: decode, put finds together,
treat everybody (of which looking for detail that is left is a part), encode. Times are of the processor, so that other
work on the machine matters little.

python benchmarks/anonymize.py
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
import cv2
import numpy as np
from reporting import Result, report

from synthkit.anonymization.checking import detail_left
from synthkit.anonymization.people import TRUTH, together, truth_of
from synthkit.anonymization.policy import Policy
from synthkit.anonymization.treating import Treatment
from synthkit.dataset import codec
from synthkit.interfaces import ComponentSpec, Runtime
from synthkit.plugins import discover
from synthkit.sample import Person, Sample
from synthkit.seeds import Seeds

REFINERS = ("anonymizer-mask", "anonymizer-pixelate", "anonymizer-blur")
SIZES_PX = ((640, 480), (2048, 2048))
PEOPLE = 6


def drawn(size_px: tuple[int, int]) -> Sample:
    """Return an image with people, each a third of its height long."""
    width, height = size_px
    stream = Seeds(1).stream("image")
    coarse = stream.integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
    image = cv2.resize(coarse, size_px, interpolation=cv2.INTER_CUBIC)
    layer = np.zeros((height, width), np.uint8)
    for number in range(1, PEOPLE + 1):
        middle = width * (2 * number - 1) // (2 * PEOPLE), height // 2
        cv2.ellipse(layer, middle, (height // 18, height // 6), 15.0 * number, 0, 360, [number], -1)
    people = [Person(instance=number) for number in range(1, PEOPLE + 1)]
    return Sample(key="image", image=np.asarray(image, np.uint8), people=people, layers={"instances": layer})


def milliseconds(work: Callable[[], object], rounds: int) -> float:
    """Return the median time of the processor that some work takes."""
    times = []
    for _ in range(rounds):
        begin = time.process_time()
        work()
        times.append(time.process_time() - begin)
    return float(np.median(times)) * 1000


def measured(sample: Sample, rounds: int, folder: Path) -> list[Result]:
    """Return what an image costs, by stage."""
    width, height = sample.size_px
    config = codec.CodecConfig(image_format="jpg")
    stored = codec.encode(sample, config)
    members = dict(stored.members)
    look = truth_of(sample)
    assert look is not None
    policy, registry = Policy(), discover()
    found = together({TRUTH: look}, sample.size_px, policy)
    stages: dict[str, Callable[[], object]] = {
        "decode": lambda: codec.decode(sample.key, members, where="memory"),
        "put finds together": lambda: together({TRUTH: look}, sample.size_px, policy),
        "look for detail": lambda: [detail_left(sample.image, sample.image, one.region) for one in found],
    }
    for name in REFINERS:
        spec = ComponentSpec("refiner", name)
        refiner = registry.build(spec, Runtime(Seeds(0), folder))
        treatment = Treatment(
            name=name,
            refine=lambda given, refiner=refiner: next(iter(refiner.refine([given]))),
            sees_people=registry.declared(spec).sees_people,
            extent="body",
            policy=attrs.evolve(policy, detail_left=1.0),
        )
        stages[f"treat by {name}"] = lambda treatment=treatment: treatment(sample, {TRUTH: look}, sample.key)
    stages["encode as JPEG"] = lambda: codec.encode(sample, config)
    return [
        Result(f"{width}x{height}, {PEOPLE} people: {name}", "ms an image", milliseconds(work, rounds))
        for name, work in stages.items()
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="how often each stage is measured")
    parser.add_argument("--quick", action="store_true", help="three times, small images only")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    with TemporaryDirectory() as folder:
        results = [
            result
            for size_px in SIZES_PX[: 1 if args.quick else None]
            for result in measured(drawn(size_px), 3 if args.quick else args.rounds, Path(folder))
        ]
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    report("anonymizing", [*results, Result("peak memory of this process", "MB", peak_mb)])


if __name__ == "__main__":
    main()
