# SPDX-License-Identifier: Apache-2.0
"""Whether refined people come closer to the target and stay where they are, in little: small crops, few filters.

    python benchmarks/refinement.py --work FOLDER            circles of sets 1 and 3, and rooms; three seeds
    python benchmarks/refinement.py --quick                  whether it runs: a few steps
    python benchmarks/refinement.py --domains rendered --refiners cyclegan-dfm cut --steps 2000 --work FOLDER
    python benchmarks/refinement.py --domains circles-3 --set antialias=true

Two kinds of domains, by name: ``circles-1`` to ``circles-3`` (thesis 000, figure 5.7: coloured circles become white)
and ``rendered``: people in rooms by the renderer ``blender`` become those of ``blender-dusk``, other people in other
rooms. Refiners learn from scratch, through the same calls as ``synthkit fit`` and ``synthkit refine``, and are
measured on scenes that were never learned from. Told are the mean, least and most over the seeds:

- feature distance left: the Frechet distance to the target of people's crops in features of MobileNetV2, over what it
  was unrefined; goal: two thirds. For rooms ``floor`` is that of two sets of the target: no refiner can be asked for
  less
- of people alone: the same with everything but people grey, as refiners of people leave the room as it is
- people kept: the share in whom the drift guard found no drift, nor anybody new in their image; goal: 0.95. It only
  records here, so that nothing is taken back before it is measured
- for circles, how far pixels of circle and background are from the right answer, in grey levels; in place: the share
  of images in which the middle of what differs from the background is within a pixel of the circle's; attention on
  circles and around them, of refiners that tell it (``attention_layer``)

With ``--work`` sets and trainings that are finished are used again, and those that were stopped go on.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from statistics import mean
from typing import Any

import attrs
import circles
import numpy as np
from reporting import Result, report

from synthkit import config, crops, pipeline
from synthkit.dataset import Dataset
from synthkit.drift.guard import META
from synthkit.drift.settings import GuardSettings
from synthkit.execution import Local
from synthkit.interfaces import ComponentSpec, Metric
from synthkit.plugins import discover
from synthkit.sample import Sample, evolve
from synthkit.session import Session
from synthkit.settings import RunSettings
from synthkit.training import pictures

CROP_PX = 64
SMALL = {
    "crop_px": CROP_PX,
    "learning_rate": 5e-4,
    "switch": 1.0,  # figure 5.8 shows attention after one epoch, long before the switch
    "perceptual": "mobilenet_v2",
    "attention_layer": True,
    "feather_px": 0.0,
}
"""Settings of refiners, of which each takes those that it has."""

ROOMS = {
    "width_px": 160,
    "height_px": 120,
    "camera": {"circle_share": [1.33, 1.33]},  # fills the width: people are larger
    "people": {"sitting": [2, 5], "standing": [2, 4]},
}
QUICK_ROOMS = {**ROOMS, "width_px": 112, "height_px": 84}

FRECHET = {"extractor": "mobilenet_v2", "layer": "stride8", "input_px": 96, "infinity_points": 0}
METRICS = {"circles": {**FRECHET, "region": "image"}, "rendered": {**FRECHET, "region": "crops", "crop_px": CROP_PX}}
SOURCE_SEED, TARGET_SEED, TEST_SEED, OTHER_SEED = 1, 2, 3, 4
"""Of the sets; circles' tests have the same seed in both domains, so that they are pairs, and rooms' have not."""

GREY = 128
SHOWN = 8
KEPT = "people kept"
LEFT, LEFT_ALONE = "feature distance left", "feature distance left, of people alone"
UNITS = {
    LEFT: ("of before", 2 / 3, True),
    LEFT_ALONE: ("of before", 2 / 3, True),
    KEPT: ("of people", 0.95, False),
    "in place": ("of images", 0.95, False),
    "circle": ("grey levels", None, True),
    "background": ("grey levels", None, True),
}
"""Unit, goal, and whether smaller is better, of what is not a share without a goal."""


@attrs.frozen(eq=False)
class Domains:
    """What is learned from, what is refined in the test, and what that should look like.

    Args:
        scenes: ``test`` as it was rendered, where ``answers`` are the right ones, sample for sample; else None.
    """

    name: str
    source: Dataset
    target: Dataset
    test: Dataset
    answers: Dataset
    scenes: Dataset | None = None

    @property
    def regions(self) -> str:
        """What kind of domains these are."""
        return "rendered" if self.scenes is None else "circles"


@attrs.frozen
class Benchmark:
    """Everything that was asked for, and where it is kept."""

    args: argparse.Namespace
    session: Session
    folder: Path

    def results(self) -> list[Result]:
        """Train and measure."""
        results = []
        for name in self.args.domains:
            domains = self.domains(name)
            with self.session.entered(ComponentSpec("metric", "frechet", METRICS[domains.regions])) as metric:
                before = _distances(metric, domains, domains.test)
                if domains.scenes is None:
                    floor = _distances(metric, domains, domains.target)
                    results += [
                        Result(f"{name}: floor of {key}", "of before", floor[key] / before[key]) for key in floor
                    ]
                for refiner in self.args.refiners:
                    runs = [self.run(metric, domains, before, refiner, seed) for seed in self.args.seeds]
                    results += [
                        _result(f"{name}, {refiner}: {key}", key, [run[key] for run in runs]) for key in runs[0]
                    ]
        return results

    def domains(self, name: str) -> Domains:
        """Return the sets of a pair of domains, of which those that are there are not rendered again."""
        count, tests = self.args.count, self.args.tests
        if name == "rendered":
            options = QUICK_ROOMS if self.args.quick else ROOMS
            return Domains(
                name,
                source=self._rendered(name, "blender", options, count, SOURCE_SEED),
                target=self._rendered(name, "blender-dusk", options, count, TARGET_SEED),
                test=self._rendered(name, "blender", options, tests, TEST_SEED),
                answers=self._rendered(name, "blender-dusk", options, tests, OTHER_SEED),
            )
        number, options = name[-1], {"size_px": circles.IMAGE_PX}
        learned = ("x", count, SOURCE_SEED), ("y", count, TARGET_SEED)
        tested = ("x", tests, TEST_SEED), ("y", tests, TEST_SEED)
        source, target, scenes, answers = (
            self._rendered(name, f"circles-{domain}{number}", options, n, seed)
            for domain, n, seed in (*learned, *tested)
        )
        learned_x, learned_y, test = (
            circles.as_people(s, Path(f"{s.location}-people")) for s in (source, target, scenes)
        )
        return Domains(name, learned_x, learned_y, test, answers, scenes)

    def _rendered(self, name: str, renderer: str, options: dict[str, Any], count: int, seed: int) -> Dataset:
        out = self.folder / name / f"{renderer}-{count}-{seed}"
        spec = ComponentSpec("renderer", renderer, options)
        return pipeline.render(self.session.reseeded(seed), spec, out, count).dataset

    def run(
        self, metric: Metric, domains: Domains, before: dict[str, float], refiner: str, seed: int
    ) -> dict[str, float]:
        """Return what is measured of one refiner trained with one seed."""
        args = self.args
        name = "-".join([f"{refiner}-{args.count}-{args.steps}-{args.filters}-{seed}", *args.set])
        work = self.folder / domains.name / name
        refined = self._refined(domains, refiner, seed, work)
        left = _distances(metric, domains, refined)
        found = {key: left[key] / before[key] for key in left} | {KEPT: kept(refined)}
        if domains.scenes is not None:
            found |= circles.measure(domains.scenes, domains.answers, refined)
        if args.pictures:
            pictures.write_png(args.pictures / f"{domains.name}-{refiner}-{seed}.png", picture(domains, refined))
        print(f"{domains.name}, {refiner}, seed {seed}: ", {k: round(v, 3) for k, v in found.items()}, flush=True)
        return found

    def _refined(self, domains: Domains, refiner: str, seed: int, work: Path) -> Dataset:
        """Return the test scenes as a refiner makes them that learned from scratch."""
        session = self.session.reseeded(seed)
        known = {field.name for field in attrs.fields(session.registry.get("refiner", refiner).component.config)}
        filters = dict.fromkeys(("generator_filters", "discriminator_filters", "attention_filters"), self.args.filters)
        small = {**SMALL, **filters, "steps": self.args.steps}
        asked = {key: value for key, value in small.items() if key in known} | config.parse_sets(self.args.set)
        spec = ComponentSpec("refiner", refiner, asked)
        checkpoint = pipeline.fit(session, spec, {"source": domains.source, "target": domains.target}, work / "fitted")
        applied = pipeline.with_weights(session, spec, checkpoint.path)
        refined = work / f"refined-{len(domains.test)}"
        return pipeline.refine(session, applied, domains.test.location, refined).dataset


def _distances(metric: Metric, domains: Domains, candidate: Dataset) -> dict[str, float]:
    """Return the Frechet distances to the answers, of as many scenes as there are of these: fewer look farther."""
    sets = domains.answers, list(islice(candidate, len(domains.answers)))
    distances = {LEFT: _distance(metric, *sets)}
    if domains.scenes is None:
        distances[LEFT_ALONE] = _distance(metric, *(map(people_alone, each) for each in sets))
    return distances


def _distance(metric: Metric, reference: Iterable[Sample], candidate: Iterable[Sample]) -> float:
    sets = {"reference": reference, "candidate": candidate}
    states = {role: metric.merge([metric.observe(role, samples)]) for role, samples in sets.items()}
    return float(metric.compute(states)[0].value)


def people_alone(sample: Sample) -> Sample:
    """Return a sample whose pixels are grey where nobody is."""
    return evolve(sample, image=np.where(sample.layers["instances"][..., None] > 0, sample.image, np.uint8(GREY)))


def kept(refined: Iterable[Sample]) -> float:
    """Return the share of people who did not drift, in images in which nobody is new, by the guard's record."""
    records = [sample.meta[META][-1] for sample in refined]
    return mean(float(not (p["drifted"] or record["image"])) for record in records for p in record["people"])


def picture(domains: Domains, refined: Dataset) -> pictures.Pixels:
    """Return a few people or circles: as rendered, what was attended, as refined, and the target's, a row each."""
    if domains.scenes is None:
        return pictures.sheet([_shown_people(each) for each in (domains.test, refined, domains.answers)])
    shown = [list(islice(each, SHOWN)) for each in (domains.test, refined, domains.answers)]
    rows = [np.stack([sample.image for sample in row]) for row in shown]
    if "attention" in shown[1][0].layers:
        rows.insert(1, np.stack([np.repeat(s.layers["attention"][..., None], 3, axis=2) for s in shown[1]]))
    return pictures.sheet(rows)


def _shown_people(data: Dataset) -> pictures.Pixels:
    size = (2 * CROP_PX, 2 * CROP_PX)
    found = (crops.extract(sample.image, plan) for sample in data for plan in crops.plan_crops(sample, size))
    return np.stack(list(islice(found, SHOWN)))


def _result(name: str, key: str, values: Sequence[float]) -> Result:
    unit, goal, smaller = UNITS.get(key, ("of 1", None, False))
    return Result(name, unit, mean(values), goal=goal, smaller_is_better=smaller, low=min(values), high=max(values))


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = ["circles-1", "circles-2", "circles-3", "rendered"]
    parser.add_argument("--quick", action="store_true", help="a few steps: whether it runs, not what is learned")
    parser.add_argument("--domains", nargs="+", default=["circles-1", "circles-3", "rendered"], choices=known)
    parser.add_argument("--refiners", nargs="+", default=["aggan-cyclic10", "cyclegan-cp"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="another setting of refiners")
    parser.add_argument("--filters", type=int, default=16, help="of the networks' first layers")
    parser.add_argument("--count", type=int, default=150, help="scenes of each domain to learn from")
    parser.add_argument("--tests", type=int, default=60, help="scenes of each domain for the test")
    parser.add_argument("--workers", type=int, default=2, help="processes that render and refine; 0: in this one")
    parser.add_argument("--threads", type=int, default=2, help="of trainings; results depend on it")
    parser.add_argument("--work", type=Path, help="folder where sets and trainings stay, to be used again")
    parser.add_argument("--pictures", type=Path, help="folder for pictures of the test scenes")
    args = parser.parse_args(arguments)
    if args.quick:
        args.steps, args.filters, args.count, args.tests, args.workers = 3, 4, 2, 2, 0
        args.domains = list(dict.fromkeys((args.domains[0], args.domains[-1])))
        args.seeds = args.seeds[:1]
    run = RunSettings(guard=GuardSettings(mode="record"), threads=args.threads)
    with tempfile.TemporaryDirectory() as scratch:
        session = Session(discover(), run, Local(workers=args.workers))
        results = Benchmark(args, session, args.work or Path(scratch)).results()
    report(f"Refinement, {args.steps} steps, {args.filters} filters, mean of {len(args.seeds)} seeds", results)


if __name__ == "__main__":
    main()
