# SPDX-License-Identifier: Apache-2.0
"""Plots as SVG text: training curves and scores with their intervals."""

from __future__ import annotations

import io
import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from synthkit.report.numerals import number

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from synthkit.interfaces import Chart

# Okabe and Ito's, which stay apart for colour-blind readers.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_DASHES: Sequence[tuple[float, tuple[float, ...] | None]] = (
    (0, None), (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 1.5, 1.5, 1.5))
)  # fmt: skip
_INK = "#808890"  # where nothing tells another: readable on light and on dark paper; pages have their own
_WIDTH_IN, _LINE_IN, _LETTER_IN = 5.4, 0.17, 0.075  # of small letters
_TITLE_LETTERS, _LABEL_LETTERS, _NAME_LETTERS, _TICK_LETTERS = 54, 62, 58, 26  # in a line
_FEW = 12  # points, each of which is marked
MOST_DOTS = 400  # of a cloud; of more, some that are spread over it, and the centre of all


@attrs.frozen
class Style:
    """What a series looks like: a colour, a marker, and the dashes of its line."""

    colour: str
    marker: str
    dashes: tuple[float, tuple[float, ...] | None]


def styles() -> Iterator[Style]:
    """Yield what series look like one after another: the first 168 all differently, the first 42 by markers alone."""
    for n in count():
        dashes = _DASHES[n // len(PALETTE) % len(_DASHES)]
        yield Style(PALETTE[n % len(PALETTE)], _MARKERS[n % len(_MARKERS)], dashes)


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
    named: dict[str, Artist] = {}
    for (name, points), style in zip(series.items(), styles(), strict=False):
        if points:
            named[name] = _curve(axes, points, style, smoothed=True)
    if log:
        axes.set_yscale("log")
    _tick_whole(axes, (step for points in series.values() for step, _ in points))
    _legend(figure, named)
    return _svg(figure)


def chart(shown: Chart) -> str:
    """Return an SVG of a metric's curves as they are, the marked x dashed; or of its clouds and their centres."""
    figure, axes = _figure(shown.title, shown.x_label, shown.y_label, height_in=3.4 if shown.scattered else 2.9)
    draw = _cloud if shown.scattered else _curve
    named = {name: draw(axes, points, style)
             for (name, points), style in zip(shown.series.items(), styles(), strict=False) if points}  # fmt: skip
    _tick_whole(axes, (x for points in shown.series.values() for x, _ in points))
    if shown.mark is not None:
        axes.axvline(shown.mark, color=_INK, linewidth=1, linestyle="--")
    _legend(figure, named)
    return _svg(figure)


def _tick_whole(axes: Axes, xs: Iterable[float]) -> None:
    """Leave fractions out of the axis of what has none, such as ranks or steps."""
    from matplotlib.ticker import MaxNLocator

    if all(float(x).is_integer() for x in xs):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _curve(axes: Axes, points: Sequence[tuple[float, float]], style: Style, smoothed: bool = False) -> Artist:
    """Draw a line with markers, some of them where it has many points."""
    steps, values = zip(*points, strict=True)
    if smoothed and len(values) > 100:
        axes.plot(steps, values, color=style.colour, alpha=0.18, linewidth=0.7)
        values = tuple(_smooth(values, len(values) // 50))
    start = 0.02 * (PALETTE.index(style.colour) + 1)  # of the diagonal, so that markers of two lines seldom meet
    every = None if len(values) < _FEW else (start, 0.16)
    (line,) = axes.plot(steps, values, color=style.colour, linestyle=style.dashes, linewidth=1.6, marker=style.marker,
                        markersize=4, markevery=every)  # fmt: skip
    return line


def _cloud(axes: Axes, points: Sequence[tuple[float, float]], style: Style) -> Artist:
    xs, ys = zip(*points, strict=True)
    apart = -(-len(xs) // MOST_DOTS)
    cloud = axes.scatter(
        xs[::apart], ys[::apart], s=18, color=style.colour, marker=style.marker, alpha=0.6, linewidths=0
    )
    centre = sum(xs) / len(xs), sum(ys) / len(ys)
    axes.scatter(*centre, s=90, color=style.colour, marker=style.marker, edgecolors="white", linewidths=1.5, zorder=3)
    axes.scatter(*centre, s=130, marker=style.marker, facecolors="none", edgecolors=_INK, linewidths=1, zorder=3)
    return cloud


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
    figure, axes = _figure(title, x_label, y_label, height_in=3.2)
    if line is not None:
        if line.low:
            axes.fill_between(line.xs, line.low, line.high, color=_INK, alpha=0.18, linewidth=0)
        axes.plot(line.xs, line.ys, color=_INK, linewidth=1.4)
    named: dict[str, Artist] = {}
    for (name, points), style in zip(series.items(), styles(), strict=False):
        if not points:  # of a series that other plots have, and which keeps its looks there and here
            continue
        (named[name],) = axes.plot([point.x for point in points], [point.y for point in points], color=style.colour,
                                   marker=style.marker, markersize=5.5, linewidth=1.4 if joined else 0,
                                   linestyle=style.dashes)  # fmt: skip
        for point in points:
            if point.interval is not None:
                axes.plot((point.x, point.x), point.interval, color=style.colour, linewidth=1, alpha=0.7)
    _tick_whole(axes, (point.x for points in series.values() for point in points))
    if line is not None:  # the points are what is shown, however wide a band few of them leave
        ends = [end for points in series.values() for point in points for end in point.interval or (point.y,)]
        margin = 0.15 * (max(ends) - min(ends)) or 0.1
        axes.set_ylim(min(ends) - margin, max(ends) + margin)
    _legend(figure, named)
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
    names = [_wrapped(name, _TICK_LETTERS) for name in values][::-1]
    tallest = max((name.count("\n") for name in names), default=0)
    figure, axes = _figure(title, x_label, "", height_in=0.9 + (0.42 + 0.12 * max(0, tallest - 1)) * len(values))
    for row, (value, interval) in enumerate(list(values.values())[::-1]):
        axes.barh(row, value, color=(PALETTE[0], 0.35), edgecolor=PALETTE[0], linewidth=1.2, height=0.55)
        if interval is not None:
            axes.plot(interval, (row, row), color=_INK, linewidth=2, solid_capstyle="butt")
        axes.annotate(number(value), (max(value, interval[1] if interval else value), row), xytext=(5, 0),
                      textcoords="offset points", va="center", fontsize=9, color=_INK)  # fmt: skip
    axes.set_yticks(range(len(names)), names)
    axes.set_xlim(0, 1.14 * max([1e-9, *(max(v, i[1] if i else v) for v, i in values.values())]))
    return _svg(figure)


def _figure(title: str, x_label: str, y_label: str, height_in: float = 2.7) -> tuple[Figure, Axes]:
    # A Figure of its own, not pyplot's: no global state and no display needed.
    from matplotlib.figure import Figure

    title, x_label = _wrapped(title, _TITLE_LETTERS), _wrapped(x_label, _LABEL_LETTERS)
    figure = Figure(figsize=(_WIDTH_IN, height_in + _LINE_IN * (title + x_label).count("\n")), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.subplots()
    axes.patch.set_alpha(0)
    axes.set_title(title, fontsize=11, color=_INK, loc="left")
    axes.set_xlabel(x_label, fontsize=9, color=_INK)
    axes.set_ylabel(_wrapped(y_label, int(height_in / _LETTER_IN)), fontsize=9, color=_INK)
    axes.tick_params(colors=_INK, labelsize=9)
    axes.grid(axis="both", color=_INK, alpha=0.15)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(_INK)
    return figure, axes


def _legend(figure: Figure, named: Mapping[str, Artist]) -> None:
    """Name series below the axes, where they hide nothing, and make the figure taller by that."""
    if not named:
        return
    names = [_wrapped(name, _NAME_LETTERS) for name in named]
    lines = [line for name in names for line in name.split("\n")]
    columns = max(1, min(3, len(names), int(_WIDTH_IN / (0.6 + _LETTER_IN * max(map(len, lines))))))
    # Texts are set afterwards: names that begin with an underscore would be left out.
    legend = figure.legend([*named.values()], ["-"] * len(names), loc="outside lower center", ncols=columns,
                           frameon=False, fontsize=9, labelcolor=_INK, markerscale=1.2, handlelength=2.6)  # fmt: skip
    for text, name, handle in zip(legend.get_texts(), names, legend.legend_handles, strict=True):
        text.set_text(name)
        if handle is not None:
            handle.set_alpha(1)  # clouds are pale, what tells their colour is not
    tallest = max(name.count("\n") + 1 for name in names)
    rows = len(lines) if columns == 1 else -(-len(names) // columns) * tallest
    figure.set_figheight(figure.get_figheight() + _LINE_IN * rows + 0.1)


def _wrapped(text: str, letters: int) -> str:
    """Return a text of the user in lines of so many letters, as it stands."""
    return "\n".join(_plain(line) for line in textwrap.wrap(text, letters))


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
    # The font is the one that plots are laid out for; pages have others.
    with matplotlib.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": "synthkit", "font.sans-serif": ["DejaVu Sans"]}
    ):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    # Only the element itself belongs inside a page; its fixed size and its ink give way to the page's.
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor").replace("<svg", f'<svg color="{_INK}"', 1)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"| height="[^"]*pt"', lambda m: m.group(1) or "", text, count=2)
    return _slim(text)


def _slim(svg: str) -> str:
    """Return an SVG that looks the same in half as many bytes: hundredths of points, and no style of each dot."""
    svg = re.sub(r' (?:d|x|y|transform)="[^"]*"', lambda place: re.sub(r"(\.\d\d)\d+", r"\1", place[0]), svg)
    svg = re.sub(r"<g([^>]*)>\s*((?:<use [^>]*/>\s*)+)</g>", _styled_at_once, svg)
    return re.sub(r"\n\s+", "\n", svg)


def _styled_at_once(dots: re.Match[str]) -> str:
    found = set(re.findall(r' style="[^"]*"', dots[2]))
    if "style=" in dots[1] or len(found) != 1:
        return dots[0]
    (style,) = found
    return f"<g{dots[1]}{style}>{dots[2].replace(style, '')}</g>"
