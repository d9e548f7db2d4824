# SPDX-License-Identifier: Apache-2.0
"""What is seen where refined crops were put back: ours beside the thesis's algorithm 6 as printed.

Drawn people with a known truth (which colours share each pixel, and in which parts) go through planted refiners, one
each, that conflict: strong shifts of colour and changes of contrast. So it is known what every pixel should have
become. Measured is how far it is from that: along the outlines of people, where people meet (figure 5.14), and where
bodies leave the crops of the thesis, which have one size (figure 5.15).

python benchmarks/reinsertion.py
python docs/images/make_reinsertion.py shows the same on rendered people
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator

import attrs
import cv2
import numpy as np
import numpy.typing as npt
from reporting import Result, report

from synthkit import crops
from synthkit.sample import Person, RotatedBox, Sample
from synthkit.seeds import Seeds

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]
SIZE_PX = 384
CROP_PX = 128
_FINE = 8  # drawn at so many times the resolution
_BAND_PX = 2


@attrs.frozen(eq=False)
class Staged:
    """A drawn sample with its truth.

    Args:
        sample: with the layers ``instances`` and ``alpha``. shares: (N + 1, H, W) of each pixel, by what is seen
            there: background, then the people. colours: (N + 1, H, W, 3) of these.
    """

    sample: Sample
    shares: Floats
    colours: Floats

    def refined(self, refiners: list[Refiner]) -> Floats:
        """Return what the image is when each person's colours go through that person's refiner."""
        looks = [self.colours[0], *(change(look) for change, look in zip(refiners, self.colours[1:], strict=True))]
        return np.einsum("nhw,nhwc->hwc", self.shares, np.stack(looks))


Refiner = Callable[[Floats], Floats]


def planted(number: int) -> Refiner:
    """Return a refiner with a contrast and a shift of its own, that leaves 0..255 for no colour of ``staged``."""
    gain = (0.55, 1.25, 0.7, 1.15)[number % 4]
    shift = np.array([(34, -28, -20), (-30, 22, 30), (-24, 30, -28), (26, 20, -34)][number % 4], np.float32)
    return lambda pixels: (pixels.astype(np.float32) - 128) * gain + 128 + shift


def staged(seed: int) -> Staged:
    """Return people who overlap, one larger than a crop of the thesis, one cut by the image's rim."""
    draw = Seeds(seed).stream("stage")
    centre, side = SIZE_PX / 2, SIZE_PX * _FINE
    bearing = draw.uniform(0, 2 * math.pi)
    # (bearing, distance of the middle from the nadir, length, width), the nearer later
    bodies = [(bearing + math.pi, 105, 150, 46), (bearing, 88, 80, 34), (bearing + 0.32, 74, 84, 36),
              (math.pi / 2 * round(bearing / (math.pi / 2)) + math.pi / 2, 170, 90, 40)]  # fmt: skip
    owner = np.zeros((side, side), np.uint8)
    people = []
    for number, (angle, far, length, width) in enumerate(bodies, 1):
        out = np.array([math.cos(angle), math.sin(angle)])
        _draw_body(owner, number, centre + out * far, length, width, math.degrees(angle) - 90)
        head = centre + out * (far + length / 2 - 0.2 * width)
        people.append(Person(instance=number, head_px=tuple(head)))
    blocks = owner.reshape(SIZE_PX, _FINE, SIZE_PX, _FINE)
    shares = np.stack([(blocks == n).mean(axis=(1, 3)) for n in range(len(bodies) + 1)]).astype(np.float32)
    colours = np.stack([_look(draw, base) for base in (200, 90, 150, 80, 140)])
    image = np.einsum("nhw,nhwc->hwc", shares, colours)
    instances = np.where(shares[1:].max(axis=0) >= np.maximum(shares[0], 1e-6), shares[1:].argmax(axis=0) + 1, 0)
    layers = {"instances": instances.astype(np.uint8), "alpha": np.rint((1 - shares[0]) * 255).astype(np.uint8)}
    sample = Sample("staged", np.rint(image).astype(np.uint8), tuple(people), layers=layers)
    return Staged(sample, shares, colours)


def _draw_body(
    owner: Pixels, number: int, middle: npt.NDArray[np.float64], length: float, width: float, degrees: float
) -> None:
    """Draw a trunk, a head and two arms."""
    place = middle * _FINE
    cv2.ellipse(owner, (tuple(place), (width * 0.7 * _FINE, length * _FINE), degrees), number, -1)
    for sign in (-1, 1):
        box = RotatedBox(*middle, width * 0.95, length * 0.62, degrees + sign * 17).corners_px()
        ends = np.rint(np.stack([box[0 if sign < 0 else 1], box[3 if sign < 0 else 2]]) * _FINE).astype(int)
        cv2.line(owner, ends[0].tolist(), ends[1].tolist(), number, round(5 * _FINE))


def _look(draw: np.random.Generator, base: int) -> Floats:
    """Return smooth colours around a brightness, (H, W, 3)."""
    coarse = draw.normal(0, 1, (SIZE_PX // 16, SIZE_PX // 16, 3)).astype(np.float32)
    field = cv2.resize(coarse, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_CUBIC)
    tint = draw.uniform(-25, 25, 3)
    return np.clip(base + tint + 12 * field, 60, 215).astype(np.float32)


def ours(sample: Sample, refiners: list[Refiner], size_px: int = CROP_PX) -> Pixels:
    """Return the sample refined through our crops."""
    plans = crops.plan_crops(sample, (size_px, size_px))
    pairs = [(plan, refiners[plan.person](crops.extract(sample.image, plan))) for plan in plans]
    return crops.reinsert(sample, pairs)


def as_printed(sample: Sample, refiners: list[Refiner], size_px: int = CROP_PX) -> Pixels:
    """Return the sample refined as algorithms 5 and 6 print it: crops of one size and scale, pasted whole, one mask."""
    result = sample.image.copy()
    height, width = result.shape[:2]
    for plan in fixed_crops(sample, size_px):
        crop = refiners[plan.person](crops.extract(sample.image, plan))
        crop = np.clip(np.rint(crop), 0, 255).astype(np.uint8)
        there = _inside(plan, (width, height))
        back = crops.CropPlan(plan.person, None, (width, height), plan.image_from_crop)
        result[there] = crops.extract(crop, back)[there]
    mask = (sample.layers["instances"] > 0)[..., None]
    return np.where(mask, result, sample.image)


def fixed_crops(sample: Sample, size_px: int) -> Iterator[crops.CropPlan]:
    """Yield the thesis's crops: of one scale, the head in the middle, towards the centre of the image."""
    for plan in crops.plan_crops(sample, (size_px, size_px)):
        head = np.array(sample.people[plan.person].head_px)  # type: ignore[index]
        turn = plan.crop_from_image[:, :2] / plan.scale
        place = size_px / 2 - turn @ head
        yield crops.CropPlan(plan.person, plan.instance, plan.size_px, np.column_stack([turn, place]))


def _inside(plan: crops.CropPlan, size_px: tuple[int, int]) -> npt.NDArray[np.bool_]:
    rows, columns = np.mgrid[: size_px[1], : size_px[0]] + 0.5
    places = plan.to_crop(np.stack([columns, rows], axis=-1))
    return ((places >= 0) & (places <= plan.size_px)).all(axis=-1)


def bands(stage: Staged) -> dict[str, npt.NDArray[np.bool_]]:
    """Return where to look: the pixels around outlines, where people meet, and where the thesis's crops end."""
    people = stage.shares[1:]
    mixed = (people > 0.01) & (people < 0.99)
    meet = mixed.sum(axis=0) > 1
    rims = np.zeros_like(meet)
    size_px = stage.sample.size_px
    for plan in fixed_crops(stage.sample, CROP_PX):
        there = _inside(plan, size_px).astype(np.uint8)
        own = people[plan.person] > 0.5
        rims |= own & (cv2.morphologyEx(there, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0)
    thick = np.ones((2 * _BAND_PX + 1,) * 2, np.uint8)

    def widened(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        return cv2.dilate(mask.astype(np.uint8), thick) > 0

    overlap = widened(meet)
    outlines = widened(mixed.any(axis=0)) & ~overlap
    return {"outlines": outlines, "where people meet": overlap, "where bodies leave the thesis's crops": widened(rims)}


def errors(stage: Staged, image: Pixels, refiners: list[Refiner]) -> dict[str, tuple[float, float]]:
    """Return the mean and the 99th percentile of the distance from the truth, by band, in grey levels."""
    off = np.abs(image - stage.refined(refiners)).max(axis=-1)
    return {name: (float(off[band].mean()), float(np.percentile(off[band], 99))) for name, band in bands(stage).items()}


def main() -> None:
    """Measure, print, and draw where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", type=int, default=8, help="drawn samples to measure")
    parser.add_argument("--quick", action="store_true", help="two of them")
    args = parser.parse_args()
    refiners = [planted(n) for n in range(4)]
    stages = [staged(seed) for seed in range(2 if args.quick else args.stages)]
    found = [[errors(stage, how(stage.sample, refiners), refiners) for stage in stages] for how in (ours, as_printed)]
    rows = []
    for name in found[0][0]:
        for n, kind in enumerate(("mean", "99th percentile")):
            means = [float(np.mean([one[name][n] for one in errors_])) for errors_ in found]
            rows.append(Result(f"{name}, {kind}", "levels", *means, "algorithm 6 as printed"))
    report("grey levels from what should be seen", rows)


if __name__ == "__main__":
    main()
