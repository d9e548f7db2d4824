# SPDX-License-Identifier: Apache-2.0
"""Plots as SVG text: training curves and scores with their intervals."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from synthkit.interfaces import Chart

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_INK = "#808890"  # readable on light and on dark paper
_LEGEND_ROWS = 6


def read_curves(path: Path) -> list[dict[str, float]]:
    """Return the rows of a ``curves.jsonl``; a half-written last line is left out."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and "step" in row:
            rows.append({key: float(value) for key, value in row.items() if isinstance(value, int | float)})
    return rows


def curves(
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    title: str,
    y_label: str,
    x_label: str = "training step",
    log: bool = False,
) -> str:
    """Return an SVG of named (step, value) curves; long ones are smoothed over a fiftieth of their length."""
    figure, axes = _figure(title, x_label, y_label)
    for (name, points), colour in zip(series.items(), cycle(PALETTE), strict=False):
        if not points:
            continue
        steps, values = zip(*points, strict=True)
        if len(values) > 100:
            axes.plot(steps, values, color=colour, alpha=0.18, linewidth=0.7)
            values = tuple(_smooth(values, len(values) // 50))
        marker = "o" if len(values) < 12 else None
        axes.plot(steps, values, color=colour, label=_plain(name), linewidth=1.6, marker=marker, markersize=3)
    if log:
        axes.set_yscale("log")
    if any(series.values()):
        axes.legend(frameon=False, fontsize=8, labelcolor=_INK)
    return _svg(figure)


def chart(shown: Chart) -> str:
    """Return an SVG of a metric's curves as they are, the marked x dashed; or of its clouds and their centres."""
    from matplotlib.ticker import MaxNLocator

    figure, axes = _figure(shown.title, shown.x_label, shown.y_label, height_in=3.6 if shown.scattered else 2.9)
    for (name, points), colour in zip(shown.series.items(), cycle(PALETTE), strict=False):
        if shown.scattered:
            _cloud(axes, points, name, colour)
        else:
            axes.plot(*zip(*points, strict=True), color=colour, label=_plain(name), linewidth=1.6)
    if all(float(x).is_integer() for points in shown.series.values() for x, _ in points):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))  # such as ranks, of which there are no halves
    if shown.mark is not None:
        axes.axvline(shown.mark, color=_INK, linewidth=1, linestyle="--")
    legend = axes.legend(frameon=False, fontsize=8, labelcolor=_INK, markerscale=1.5)
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_alpha(1)  # clouds are pale, what tells their colour is not
    return _svg(figure)


def _cloud(axes: Axes, points: Sequence[tuple[float, float]], name: str, colour: str) -> None:
    xs, ys = zip(*points, strict=True)
    axes.scatter(xs, ys, s=18, color=colour, alpha=0.6, linewidths=0, label=_plain(name))
    centre = sum(xs) / len(xs), sum(ys) / len(ys)
    axes.scatter(*centre, s=90, color=colour, edgecolors="white", linewidths=1.5, zorder=3)
    axes.scatter(*centre, s=130, facecolors="none", edgecolors=_INK, linewidths=1, zorder=3)


@attrs.frozen
class Measured:
    """A point with its 95 % interval upwards and downwards, where there is one."""

    x: float
    y: float
    interval: tuple[float, float] | None = None


@attrs.frozen(eq=False)
class Fitted:
    """A line over xs, and the band in which it lies 95 % of times; empty where there is none."""

    xs: Sequence[float]
    ys: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


def measured(
    series: Mapping[str, Sequence[Measured]],
    *,
    title: str,
    x_label: str,
    y_label: str,
    joined: bool = False,
    line: Fitted | None = None,
) -> str:
    """Return an SVG of named points with their intervals, joined where they follow one another; or with a line."""
    figure, axes = _figure(title, x_label, y_label, height_in=3.4)
    if line is not None:
        if line.low:
            axes.fill_between(line.xs, line.low, line.high, color=_INK, alpha=0.18, linewidth=0)
        axes.plot(line.xs, line.ys, color=_INK, linewidth=1.4)
    for (name, points), colour in zip(series.items(), cycle(PALETTE), strict=False):
        axes.plot([point.x for point in points], [point.y for point in points], color=colour, label=_plain(name),
                  marker="o", markersize=5, linewidth=1.4 if joined else 0)  # fmt: skip
        for point in points:
            if point.interval is not None:
                axes.plot((point.x, point.x), point.interval, color=colour, linewidth=1, alpha=0.7)
    if line is not None:  # the points are what is shown, however wide a band few of them leave
        ends = [end for points in series.values() for point in points for end in point.interval or (point.y,)]
        margin = 0.15 * (max(ends) - min(ends)) or 0.1
        axes.set_ylim(min(ends) - margin, max(ends) + margin)
    columns = 1 if len(series) <= _LEGEND_ROWS else 2
    axes.legend(frameon=False, fontsize=8, labelcolor=_INK, ncols=columns)
    return _svg(figure)


def losses(path: Path, title: str) -> str:
    """Return an SVG of the losses in a ``curves.jsonl``."""
    rows = read_curves(path)
    names = [name for name in rows[0] if name not in ("step", "learning_rate", "seconds")] if rows else []
    series = {name: [(row["step"], row[name]) for row in rows if name in row] for name in names}
    positive = all(value > 0 for points in series.values() for _, value in points)
    return curves(series, title=title, y_label="loss", log=positive)


def bars(values: Mapping[str, tuple[float, tuple[float, float] | None]], *, title: str, x_label: str) -> str:
    """Return an SVG of horizontal bars with their intervals, in the given order from the top."""
    figure, axes = _figure(title, x_label, "", height_in=0.9 + 0.42 * len(values))
    names = list(values)[::-1]
    for row, name in enumerate(names):
        value, interval = values[name]
        axes.barh(row, value, color=PALETTE[0], height=0.55, alpha=0.5)
        if interval is not None:
            axes.plot(interval, (row, row), color=_INK, linewidth=2, solid_capstyle="butt")
        axes.annotate(f"{value:.3g}", (max(value, interval[1] if interval else value), row), xytext=(5, 0),
                      textcoords="offset points", va="center", fontsize=8, color=_INK)  # fmt: skip
    axes.set_yticks(range(len(names)), list(map(_plain, names)))
    axes.set_xlim(0, 1.12 * max([1e-9, *(max(v, i[1] if i else v) for v, i in values.values())]))
    return _svg(figure)


def _figure(title: str, x_label: str, y_label: str, height_in: float = 2.9) -> tuple[Figure, Axes]:
    # A Figure of its own, not pyplot's: no global state and no display needed.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.4, height_in), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.subplots()
    axes.patch.set_alpha(0)
    axes.set_title(_plain(title), fontsize=10, color=_INK, loc="left")
    axes.set_xlabel(_plain(x_label), fontsize=8, color=_INK)
    axes.set_ylabel(_plain(y_label), fontsize=8, color=_INK)
    axes.tick_params(colors=_INK, labelsize=8)
    axes.grid(axis="both", color=_INK, alpha=0.15)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(_INK)
    return figure, axes


def _plain(text: str) -> str:
    """Return a text of the user as matplotlib takes it, of which what stands between dollars is a formula."""
    return text.replace("$", r"\$")


def _smooth(values: Sequence[float], width: int) -> list[float]:
    """Return the mean of each value and the ``width`` before it."""
    result, total = [], 0.0
    for index, value in enumerate(values):
        total += value - (values[index - width] if index >= width else 0.0)
        result.append(total / min(index + 1, width))
    return result


def _svg(figure: Figure) -> str:
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "synthkit"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    # Only the element itself belongs inside a page; its fixed size gives way to the page's width.
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    return re.sub(r'(<svg[^>]*?) width="[^"]*"| height="[^"]*pt"', lambda m: m.group(1) or "", text, count=2)
