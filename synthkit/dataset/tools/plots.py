# SPDX-License-Identifier: Apache-2.0
"""What ``stats`` counted, as PNG plots: how many people, how large, where, and how much of them is seen."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from synthkit.dataset import storage
from synthkit.dataset.tools.outputs import check_folder
from synthkit.dataset.tools.stats import SECTORS, Spread, Stats
from synthkit.errors import SynthkitError
from synthkit.report.plots import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import Locator

_INK = "#3c4248"
_MAP_CELLS = (12, 48)  # along the image's longer side: few people need large cells to be a density


def write_plots(found: Stats, folder: Path) -> list[Path]:
    """Write the plots of a set's numbers as PNG files, those of which something is known; return their paths.

    Raises:
        SynthkitError: when matplotlib is not installed. ConfigError: when the folder is in a data set.
            DatasetError: when it cannot be written.
    """
    check_folder(folder, "--plots")
    try:
        import matplotlib  # noqa: F401 - asked for before anything is written
    except ImportError:
        raise SynthkitError("plots need matplotlib: pip install 'synthkit-core[report]'") from None
    with storage.disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, draw in _PLOTS.items():
        figure = draw(found)
        if figure is not None:
            path = folder / f"{name}.png"
            storage.write_atomically(path, [_png(figure)])
            paths.append(path)
    return paths


def _people(found: Stats) -> Figure | None:
    if not found.people_per_image:
        return None
    figure, axes = _figure("How many people are in an image", "people", "images")
    counts = found.people_per_image
    axes.bar(list(counts), list(counts.values()), width=0.8, color=PALETTE[0])
    axes.set_xlim(min(counts) - 0.9, max(counts) + 0.9)
    axes.xaxis.set_major_locator(_whole())
    axes.yaxis.set_major_locator(_whole())
    return figure


def _sizes(found: Stats) -> Figure | None:
    spreads: dict[str, Spread] = {}
    for name, spread in (
        ("visible box, width", found.box_width_px),
        ("visible box, height", found.box_height_px),
        ("rotated box, long side", found.long_side_px),
        ("rotated box, short side", found.short_side_px),
    ):
        if spread is not None:
            spreads[name] = spread
    if not spreads:
        return None
    figure, axes = _figure("How large people are", "pixels", "", height_in=1.2 + 0.45 * len(spreads))
    for row, (name, spread) in enumerate(reversed(spreads.items())):
        axes.plot((spread.low, spread.high), (row, row), color=PALETTE[0], linewidth=1)
        axes.plot((spread.p5, spread.p95), (row, row), color=PALETTE[0], linewidth=9, solid_capstyle="butt", alpha=0.45)
        axes.plot(spread.median, row, "o", color=PALETTE[1], markersize=6, label=name if row == 0 else None)
    axes.set_yticks(range(len(spreads)), list(spreads)[::-1])
    axes.set_ylim(-0.6, len(spreads) - 0.4)
    axes.set_xlim(left=0)
    axes.set_xlabel("pixels: all (line), nine tenths (bar), median (dot)", fontsize=9, color=_INK)
    return figure


def _places(found: Stats) -> Figure | None:
    places = found.places
    if not len(places.x):
        return None
    figure, axes = _figure("Where in the image people are", "pixels", "pixels", height_in=5.0)
    cell = max(places.width_px, places.height_px) / np.clip((2 * len(places.x)) ** 0.5, *_MAP_CELLS)
    bins = [max(1, round(places.height_px / cell)), max(1, round(places.width_px / cell))]
    counts, _, _ = np.histogram2d(places.y, places.x, bins, ((0, 1), (0, 1)))
    shown = axes.imshow(
        np.where(counts > 0, counts, np.nan), extent=(0, places.width_px, places.height_px, 0), cmap="viridis",
        interpolation="nearest", vmin=0,
    )  # fmt: skip
    axes.set_facecolor("#eef0f1")
    axes.grid(False)
    axes.plot(places.width_px / 2, places.height_px / 2, "+", color="#d55e00", markersize=12, markeredgewidth=1.5)
    bar = figure.colorbar(shown, ax=axes, shrink=0.8, ticks=_whole())
    bar.set_label("people (middles of their boxes)", fontsize=9, color=_INK)
    bar.ax.tick_params(labelsize=8, colors=_INK)
    return figure


def _directions(found: Stats) -> Figure | None:
    if not sum(found.sectors):
        return None
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.4, 4.4), layout="constrained")
    axes = figure.add_subplot(projection="polar")
    axes.set_theta_direction(-1)  # type: ignore[attr-defined]  # a polar one
    width = 2 * np.pi / SECTORS
    axes.bar((np.arange(SECTORS) + 0.5) * width, found.sectors, width=0.94 * width, color=PALETTE[0], alpha=0.85)
    axes.set_title("In which direction from the centre people are", fontsize=11, color=_INK, loc="left", pad=14)
    axes.tick_params(labelsize=8, colors=_INK)
    axes.set_xticks(np.arange(0, 2 * np.pi, np.pi / 2), ["right", "down", "left", "up"])
    axes.yaxis.set_major_locator(_whole(4))
    axes.grid(color=_INK, alpha=0.15)
    axes.spines["polar"].set_color("#c9cdd0")
    return figure


def _visible(found: Stats) -> Figure | None:
    if not sum(found.visible_fraction):
        return None
    figure, axes = _figure("How much of people is seen", "visible part of the person's pixels", "people")
    tenths = len(found.visible_fraction)
    edges = np.arange(tenths) / tenths
    axes.bar(edges + 0.5 / tenths, found.visible_fraction, width=0.9 / tenths, color=PALETTE[2])
    axes.set_xlim(0, 1)
    axes.yaxis.set_major_locator(_whole())
    return figure


_PLOTS: Mapping[str, Callable[[Stats], Figure | None]] = {
    "people_per_image": _people,
    "sizes": _sizes,
    "places": _places,
    "directions": _directions,
    "visible_fraction": _visible,
}


def _figure(title: str, x_label: str, y_label: str, height_in: float = 3.2) -> tuple[Figure, Axes]:
    # A Figure of its own, not pyplot's: no global state and no display needed.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, height_in), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=11, color=_INK, loc="left")
    axes.set_xlabel(x_label, fontsize=9, color=_INK)
    axes.set_ylabel(y_label, fontsize=9, color=_INK)
    axes.tick_params(colors=_INK, labelsize=8)
    axes.grid(color=_INK, alpha=0.12)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color("#c9cdd0")
    return figure, axes


def _whole(most: int = 8) -> Locator:
    """Return what puts ticks at whole numbers alone: people and images are counted."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(most, integer=True, min_n_ticks=1)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()
