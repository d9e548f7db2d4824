# SPDX-License-Identifier: Apache-2.0
"""Draw docs/images/reinsertion.jpg: what is seen where crops were put back, after algorithm 6 as printed and ours.

synthkit render --renderer blender --count 3 --seed 11 --out rendered --set renderer.width_px=512 \\
    --set renderer.height_px=384 --set renderer.room.layout=office \\
    --set 'renderer.people={sitting=[5,7],standing=[7,9]}'
python docs/images/make_reinsertion.py rendered docs/images/reinsertion.jpg --show 2:13 2:4 --crop 80
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from reinsertion import as_printed, ours, planted

from synthkit.dataset import Dataset
from synthkit.report.drawing import Picture, encode, grid
from synthkit.sample import Sample


def main() -> None:
    """Read the command line and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a rendered data set with the layers instances and alpha")
    parser.add_argument("out", type=Path, help="the JPEG to write")
    parser.add_argument("--show", nargs="+", required=True, help="INDEX:INSTANCE of samples and people to show")
    parser.add_argument("--crop", type=int, default=96, help="side of the crops in pixels, the thesis's and ours")
    parser.add_argument("--around", type=int, default=64, help="side of what is shown, in pixels of the image")
    args = parser.parse_args()
    data = Dataset.open(args.data)
    cells = []
    for index, instance in (map(int, pair.split(":")) for pair in args.show):
        cells += _row(data[index], instance, args.crop, args.around)
    args.out.write_bytes(encode(grid(cells, 3), quality=82))


def _row(sample: Sample, instance: int, crop_px: int, side_px: int) -> list[Picture]:
    """Return a person before, after algorithm 6, and after ours."""
    refiners = [planted(number) for number in range(len(sample.people or ()))]
    pictures = [sample.image, as_printed(sample, refiners, crop_px), ours(sample, refiners, crop_px)]
    rows, columns = np.nonzero(sample.layers["instances"] == instance)
    limit = np.array(sample.image.shape[:2]) - side_px
    top, left = np.clip([int(rows.mean()) - side_px // 2, int(columns.mean()) - side_px // 2], 0, limit)
    return [_magnified(picture[top : top + side_px, left : left + side_px]) for picture in pictures]


def _magnified(pixels: Picture, times: int = 4) -> Picture:
    size = pixels.shape[1] * times, pixels.shape[0] * times
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST))


if __name__ == "__main__":
    main()
