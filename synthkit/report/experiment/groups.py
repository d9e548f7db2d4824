# SPDX-License-Identifier: Apache-2.0
"""Rows taken together: means of groups, what refinement gains over variety alone, and how much real data it takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from synthkit.experiments.comparing import Floats, Scored, apart, between
from synthkit.experiments.description import REAL
from synthkit.report import plots
from synthkit.report.experiment.findings import Findings, signed, told
from synthkit.report.numerals import number
from synthkit.report.page import Plot, Section, Table
from synthkit.resampling import interval


def groups(found: Findings) -> Section | None:
    """Return means over rows, such as those with and without a skip connection (thesis 000, table 4.7)."""
    table = group_table(found)
    if not table.rows:
        return None
    return Section(
        "Groups of rows",
        [
            "Means over the rows of each group. Brackets are 95 % intervals over the same resampled images in all rows,"
            " and their trainings; they tell nothing of rows that might have been in the group. Differences are from"
            " the first group. Distances are means over rows and seeds."
        ],
        tables=[table],
    )


def group_table(found: Findings) -> Table:
    """Return a row for each group and detector."""
    experiment, distances = found.plan.experiment, _distances(found)
    columns = list(dict.fromkeys(name for each in distances.values() for name in each))
    rows = []
    for detector in experiment.detectors or [""]:
        means = {
            label: _together(label, [one for one in found.scored if one.row.label in members
                                     and one.row.detector == detector])
            for label, members in experiment.groups.items()
        }  # fmt: skip
        for label, members in experiment.groups.items():
            of_rows = [distances.get(row, {}) for row in members]
            cells = [_mean_of_all([each.get(name, ()) for each in of_rows]) for name in columns]
            scores = [] if not experiment.detectors else _told(means[label], next(iter(means.values())))
            rows.append([f"{label}, {detector}" if found.several_detectors else label, *scores, *cells,
                         ", ".join(members)])  # fmt: skip
    scores = ["score", "against the first"] if experiment.detectors else []
    return Table(["group", *scores, *columns, "rows"], rows)


_Mean = tuple[str, float, Floats]
"""A group's name, its score, and what that is in each resample."""


def _together(label: str, scored: Sequence[Scored]) -> _Mean | None:
    """Return the mean score of rows, None where one of them is not judged."""
    values = [one.score.mean for one in scored if one.score is not None]
    if not values or len(values) < len(scored):
        return None
    alike = len({len(one.resampled) for one in scored}) == 1
    drawn = np.mean([one.resampled for one in scored], axis=0) if alike else np.zeros(0)
    return label, float(np.mean(values)), drawn


def _told(own: _Mean | None, first: _Mean | None) -> list[str]:
    """Return a group's score, and how far it is from the first one's."""
    if own is None or first is None:
        return ["–", "–"]
    (label, mean, drawn), (other, other_mean, other_drawn) = own, first
    resampled = drawn - other_drawn if len(drawn) == len(other_drawn) else np.zeros(0)
    difference = None if label == other else apart(other, mean - other_mean, resampled)
    return [number(mean, interval(drawn)), signed(difference)]


def _distances(found: Findings) -> dict[str, dict[str, list[float]]]:
    """Return what was measured of each row's set, by row and by name and what it was compared with."""
    values: dict[str, dict[str, list[float]]] = {}
    for row, _, other, result in found.distances():
        values.setdefault(row, {}).setdefault(f"{result['name']} to {other}", []).append(result["value"])
    return values


def _mean_of_all(rows: Sequence[Sequence[float]]) -> str:
    """Return the mean over rows and seeds, a dash where one of the rows has none."""
    return number(float(np.mean([value for values in rows for value in values]))) if all(rows) else "–"


def controls(found: Findings) -> Section | None:
    """Return how far refined rows are from those whose looks are not the real ones (thesis 000, section 5.6)."""
    table = control_table(found)
    if not table.rows:
        return None
    return Section(
        "Realism, or variety alone?",
        [
            f"The looks of {', '.join(found.plan.experiment.controls)} vary and are not those of real images. What a"
            " refiner gains over that, in pairs as above, more varied textures alone do not explain; whether variety"
            " and likeness gain together cannot be told apart here (thesis 000, section 5.6)."
        ],
        tables=[table],
    )


def control_table(found: Findings) -> Table:
    """Return the rows of refiners and how far each is from the controls."""
    experiment = found.plan.experiment
    by_row = {(one.row.label, one.row.detector): one for one in found.scored}
    rows = []
    for (label, detector), one in by_row.items():
        if experiment.controls and label in experiment.refiners:
            others = [by_row[name, detector] for name in experiment.controls]
            differences = [None if other is one else between(one, other) for other in others]
            rows.append([found.name(one), told(one.score), *map(signed, differences)])
    return Table(["trained on", "score", *(f"against {name}" for name in experiment.controls)], rows)


def sizes(found: Findings) -> Section | None:
    """Return scores by the number of real images, alone and with what was refined towards them (section 5.7)."""
    series: dict[str, list[plots.Measured]] = {}
    for name, count, one in _sized(found):
        if one.score is not None:
            series.setdefault(name, []).append(plots.Measured(count, one.score.mean, one.score.interval))
    if not series:
        return None
    shown = {name: sorted(points, key=lambda point: point.x) for name, points in series.items()}
    svg = plots.measured(shown, title="Scores by the number of real images", x_label="real images",
                         y_label="score on the test set", joined=True)  # fmt: skip
    return Section(
        "How much real data it takes",
        [
            "Refiners are trained towards so many real images, and detectors on these, on what was refined towards"
            " them, or on both. Smaller sets are parts of larger ones."
        ],
        plots=[Plot(svg, "Scores by the number of real images")],
        links=[("All numbers", "scores")],
    )


def _sized(found: Findings) -> Iterator[tuple[str, float, Scored]]:
    """Yield (curve, real images, row) of the study of sizes, and of the rows that have all real images."""
    experiment = found.plan.experiment
    whole, studied = found.plan.data[REAL].samples, {sized.refiner for sized in experiment.sizes.values()}
    for one in found.scored if studied else ():
        parts = [part.row for part in experiment.mixtures.get(one.row.label, ()) if part.amount is None]
        detector = f", {one.row.detector}" if found.several_detectors else ""
        if one.row.label in experiment.sizes:
            sized = experiment.sizes[one.row.label]
            sets = [*([REAL] if sized.with_real else []), *([sized.refiner] if sized.refiner else [])]
            yield " + ".join(sets) + detector, sized.count, one
        elif whole is not None and (one.row.label == REAL or one.row.label in studied):
            yield one.row.label + detector, whole, one
        elif whole is not None and len(parts) == 2 and parts[0] == REAL and parts[1] in studied:
            yield " + ".join(parts) + detector, whole, one
