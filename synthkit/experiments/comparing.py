# SPDX-License-Identifier: Apache-2.0
"""What an experiment's rows score, over seeds, and how far they are from the baselines, in pairs."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.errors import DatasetError
from synthkit.experiments.description import Experiment
from synthkit.experiments.planning import Plan, Row
from synthkit.experiments.steps import RESAMPLED_FILE, RESULTS_FILE, Step, done, read_json
from synthkit.resampling import interval
from synthkit.seeds import Seeds

Floats = npt.NDArray[np.float64]

_HEADLINE = "f1"  # begins the name of the number that rows are judged by, where there is one


@attrs.frozen(eq=False)
class Number:
    """What a row scores: the mean over its seeds.

    Args:
        values: by seed. interval: 95 %, over resampled items and, where there are several, trainings; see ``_mean``.
        better: which way is good.
    """

    name: str
    mean: float
    values: Mapping[int, float]
    interval: tuple[float, float] | None
    better: str


@attrs.frozen
class Difference:
    """How far a row's headline is from a baseline's.

    Args:
        interval: 95 %, of the same resampled items. p: how often resamples lie on the other side of no difference, two
            sided (Efron and Tibshirani 1993, chapter 15); None where nothing was resampled.
    """

    baseline: str
    mean: float
    interval: tuple[float, float] | None
    p: float | None


@attrs.frozen(eq=False)
class Scored:
    """A row with all that is told of it.

    Args:
        missing: seeds of which the judgement is not done. headline: the number that rows are compared by.
        samples: how many are trained on, by seed. chosen_at: steps after which checkpoints were chosen, by seed.
        resampled: (resamples,) the headline's mean on resampled items and trainings; empty where there are none.
    """

    row: Row
    numbers: Mapping[str, Number]
    headline: str | None
    differences: Mapping[str, Difference]
    missing: tuple[int, ...]
    samples: Mapping[int, int]
    chosen_at: Mapping[int, int]
    resampled: Floats

    @property
    def score(self) -> Number | None:
        """The headline's number."""
        return None if self.headline is None else self.numbers.get(self.headline)


@attrs.frozen(eq=False)
class _Judged:
    """A row's numbers by seed, and what they would be on resampled items, (resamples,) each."""

    values: Mapping[str, Mapping[int, float]]
    better: Mapping[str, str]
    resampled: Mapping[str, Mapping[int, Floats]]


def results_of(out: Path, step: Step) -> dict[str, Any] | None:
    """Return what a finished evaluation said: ``results``, ``charts`` and ``resampled``; None where it is not done.

    Raises:
        DatasetError: when it is done, and what it said is damaged.
    """
    if done(out, step) is None:
        return None
    said = read_json(out / step.folder / RESULTS_FILE)
    if said is None or not all(isinstance(said.get(name), list) for name in ("results", "charts", "resampled")):
        raise _damaged(out, step, RESULTS_FILE)
    return said


def _damaged(out: Path, step: Step, name: str) -> DatasetError:
    return DatasetError(f"{out / step.folder}: {name} is damaged; remove the folder and run again")


def compare(plan: Plan, out: Path) -> list[Scored]:
    """Return what the rows of a plan score, as far as their steps are done."""
    seeds = Seeds(plan.experiment.run.seed).child("experiment", "seeds")
    scored = [_scored(out, row, seeds) for row in plan.rows]
    known = {(one.row.label, one.row.detector): one for one in scored}
    return [attrs.evolve(one, differences=_differences(plan.experiment, one, known)) for one in scored]


def between(own: Scored, other: Scored) -> Difference | None:
    """Return how far a row's headline is from that of another, None where either is not judged."""
    if own.score is None or other.score is None or own.headline != other.headline:
        return None
    resampled = own.resampled - other.resampled if len(own.resampled) == len(other.resampled) else np.zeros(0)
    return apart(other.row.label, own.score.mean - other.score.mean, resampled)


def apart(baseline: str, mean: float, resampled: Floats) -> Difference:
    """Return a difference from its mean and from what it is in each resample, (resamples,)."""
    known = resampled[~np.isnan(resampled)]
    p = None
    if known.size:
        p = float(min(1.0, 2 * min(float(np.mean(known <= 0)), float(np.mean(known >= 0))) + 1 / known.size))
    return Difference(baseline, mean, interval(resampled), p)


def _differences(experiment: Experiment, own: Scored, known: Mapping[tuple[str, str], Scored]) -> dict[str, Difference]:
    others = {name: known.get((name, own.row.detector)) for name in experiment.baselines if name != own.row.label}
    found = {name: between(own, other) for name, other in others.items() if other is not None}
    return {name: difference for name, difference in found.items() if difference is not None}


def _judged(out: Path, row: Row) -> _Judged:
    values: dict[str, dict[int, float]] = {}
    better: dict[str, str] = {}
    resampled: dict[str, dict[int, Floats]] = {}
    for run in row.runs:
        said = results_of(out, run.judged)
        if said is None:
            continue
        for result in said["results"]:
            if not result["part"]:
                values.setdefault(result["name"], {})[run.seed] = result["value"]
                better[result["name"]] = result["better"]
        for name, drawn in _resampled(out, run.judged, said["resampled"]).items():
            resampled.setdefault(name, {})[run.seed] = drawn
    return _Judged(values, better, resampled)


def _resampled(out: Path, step: Step, names: Sequence[str]) -> dict[str, Floats]:
    """Return what a finished evaluation's numbers would be on resampled items, (resamples,) each."""
    try:
        with np.load(out / step.folder / RESAMPLED_FILE, allow_pickle=False) as arrays:
            return dict(zip(names, arrays["values"].astype(np.float64), strict=True))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        raise _damaged(out, step, RESAMPLED_FILE) from None


def _scored(out: Path, row: Row, seeds: Seeds) -> Scored:
    own = _judged(out, row)
    means = {name: _mean(own.resampled.get(name, {}), seeds, row.label) for name in own.values}
    numbers = {
        name: Number(name, float(np.mean(list(values.values()))), values, interval(means[name]), own.better[name])
        for name, values in own.values.items()
    }
    headline = _headline(own)
    finished = {run.seed: done(out, run.train) for run in row.runs}
    return Scored(
        row,
        numbers,
        headline,
        {},
        tuple(run.seed for run in row.runs if run.seed not in own.values.get(headline or "", {})),
        {run.seed: count for run in row.runs if (count := _samples(out, run.data)) is not None},
        {seed: int(one.result["steps"]) for seed, one in finished.items() if one is not None and "steps" in one.result},
        means.get(headline or "", np.zeros(0)),
    )


def _headline(judged: _Judged) -> str | None:
    """Return the number that rows are judged by: an F1, else the first, of those that can be resampled if any can."""
    names = [*judged.resampled, *judged.values]
    return next((name for name in names if name.startswith(_HEADLINE)), names[0] if names else None)


def _samples(out: Path, data: Sequence[tuple[Any, float | None]]) -> int | None:
    """Return how many samples a training set holds, None where it is not made yet."""
    counts: list[float] = []
    for source, amount in data:
        found = source.samples if source.step is None else _made(out, source.step)
        if found is None:
            return None
        counts.append(found if amount is None else round(amount * counts[0]))
    return int(sum(counts))


def _made(out: Path, step: Step) -> int | None:
    found = done(out, step)
    return None if found is None else int(found.result["samples"])


def _mean(by_seed: Mapping[int, Floats], seeds: Seeds, label: str) -> Floats:
    """Return the mean over trainings in each resample, (resamples,).

    Each resample has its items, the same for all rows, and, of n > 1 trainings, n - 1 that are drawn with replacement:
    that many, as then the variance of the mean over trainings is not underestimated (McCarthy and Snowden 1985).
    """
    if not by_seed:
        return np.zeros(0)
    values = np.stack(list(by_seed.values()))
    if len(values) == 1:
        return np.asarray(values[0])
    draws = seeds.stream(label).integers(0, len(values), (len(values) - 1, values.shape[1]))
    return np.asarray(np.take_along_axis(values, draws, axis=0).mean(axis=0))
