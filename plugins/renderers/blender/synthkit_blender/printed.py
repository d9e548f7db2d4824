# SPDX-License-Identifier: Apache-2.0
"""What is printed, written, painted or shown in a room: pages, whiteboards, pictures, screens, views out of windows.

Each room draws its own. What goes together is one texture, a row of cells, so that it is one material to the renderer.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable

import attrs
import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthkit.seeds import Seeds
from synthkit_blender.geometry import Mesh, quad
from synthkit_blender.people.types import Texture

Canvas = NDArray[np.uint8]
Draw = Callable[[Canvas, np.random.Generator], None]
RANDOM = np.random.Generator
INKS = ((35, 35, 40), (40, 60, 150), (170, 40, 45), (40, 115, 60))


@attrs.frozen(eq=False)
class Printed:
    """A texture of ``cells`` pictures side by side."""

    texture: Texture
    cells: int

    def sheet(self, number: int, corners_m: ArrayLike) -> Mesh:
        """Return a face that shows one picture, the first again after the last.

        Args:
            corners_m: (4, 3) where the picture's lower left, lower right, upper right and upper left are.
        """
        left = (number % self.cells) / self.cells
        right = left + 1 / self.cells
        uv = np.array([[[left, 0], [right, 0], [right, 1], [left, 1]]], np.float32)
        return attrs.evolve(quad(corners_m), uv=uv)


class Prints:
    """All that is printed in one room; each kind is drawn when it is first wanted."""

    def __init__(self, seeds: Seeds) -> None:
        self._seeds = seeds

    @functools.cached_property
    def pages(self) -> Printed:
        """Sheets of paper, upright."""
        return self._drawn("pages", page, 8, (64, 90))

    @functools.cached_property
    def pictures(self) -> Printed:
        """Posters and paintings of any shape."""
        return self._drawn("pictures", picture, 6, (64, 64))

    @functools.cached_property
    def boards(self) -> Printed:
        """What is left on whiteboards."""
        return self._drawn("boards", board, 2, (256, 140))

    @functools.cached_property
    def screens(self) -> Printed:
        """What computers show."""
        return self._drawn("screens", screen, 5, (96, 56))

    @functools.cached_property
    def views(self) -> Printed:
        """What is seen through windows."""
        return self._drawn("views", view, 6, (64, 64))

    def _drawn(self, name: str, draw: Draw, cells: int, size_px: tuple[int, int]) -> Printed:
        canvases = []
        for number in range(cells):
            canvas = np.full((size_px[1], size_px[0], 3), 255, np.uint8)
            draw(canvas, self._seeds.stream(name, number))
            canvases.append(canvas)
        pixels = np.concatenate(canvases, axis=1)
        return Printed(Texture(hashlib.sha256(pixels.tobytes()).hexdigest(), pixels), cells)


def page(canvas: Canvas, rng: RANDOM) -> None:
    """Draw a page of text with a heading, now and then with a figure or a table."""
    height, width = canvas.shape[:2]
    canvas[:] = rng.integers(236, 252)
    ink = int(rng.integers(40, 110))
    _bar(canvas, 7, 6, int(width * rng.uniform(0.3, 0.8)), 4, (ink, ink, ink))
    kind = rng.random()
    row = 16
    if kind < 0.25:
        _figure(canvas, rng, 8, row, width - 16, int(height * rng.uniform(0.25, 0.45)))
        row += int(height * 0.5)
    elif kind < 0.4:
        for n in range(5):
            cv2.rectangle(canvas, (8, row), (8 + (width - 16) * (n + 1) // 5, height // 2), (ink, ink, ink), 1)
        row = height // 2 + 5
    _text(canvas, rng, (7, row, width - 7, height - int(rng.uniform(6, height * 0.4))), (ink, ink, ink))


def picture(canvas: Canvas, rng: RANDOM) -> None:
    """Draw a poster, a landscape, or bright shapes."""
    kind = rng.random()
    if kind < 0.4:
        _poster(canvas, rng)
    elif kind < 0.75:
        view(canvas, rng)
    else:
        canvas[:] = _color(rng)
        for _ in range(int(rng.integers(3, 9))):
            centre, size = rng.uniform(0, 64, 2).tolist(), rng.uniform(8, 40, 2).tolist()
            corners = cv2.boxPoints((centre, size, float(rng.uniform(0, 90))))
            cv2.fillPoly(canvas, [corners.astype(np.int32)], _color(rng))


def board(canvas: Canvas, rng: RANDOM) -> None:
    """Draw what was written on a whiteboard, and what wiping it left."""
    height, width = canvas.shape[:2]
    canvas[:] = 246
    for _ in range(int(rng.integers(2, 6))):
        start = rng.uniform((0, 0), (width, height))
        smear = np.cumsum(np.vstack([start, rng.normal((9, 0), (4, 14), (9, 2))]), axis=0)
        shade = int(rng.integers(228, 243))
        cv2.polylines(canvas, [smear.astype(np.int32)], False, (shade, shade, shade + 4), 14, cv2.LINE_AA)
    for _ in range(int(rng.integers(0, 5))):
        ink = INKS[int(rng.integers(len(INKS)))]
        x, y = (int(v) for v in rng.uniform((6, 6), (width * 0.75, height * 0.75)))
        if rng.random() < 0.3:
            corner = (x + int(rng.integers(25, 60)), y + int(rng.integers(15, 30)))
            cv2.rectangle(canvas, (x, y), corner, ink, 1, cv2.LINE_AA)
            cv2.arrowedLine(canvas, corner, (corner[0] + 22, corner[1] + 6), ink, 1, cv2.LINE_AA)
        for line in range(int(rng.integers(1, 6))):
            _handwriting(canvas, rng, x, y + 9 * line, int(rng.integers(25, 90)), ink)


def screen(canvas: Canvas, rng: RANDOM) -> None:
    """Draw a window or two with text, light or dark."""
    dark = rng.random() < 0.35
    canvas[:] = _color(rng)
    ground, ink = ((32, 34, 40), (170, 175, 180)) if dark else ((238, 240, 243), (90, 95, 105))
    left, top, right = (int(v) for v in rng.uniform((2, 2, 70), (20, 8, 94)))
    cv2.rectangle(canvas, (left, top), (right, 50), ground, -1)
    cv2.rectangle(canvas, (left, top), (right, top + 4), _color(rng), -1)
    if rng.random() < 0.35:
        _figure(canvas, rng, left + 4, top + 8, right - left - 8, 20)
        top += 22
    _text(canvas, rng, (left + 4, top + 8, right - 3, 48), ink)
    cv2.rectangle(canvas, (0, 53), (96, 56), (40, 44, 52), -1)


def view(canvas: Canvas, rng: RANDOM) -> None:
    """Draw a view out of a window: sky, and below it trees or houses out of focus."""
    height, width = canvas.shape[:2]
    horizon = int(height * rng.uniform(0.35, 0.75))
    top, low = sorted(rng.uniform(170, 255, 2).tolist())
    canvas[:] = np.linspace(top, low, height)[:, None, None] * np.array([0.93, 0.97, 1.0])
    for _ in range(int(rng.integers(5, 14))):
        x, size = int(rng.uniform(0, width)), int(rng.uniform(6, 22))
        green = rng.random() < 0.5
        shade = np.array((95, 120, 80) if green else (150, 140, 130)) * rng.uniform(0.5, 1.2)
        color = tuple(int(v) for v in shade)
        if green:
            cv2.circle(canvas, (x, horizon + int(rng.uniform(-6, 10))), size, color, -1)
        else:
            cv2.rectangle(canvas, (x - size, horizon - size), (x + size, height), color, -1)
    ground = int(rng.uniform(100, 170))
    cv2.rectangle(canvas, (0, horizon + 14), (width, height), (ground, ground, ground - 8), -1)
    canvas[:] = 90 + 0.65 * cv2.GaussianBlur(canvas, (0, 0), 3.0)  # the glass is bright


def _poster(canvas: Canvas, rng: RANDOM) -> None:
    canvas[:] = _color(rng) if rng.random() < 0.6 else (240, 238, 232)
    dark = canvas[0, 0].mean() < 130
    ink = (235, 235, 230) if dark else (50, 50, 60)
    _figure(canvas, rng, 6, 16, 52, 24)
    _bar(canvas, 6, 5, int(rng.uniform(25, 52)), 6, ink)
    _text(canvas, rng, (6, 45, 58, 60), ink)


def _figure(canvas: Canvas, rng: RANDOM, x: int, y: int, width: int, height: int) -> None:
    """Draw a chart of bars, or a photo: shades of one colour that run into each other."""
    if rng.random() < 0.5:
        color = _color(rng)
        for left in range(x, x + width - 4, 7):
            tall = int(rng.uniform(0.2, 1) * height)
            _bar(canvas, left, y + height - tall, 4, tall, color)
        return
    shades = np.array(_color(rng)) * rng.uniform(0.3, 1.6, (3, 4, 1)) + rng.normal(0, 12, (3, 4, 3))
    window = canvas[y : y + height, x : x + width]
    window[:] = cv2.resize(np.clip(shades, 0, 255), (window.shape[1], window.shape[0]))


def _text(canvas: Canvas, rng: RANDOM, within: tuple[int, int, int, int], ink: tuple[int, ...]) -> None:
    """Draw lines of words in a rectangle (left, top, right, bottom); some lines end early, and make paragraphs."""
    left, top, right, bottom = within
    for y in range(top, bottom - 1, 4):
        end = right if rng.random() < 0.75 else left + int((right - left) * rng.uniform(0.1, 0.8))
        x = left
        while x < end - 2:
            word = int(rng.integers(3, 11))
            _bar(canvas, x, y, min(word, end - x), 2, ink)
            x += word + 2


def _handwriting(canvas: Canvas, rng: RANDOM, x: int, y: int, length: int, ink: tuple[int, int, int]) -> None:
    steps = np.arange(0, length, 1.5)
    rise = 2.6 * np.sin(steps * rng.uniform(1.2, 1.7)) * rng.uniform(0.4, 1.2, len(steps))
    points = np.column_stack([x + steps + rng.normal(0, 0.7, len(steps)), y + rise])
    for word in np.array_split(points, max(1, length // 16)):
        cv2.polylines(canvas, [word[:-2].astype(np.int32)], False, ink, 1, cv2.LINE_AA)


def _bar(canvas: Canvas, x: int, y: int, width: int, height: int, color: tuple[int, ...]) -> None:
    canvas[y : y + height, x : x + width] = color


def _color(rng: RANDOM) -> tuple[int, int, int]:
    """Draw a muted colour."""
    grey, spread = rng.uniform(50, 215), rng.normal(0, 28, 3)
    red, green, blue = (int(v) for v in np.clip(grey + spread, 10, 245))
    return red, green, blue
