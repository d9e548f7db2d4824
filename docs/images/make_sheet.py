# SPDX-License-Identifier: Apache-2.0
"""Put the images of data sets side by side as one JPEG; docs/pictures.md has the commands.

python docs/images/make_sheet.py docs/images/rooms.jpg --columns 3 --width 400 rooms-*
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from synthkit.dataset import Dataset
from synthkit.report.drawing import Picture, encode, grid


def main() -> None:
    """Read the command line and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the JPEG to write")
    parser.add_argument("data", type=Path, nargs="+", help="data sets; all of their images are shown, in their order")
    parser.add_argument("--columns", type=int, default=3)
    parser.add_argument("--width", type=int, default=400, help="of each image, in pixels")
    parser.add_argument("--quality", type=int, default=85)
    args = parser.parse_args()
    images = [_shown(sample.image, args.width) for path in args.data for sample in Dataset.open(path)]
    args.out.write_bytes(encode(grid(images, args.columns), quality=args.quality))


def _shown(pixels: Picture, width_px: int) -> Picture:
    """Return an image at a width."""
    image = Image.fromarray(pixels)
    height_px = round(width_px * image.height / image.width)
    return np.asarray(image.resize((width_px, height_px), Image.Resampling.LANCZOS))


if __name__ == "__main__":
    main()
