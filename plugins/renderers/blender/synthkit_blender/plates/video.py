# SPDX-License-Identifier: Apache-2.0
"""A plate from a video: what a fixed camera sees when nobody is in the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from synthkit.dataset.formats.video import VideoSource
from synthkit.errors import DatasetError
from synthkit.interfaces import Progress, silent

FRAMES = 75
MEMORY_BYTES = 400_000_000
BYTES_PER_PIXEL = 32  # of each frame while a strip is worked on, about: colours, greys and their order
NARROWINGS = (3, 2)  # the third that lies closest together, and the half of it
Frames = NDArray[np.uint8]


def plate_of(video: Path, *, frames: int = FRAMES, progress: Progress = silent) -> Frames:
    """Return (H, W, 3) sRGB, what a video of a fixed camera shows most steadily at each pixel.

    The video is decoded once for its length and once for each strip of rows whose frames fit into ``MEMORY_BYTES``.

    Args:
        frames: how many of its frames, evenly spread, are looked at.

    Raises:
        DatasetError: when it is no video, or has fewer than three frames.
    """
    source = VideoSource(video)
    count = len(source)
    if count < 3:
        raise DatasetError(f"{video}: has {count} frames; a plate needs three or more, and people who move")
    chosen = np.unique(np.linspace(0, count - 1, min(frames, count)).round().astype(int)).tolist()
    height, width = source.sample(0).image.shape[:2]
    rows = max(1, min(height, MEMORY_BYTES // (BYTES_PER_PIXEL * width * len(chosen))))
    plate = np.zeros((height, width, 3), np.uint8)
    total = len(range(0, height, rows)) * len(chosen)
    for strip, top in enumerate(range(0, height, rows)):
        stack = np.empty((len(chosen), min(rows, height - top), width, 3), np.uint8)
        for n, image in enumerate(_images(source, chosen, (height, width))):
            stack[n] = image[top : top + rows]
            progress("frames", strip * len(chosen) + n + 1, total)
        plate[top : top + rows] = steadiest(stack)
    return plate


def _images(source: VideoSource, chosen: list[int], size: tuple[int, int]) -> Iterator[Frames]:
    for index in chosen:
        image = source.sample(index).image
        if image.shape[:2] != size:  # a stream may change its size on the way
            image = np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
        yield image


def steadiest(stack: Frames) -> Frames:
    """Return (H, W, 3), at each pixel of (N, H, W, 3) the middle colour of those of the N that are closest together.

    The shortest third of a sample, and the shortest half of that, by grey level: the half-sample mode (Bickel and
    Frühwirth, Comput. Stat. Data Anal. 50, 2006) with another first step, stopped while enough are left to even noise
    out. A background is found that shows a third of the time, where what hides it differs; the median needs half.
    """
    grey = stack @ np.array([0.299, 0.587, 0.114], np.float32)
    order = grey.argsort(axis=0, kind="stable")
    grey = np.take_along_axis(grey, order, axis=0)
    length = len(stack)
    start = np.zeros((1, *grey.shape[1:]), np.intp)
    for parts in NARROWINGS:
        kept = -(-length // parts)
        offsets = np.arange(length - kept + 1)[:, None, None]
        low = np.take_along_axis(grey, start + offsets, axis=0)
        high = np.take_along_axis(grey, start + offsets + kept - 1, axis=0)
        start = start + (high - low).argmin(axis=0)[None]
        length = kept
    chosen = np.take_along_axis(order, start + np.arange(length)[:, None, None], axis=0)
    # Of another colour that happens to be as bright there may be a few.
    colours: Frames = np.median(np.take_along_axis(stack, chosen[..., None], axis=0), axis=0).astype(np.uint8)
    return colours
