# SPDX-License-Identifier: Apache-2.0
"""Make the README's picture from data sets: rendered with its truth, refined, and people close up before and after.

    synthkit build --renderer blender --refiner cyclegan-dfm --count 5 --seed 3 --out overview \
        --set renderer.width_px=720 --set renderer.height_px=720 --set renderer.samples=16
    python docs/images/make_overview.py overview 3 docs/images/overview.jpg
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from synthkit import crops
from synthkit.dataset import Dataset
from synthkit.report.drawing import Picture, draw, encode, grid

PEOPLE = 4
CROP_PX = 176


def main() -> None:
    """Read the command line and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path, help="folder of a finished 'synthkit build'")
    parser.add_argument("index", type=int, help="which sample")
    parser.add_argument("out", type=Path, help="the JPEG to write")
    args = parser.parse_args()
    before = Dataset.open(args.build / "rendered")[args.index]
    after = Dataset.open(args.build / "refined").by_key(before.key)
    plans = sorted(crops.plan_crops(before, (CROP_PX, CROP_PX)), key=lambda plan: plan.scale)[:PEOPLE]
    cells = [crops.extract(image, plan) for plan in plans for image in (before.image, after.image)]
    close = grid(cells, 2)
    height = close.shape[0]
    picture = beside([_fit(draw(before), height), _fit(after.image, height), close])
    args.out.write_bytes(encode(picture, quality=90))


def beside(pictures: list[Picture], gap_px: int = 8) -> Picture:
    """Return pictures of one height in a row."""
    gap = np.full((pictures[0].shape[0], gap_px, 3), 255, np.uint8)
    row = [part for picture in pictures for part in (picture, gap)][:-1]
    return np.concatenate(row, axis=1)


def _fit(picture: Picture, height_px: int) -> Picture:
    """Return a square picture with the given height."""
    from PIL import Image

    return np.asarray(Image.fromarray(picture).resize((height_px, height_px), Image.Resampling.LANCZOS))


if __name__ == "__main__":
    main()
