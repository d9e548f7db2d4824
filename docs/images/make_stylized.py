# SPDX-License-Identifier: Apache-2.0
"""Draw pictures of brush strokes, stylize people of a rendered set with them, and show both as one JPEG.

python docs/images/make_stylized.py docs/images/stylized.jpg rendered
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from synthkit.crops import extract, plan_crops
from synthkit.dataset import Dataset
from synthkit.interfaces import Runtime
from synthkit.report.drawing import Picture, encode, grid
from synthkit.seeds import Seeds
from synthkit_stylize.config import StylizeConfig
from synthkit_stylize.refiner import StylizeRefiner

PICTURES, SIZE_PX, STROKES = 8, 512, 6000
COLUMNS, SHOWN_PX = 8, 160


def main() -> None:
    """Read the command line and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="the JPEG to write")
    parser.add_argument("data", type=Path, help="rendered set")
    args = parser.parse_args()
    samples = list(Dataset.open(args.data))
    with tempfile.TemporaryDirectory() as folder:
        for n in range(PICTURES):
            Image.fromarray(strokes(Seeds(n).stream("strokes"))).save(Path(folder, f"{n}.png"))
        with StylizeRefiner(StylizeConfig(textures=Path(folder)), None, Runtime(Seeds(0), Path(folder))) as refiner:
            refined = list(refiner.refine(samples))
    plans = [(n, plan) for n, sample in enumerate(samples) for plan in plan_crops(sample, (SHOWN_PX, SHOWN_PX))]
    shown = [plans[place] for place in np.linspace(0, len(plans) - 1, COLUMNS).round().astype(int)]
    crops = [extract(row[n].image, plan) for row in (samples, refined) for n, plan in shown]
    args.out.write_bytes(encode(grid(crops, COLUMNS), quality=85))


def strokes(draw: np.random.Generator) -> Picture:
    """Return short strokes of a few colours along a field of directions that swirls."""
    palette = draw.integers(0, 256, (5, 3))
    swirls = cv2.resize(draw.normal(size=(5, 5)), (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_CUBIC)
    places = cv2.resize(draw.uniform(0, 5, (6, 6)), (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_CUBIC)
    canvas = np.full((SIZE_PX, SIZE_PX, 3), palette[0], np.uint8)
    for x, y in draw.integers(0, SIZE_PX, (STROKES, 2)):
        angle, length = 2 * np.pi * swirls[y, x], draw.uniform(10, 30)
        colour = np.clip(palette[int(places[y, x]) % 5] + draw.normal(0, 20, 3), 0, 255)
        end = int(x + length * np.cos(angle)), int(y + length * np.sin(angle))
        cv2.line(canvas, (int(x), int(y)), end, colour.tolist(), int(draw.integers(2, 7)), cv2.LINE_AA)
    return canvas


if __name__ == "__main__":
    main()
