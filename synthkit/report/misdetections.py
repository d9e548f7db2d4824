# SPDX-License-Identifier: Apache-2.0
"""The page of ``synthkit bodies judge``: how the measures of crops are spread, and what the lowest look like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

import synthkit
from synthkit.bodies import judging
from synthkit.bodies.judging import CLASSES, Measures
from synthkit.bodies.misdetections import Parts
from synthkit.bodies.reading import BodyCrop, BodyCrops
from synthkit.interfaces import Chart
from synthkit.report import plots
from synthkit.report.drawing import Picture, grid
from synthkit.report.page import Figure, Page, Plot, Section, Table, write_page

MARK = "written by synthkit bodies judge"
"""By which a page of this kind is known."""

_SHOWN, _PER_ROW = 24, 6
_SHARE = 0.75  # of a part's colour over the image


def write_report(crops: BodyCrops, parts: Parts, found: Sequence[Measures], least: float | None, path: Path) -> None:
    """Write the report as one HTML file.

    Args:
        parts: of the crops' space. found: of all crops. least: the threshold to be marked.
    """
    judged = all(one.right is not None for one in found)
    removed = sum(one.per_part < (least or 0.0) for one in found)
    page = Page(
        title=f"Surface maps of {len(found)} crops",
        lead="How many different vertices each crop shows for each part of the body that it shows; where a finder was"
        " wrong these are few (thesis 002, appendix A).",
        facts=[
            ("crops", str(len(found))),
            ("mesh", crops.space.name),
            *([("threshold", f"{least:g}"), ("left out by it", f"{removed / len(found):.1%}")] if least else []),
        ],
        sections=[_spread(found, least), *([_judged(found, least)] if judged else []), _lowest(crops, parts, found)],
        footer=f"{MARK} {synthkit.__version__}; crops {crops.fingerprint[:12]}",
    )
    write_page(page, path)


def _spread(found: Sequence[Measures], least: float | None) -> Section:
    values = np.sort([one.per_part for one in found])
    points = [(float(value), (n + 1) / len(values)) for n, value in enumerate(values)]
    quantiles = {f"{share:.0%}": f"{np.quantile(values, share):.1f}" for share in (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1)}
    return Section(
        "All crops",
        plots=[_plot("share of crops up to a value", {"all crops": points}, least)],
        tables=[Table(list(quantiles), [list(quantiles.values())], "quantiles of vertices for each part")],
    )


def _judged(found: Sequence[Measures], least: float | None) -> Section:
    counts = Counter(one.judgement for one in found)
    rows = []
    for name in CLASSES:
        left_out = sum(one.judgement == name and one.per_part < (least or 0.0) for one in found)
        lowest = [f"{judging.lowest(found, by)[name]:.0%}" for by in ("vertices", "per_part")]
        rows.append([name, str(counts[name]), f"{left_out / counts[name]:.0%}" if counts[name] else "-", *lowest])
    columns = ["class", "crops", "left out", "of the lowest 5 % by vertices", "by vertices for each part"]
    return Section(
        "As truth judges them",
        ["A map of which less than half of the pixels are on the right part of the body should be filtered away, one of"
         f" which less than three quarters are, probably. Curves are of the lowest {judging.LOOKED_AT:.0%}."],
        plots=[_plot("share of each class up to a value (figure A.6)", judging.cumulative(found), least)],
        tables=[Table(columns, rows, "as table A.1 of the thesis")],
    )  # fmt: skip


def _plot(title: str, series: Mapping[str, Sequence[tuple[float, float]]], least: float | None) -> Plot:
    shown = Chart(title, "different vertices for each part of the body", "share", series, mark=least)
    return Plot(plots.chart(shown), title)


def _lowest(crops: BodyCrops, parts: Parts, found: Sequence[Measures]) -> Section:
    ranked = sorted(found, key=lambda one: one.per_part)[:_SHOWN]
    pictures = [picture(crops[one.place], parts) for one in ranked]
    told = ", ".join(f"{one.key} ({one.per_part:g})" for one in ranked[:6])
    sheet = Figure(grid(pictures, _PER_ROW, background=128), "crops with the lowest values, with their maps", told)
    return Section("The lowest", ["Each with its map beside it, a colour for each part of the body."],
                   figures=[sheet], per_row=1)  # fmt: skip


def picture(crop: BodyCrop, parts: Parts) -> Picture:
    """Return a crop beside its surface map, (H, 2 W, 3) uint8, a colour for each part of the body."""
    hues = np.array([[int(c[n : n + 2], 16) for n in (1, 3, 5)] for c in plots.PALETTE * 50])[:256]
    named = np.concatenate([np.zeros(1, np.int64), 1 + parts.astype(np.int64)])[crop.surface]
    colours = hues[np.maximum(named - 1, 0)]
    mixed = np.where((named > 0)[..., None], _SHARE * colours + (1 - _SHARE) * crop.image, crop.image)
    return np.concatenate([crop.image, mixed.astype(np.uint8)], axis=1)
