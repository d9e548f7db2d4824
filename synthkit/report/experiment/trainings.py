# SPDX-License-Identifier: Apache-2.0
"""How detectors and refiners learned (thesis 000, figures 4.11 and 4.12), and what each row cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from synthkit.experiments.comparing import Scored
from synthkit.experiments.estimate import duration, size
from synthkit.experiments.steps import TRAINING, Done, Step, done
from synthkit.report import plots
from synthkit.report.experiment.findings import Findings
from synthkit.report.page import Figure, Plot, Section, Table

_CURVES, _PICTURES = "curves.jsonl", "samples"
_TOGETHER = 4  # rows in a plot beside the baselines
_VALIDATED = {"val_f1": "F1", "val_precision": "precision", "val_recall": "recall"}
_PARTS = ("fit", "refine", "train", "evaluate")


def detectors(found: Findings) -> Section | None:
    """Return validation scores by step, the first seed of each row."""
    baselines = [one for one in found.scored if one.row.label in found.plan.experiment.baselines]
    others = [one for one in found.scored if one not in baselines]
    groups = [others[start : start + _TOGETHER] for start in range(0, len(others), _TOGETHER)] or [[]]
    shown = []
    for group in groups:
        curves = {found.name(one): _curves(found.out, one) for one in [*baselines, *group]}
        for value, word in _VALIDATED.items():
            series = {
                name: [(row["step"], row[value]) for row in rows if value in row] for name, rows in curves.items()
            }
            if any(series.values()):
                svg = plots.curves({name: points for name, points in series.items() if points},
                                   title=f"{word} on the validation set", y_label=word)  # fmt: skip
                shown.append(Plot(svg, f"Validation {word} by step of {', '.join(series)}"))
    return Section("How detectors learned", ["The first seed of each row."], plots=shown) if shown else None


def _curves(out: Path, scored: Scored) -> list[dict[str, float]]:
    path = out / scored.row.runs[0].train.folder / TRAINING / _CURVES
    return plots.read_curves(path) if path.exists() else []


def refiners(found: Findings) -> Section | None:
    """Return the losses of each refiner, first seeds."""
    shown = []
    for label, folder in fitted(found):
        if (folder / _CURVES).exists():
            shown.append(Plot(plots.losses(folder / _CURVES, f"{label}: losses"), f"Losses of {label} by step"))
    return Section("How refiners learned", ["The first seed of each."], plots=shown) if shown else None


def unmasked(found: Findings) -> Section | None:
    """Return the last pictures of refiners' trainings: whole crops (thesis 000, figures 4.1 and 4.2)."""
    figures = []
    for label, folder in fitted(found):
        last = max(folder.glob(f"{_PICTURES}/*.png"), default=None)
        if last is not None:
            caption = f"{label}: {last.relative_to(found.out)}"
            figures.append(Figure(np.asarray(Image.open(last).convert("RGB")), f"Unmasked crops of {label}", caption))
    if not figures:
        return None
    return Section(
        "Unmasked, as trainings ended",
        [
            "The last picture of each refiner's training, the first seed of each: whole crops of rendered images, of"
            " refiners with attention what they attend to, below that the same crops as the generator gives them,"
            " before anything is cut out along people's outlines, then crops of real images."
        ],
        figures=figures,
        per_row=1,
    )


def fitted(found: Findings) -> Iterator[tuple[str, Path]]:
    """Yield (row, folder) of the training of each refiner's first seed, where it is done."""
    for label, row in found.plan.experiment.refiners.items():
        source = found.plan.refined[label, row.seeds[0]]
        for step in [] if source.step is None else found.plan.behind(source.step):
            if step.kind == "fit" and done(found.out, step) is not None:
                yield label, found.out / step.folder / TRAINING


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
    """Return time, memory and disk of each row by kind of step; where no detectors are trained, of each refiner."""
    ends = {found.name(one): [run.judged for run in one.row.runs] for one in found.scored}
    if not ends:
        for one in found.plan.comparisons:
            ends.setdefault(one.row, []).append(one.step)
    rows = []
    for name, steps in ends.items():
        known = list(_known(found, steps))
        cells = [_seconds([item for step, item in known if step.kind == kind]) for kind in _PARTS]
        memory = max((item.peak_mb for _, item in known), default=0.0)
        rows.append([name, *cells, _seconds([item for _, item in known]), f"{memory:.0f} MB",
                     size(sum(item.bytes for _, item in known))])  # fmt: skip
    names = ["refiner's training", "refining", "detector's training", "judging", "together", "memory", "disk"]
    return Table(["row", *names], rows)


def _known(found: Findings, ends: Sequence[Step]) -> Iterator[tuple[Step, Done]]:
    steps = {step.id: step for end in ends for step in found.plan.behind(end)}
    for step in steps.values():
        item = done(found.out, step)
        if item is not None and step.kind in _PARTS:
            yield step, item


def _seconds(items: Sequence[Done]) -> str:
    return duration(sum(item.seconds for item in items)) if items else "–"
