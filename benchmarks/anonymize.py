# SPDX-License-Identifier: Apache-2.0
"""What anonymizing costs: time and memory for an image and for each person in it, and the share of each stage.

    python benchmarks/anonymize.py                       two sizes of images, with one and with nine people
    python benchmarks/anonymize.py --detector NAME       another detector than squeezedet-ceiling, which ships

Images of drawn people with masks go through what a worker of ``synthkit anonymize`` does: decode, find people, put
finds together and treat everybody (of which looking for detail that is left is a part), encode. Times are of the
processor on one thread, so that other work on the machine matters little. Memory is by how much a process of its own
grows at most, on Linux: what libraries take that are loaded meanwhile is a part of it.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
import cv2
import numpy as np
from reporting import Result, report

from synthkit.anonymization.checking import detail_left
from synthkit.anonymization.people import TRUTH, Look, together, truth_of
from synthkit.anonymization.policy import Policy
from synthkit.anonymization.treating import Treatment
from synthkit.dataset import codec
from synthkit.detectors import chosen
from synthkit.interfaces import ComponentSpec, Runtime
from synthkit.plugins import discover
from synthkit.sample import Person, Sample
from synthkit.seeds import Seeds

REFINERS = ("anonymizer-mask", "anonymizer-pixelate", "anonymizer-blur")
SIZES_PX = ((640, 480), (2048, 2048))
PEOPLE = (1, 9)
DECODE, FIND, TOGETHER, DETAIL, ENCODE = "decode", "find people", "put finds together", "look for detail", "encode"
MOST_S = 4.0  # of the processor for a stage, once it was measured twice

Stages = Mapping[str, float]
"""Milliseconds by stage."""


def drawn(size_px: tuple[int, int], people: int) -> Sample:
    """Return an image with people, each a third of its height long."""
    width, height = size_px
    stream = Seeds(1).stream("image")
    coarse = stream.integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
    image = cv2.resize(coarse, size_px, interpolation=cv2.INTER_CUBIC)
    layer = np.zeros((height, width), np.uint8)
    for number in range(1, people + 1):
        middle = width * (2 * number - 1) // (2 * people), height // 2
        cv2.ellipse(layer, middle, (height // 30, height // 6), 15.0 * number, 0, 360, [number], -1)
    known = [Person(instance=number) for number in range(1, people + 1)]
    return Sample(key="image", image=np.asarray(image, np.uint8), people=known, layers={"instances": layer})


def milliseconds(work: Callable[[], object], rounds: int) -> float:
    """Return the median time of the processor that some work takes, after a first time that does not count."""
    work()
    times: list[float] = []
    while len(times) < rounds and (len(times) < 2 or sum(times) < MOST_S):
        begin = time.process_time()
        work()
        times.append(time.process_time() - begin)
    return float(np.median(times)) * 1000


def peak_mb() -> float:
    """Return how large this process has been at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def treated(size_px: tuple[int, int], people: int, rounds: int) -> tuple[Stages, float]:
    """Return what each stage but the finding takes, and by how much this process grew meanwhile, in MB."""
    cv2.setNumThreads(1)
    sample, config = drawn(size_px, people), codec.CodecConfig()
    members = dict(codec.encode(sample, config).members)
    look = truth_of(sample)
    assert look is not None
    looks = {TRUTH: look}
    found = together(looks, sample.size_px, Policy())
    before = peak_mb()
    stages: dict[str, Callable[[], object]] = {
        DECODE: lambda: codec.decode(sample.key, members, where="memory"),
        TOGETHER: lambda: together(looks, sample.size_px, Policy()),
        DETAIL: lambda: [detail_left(sample.image, sample.image, one.region) for one in found],
        ENCODE: lambda: codec.encode(sample, config),
    }
    with TemporaryDirectory() as folder:
        stages |= {name: treatment(name, sample, looks, Path(folder)) for name in REFINERS}
        return {name: milliseconds(work, rounds) for name, work in stages.items()}, peak_mb() - before


def treatment(name: str, sample: Sample, looks: Mapping[str, Look], cache: Path) -> Callable[[], Sample]:
    """Return what treats everybody in an image by a refiner."""
    registry, spec = discover(), ComponentSpec("refiner", name)
    refiner = registry.build(spec, Runtime(Seeds(0), cache))
    made = Treatment(
        name=name,
        refine=lambda given: next(iter(refiner.refine([given]))),
        sees_people=registry.declared(spec).sees_people,
        extent="body",
        policy=Policy(detail_left=1.0),
    )
    return lambda: made(sample, looks, sample.key)


def found(size_px: tuple[int, int], detector: str, rounds: int) -> tuple[Stages, float]:
    """Return what it takes to look for people, and by how much this process grew meanwhile, in MB."""
    cv2.setNumThreads(1)
    image, registry = attrs.evolve(drawn(size_px, 1), people=None, layers={}), discover()
    before = peak_mb()
    with TemporaryDirectory() as folder:
        runtime = Runtime(Seeds(0), Path(folder), device="cpu", threads=1)
        with registry.build(chosen(registry, detector, {}), runtime) as looking:
            return {FIND: milliseconds(lambda: list(looking.detect([image])), rounds)}, peak_mb() - before


def apart(work: Callable[..., tuple[Stages, float]], *args: object) -> tuple[Stages, float]:
    """Do some work in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *args).result()


def measured(size_px: tuple[int, int], detector: str, rounds: int) -> list[Result]:
    """Return what images of a size cost."""
    size = f"{size_px[0]}x{size_px[1]}"
    finding, finding_mb = apart(found, size_px, detector, rounds)
    (one, one_mb), (many, many_mb) = (apart(treated, size_px, people, rounds) for people in PEOPLE)
    more = PEOPLE[1] - PEOPLE[0]
    results = [Result(f"{size}, {PEOPLE[1]} people: {name}", "ms an image", value)
               for name, value in {**finding, **many}.items()]  # fmt: skip
    for name in REFINERS:
        parts = {**finding, DECODE: many[DECODE], f"treat by {name}": many[name], ENCODE: many[ENCODE]}
        whole = sum(parts.values())
        each = (many[name] + many[ENCODE] + many[DECODE] - one[name] - one[ENCODE] - one[DECODE]) / more
        results += [
            Result(f"{size}, {name}: share of '{part}'", "share", value / whole) for part, value in parts.items()
        ]
        results += [
            Result(f"{size}, {name}: all stages, {PEOPLE[1]} people", "images a second", 1000 / whole,
                   smaller_is_better=False),
            Result(f"{size}, {name}: for each person besides", "ms", each),
        ]  # fmt: skip
    return [
        *results,
        Result(f"{size}: memory to find people", "MB", finding_mb),
        Result(f"{size}: memory to treat {PEOPLE[1]} people", "MB", many_mb),
        Result(f"{size}: memory for each person besides", "MB", (many_mb - one_mb) / more),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="how often each stage is measured at most")
    parser.add_argument("--quick", action="store_true", help="twice, small images only")
    parser.add_argument("--detector", default="squeezedet-ceiling", help="one that is ready as it ships")
    args = parser.parse_args()
    rounds, sizes = (2, SIZES_PX[:1]) if args.quick else (args.rounds, SIZES_PX)
    results = [result for size_px in sizes for result in measured(size_px, args.detector, rounds)]
    report(f"anonymizing, with {args.detector}", results)


if __name__ == "__main__":
    main()
