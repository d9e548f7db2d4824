# SPDX-License-Identifier: Apache-2.0
"""Samples drawn with their truth: boxes on people, heads, and detections."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from synthkit.dataset import storage
from synthkit.interfaces import Exhibit
from synthkit.sample import Array, Detections, Person, RotatedBox, Sample

Colour = tuple[int, int, int]
Picture = npt.NDArray[np.uint8]

# Colours that stay apart for colour-blind readers (Okabe and Ito's palette).
BODY: Colour = (86, 180, 233)
HEAD: Colour = (240, 228, 66)
FOUND: Colour = (213, 94, 0)
DEFAULT_SCORE = 0.5
_WEBP_QUALITY, _WEBP_MOST_PX = 80, 16383
_AROUND = 2.0  # how much wider a close-up is than what it shows
_LEAST_WINDOW_PX = 48.0
_OUTSIDE: Colour = (128, 128, 128)
_SUPERSAMPLE = 2  # thin lines are drawn larger and shrunk, so that tilted boxes stay smooth


def draw(sample: Sample, *, detections: Detections | None = None, min_score: float = DEFAULT_SCORE) -> Picture:
    """Return the image with rotated (or visible) body boxes, head boxes or points, and detections.

    Returns:
        (H, W, 3) uint8.
    """
    width, height = sample.size_px
    canvas = Image.fromarray(sample.image).resize(
        (width * _SUPERSAMPLE, height * _SUPERSAMPLE), Image.Resampling.BICUBIC
    )
    pen = ImageDraw.Draw(canvas)
    line = max(2, round(min(width, height) / 150)) * _SUPERSAMPLE // 2 + 1
    for person in sample.people or ():
        _draw_person(pen, person, line)
    if detections is not None:
        _draw_found(pen, detections, min_score, line)
    return np.asarray(canvas.resize((width, height), Image.Resampling.LANCZOS))


def _draw_found(pen: ImageDraw.ImageDraw, detections: Detections, min_score: float, line: int) -> None:
    kept = detections.scores >= min_score
    if detections.rotated_boxes is not None:
        for box in detections.rotated_boxes[kept]:
            _draw_outline(pen, RotatedBox(*box).corners_px(), FOUND, line)
    else:
        for upright in detections.boxes_xyxy_px[kept]:
            pen.rectangle(_scaled(upright), outline=FOUND, width=line)


def _draw_outline(pen: ImageDraw.ImageDraw, corners: Array, colour: Colour, line: int) -> None:
    points = [tuple(corner * _SUPERSAMPLE) for corner in corners]
    pen.line([*points, points[0], points[1]], fill=colour, width=line, joint="curve")


def _draw_person(pen: ImageDraw.ImageDraw, person: Person, line: int) -> None:
    if person.rotated_box is not None:
        _draw_outline(pen, person.rotated_box.corners_px(), BODY, line)
    elif person.box_xyxy_px is not None:
        pen.rectangle(_scaled(person.box_xyxy_px), outline=BODY, width=line)
    if person.head_box_xyxy_px is not None:
        pen.rectangle(_scaled(person.head_box_xyxy_px), outline=HEAD, width=line)
    elif person.head_px is not None:
        x, y = (value * _SUPERSAMPLE for value in person.head_px)
        pen.ellipse((x - 2 * line, y - 2 * line, x + 2 * line, y + 2 * line), outline=HEAD, width=line)


def _scaled(box: Iterable[float]) -> tuple[float, ...]:
    return tuple(float(value) * _SUPERSAMPLE for value in box)


def close_up(sample: Sample, exhibit: Exhibit, side_px: int) -> Picture:
    """Return the surroundings of what an exhibit is about: the truth blue, finds orange, what it is about thick.

    Returns:
        (side_px, side_px, 3) uint8; what lies outside the image is grey.
    """
    low, high = exhibit.focus_px.min(axis=0), exhibit.focus_px.max(axis=0)
    window = min(max(float((high - low).max()) * _AROUND, _LEAST_WINDOW_PX), float(max(sample.size_px)))
    corner = (low + high - window) / 2
    pixels = Image.new("RGB", (math.ceil(window), math.ceil(window)), _OUTSIDE)
    pixels.paste(Image.fromarray(sample.image), (-round(corner[0]), -round(corner[1])))
    canvas = pixels.resize((side_px * _SUPERSAMPLE,) * 2, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(canvas)
    scale = side_px / math.ceil(window)
    for outlines, colour in ((exhibit.truth_px, BODY), (exhibit.found_px, FOUND)):
        for corners in outlines:
            same = np.array_equal(corners, exhibit.focus_px)
            _draw_outline(pen, (corners - np.round(corner)) * scale, colour, 8 if same else 3)
    return np.asarray(canvas.resize((side_px, side_px), Image.Resampling.LANCZOS))


def grid(pictures: Sequence[Picture], columns: int, *, gap_px: int = 4, background: int = 255) -> Picture:
    """Return pictures in rows of ``columns``, each in a cell of the largest one's size."""
    if not pictures:
        raise ValueError("a grid needs at least one picture")
    height = max(picture.shape[0] for picture in pictures)
    width = max(picture.shape[1] for picture in pictures)
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * (height + gap_px) - gap_px, columns * (width + gap_px) - gap_px, 3), background, np.uint8)
    for index, picture in enumerate(pictures):
        top, left = (index // columns) * (height + gap_px), (index % columns) * (width + gap_px)
        sheet[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return sheet


def encode(picture: Picture, *, kind: Literal["webp", "png"]) -> bytes:
    """Return a picture as the bytes of a WebP file, which loses what is hardly seen, or of a PNG file."""
    buffer = io.BytesIO()
    options = {"quality": _WEBP_QUALITY} if kind == "webp" else {}
    Image.fromarray(picture).save(buffer, format=kind.upper(), **options)
    return buffer.getvalue()


def write_png(picture: Picture, path: Path) -> None:
    """Write a picture as a PNG file, whole or not at all, in a folder that is made where there is none.

    Raises:
        DatasetError: when it cannot be written.
    """
    with storage.disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    storage.write_atomically(path, [encode(picture, kind="png")], durable=False)


def data_url(picture: Picture) -> str:
    """Return a picture as the URL of a WebP file that holds it, shrunk where it is larger than WebP allows."""
    if max(picture.shape[:2]) > _WEBP_MOST_PX:
        smaller = Image.fromarray(picture)
        smaller.thumbnail((_WEBP_MOST_PX, _WEBP_MOST_PX))
        picture = np.asarray(smaller)
    return "data:image/webp;base64," + base64.b64encode(encode(picture, kind="webp")).decode()
