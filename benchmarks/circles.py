# SPDX-License-Identifier: Apache-2.0
"""What refiners make of circles (thesis 000, figures 5.7 and 5.8), in little: small images, few filters and steps.

    python benchmarks/circles.py                                        aggan and cyclegan on sets 1 and 3
    python benchmarks/circles.py --quick                                whether it runs: a few steps
    python benchmarks/circles.py --refiners aggan cyclegan-cp --sets 1 2 3 --seeds 0 1 2 --steps 1000

Each refiner learns to turn coloured circles (domain X) into white ones (Y). Whole images stand for persons, so that
refiners of crops see all of them, as in the thesis. X and Y of a test scene are the same but for the circle's colour,
so the right answer is known for every pixel. Told are, as medians over the seeds:

- feature distance left: the Frechet distance to Y in features of MobileNetV2, over what it was unrefined
- circle, background: how far pixels are from the right answer, in grey levels
- in place: the part of the images in which the middle of what differs from the background is within a pixel of the
  circle's
- attention on circles, and around them, for refiners that tell it (``attention_layer``)
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
from reporting import Result, report

from synthkit.interfaces import ComponentSpec, Runtime
from synthkit.plugins import Registry, discover
from synthkit.sample import Person, Sample, evolve
from synthkit.seeds import Seeds
from synthkit.training import pictures

IMAGE_PX, CROP_PX = 59, 64  # so that a crop holds the image at its own size, within the margin that crops have
HEAD_PX = (IMAGE_PX / 2, IMAGE_PX * 0.21 / 0.92)  # from there an image reaches as far as a crop does from its head

SMALL = {
    "crop_px": CROP_PX,
    "generator_filters": 8,
    "discriminator_filters": 8,
    "attention_filters": 8,
    "learning_rate": 5e-4,
    "switch": 1.0,  # figure 5.8 shows attention after one epoch, long before the switch
    "perceptual": "mobilenet_v2",
    "attention_layer": True,
    "feather_px": 0.0,
}
"""Settings of refiners, of which each takes those that it has."""

METRIC = {"extractor": "mobilenet_v2", "layer": "stride8", "input_px": 96}
SEEN = 40  # grey levels from the background at which a circle is seen
SAME_PLACE_PX = 1.0


@attrs.frozen(eq=False)
class Drawn:
    """A set of samples in memory."""

    items: list[Sample]
    fingerprint: str

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Sample:
        return self.items[index]

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.items)


@attrs.frozen(eq=False)
class Domains:
    """One of the thesis's three data sets: what is learned from, and pairs for the test."""

    source: Drawn
    target: Drawn
    test: Drawn
    answers: Drawn


def draw(registry: Registry, name: str, count: int, seed: int, folder: Path) -> Drawn:
    """Return scenes of a domain."""
    spec = ComponentSpec("renderer", name, {"size_px": IMAGE_PX})
    with registry.build(spec, Runtime(Seeds(seed), folder)) as renderer:
        scenes = [sample for n in range(count) for sample in renderer.render(n, Seeds(seed).child("scene", n))]
    return Drawn(scenes, f"{name} {count} {seed}")


def as_person(scene: Sample) -> Sample:
    """Return a scene that tells its whole image as one person."""
    whole = np.ones(scene.image.shape[:2], np.uint8)
    return evolve(scene, people=(Person(instance=1, head_px=HEAD_PX),), layers={"instances": whole})


def refine(
    registry: Registry, name: str, domains: Domains, seed: int, changes: dict[str, Any], folder: Path
) -> list[Sample]:
    """Return the test scenes as a refiner makes them that learned from scratch."""
    known = {field.name for field in attrs.fields(registry.get("refiner", name).component.config)}
    options = {key: value for key, value in {**SMALL, **changes}.items() if key in known}
    spec = ComponentSpec("refiner", name, options)
    runtime = Runtime(Seeds(seed).child("refiner"), folder)
    data = {role: Drawn([as_person(s) for s in drawn], drawn.fingerprint) for role, drawn in
            (("source", domains.source), ("target", domains.target))}  # fmt: skip
    with registry.build(spec, runtime) as learner:
        checkpoint = learner.fit(data, folder)
    applied = attrs.evolve(spec, checkpoint=str(checkpoint.path), checkpoint_sha256=checkpoint.sha256)
    with registry.build(applied, runtime) as refiner:
        return list(refiner.refine(as_person(sample) for sample in domains.test))


def distance(registry: Registry, a: Sequence[Sample], b: Sequence[Sample], folder: Path) -> float:
    """Return the Frechet distance of two sets in the features of a small network."""
    with registry.build(ComponentSpec("metric", "frechet", METRIC), Runtime(Seeds(0), folder)) as metric:
        roles = dict(zip(metric.roles, (a, b), strict=True))
        states = {role: metric.merge([metric.observe(role, samples)]) for role, samples in roles.items()}
        return float(metric.compute(states)[0].value)


def measure(domains: Domains, refined: Sequence[Sample]) -> dict[str, float]:
    """Return the means over the test scenes of what pixels tell."""
    values: dict[str, list[float]] = {}
    for scene, answer, result in zip(domains.test, domains.answers, refined, strict=True):
        circle, around = scene.layers["alpha"] == 255, scene.layers["alpha"] == 0
        off = _levels_apart(result.image, answer.image)
        seen = _levels_apart(result.image, scene.layers["background"]) > SEEN
        truth = scene.layers["instances"] > 0
        found = {
            "circle": off[circle].mean(),
            "background": off[around].mean(),
            "in place": float(np.hypot(*(_middle_px(seen) - _middle_px(truth))) <= SAME_PLACE_PX),
        }
        if "attention" in result.layers:
            attention = result.layers["attention"] / 255
            found |= {"attention on circles": attention[circle].mean(), "around them": attention[around].mean()}
        for name, value in found.items():
            values.setdefault(name, []).append(float(value))
    return {name: float(np.mean(each)) for name, each in values.items()}


def _middle_px(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return the mean place (row, column) of a mask's pixels; not a number when there are none."""
    return np.argwhere(mask).mean(axis=0) if mask.any() else np.full(2, np.nan)


def _levels_apart(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Return how far two images (H, W, 3) are apart, in the channel that differs most: (H, W)."""
    return np.asarray(np.abs(a.astype(np.int64) - b).max(axis=-1))


def picture(domains: Domains, refined: Sequence[Sample]) -> pictures.Pixels:
    """Return a few scenes: as drawn, what was attended, as refined, and as they should be, a row each."""
    rows = [[s.image for s in domains.test], [s.image for s in refined], [s.image for s in domains.answers]]
    if "attention" in refined[0].layers:
        rows.insert(1, [np.repeat(s.layers["attention"][..., None], 3, axis=2) for s in refined])
    return pictures.sheet([np.stack(row[:8]) for row in rows])


def compare(args: argparse.Namespace, folder: Path) -> list[Result]:
    """Train and measure everything that was asked for."""
    registry, results = discover(), []
    for number in args.sets:
        drawn = (("x", args.count, 1), ("y", args.count, 2), ("x", args.tests, 3), ("y", args.tests, 3))
        domains = Domains(*(draw(registry, f"circles-{d}{number}", count, s, folder) for d, count, s in drawn))
        before = distance(registry, domains.answers.items, domains.test.items, folder)
        for name in args.refiners:
            runs = []
            for seed in args.seeds:
                work = folder / f"{number}-{name}-{seed}"
                refined = refine(registry, name, domains, seed, {"steps": args.steps}, work)
                left = distance(registry, domains.answers.items, refined, folder) / before
                runs.append({"feature distance left": left, **measure(domains, refined)})
                if args.pictures:
                    pictures.write_png(args.pictures / f"{number}-{name}-{seed}.png", picture(domains, refined))
                print(f"set {number}, {name}, seed {seed}: ", {k: round(v, 3) for k, v in runs[-1].items()}, flush=True)
            results += [_result(f"set {number}, {name}: {key}", key, [run[key] for run in runs]) for key in runs[0]]
    return results


_GOALS = {"feature distance left": ("of before", 2 / 3, True), "in place": ("of images", 0.95, False)}


def _result(name: str, key: str, values: Sequence[float]) -> Result:
    levels = ("grey levels", None, True) if key in ("circle", "background") else ("of 1", None, False)
    unit, goal, smaller = _GOALS.get(key, levels)
    return Result(name, unit, median(values), goal=goal, smaller_is_better=smaller)


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few steps: whether it runs, not what is learned")
    parser.add_argument("--refiners", nargs="+", default=["aggan-cyclic10", "cyclegan-cp"])
    parser.add_argument("--sets", nargs="+", type=int, default=[1, 3], choices=[1, 2, 3], help="of figure 5.7")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--count", type=int, default=200, help="scenes of each domain to learn from")
    parser.add_argument("--tests", type=int, default=60, help="pairs of scenes for the test")
    parser.add_argument("--pictures", type=Path, help="folder for pictures of the test scenes")
    args = parser.parse_args()
    if args.quick:
        args.steps, args.sets, args.tests = 3, args.sets[:1], 12
    with tempfile.TemporaryDirectory() as folder:
        results = compare(args, Path(folder))
    report(f"Circles, {args.steps} steps, median of {len(args.seeds)} seeds", results)


if __name__ == "__main__":
    main()
