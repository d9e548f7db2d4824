# SPDX-License-Identifier: Apache-2.0
"""How detectors and refiners learned (thesis 000, figures 4.11 and 4.12), and what each row cost."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from PIL import Image

from synthkit.checkpoint import read_card
from synthkit.errors import WeightsError
from synthkit.experiments.comparing import Scored
from synthkit.experiments.estimate import duration, size
from synthkit.experiments.steps import TRAINING, done
from synthkit.report import plots
from synthkit.report.experiment.findings import Findings
from synthkit.report.page import Figure, Plot, Section, Table

_CURVES, _PICTURES = "curves.jsonl", "samples"
_TOGETHER = 4  # rows in a plot beside the baselines
_VALIDATED = {"val_loss": "loss", "val_f1": "F1", "val_precision": "precision", "val_recall": "recall"}
_PARTS = {
    "data": ("render", "import", "subset"),
    "refiner's training": ("fit",),
    "refining": ("refine",),
    "detector's training": ("train",),
    "judging": ("evaluate",),
}
"""Kinds of steps, in words."""

_GIVEN = {
    "backbone": ("weights", "Detectors begin with"),
    "perceptual": ("network", "Feature losses compare in"),
}
"""Networks that were learned elsewhere: entries of checkpoints' cards, what names them there, and words."""


def networks(found: Findings) -> Iterator[str]:
    """Yield which given networks trainings used; what is found where it runs may be another one in some rows."""
    cards = _cards(found)
    for part, (key, words) in _GIVEN.items():
        rows: dict[str, list[str]] = {}
        for one in found.scored:
            used = [cards.get(step.id, {}).get(part) for run in one.row.runs for step in found.plan.behind(run.train)]
            for name in sorted({str(each[key]) for each in used if isinstance(each, Mapping) and each.get(key)}):
                rows.setdefault(name, []).append(found.name(one))
        if len(rows) == 1:
            yield f"{words} {next(iter(rows))}."
        elif rows:
            told = "; ".join(f"{name} ({', '.join(members)})" for name, members in rows.items())
            yield f"Caution: {words[0].lower()}{words[1:]} different networks: {told}."


def _cards(found: Findings) -> dict[str, Mapping[str, Any]]:
    """Return what the checkpoints of finished trainings say of themselves, by step; of damaged ones nothing."""
    cards = {}
    for step in found.plan.steps.values():
        if step.kind in ("fit", "train") and done(found.out, step) is not None:
            with contextlib.suppress(WeightsError, OSError):
                cards[step.id] = read_card(found.out / step.product)
    return cards


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
            " before anything is cut out along people's outlines where people alone are refined, then crops of real"
            " images."
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
            " step, at most. Data is what was rendered, converted or drawn by lot, also to validate and to test. What"
            " several rows share is told in each."
        ],
        tables=[cost_table(found)],
        anchor="costs",
    )


@attrs.frozen
class _Cost:
    """What a row's steps took, by part, None where it has no such steps."""

    row: str
    seconds: Mapping[str, float | None]
    peak_mb: float
    bytes: int

    @property
    def together_s(self) -> float:
        return sum(seconds or 0.0 for seconds in self.seconds.values())


def cost_table(found: Findings) -> Table:
    """Return time, memory and disk of each row by part; where no detectors are trained, of each refiner."""
    rows = [
        [one.row, *("–" if seconds is None else duration(seconds) for seconds in one.seconds.values()),
         duration(one.together_s), f"{one.peak_mb:.0f} MB", size(one.bytes)]
        for one in _costs(found)
    ]  # fmt: skip
    return Table(["row", *_PARTS, "together", "memory", "disk"], rows)


def cost_numbers(found: Findings) -> Table:
    """Return the same as plain numbers, for spreadsheets."""
    rows = [
        [one.row, *("" if seconds is None else f"{seconds:.3f}" for seconds in one.seconds.values()),
         f"{one.together_s:.3f}", f"{one.peak_mb:.1f}", str(one.bytes)]
        for one in _costs(found)
    ]  # fmt: skip
    return Table(["row", *(f"{part}, s" for part in _PARTS), "together, s", "memory, MB", "disk, bytes"], rows)


def _costs(found: Findings) -> Iterator[_Cost]:
    ends = {found.name(one): [run.judged for run in one.row.runs] for one in found.scored}
    if not ends:
        for one in found.plan.comparisons:
            ends.setdefault(one.row, []).append(one.step)
    for name, last in ends.items():
        steps = {step.id: step for end in last for step in found.plan.behind(end)}
        known = [(step.kind, item) for step in steps.values() if (item := done(found.out, step)) is not None]
        seconds = {part: _sum(item.seconds for kind, item in known if kind in kinds) for part, kinds in _PARTS.items()}
        peak_mb = max((item.peak_mb for _, item in known), default=0.0)
        yield _Cost(name, seconds, peak_mb, sum(item.bytes for _, item in known))


def _sum(values: Iterable[float]) -> float | None:
    every = list(values)
    return sum(every) if every else None
