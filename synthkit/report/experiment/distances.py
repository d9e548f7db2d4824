# SPDX-License-Identifier: Apache-2.0
"""How far refined data lies from real and from rendered data, and whether that tells what detectors learn from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from synthkit.experiments.description import REAL
from synthkit.interfaces import Chart
from synthkit.report import plots
from synthkit.report.experiment.findings import Findings, number
from synthkit.report.page import Plot, Section, Table
from synthkit.seeds import Seeds

_RESAMPLES = 2000
_LEAST_POINTS = 4  # of which a line's band is told


def section(found: Findings) -> Section | None:
    """Return the table of distances (thesis 000, table 4.1), and scores over them (figures 4.8 and 4.9)."""
    shown = distance_table(found)
    if not shown.rows:
        return None
    return Section(
        "How far from real, and from rendered",
        [
            "Means over seeds, and from least to most where these differ. Scores over distances show a point for each"
            " training; the line is the least-squares fit, its band holds 95 % of the fits to resampled points. Few"
            " points make wide bands, and neither distance nor score is the other's cause."
        ],
        tables=[shown],
        plots=_relations(found),
        links=[("How these numbers are defined", "definitions")],
    )


def distance_table(found: Findings) -> Table:
    """Return a row for each set, a column for each number and what it was compared with."""
    values: dict[str, dict[str, list[float]]] = {}
    columns: dict[str, None] = {}
    for row, _, other, result in found.distances():
        column = f"{result['name']} to {other}{_way(result)}"
        columns[column] = None
        values.setdefault(row, {}).setdefault(column, []).append(result["value"])
    rows = [[row, *(_spread(cells.get(column, ())) for column in columns)] for row, cells in values.items()]
    return Table(["data set", *columns], rows)


def _way(result: Mapping[str, Any]) -> str:
    return "" if result["better"] == "lower" else " (higher is better)"


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "–"
    shown = number(float(np.mean(values)))
    return shown if len(values) == 1 else f"{shown} ({min(values):.3g} to {max(values):.3g})"


def _relations(found: Findings) -> list[Plot]:
    """Return a plot for each distance: the score of each training over it."""
    scores = {(one.row.label, seed): value for one in found.scored if one.score is not None
              for seed, value in one.score.values.items()}  # fmt: skip
    points: dict[str, dict[str, list[plots.Measured]]] = {}
    for row, seed, other, result in found.distances():
        for (label, trained), score in scores.items():
            if label == row and seed in (None, trained):
                series = points.setdefault(f"{result['name']} to {other}", {})
                series.setdefault(row, []).append(plots.Measured(result["value"], score))
    return [_relation(found, name, series) for name, series in points.items()]


def _relation(found: Findings, name: str, series: Mapping[str, Sequence[plots.Measured]]) -> Plot:
    points = [point for row in series.values() for point in row]
    kind, other = name.partition("[")[0].replace("_", " "), name.rpartition(" to ")[2]
    svg = plots.measured(series, title=f"Score over {kind} to {other}", x_label=name, y_label="score on the test set",
                         line=_fitted(points, found.plan.experiment.run.seed, name))  # fmt: skip
    return Plot(svg, f"Scores of trainings over {name}", "The score of each training, and the least-squares line.")


def _fitted(points: Sequence[plots.Measured], seed: int, name: str) -> plots.Fitted | None:
    """Return the least-squares line through points, with the band of lines through resampled ones."""
    xs, ys = np.array([point.x for point in points]), np.array([point.y for point in points])
    if len(np.unique(xs)) < 2:
        return None
    ends = np.linspace(xs.min(), xs.max(), 25)
    line = np.polyval(np.polyfit(xs, ys, 1), ends)
    if len(np.unique(xs)) < _LEAST_POINTS:
        return plots.Fitted(list(ends), list(line))
    stream, drawn = Seeds(seed).child("experiment").stream(name), []
    for _ in range(_RESAMPLES):
        places = stream.integers(0, len(xs), len(xs))
        if len(np.unique(xs[places])) > 1:
            drawn.append(np.polyval(np.polyfit(xs[places], ys[places], 1), ends))
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    return plots.Fitted(list(ends), list(line), list(low), list(high))


def components(found: Findings) -> Section | None:
    """Return the charts of metrics that compare data sets, such as principal components (thesis 000, figure 4.10)."""
    shown = []
    for one, said in found.comparisons:
        if one.other == REAL:
            named = one.row if one.seed is None else f"{one.row}, seed {one.seed}"
            for chart in said["charts"]:
                if chart["scattered"] and _first_seed(found, one.row, one.seed):
                    svg = plots.chart(Chart(**{**chart, "title": f"{named}: {chart['title']}"}))
                    shown.append(Plot(svg, f"{chart['title']} of {named} and real data", chart["note"]))
    return Section("In the space of features", plots=shown) if shown else None


def _first_seed(found: Findings, row: str, seed: int | None) -> bool:
    return seed in (None, found.plan.experiment.seeds_of(row)[0])
