# SPDX-License-Identifier: Apache-2.0
"""How far refined data lies from real and from rendered data, and whether that tells what detectors learn from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from synthkit.experiments.comparing import Floats
from synthkit.experiments.description import REAL
from synthkit.interfaces import Chart
from synthkit.report import plots
from synthkit.report.experiment.findings import Findings
from synthkit.report.numerals import number
from synthkit.report.page import Plot, Section, Table
from synthkit.seeds import Seeds

_RESAMPLES = 2000
_CAUTIONS = 4  # that are told; sets of other sizes are cautioned of in other words
_LEAST_ROWS = 6  # of which a line's band is told; fits to resamples of fewer lie anywhere
_LEAST_TRAININGS = 3  # of which a relation can be seen at all

_OF_RELATIONS = (
    f"Scores over distances show a point for each training; the line is the least-squares fit, its band, from"
    f" {_LEAST_ROWS} rows on, holds 95 % of the fits to resampled rows, each with all its trainings. Neither distance"
    " nor score is the other's cause."
)


def section(found: Findings) -> Section | None:
    """Return the table of distances (thesis 000, table 4.1), and scores over them (figures 4.8 and 4.9)."""
    shown = distance_table(found)
    if not shown.rows:
        return None
    relations = _relations(found)
    return Section(
        "What metrics say of the data sets",
        [
            "Means over seeds, and from least to most where these differ; of one seed the metric's own 95 % interval,"
            " where it tells one.",
            *_cautions(found),
            *([_OF_RELATIONS] if relations else []),
        ],
        tables=[shown],
        plots=relations,
        links=[("How these numbers are defined", "definitions")],
    )


def distance_table(found: Findings) -> Table:
    """Return a row for each set, a column for each number and what it was compared with."""
    values: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    columns: dict[str, None] = {}
    for row, _, other, result in found.distances():
        column = f"{result['name']} to {other}{_way(result)}"
        columns[column] = None
        values.setdefault(row, {}).setdefault(column, []).append(result)
    rows = [[row, *(_spread(cells.get(column, ())) for column in columns)] for row, cells in values.items()]
    return Table(["data set", *columns], rows)


def _way(result: Mapping[str, Any]) -> str:
    return "" if result["better"] == "lower" else " (higher is better)"


def _spread(results: Sequence[Mapping[str, Any]]) -> str:
    if not results:
        return "–"
    values = [float(result["value"]) for result in results]
    if len(values) == 1:
        own = None if results[0].get("interval_of") else results[0].get("interval")
        return number(values[0], own)
    return f"{number(float(np.mean(values)))} ({number(min(values))} to {number(max(values))})"


def _cautions(found: Findings) -> list[str]:
    told = list(dict.fromkeys(one for *_, result in found.distances() for one in result.get("cautions", ())))
    more = [f"{len(told) - _CAUTIONS} more are in the results' file"] if len(told) > _CAUTIONS else []
    return [f"Caution: {caution}." for caution in [*told[:_CAUTIONS], *more]]


def _relations(found: Findings) -> list[Plot]:
    """Return a plot for each distance and detector with trainings enough: the score of each over it."""
    points: dict[tuple[str, str], dict[str, list[plots.Measured]]] = {}
    for row, seed, other, result in found.distances():
        for one in found.scored:
            for trained, score in one.score.values.items() if one.row.label == row and one.score is not None else ():
                if seed in (None, trained):
                    series = points.setdefault((f"{result['name']} to {other}", one.row.detector), {})
                    series.setdefault(row, []).append(plots.Measured(result["value"], score))
    every = dict.fromkeys(row for series in points.values() for row in series)
    return [
        _relation(found, name, detector, {row: series.get(row, []) for row in every})
        for (name, detector), series in points.items()
        if sum(map(len, series.values())) >= _LEAST_TRAININGS
    ]


def _relation(found: Findings, name: str, detector: str, series: Mapping[str, Sequence[plots.Measured]]) -> Plot:
    kind, other = name.partition("[")[0].replace("_", " "), name.rpartition(" to ")[2]
    whose = f" of {detector}" if found.several_detectors else ""
    line = _fitted([row for row in series.values() if row], found.plan.experiment.run.seed, name)
    svg = plots.measured(series, title=f"Score{whose} over {kind} to {other}", x_label=name,
                         y_label="score on the test set", line=line)  # fmt: skip
    points = [point for row in series.values() for point in row]
    caption = f"The score of each training, and the least-squares line{_correlation(points)}."
    return Plot(svg, f"Scores of trainings{whose} over {name}", caption)


def _correlation(points: Sequence[plots.Measured]) -> str:
    """Return Pearson's r in words, nothing where it is not defined."""
    xs, ys = [point.x for point in points], [point.y for point in points]
    if len(set(xs)) < 2 or len(set(ys)) < 2:
        return ""
    return f", r = {np.corrcoef(xs, ys)[0, 1]:.2f} of {len(points)} trainings"


def _fitted(rows: Sequence[Sequence[plots.Measured]], seed: int, name: str) -> plots.Fitted | None:
    """Return the least-squares line through rows' points, with the band of lines through resampled rows.

    The trainings of a row share data or a refiner's settings, so a row is drawn with all of them.
    """
    xs, ys = _coordinates(rows)
    if len(np.unique(xs)) < 2:
        return None
    ends = np.linspace(xs.min(), xs.max(), 25)
    line = np.polyval(np.polyfit(xs, ys, 1), ends)
    if len(rows) < _LEAST_ROWS:
        return plots.Fitted(list(ends), list(line))
    stream, drawn = Seeds(seed).child("experiment").stream(name), []
    for _ in range(_RESAMPLES):
        some_x, some_y = _coordinates([rows[place] for place in stream.integers(0, len(rows), len(rows))])
        if len(np.unique(some_x)) > 1:
            drawn.append(np.polyval(np.polyfit(some_x, some_y, 1), ends))
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    return plots.Fitted(list(ends), list(line), list(low), list(high))


def _coordinates(rows: Sequence[Sequence[plots.Measured]]) -> tuple[Floats, Floats]:
    points = [point for row in rows for point in row]
    return np.array([point.x for point in points]), np.array([point.y for point in points])


def components(found: Findings) -> Section | None:
    """Return the charts of metrics that compare data sets, such as principal components (thesis 000, figure 4.10)."""
    shown = []
    for one, said in found.comparisons:
        if one.other == REAL:
            named = one.row if one.seed is None else f"{one.row}, seed {one.seed}"
            for chart in said["charts"]:
                if chart["scattered"] and _first_seed(found, one.row, one.seed):
                    series = _once(chart["series"])
                    svg = plots.chart(Chart(**{**chart, "title": f"{named}: {chart['title']}", "series": series}))
                    shown.append(Plot(svg, f"{chart['title']} of {named} and real data", chart["note"]))
    text = [f"Of a set of more than {plots.MOST_DOTS} some are drawn, spread over it; centres are of all."]
    return Section("In the space of features", text, plots=shown) if shown else None


def _once(series: Mapping[str, Any]) -> dict[str, Any]:
    """Return clouds, empty where a later one is the same, such as rendered people who are measured as if refined."""
    clouds = [np.array(cloud) for cloud in series.values()]
    return {
        name: [] if any(np.shape(one) == np.shape(cloud) and np.allclose(one, cloud) for one in clouds[n:]) else cloud
        for n, (name, cloud) in enumerate(series.items(), start=1)
    }


def _first_seed(found: Findings, row: str, seed: int | None) -> bool:
    return seed in (None, found.plan.experiment.seeds_of(row)[0])
