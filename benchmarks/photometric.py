# SPDX-License-Identifier: Apache-2.0
"""How fast a CycleGAN learns what light and sensors change: brightness, and contrast, each told by itself.

    python benchmarks/photometric.py --set RENDERED            a data set; windows of it are source and target
    python benchmarks/photometric.py --quick                   whether it runs: noise for images, a few steps
    python benchmarks/photometric.py --set RENDERED --rate 5e-4 --steps 1000

The target is other windows of the same images with a known change: 0.6 of the contrast around middle grey, and darker.
So it is known what a refiner is to do, and how much of it is done is told of

- brightness: how far the mean has come from the source's to the target's; 1 is right, 0 untouched
- contrast: how far the mean deviation within an image has come

once by ``cyclegan-cp`` as it trains, without pairs, and once by its generator alone that is taught with pairs (mean
absolute error), which no refiner has: what that does not learn in as many steps is not the discriminators' fault.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from reporting import Result, report

from synthkit.dataset import Dataset
from synthkit.seeds import Seeds
from synthkit_cyclegan.config import CycleGANConfig
from synthkit_cyclegan.networks import Generator
from synthkit_cyclegan.training import Training

CONTRAST, LEVELS = 0.6, -33.0
COUNT, SHOWN = 400, 64
BETAS = (0.5, 0.999)

Pixels = npt.NDArray[np.uint8]
Levels = npt.NDArray[np.float32]


def changed(images: Levels) -> Levels:
    """Return images in grey levels with less contrast, and darker."""
    return np.clip((images - 128) * CONTRAST + 128 + LEVELS, 0, 255)


def windows(data: Dataset | None, px: int, stream: np.random.Generator) -> Pixels:
    """Return windows (N, px, px, 3) of a set's images, from the middle three quarters; of no set, blurred noise."""
    if data is None:
        coarse = stream.integers(0, 256, (COUNT, px // 8, px // 8, 3), np.uint8)
        return coarse.repeat(8, axis=1).repeat(8, axis=2)
    cut = []
    for number in range(COUNT):
        image = data[number % len(data)].image
        height, width = image.shape[:2]
        top, left = (int(stream.integers(side // 8, side - side // 8 - px)) for side in (height, width))
        cut.append(image[top : top + px, left : left + px])
    return np.stack(cut)


def cycles(source: Pixels, target: Pixels, options: argparse.Namespace) -> Iterator[Generator]:
    """Yield the generator of a CycleGAN after each step."""
    config = CycleGANConfig(
        steps=options.steps, crop_px=options.px, generator_filters=16, discriminator_filters=16,
        learning_rate=options.rate, region="image", cyclic_pixel_weight=10.0,
    )  # fmt: skip
    training = Training(config, source, target, None, Seeds(options.seed), torch.device("cpu"))
    for _ in range(options.steps):
        training.advance()
        yield training.g


def pairs(source: Pixels, options: argparse.Namespace) -> Iterator[Generator]:
    """Yield a generator that is taught by the right answers, after each step."""
    generator = Generator(16, generator=torch.Generator().manual_seed(options.seed))
    optimizer = torch.optim.Adam(generator.parameters(), lr=options.rate, betas=BETAS)
    order = Seeds(options.seed).stream("pairs").integers(0, len(source), options.steps)
    for place in order:
        image = source[place : place + 1]
        loss = (generator(as_tensor(image)) - as_tensor(changed(image.astype(np.float32)))).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield generator


def as_tensor(images: Levels | Pixels) -> torch.Tensor:
    """Return images (N, h, w, 3) in grey levels as (N, 3, h, w) in -1..1."""
    return torch.from_numpy(images.astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2).contiguous()


@torch.no_grad()
def done(generator: Generator, source: Pixels) -> tuple[float, float]:
    """Return how much of the change in brightness and in contrast a generator makes."""
    images = source[:SHOWN].astype(np.float32)
    made = ((generator(as_tensor(images)) + 1) * 127.5).permute(0, 2, 3, 1).numpy()
    wanted = changed(images)
    shares = []
    for of in (np.mean, lambda shown: float(shown.std(axis=(1, 2, 3)).mean())):
        shares.append(float((of(made) - of(images)) / (of(wanted) - of(images))))
    return shares[0], shares[1]


def main() -> None:
    """Train, and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", type=Path, help="a data set of images")
    parser.add_argument("--quick", action="store_true", help="a few steps upon noise")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--px", type=int, default=32, help="width and height of the windows, a multiple of 8")
    parser.add_argument("--rate", type=float, default=2e-4, help="Adam's rate; the thesis's is 2e-4")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.quick:
        options.steps = 4
    elif options.set is None:
        parser.error("--set: name a data set, or say --quick")
    torch.set_num_threads(1)
    data = None if options.quick else Dataset.open(options.set, layers=())
    streams = [Seeds(options.seed).stream("windows", n) for n in range(2)]
    source, other = (windows(data, options.px, stream) for stream in streams)
    target = np.rint(changed(other.astype(np.float32))).astype(np.uint8)
    results = []
    told_at = {max(1, options.steps * part // 4) for part in range(1, 5)}
    for name, trained in (("cyclegan-cp", cycles(source, target, options)), ("with pairs", pairs(source, options))):
        for step, generator in enumerate(trained, 1):
            if step in told_at:
                shares = zip(("brightness", "contrast"), done(generator, source), strict=True)
                results += [
                    Result(f"{name}, step {step}: {what}", "of the change", share, smaller_is_better=False)
                    for what, share in shares
                ]
    report(f"What is learned of a known change, rate {options.rate}", results)


if __name__ == "__main__":
    main()
