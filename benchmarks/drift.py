# SPDX-License-Identifier: Apache-2.0
"""The drift guard on drifts that were planted, and on refinements that keep everybody where they are.

    python benchmarks/drift.py                    renders 40 scenes and measures everybody in them; an hour
    python benchmarks/drift.py --quick            a few people, within some minutes
    python benchmarks/drift.py --data SET         people of a rendered set that has the layer ``background``

Of each person's crop of 128 pixels drifted and legitimate versions are made. Drifts, alone and under other looks:
shifted, scaled or warped with 5 (or 3, or 8) pixels at most, erased, and a copy of somebody elsewhere in the image.
Looks: colours, contrast, blur, noise, texture, JPEG, all of these together at half their strength, and what the
refiner ``cyclegan-dfm`` makes with its demonstration checkpoint; of crops alone also another background, which masks
hide. Each is seen in ways: ``drawn`` is the crop as a refiner of whole images draws it; ``crops`` is how the guard sees
refiners of people, which put crops back through masks; ``crops of 64`` when these are so small; ``masked`` is what
would be seen of them in the image alone. The table tells the share that the guard's limits catch, with Wilson's 95 %
interval; for legitimate ones those are false alarms.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import cv2
import numpy as np
import numpy.typing as npt
from reporting import Result, report

from synthkit import crops
from synthkit.dataset import Dataset
from synthkit.drift.guard import person_drift, person_side_px
from synthkit.drift.measuring import CROP_PX, PersonDrift, measure_newcomers, measure_person
from synthkit.drift.settings import GuardSettings
from synthkit.interfaces import ComponentSpec, Refiner
from synthkit.pipeline import with_weights
from synthkit.plugins import discover
from synthkit.sample import Sample
from synthkit.seeds import Seeds
from synthkit.session import Session

Image = npt.NDArray[Any]
Generator = np.random.Generator

LIMITS = GuardSettings()
SIZES_PX = (3, 5, 8)
QUICK_PEOPLE = 12
LEAST_PX = 50  # of the crop's pixels are the person's
SMALL_PX = 64
Ways = tuple[str, ...]
CROP_WAYS: Ways = ("crops", "crops of 64")
WAYS: Ways = ("drawn", *CROP_WAYS, "masked")


@attrs.frozen
class Case:
    """One measured picture: what was planted, how large, under which look, seen how, and what the guard found."""

    kind: str
    size_px: int
    look: str
    seen: str
    moved: float
    lost: float
    new: float
    extent_px: float = 0.0

    @property
    def caught(self) -> bool:
        """Whether the guard's limits are exceeded."""
        return self.moved > LIMITS.moved or self.lost > LIMITS.lost or self.new > LIMITS.new


def main() -> int:
    """Measure, print, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few people, within some minutes")
    parser.add_argument("--data", help="rendered set with the layer background, instead of rendering one")
    parser.add_argument("--scenes", type=int, default=40, help="scenes to render")
    parser.add_argument("--people", type=int, help="at most so many people")
    parser.add_argument("--least-extent", type=float, default=0.0, metavar="PX", help="only people as large as that")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=Path, help="file for every measurement, as CSV")
    args = parser.parse_args()
    people = args.people or (QUICK_PEOPLE if args.quick else sys.maxsize)
    with tempfile.TemporaryDirectory() as scratch:
        place = args.data or rendered(Path(scratch) / "rendered", 4 if args.quick else args.scenes, args.seed)
        session = Session(discover())
        with session.entered(with_weights(session, ComponentSpec("refiner", "cyclegan-dfm"), None)) as refiner:
            cases = list(measured(place, refiner, people, args.least_extent, Seeds(args.seed)))
    if args.cases:
        lines = [",".join(field.name for field in attrs.fields(Case))]
        lines += [",".join(map(str, attrs.astuple(case))) for case in cases]
        args.cases.write_text("\n".join(lines) + "\n")
    report(f"Drift guard: caught at moved {LIMITS.moved}, lost {LIMITS.lost}, new {LIMITS.new}", results(cases))
    return 0


def rendered(out: Path, scenes: int, seed: int) -> str:
    """Render people with the room behind them; return where."""
    command = ["synthkit", "render", "--renderer", "blender", "--out", str(out), "--count", str(scenes),
               "--seed", str(seed), "--set", "renderer.width_px=560", "--set", "renderer.height_px=420",
               "--set", 'renderer.layers=["alpha", "background"]']  # fmt: skip
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return str(out)


def measured(place: str, refiner: Refiner, people: int, least_extent_px: float, seeds: Seeds) -> Iterator[Case]:
    """Yield what is measured of up to ``people`` people of a set, and of every image that they are in."""
    done = 0
    for sample in Dataset.open(place):
        with crops.watched() as seen:
            list(refiner.refine([sample]))
        translated = {plan.instance: crop for one in seen for plan, crop in one.crops}
        plans = [plan for plan in crops.plan_crops(sample, (CROP_PX, CROP_PX)) if plan.instance in translated]
        wanted = [plan for plan in plans if CROP_PX / plan.scale >= least_extent_px]
        for plan in wanted[: people - done]:
            done += 1
            random = seeds.stream(sample.key, plan.person)
            yield from of_person(sample, plan, as_pixels(translated[plan.instance]), random)
            yield from of_image(sample, plan, seen[-1].image, random)
        print(f"{done} people", file=sys.stderr, flush=True)
        if done >= people:
            return


def of_person(sample: Sample, plan: crops.CropPlan, demo: Image, random: Generator) -> Iterator[Case]:
    """Yield the measurements of one person's crop; ``demo`` is what the demonstration checkpoint makes of it."""
    mask = crops.extract_mask(sample.layers["instances"], plan)
    if np.count_nonzero(mask) < LEAST_PX:
        return
    crop = crops.extract(sample.image, plan)
    empty = crops.extract(sample.layers["background"], plan)

    def case(kind: str, size_px: int, look: str, drawn: Image, ways: Ways = WAYS) -> Iterator[Case]:
        for seen, found in drifts(sample, plan, mask, as_pixels(drawn), ways):
            yield Case(kind, size_px, look, seen, found.moved, found.lost, 0.0, CROP_PX / plan.scale)

    for name, look in LOOKS.items():
        yield from case("legitimate", 0, name, look(crop, random, 1.0))
    yield from case("legitimate", 0, "all at half", all_looks(crop, random, 0.5))
    yield from case("legitimate", 0, "cyclegan-dfm", demo)
    elsewhere = other_background(crop, mask, random)
    yield from case("legitimate", 0, "other background", elsewhere, CROP_WAYS)
    yield from case("legitimate", 0, "other background and all at half", all_looks(elsewhere, random, 0.5), CROP_WAYS)
    for kind, displacement in DISPLACEMENTS.items():
        for size_px in SIZES_PX:
            field = displacement(mask, size_px, random)
            yield from case(kind, size_px, "none", displaced(crop, field))
            if size_px == 5:
                yield from case(kind, size_px, "all at half", all_looks(displaced(crop, field), random, 0.5))
                yield from case(kind, size_px, "cyclegan-dfm", displaced(demo, field))
    soft = cv2.GaussianBlur(cv2.dilate(mask.astype(np.float32), np.ones((5, 5))), (0, 0), 1.0)[..., None]
    erased = crop * (1 - soft) + empty * soft
    yield from case("erased", 0, "none", erased)
    yield from case("erased", 0, "all at half", all_looks(erased, random, 0.5))


def drifts(
    sample: Sample, plan: crops.CropPlan, mask: Image, drawn: Image, ways: Ways
) -> Iterator[tuple[str, PersonDrift]]:
    """Yield what is measured of a person whose crop a refiner drew so, for each way of seeing."""
    small = attrs.evolve(plan, size_px=(SMALL_PX, SMALL_PX), crop_from_image=plan.crop_from_image * SMALL_PX / CROP_PX)
    with crops.watched() as seen:
        crops.reinsert(sample, [(plan, drawn)])
        crops.reinsert(sample, [(small, crops.transfer(drawn, plan, small))])
    found = {
        "drawn": lambda: measure_person(crops.extract(sample.image, plan), drawn, mask, plan.scale),
        "crops": lambda: person_drift(sample, plan, None, seen[:1]),
        "crops of 64": lambda: person_drift(sample, plan, None, seen[1:]),
        "masked": lambda: person_drift(sample, plan, seen[0].image),
    }
    for way in ways:
        yield way, found[way]()


def other_background(crop: Image, mask: Image, random: Generator) -> Image:
    """Return a crop with the person in front of what is a quarter turn away, in other colours."""
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.7)[..., None]
    return crop * soft + colours(np.rot90(crop), random, 1.0) * (1 - soft)


def of_image(sample: Sample, plan: crops.CropPlan, translated: Image, random: Generator) -> Iterator[Case]:
    """Yield the measurements of whole images: other looks, and a copy of one person somewhere else."""
    instances = sample.layers["instances"]
    side_px = person_side_px(crops.plan_crops(sample, (CROP_PX, CROP_PX)), sample.size_px)
    copied = with_copy(sample.image, instances == plan.instance, instances > 0, random)
    pictures = {("legitimate", name): look(sample.image, random, 1.0) for name, look in LOOKS.items()}
    pictures["legitimate", "all at half"] = all_looks(sample.image, random, 0.5)
    pictures["legitimate", "cyclegan-dfm"] = translated
    if copied is not None:
        pictures["copied", "none"] = copied
        pictures["copied", "all at half"] = all_looks(copied, random, 0.5)
    for (kind, look), picture in pictures.items():
        new = measure_newcomers(sample.image, as_pixels(picture), instances > 0, side_px)
        yield Case(kind, 0, look, "whole image", 0.0, 0.0, new, CROP_PX / plan.scale)


def with_copy(image: Image, mask: Image, people: Image, random: Generator) -> Image | None:
    """Return the image with somebody pasted where nobody is, or None where there is no room."""
    height, width = mask.shape
    rows, columns = np.nonzero(mask)
    apart = cv2.dilate(people.astype(np.uint8), np.ones((9, 9))) > 0
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.7)[..., None]
    for _ in range(200):
        x, y = int(random.integers(-width, width)), int(random.integers(-height, height))
        left, right, top, bottom = columns.min() + x, columns.max() + x, rows.min() + y, rows.max() + y
        across, down = (left + right - width) / 2, (top + bottom - height) / 2
        inside = left >= 0 and right < width and top >= 0 and bottom < height
        if (
            inside
            and math.hypot(across, down) < 0.45 * min(width, height)
            and not (np.roll(mask, (y, x), (0, 1)) & apart).any()
        ):
            there = np.roll(soft, (y, x), (0, 1))
            return np.asarray(image * (1 - there) + np.roll(image, (y, x), (0, 1)) * there)
    return None


def shifted(mask: Image, size_px: float, random: Generator) -> Image:
    """Return a displacement of a person as a whole, fading out around it: (2, H, W) pixels."""
    angle = random.uniform(0, 2 * math.pi)
    return np.array([math.cos(angle), math.sin(angle)])[:, None, None] * size_px * _around(mask)


def scaled(mask: Image, size_px: float, random: Generator) -> Image:
    """Return a displacement that grows or shrinks a person, by ``size_px`` at the farthest end."""
    rows, columns = np.nonzero(mask)
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]]
    away = np.stack([x - columns.mean(), y - rows.mean()])
    return away / np.hypot(*away)[mask].max() * size_px * random.choice([-1, 1]) * _around(mask)


def warped(mask: Image, size_px: float, random: Generator) -> Image:
    """Return a smooth random displacement whose largest on the person is ``size_px``."""
    noise = random.normal(size=(2, *mask.shape)).astype(np.float32)
    smooth = np.stack([cv2.GaussianBlur(part, (0, 0), 16) for part in noise])
    return np.asarray(smooth / np.hypot(*smooth)[mask].max() * size_px)


def _around(mask: Image) -> Image:
    near = cv2.GaussianBlur(cv2.dilate(mask.astype(np.float32), np.ones((25, 25))), (0, 0), 5)
    return np.clip(1.3 * near, 0, 1)


def displaced(crop: Image, field: Image) -> Image:
    """Return a crop whose pixels went where a displacement says."""
    y, x = np.mgrid[: crop.shape[0], : crop.shape[1]].astype(np.float32)
    return cv2.remap(crop, x - np.float32(field[0]), y - np.float32(field[1]), cv2.INTER_CUBIC,
                     borderMode=cv2.BORDER_REPLICATE)  # fmt: skip


def colours(image: Image, random: Generator, strength: float) -> Image:
    """Give each channel a gamma and mix the channels."""
    gamma = np.exp(random.uniform(-0.5, 0.5, 3) * strength)
    mixing = np.eye(3) + random.uniform(-0.2, 0.2, (3, 3)) * strength
    return (image.clip(0, 255) / 255.0) ** gamma @ mixing.T * 255


def contrast(image: Image, random: Generator, strength: float) -> Image:
    """Change brightness and contrast."""
    factor, offset = math.exp(random.uniform(-0.6, 0.5) * strength), random.uniform(-30, 30) * strength
    return (image - image.mean()) * factor + image.mean() + offset


def texture(image: Image, random: Generator, strength: float) -> Image:
    """Multiply with a grain of some pixels' size."""
    grain = cv2.GaussianBlur(random.normal(size=image.shape[:2]), (0, 0), random.uniform(0.8, 3.0))
    return image * (1 + random.uniform(0.05, 0.15) * strength * (grain / grain.std())[..., None])


def blur(image: Image, random: Generator, strength: float) -> Image:
    """Blur by up to two pixels."""
    return cv2.GaussianBlur(np.asarray(image, np.float32), (0, 0), random.uniform(0.5, 2.0) * strength)


def noise(image: Image, random: Generator, strength: float) -> Image:
    """Add noise."""
    return image + random.normal(size=image.shape) * random.uniform(3, 12) * strength


def jpeg(image: Image, random: Generator, strength: float) -> Image:
    """Save with a low quality."""
    quality = int(100 - random.uniform(40, 80) * strength)
    return cv2.imdecode(cv2.imencode(".jpg", as_pixels(image), [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1)


def all_looks(image: Image, random: Generator, strength: float) -> Image:
    """Apply all of them, one after the other."""
    for look in LOOKS.values():
        image = look(image, random, strength)
    return image


Look = Callable[[Image, Generator, float], Image]
LOOKS: dict[str, Look] = {
    "colours": colours, "contrast": contrast, "texture": texture, "blur": blur, "noise": noise, "jpeg": jpeg
}  # fmt: skip
DISPLACEMENTS: dict[str, Callable[[Image, float, Generator], Image]] = {
    "shifted": shifted, "scaled": scaled, "warped": warped
}  # fmt: skip


def as_pixels(image: Image) -> Image:
    """Return an image as bytes."""
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def results(cases: list[Case]) -> list[Result]:
    """Return the share that was caught, by kind, size, look and way of seeing."""
    groups = defaultdict(list)
    for case in cases:
        size = f" {case.size_px} px" if case.size_px else ""
        groups[f"{case.kind}{size}, look: {case.look}, {case.seen}"].append(case)
        if case.kind == "legitimate":
            groups[f"legitimate, all looks, {case.seen}"].append(case)
    listed = []
    for name, group in sorted(groups.items()):
        caught, total = sum(case.caught for case in group), len(group)
        low, high = wilson(caught, total)
        goal = 95.0 if name.startswith("warped 5 px") else 2.0 if name.startswith("legitimate, all looks") else None
        goal = None if group[0].seen == "masked" else goal
        told = f"{name} [{low:.0%}, {high:.0%}], n = {total}"
        listed.append(Result(told, "% caught", 100 * caught / total, goal=goal))
    return listed


def wilson(hits: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Return the 95 % score interval of a share (Wilson 1927)."""
    share, square = hits / total, z * z / total
    middle, half = share + square / 2, z * math.sqrt(share * (1 - share) / total + square / (4 * total))
    return max(0.0, (middle - half) / (1 + square)), min(1.0, (middle + half) / (1 + square))


if __name__ == "__main__":
    sys.exit(main())
