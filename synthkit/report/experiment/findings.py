# SPDX-License-Identifier: Apache-2.0
"""What the report of an experiment is made of, gathered once: scores, distances, and where things lie."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs

from synthkit.dataset import Dataset, stores
from synthkit.experiments.comparing import Difference, Number, Scored, results_of
from synthkit.experiments.planning import Comparison, Plan, Source
from synthkit.experiments.steps import done
from synthkit.report.numerals import number

_P_FLOOR = 0.001


@attrs.frozen(slots=False, eq=False)
class Findings:
    """An experiment's results, as far as they are there."""

    plan: Plan
    scored: Sequence[Scored]
    out: Path

    def opened(self, source: Source, layers: Sequence[str] | None = None) -> Dataset | None:
        """Return a data set, None where it is not made yet."""
        if source.step is not None and done(self.out, source.step) is None:
            return None
        return Dataset.open(self.place(source), layers=layers)

    @property
    def places(self) -> dict[str, str]:
        """Where the experiment's data sets lie, by role."""
        return {role: self.place(source) for role, source in self.plan.data.items()}

    def place(self, source: Source) -> str:
        """Return where a data set lies."""
        return source.place if stores.is_url(source.place) else str(self.out / source.place)

    @cached_property
    def best(self) -> Scored | None:
        """The row with the best score."""
        return self.best_of(self.plan.experiment.rows)

    def best_of(self, labels: Collection[str]) -> Scored | None:
        """Return the one with the best score of some rows, None where none was judged."""
        ranked = [one for one in self.scored if one.score is not None and one.row.label in labels]
        sign = -1.0 if any(one.score and one.score.better == "lower" for one in ranked) else 1.0
        return max(ranked, key=lambda one: sign * (one.score.mean if one.score else 0.0), default=None)

    @property
    def several_detectors(self) -> bool:
        """Whether rows need their detector's name."""
        return len(self.plan.experiment.detectors) > 1

    def name(self, scored: Scored) -> str:
        """Return what a row is called."""
        return f"{scored.row.label}, {scored.row.detector}" if self.several_detectors else scored.row.label

    @cached_property
    def comparisons(self) -> list[tuple[Comparison, Mapping[str, Any]]]:
        """What was measured between data sets, as far as it is there."""
        found = [(one, results_of(self.out, one.step)) for one in self.plan.comparisons]
        return [(one, said) for one, said in found if said is not None]

    def distances(self) -> Iterator[tuple[str, int | None, str, Mapping[str, Any]]]:
        """Yield (row, seed, other row, result) of each number of a whole set beside another."""
        for one, said in self.comparisons:
            for result in said["results"]:
                if not result["part"]:
                    yield one.row, one.seed, one.other, result


def signed(difference: Difference | None) -> str:
    """Return a difference with its interval and p as tables have it; a dash where it is missing."""
    if difference is None:
        return "–"
    shown = f"{difference.mean:+.3f}"
    if difference.interval is not None:
        shown += f" [{difference.interval[0]:+.3f}, {difference.interval[1]:+.3f}]"
    if difference.p is not None:
        shown += f" p {'< ' + str(_P_FLOOR) if difference.p < _P_FLOOR else f'{difference.p:.3f}'}"
    return shown


def told(found: Number | None) -> str:
    """Return a row's number as tables have it; a dash where it is missing."""
    return "–" if found is None else number(found.mean, found.interval)
