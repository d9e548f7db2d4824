# SPDX-License-Identifier: Apache-2.0
"""What a search tried, as a page, as JSON and as a table in Markdown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import attrs

import synthkit
from synthkit.dataset import storage
from synthkit.experiments.search import Search, Trial, best_of
from synthkit.report import plots, templates
from synthkit.report.page import Page, Plot, Section, Table, write_page

PAGE, TRIALS = "search.html", "search.json"


def write_search(search: Search, trials: Sequence[Trial], out: Path) -> Path:
    """Write all trials into a folder; return the page's path."""
    templates.check()
    best = best_of(trials)
    told = {
        "row": search.row,
        "sampler": search.sampler,
        "ranges": {name: attrs.asdict(one) for name, one in search.ranges.items()},
        "trials": [attrs.asdict(trial) for trial in trials],
        "best": None if best is None else best.number,
    }
    storage.write_atomically(out / TRIALS, [json.dumps(told, indent=1).encode() + b"\n"])
    write_page(_page(search, trials, best), out / PAGE)
    return out / PAGE


def _page(search: Search, trials: Sequence[Trial], best: Trial | None) -> Page:
    rows = [
        [str(trial.number + 1), f"failed: {trial.failed}" if trial.score is None else f"{trial.score:.4g}",
         *(f"{value:.4g}" if isinstance(value, float) else str(value) for value in trial.values.values())]
        for trial in trials
    ]  # fmt: skip
    table = Table(["trial", "score", *search.ranges], rows, best=None if best is None else best.number)
    lead = "No trial has a score."
    if best is not None:
        lead = f"Trial {best.number + 1} is best of {len(trials)}: {best.score:.4g}."
    return Page(
        title=f"Which settings are best for {search.row}?",
        lead=f"{lead} Scores are means over seeds on the validation set, and the best one is flattered by having been"
        " picked; the test set had no part in this.",
        facts=[("trials", str(len(trials))), ("best", "–" if best is None else f"{best.score:.4g}")],
        sections=[Section("Trials", tables=[table], plots=_plots(trials))],
        footer=f"written by synthkit search {synthkit.__version__}",
    )


def _plots(trials: Sequence[Trial]) -> list[Plot]:
    scored = [(trial.number + 1.0, trial.score) for trial in trials if trial.score is not None]
    if not scored:
        return []
    best = accumulate((score for _, score in scored), max)
    series = {
        "score": [plots.Measured(number, score) for number, score in scored],
        "best so far": [plots.Measured(number, value) for (number, _), value in zip(scored, best, strict=True)],
    }
    svg = plots.measured(series, title="Scores on the validation set", x_label="trial", y_label="score", joined=True)
    return [Plot(svg, "Scores of the trials on the validation set, and the best so far")]
