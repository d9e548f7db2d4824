# SPDX-License-Identifier: Apache-2.0
"""Which data trains the best detector: the table of rows, their bars, and mixtures by their amount."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from synthkit.experiments.comparing import Difference, Scored
from synthkit.experiments.description import REAL
from synthkit.experiments.steps import done
from synthkit.report import plots
from synthkit.report.experiment import trainings
from synthkit.report.experiment.findings import Findings, signed, told
from synthkit.report.numerals import number
from synthkit.report.page import Plot, Section, Table


def lead(found: Findings) -> str:
    """Return the answer, and how sure it is."""
    best = found.best
    if not found.plan.rows:
        return "No detectors are trained in this experiment: it compares data sets by what metrics say of them."
    if best is None or best.score is None:
        return "No row was judged yet: run the experiment again to go on."
    text = f"Trained on {found.name(best)}, the detector has the best {_short(best.score.name)} on the test set:"
    text += f" {told(best.score)}.{_sentences(best)}"
    refined = found.best_of(found.plan.experiment.refiners)
    if refined is not None and refined is not best and refined.score is not None:
        text += f" Of the refined sets {found.name(refined)} is best: {told(refined.score)}.{_sentences(refined)}"
    missing = sum(len(one.missing) for one in found.scored)
    return text + (f" {missing} trainings are not judged yet." if missing else "")


def _sentences(scored: Scored) -> str:
    return "".join(f" {_sentence(difference)}" for difference in scored.differences.values())


def _sentence(difference: Difference) -> str:
    apart = abs(difference.mean)
    way = "above" if difference.mean >= 0 else "below"
    if difference.interval is None:
        return f"It is {apart:.3f} {way} {difference.baseline}."
    low, high = sorted(difference.interval if difference.mean >= 0 else (-end for end in difference.interval))
    sure = "" if low > 0 else ", which chance can explain"
    return f"It is {apart:.3f} [{low:.3f}, {high:.3f}] {way} {difference.baseline}{sure}."


def facts(found: Findings) -> list[tuple[str, str]]:
    """Return how many rows and trainings there are, and the scores of the best row and of the baselines."""
    if not found.plan.rows:
        return [("data sets", str(1 + len(found.plan.refined))), ("numbers", str(len(list(found.distances()))))]
    shown = [
        ("rows", str(len(found.scored))),
        ("detectors trained", str(sum(len(one.row.runs) for one in found.scored))),
    ]
    compared = [one for one in found.scored if one.row.label in found.plan.experiment.baselines]
    for one in dict.fromkeys([found.best, *compared]):
        if one is not None and one.score is not None:
            which = "best " if one is found.best else ""
            shown.append((f"{which}{_short(one.score.name)}: {found.name(one)}", number(one.score.mean)))
    return shown


def section(found: Findings) -> Section | None:
    """Return the table of all rows."""
    if not found.plan.rows:
        return None
    rows = [one for one in found.scored if one.score is not None]
    bars = {found.name(one): (one.score.mean, one.score.interval) for one in rows if one.score is not None}
    shown = []
    if rows and rows[0].score is not None:
        name = _short(rows[0].score.name)
        svg = plots.bars(bars, title=f"{name} by training set", x_label=f"{rows[0].score.name} on the test set")
        shown = [Plot(svg, f"Bars of {name} by training set")]
    return Section(
        "Which data trains the best detector",
        [
            "Each row is a training set; its numbers are means over trainings with different seeds, of refiner and"
            " detector alike. Brackets are 95 % bootstrap intervals over the test's images and, where a row was trained"
            " more than once, over its trainings. Differences are of the same resampled images in both rows.",
            *_caution(rows),
            *_holes(found),
            *trainings.networks(found),
        ],
        tables=[score_table(found)],
        plots=shown,
        links=[("How these numbers are defined", "definitions"), ("What each row cost", "costs")],
        anchor="scores",
    )


def score_table(found: Findings) -> Table:
    """Return all rows: what they score, how far that is from the baselines, and on what they were trained."""
    baselines, names = found.plan.experiment.baselines, _names(found.scored)
    ranges = any(len(one.row.runs) > 1 for one in found.scored)
    against = [f"against {baseline}" for baseline in baselines]
    main, more = [_short(name) for name in names[:1]], [_short(name) for name in names[1:]]
    columns = ["trained on", *main, *(["over seeds"] if ranges else []), *against, *more, "images", "steps"]
    rows = []
    for one in found.scored:
        spread = ["–" if one.score is None else _range(one.score.values)] if ranges else []
        apart = [signed(one.differences.get(baseline)) for baseline in baselines]
        cells = [told(one.numbers.get(name)) for name in names]
        made_of = [_each(one.samples), _each(one.chosen_at)]
        rows.append([_judged(found, one), *cells[:1], *spread, *apart, *cells[1:], *made_of])
    best = None if found.best is None else list(found.scored).index(found.best)
    caption = f"{', '.join(names)}. Steps: after which the validation set chose the checkpoint."
    return Table(columns, rows, caption, best)


def _judged(found: Findings, one: Scored) -> str:
    """Return what a row is called, and how much of it is judged where that is not all."""
    every = len(one.row.runs)
    return found.name(one) + (f" ({every - len(one.missing)} of {every} seeds)" if one.missing else "")


def mixtures(found: Findings) -> Section | None:
    """Return scores of real data and so many times as much of another (thesis 000, table 4.6 and figure 4.7)."""
    series = _amounts(found.scored, found)
    if not series:
        return None
    svg = plots.measured(
        series, title="Real data, and N times as much of another", x_label="N", y_label="score on the test set",
        joined=True,
    )  # fmt: skip
    return Section("Real data and others together", plots=[Plot(svg, "Scores of mixtures by their amount N")])


def _amounts(scored: Sequence[Scored], found: Findings) -> dict[str, list[plots.Measured]]:
    series: dict[str, list[plots.Measured]] = {}
    alone = {one.row.detector: one.score for one in scored if one.row.label == REAL}
    for one in scored:
        parts = found.plan.experiment.mixtures.get(one.row.label, ())
        if len(parts) != 2 or parts[0].row != REAL or one.score is None:
            continue
        amount = parts[1].amount if parts[1].amount is not None else _whole(one)
        if amount is None:
            continue
        name = f"real + N x {parts[1].row}" + (f", {one.row.detector}" if found.several_detectors else "")
        start = alone.get(one.row.detector)
        points = series.setdefault(name, [plots.Measured(0.0, start.mean, start.interval)] if start else [])
        points.append(plots.Measured(amount, one.score.mean, one.score.interval))
    return {name: sorted(points, key=lambda point: point.x) for name, points in series.items()}


def _whole(one: Scored) -> float | None:
    """Return how many times as many samples a mixture has of its second set as of its first, where that is known."""
    (first, _), (second, _) = one.row.runs[0].data
    return second.samples / first.samples if first.samples and second.samples else None


def _names(scored: Sequence[Scored]) -> list[str]:
    """Return the numbers that rows are told by: the headline, and those of the same kind."""
    headline = next((one.headline for one in scored if one.headline), None)
    if headline is None:
        return []
    known = dict.fromkeys(name for one in scored for name, number in one.numbers.items() if number.interval)
    return [headline, *(name for name in known if _kind(name) == _kind(headline) and name != headline)]


def _kind(name: str) -> str:
    """Return what a number is of: ``[person, iou=0.50]``."""
    return name.partition("[")[2]


def _short(name: str) -> str:
    """Return a number's name without what it is of."""
    short = name.partition("[")[0]
    return "F1" if short == "f1" else short


def _caution(rows: Sequence[Scored]) -> list[str]:
    compared = sum(bool(one.differences) for one in rows)
    if compared < 2:
        return []
    return [
        f"{compared} rows are compared with the same baselines: of that many, some differ by chance alone in one of"
        " twenty comparisons, and the best of them is flattered by having been picked."
    ]


def _holes(found: Findings) -> list[str]:
    """Return which data sets lack samples that could not be made."""
    known = [(step, done(found.out, step)) for step in found.plan.steps.values()]
    lacking = [f"{step.title} lacks {item.result['skipped']}" for step, item in known
               if item is not None and item.result.get("skipped")]  # fmt: skip
    return [f"Samples that could not be made: {', '.join(lacking)}."] if lacking else []


def _range(values: Mapping[int, float]) -> str:
    if len(values) == 1:
        return number(next(iter(values.values())))
    return f"{number(min(values.values()))} to {number(max(values.values()))}"


def _each(values: Mapping[int, int]) -> str:
    return ", ".join(map(str, dict.fromkeys(values.values()))) or "–"
