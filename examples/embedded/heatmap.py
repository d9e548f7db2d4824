# SPDX-License-Identifier: Apache-2.0
"""Where people were over a video: a heat map of people flow over its background.

    python heatmap.py detector.onnx entrance.mp4 --out flow.png

Each find adds a soft disc of its size where the person stands or sits (the middle of its box); what is seen for long is
hot. The background is the median of frames spread over the video, so that people vanish from it. Needs ONNX Runtime,
NumPy, and OpenCV to read the video.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from detect import PICTURES, VIDEOS, Detector, frames, write_picture

COLD, HOT_PERCENT = 0.05, 98  # frames below which nobody was there; what share of the rest is not the hottest
BACKGROUNDS = 25  # frames of which the median is taken
WARMTH = np.array([[0, 0, 90], [0, 90, 200], [0, 190, 120], [240, 220, 0], [230, 40, 0]], np.float64)  # cold to hot


def discs(heat: np.ndarray, rows: np.ndarray) -> None:
    """Add a soft disc for each find to a map (H, W), in place: frames in which somebody was there."""
    height, width = heat.shape
    for row in rows:
        rotated = len(row) == 7
        x, y = (row[0], row[1]) if rotated else ((row[0] + row[2]) / 2, (row[1] + row[3]) / 2)
        size = min(row[2], row[3]) if rotated else min(row[2] - row[0], row[3] - row[1])
        radius = max(size / 3, 1.0)
        left, right = max(int(x - 4 * radius), 0), min(int(x + 4 * radius) + 1, width)
        top, bottom = max(int(y - 4 * radius), 0), min(int(y + 4 * radius) + 1, height)
        if left >= right or top >= bottom:
            continue
        across = np.exp(-(((np.arange(left, right) + 0.5 - x) / radius) ** 2) / 2)
        down = np.exp(-(((np.arange(top, bottom) + 0.5 - y) / radius) ** 2) / 2)
        heat[top:bottom, left:right] += down[:, None] * across[None]


def over(background: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Return a background (H, W, 3) in grey, with the heat in colours over it, clear where nobody was."""
    warm = heat[heat > COLD]
    most = np.percentile(warm, HOT_PERCENT) if len(warm) else 1.0  # who stands there all day must not pale the others
    share = np.sqrt(np.clip(heat / most, 0.0, 1.0))  # the root shows paths beside places where people stay
    place = share * (len(WARMTH) - 1)
    low = np.minimum(place.astype(int), len(WARMTH) - 2)
    colours = WARMTH[low] + (place - low)[..., None] * (WARMTH[low + 1] - WARMTH[low])
    grey = np.repeat(background.mean(axis=2, keepdims=True), 3, axis=2)
    cover = np.clip(share * 1.6, 0.0, 0.75)[..., None]
    return (grey * (1 - cover) + colours * cover).round().astype(np.uint8)


def main() -> None:
    """Detect in every frame and write the map."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="the ONNX file")
    parser.add_argument("video", type=Path, help="a video, or a folder of frames")
    parser.add_argument("--card", type=Path, help="the model's card, if it does not lie beside it")
    parser.add_argument("--score", type=float, help="least score [default: the card's operating score]")
    parser.add_argument("--every", type=int, default=1, help="look at every so many frames")
    parser.add_argument("--out", type=Path, default=Path("flow.png"), help="the picture")
    args = parser.parse_args()
    if args.every < 1:
        parser.error("--every: at least 1")
    if args.out.suffix.lower() not in PICTURES or not args.out.absolute().parent.is_dir():
        parser.error(f"--out {args.out}: expected the name of a picture, such as flow.png, in a folder that is there")
    detector, heat, kept, found, looked = Detector(args.model, args.card), None, [], 0, 0
    if not args.video.is_dir() and args.video.suffix.lower() not in VIDEOS:
        parser.error(f"{args.video}: is neither a video nor a folder")
    gap = 1
    for number, (name, image) in enumerate(frames([str(args.video)], None)):
        if number % args.every:
            continue
        heat = np.zeros(image.shape[:2]) if heat is None else heat
        if image.shape[:2] != heat.shape:
            sys.exit(f"{name}: is of another size than the frames before it; a map is of one camera")
        rows = detector(image, args.score)
        discs(heat, rows)
        found, looked = found + len(rows), looked + 1
        if (looked - 1) % gap == 0:
            kept.append(image)
            if len(kept) == 2 * BACKGROUNDS:  # keep every second one, so that they stay spread over all
                kept, gap = kept[::2], 2 * gap
    if heat is None:
        sys.exit(f"{args.video}: there are no frames in it")
    write_picture(args.out, over(np.median(np.stack(kept), axis=0), heat))
    print(f"{args.out}: {found} finds in {looked} frames")


if __name__ == "__main__":
    main()
