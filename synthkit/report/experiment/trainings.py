# SPDX-License-Identifier: Apache-2.0
"""How detectors and refiners learned (thesis 000, figures 4.11 and 4.12), and what each row cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from synthkit.experiments.comparing import Scored
from synthkit.experiments.estimate import duration, size
from synthkit.experiments.planning import Plan
from synthkit.experiments.steps import TRAINING, Done, Step, done
from synthkit.report import plots
from synthkit.report.experiment.findings import Findings
from synthkit.report.page import Plot, Section, Table

_CURVES = "curves.jsonl"
_TOGETHER = 4  # rows in a plot beside the baselines
_VALIDATED = "val_f1"
_PARTS = ("fit", "refine", "train", "evaluate")


def detectors(found: Findings) -> Section | None:
    """Return validation scores by step, the first seed of each row."""
    baselines = [one for one in found.scored if one.row.label in found.plan.experiment.baselines]
    others = [one for one in found.scored if one not in baselines]
    groups = [others[start : start + _TOGETHER] for start in range(0, len(others), _TOGETHER)] or [[]]
    shown = []
    for group in groups:
        series = {found.name(one): _validated(found.out, one) for one in [*baselines, *group]}
        if any(series.values()):
            svg = plots.curves({name: points for name, points in series.items() if points},
                               title="F1 on the validation set", y_label="F1")  # fmt: skip
            shown.append(Plot(svg, f"Validation F1 by step of {', '.join(series)}"))
    return Section("How detectors learned", ["The first seed of each row."], plots=shown) if shown else None


def _validated(out: Path, scored: Scored) -> list[tuple[float, float]]:
    path = out / scored.row.runs[0].train.folder / TRAINING / _CURVES
    if not path.exists():
        return []
    return [(row["step"], row[_VALIDATED]) for row in plots.read_curves(path) if _VALIDATED in row]


def refiners(found: Findings) -> Section | None:
    """Return the losses of each refiner, first seeds."""
    shown = []
    for label, row in found.plan.experiment.refiners.items():
        source = found.plan.refined[label, row.seeds[0]]
        fits = [step for step in _rests_on(found.plan, source.step) if step.kind == "fit"]
        for step in fits:
            path = found.out / step.folder / TRAINING / _CURVES
            if path.exists():
                shown.append(Plot(plots.losses(path, f"{label}: losses"), f"Losses of {label} by step"))
    return Section("How refiners learned", ["The first seed of each."], plots=shown) if shown else None


def _rests_on(plan: Plan, step: Step | None) -> list[Step]:
    return [] if step is None else plan.behind(step)


def costs(found: Findings) -> Section:
    """Return what rows cost."""
    return Section(
        "What each row cost",
        [
            "Wall time on this machine, of all seeds together, while other steps ran beside it; memory of its largest"
            " step, at most. What several rows share, such as a refiner that a mixture takes from too, is told in each."
        ],
        tables=[cost_table(found)],
        anchor="costs",
    )


def cost_table(found: Findings) -> Table:
    """Return time, memory and disk of each row by kind of step."""
    rows = []
    for one in found.scored:
        known = list(_known(found, one))
        cells = [_seconds([item for step, item in known if step.kind == kind]) for kind in _PARTS]
        memory = max((item.peak_mb for _, item in known), default=0.0)
        rows.append([found.name(one), *cells, _seconds([item for _, item in known]), f"{memory:.0f} MB",
                     size(sum(item.bytes for _, item in known))])  # fmt: skip
    names = ["refiner's training", "refining", "detector's training", "judging", "together", "memory", "disk"]
    return Table(["row", *names], rows)


def _known(found: Findings, scored: Scored) -> Iterator[tuple[Step, Done]]:
    steps = {step.id: step for run in scored.row.runs for step in found.plan.behind(run.judged)}
    for step in steps.values():
        item = done(found.out, step)
        if item is not None and step.kind in _PARTS:
            yield step, item


def _seconds(items: Sequence[Done]) -> str:
    return duration(sum(item.seconds for item in items)) if items else "–"
