# SPDX-License-Identifier: Apache-2.0
"""Rank lists as pictures: a query, and what ranks nearest to it, right and wrong told by more than colour."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from synthkit.report.drawing import write_png
from synthkit_reid import distances
from synthkit_reid.states import THUMB_PX

if TYPE_CHECKING:
    from synthkit_reid.distances import Kind
    from synthkit_reid.metrics import Ranked

Pixels = npt.NDArray[np.uint8]

NEAREST = 10

_RIGHT, _WRONG, _QUERY = (0, 114, 178), (213, 94, 0), (90, 90, 90)  # of Okabe and Ito's palette
_LINE, _GAP, _BADGE = 4, 6, 18
_CELL = (THUMB_PX[0] + 2 * _LINE, THUMB_PX[1] + 2 * _LINE)
_LEGEND_PX, _TITLE_PX = 40, 30


def write(ranked: Ranked, kind: Kind, shown: int, path: Path) -> None:
    """Write a PNG: a row for each query, half of them the worst by average precision and half the best.

    Raises:
        DatasetError: when it cannot be written.
    """
    groups = _chosen(ranked.scores.ap, shown)
    width = (NEAREST + 1) * (_CELL[0] + _GAP) + 3 * _GAP
    height = _LEGEND_PX + sum(_TITLE_PX + len(places) * (_CELL[1] + _GAP) for places in groups.values())
    sheet = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(sheet)
    _legend(pen, width)
    top = _LEGEND_PX
    for title, places in groups.items():
        pen.text((_GAP, top + _TITLE_PX // 2), title, fill="black", font=_font(16), anchor="lm")
        top += _TITLE_PX
        for place in places:
            for column, cell in enumerate(_row(ranked, kind, place)):
                sheet.paste(cell, (_GAP + column * (_CELL[0] + _GAP) + (2 * _GAP if column else 0), top))
            top += _CELL[1] + _GAP
    write_png(np.asarray(sheet), path)


def _chosen(ap: npt.NDArray[np.float64], shown: int) -> dict[str, npt.NDArray[np.int64]]:
    """Return which queries are shown, by what the rows are headed."""
    order = np.argsort(ap, kind="stable")
    if len(order) <= shown:
        return {"All queries, the worst first": order}
    worst, best = order[: (shown + 1) // 2], order[len(order) - shown // 2 :]
    found = {f"The {len(worst)} worst of {len(order)} queries": worst}
    return found | ({f"The {len(best)} best": best} if len(best) else {})


def _row(ranked: Ranked, kind: Kind, place: int) -> list[Image.Image]:
    """Return the cells of a query: its picture, and those nearest to it that count."""
    seen, labels = ranked.seen, ranked.labels
    query = ranked.queries[ranked.scores.query[place]]
    gallery = ranked.gallery
    asked, among = seen.vectors[[query], ranked.images[0]], seen.vectors[gallery, ranked.images[1]]
    (block,) = distances.blocks(asked, among, kind)
    assert block.exact is not None
    keys = block.exact(np.zeros(len(gallery), np.int64), np.arange(len(gallery)))
    same = labels.identity[gallery] == labels.identity[query]
    out = (labels.view[gallery] == labels.view[query]) & (same | (ranked.removal == "all"))
    order = np.argsort(np.where(out, np.inf, keys), kind="stable")[: min(NEAREST, int((~out).sum()))]
    asked_for = _cell(seen.thumbs[query, ranked.images[0]], _QUERY)
    _label(asked_for, f"AP {ranked.scores.ap[place]:.2f}")
    cells = [asked_for]
    return cells + [_marked(seen.thumbs[gallery[at], ranked.images[1]], bool(same[at])) for at in order]


def _cell(picture: Pixels, colour: tuple[int, int, int]) -> Image.Image:
    cell = Image.new("RGB", _CELL, colour)
    cell.paste(Image.fromarray(picture), (_LINE, _LINE))
    return cell


def _label(cell: Image.Image, text: str) -> None:
    """Write upon the lower edge of a query."""
    pen = ImageDraw.Draw(cell)
    pen.rectangle((0, _CELL[1] - _BADGE - _LINE, _CELL[0], _CELL[1]), fill=_QUERY)
    pen.text((_CELL[0] // 2, _CELL[1] - _BADGE // 2 - _LINE // 2), text, fill="white", font=_font(14), anchor="mm")


def _marked(picture: Pixels, right: bool) -> Image.Image:
    cell = _cell(picture, _RIGHT if right else _WRONG)
    pen = ImageDraw.Draw(cell)
    if not right:  # a broken frame
        for x in range(0, _CELL[0], 12):
            pen.rectangle((x, 0, x + 5, _LINE - 1), fill="white")
            pen.rectangle((x, _CELL[1] - _LINE, x + 5, _CELL[1]), fill="white")
        for y in range(0, _CELL[1], 12):
            pen.rectangle((0, y, _LINE - 1, y + 5), fill="white")
            pen.rectangle((_CELL[0] - _LINE, y, _CELL[0], y + 5), fill="white")
    _badge(pen, (_CELL[0] - _BADGE - _LINE, _CELL[1] - _BADGE - _LINE), right)
    return cell


def _badge(pen: ImageDraw.ImageDraw, corner: tuple[int, int], right: bool) -> None:
    """Draw a tick on a disc, or a cross on a square."""
    x, y = corner
    box = (x, y, x + _BADGE, y + _BADGE)
    if right:
        pen.ellipse(box, fill=_RIGHT, outline="white")
        pen.line([(x + 5, y + 9), (x + 8, y + 13), (x + 14, y + 5)], fill="white", width=3)
    else:
        pen.rectangle(box, fill=_WRONG, outline="white")
        pen.line([(x + 5, y + 5), (x + 13, y + 13)], fill="white", width=3)
        pen.line([(x + 13, y + 5), (x + 5, y + 13)], fill="white", width=3)


def _legend(pen: ImageDraw.ImageDraw, width: int) -> None:
    middle = _LEGEND_PX // 2
    pen.text((_GAP, middle), f"A query, and the {NEAREST} pictures nearest to it", "black", _font(16), anchor="lm")
    for right, text, left in ((True, "the same person", width - 270), (False, "another", width - 100)):
        _badge(pen, (left, middle - _BADGE // 2), right)
        pen.text((left + _BADGE + _GAP, middle), text, fill="black", font=_font(16), anchor="lm")


@functools.cache
def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size_px)
