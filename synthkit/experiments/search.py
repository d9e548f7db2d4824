# SPDX-License-Identifier: Apache-2.0
"""Looking for the settings with which a row's detector does best on the validation set; the test set has no part in it.

Each trial is the experiment with other settings, of which only the trainings of that row are done, in the experiment's
folder: what one trial has made no other makes again. What a trial tries follows from the seed and from what the trials
before it scored, so a search that was stopped finds these on disk and goes on to the same end.
"""

from __future__ import annotations

import json
import math
import shlex
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs

from synthkit import config, settings
from synthkit.config import at_least, setting
from synthkit.errors import ConfigError
from synthkit.experiments.description import SEARCH as TABLE
from synthkit.experiments.description import Experiment, read
from synthkit.experiments.planning import Plan
from synthkit.experiments.steps import Step, done
from synthkit.plugins import Registry
from synthkit.seeds import Seeds

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler

_HEADLINE = "f1"

Value = float | int | str | bool


@attrs.frozen
class _SearchSettings:
    """The table ``search`` of an experiment's file."""

    row: str = setting(help="whose detector shall be best: a refiner's, a mixture, rendered or real")
    ranges: Any = setting(
        help="settings and where to look: { low = 1e-5, high = 1e-2, log = true }, whole numbers where both ends are,"
        " or a list of choices"
    )
    trials: int = setting(20, help="how many settings are tried", validator=at_least(1))
    sampler: Literal["tpe", "random"] = setting(
        "tpe", help="tpe: by what was found (tree-structured Parzen estimator); random: by lot"
    )
    score: str = setting(
        "", help="which validation score, by name, of which more is better; none: F1, else the first that is told"
    )


@attrs.frozen
class Range:
    """Where a setting is looked for: from ``low`` to ``high``, or among ``choices``.

    Args:
        log: whether in equal ratios. whole: whether in whole numbers.
    """

    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    choices: tuple[Value, ...] = ()


@attrs.frozen
class Search:
    """What a file's table ``search`` says, checked."""

    row: str
    ranges: Mapping[str, Range]
    trials: int
    sampler: Literal["tpe", "random"]
    score: str


@attrs.frozen
class Trial:
    """What was tried, and the mean over seeds on the validation set; or None, and why it failed."""

    number: int
    values: Mapping[str, Value]
    score: float | None
    failed: str


def declared(path: Path, sets: Iterable[str]) -> Search:
    """Return the search that an experiment's file declares.

    Raises:
        ConfigError: with every problem, also where it declares none.
    """
    plain = settings.read(path, sets, {})
    if TABLE not in plain:
        raise ConfigError([f"{TABLE}: {path} declares no search: add [search] with row and [search.ranges]"])
    given = config.structure(_SearchSettings, plain[TABLE], path=TABLE)
    problems: list[str] = []
    ranges = {}
    table = given.ranges if isinstance(given.ranges, Mapping) else {}
    for name, told in table.items():
        with config.collected(problems):
            ranges[name] = _range(told, f"{TABLE}.ranges.{name}")
    if not table:
        problems.append(f'{TABLE}.ranges: expected settings, such as "refiner.steps" = {{ low = 100, high = 1000 }}')
    if problems:
        raise ConfigError(problems)
    return Search(given.row, ranges, given.trials, given.sampler, given.score)


def _range(told: Any, where: str) -> Range:
    if isinstance(told, list) and len(told) > 1 and all(isinstance(one, Value) for one in told):
        return Range(choices=tuple(told))
    ends = [told.get(name) for name in ("low", "high")] if isinstance(told, Mapping) else []
    numbers = [end for end in ends if isinstance(end, int | float) and not isinstance(end, bool) and math.isfinite(end)]
    if len(numbers) < 2 or numbers[0] >= numbers[1] or told.keys() - {"low", "high", "log"}:
        raise ConfigError([f"{where}: expected two choices at least, or low and high (and log), got {told!r}"])
    log = told.get("log", False)
    if not isinstance(log, bool) or (log and numbers[0] <= 0):
        raise ConfigError([f"{where}.log: must be true or false, and true only where low is above 0"])
    return Range(numbers[0], numbers[1], log, all(isinstance(end, int) for end in numbers))


def sets_of(values: Mapping[str, Value]) -> list[str]:
    """Return values as ``--set`` takes them."""
    return [f"{name}={_toml(value)}" for name, value in values.items()]


def options_of(values: Mapping[str, Value]) -> str:
    """Return values as options of a command, for a shell."""
    return " ".join(f"--set {shlex.quote(one)}" for one in sets_of(values))


def _toml(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def look(
    search: Search,
    registry: Registry,
    path: Path,
    sets: Sequence[str],
    planned: Callable[[Experiment], Plan],
    conduct: Callable[[Plan, Mapping[str, Step]], None],
    out: Path,
) -> Iterator[Trial]:
    """Try settings, and yield each trial when it is done; one whose settings are refused has failed.

    Args:
        path, sets: of the experiment. planned: plans one. conduct: does some steps of a plan, as far as they are not
            done, in ``out``.

    Raises:
        ConfigError: when the package that chooses is missing, the row is unknown, or the settings of every trial are
            refused.
    """
    seeds = Seeds(read(path, registry, sets).run.seed).child(TABLE)
    trials: list[Trial] = []
    refused: list[ConfigError] = []
    for number in range(search.trials):
        values = _suggested(search, trials, seeds, number)
        try:
            plan = planned(read(path, registry, [*sets, *sets_of(values)]))
        except ConfigError as error:
            refused.append(error)
            trials.append(Trial(number, values, None, "; ".join(error.problems)))
        else:
            trials.append(_tried(search, number, values, plan, conduct, out))
        yield trials[-1]
    if len(refused) == search.trials:
        raise ConfigError(dict.fromkeys(problem for error in refused for problem in error.problems))


def _tried(
    search: Search,
    number: int,
    values: Mapping[str, Value],
    plan: Plan,
    conduct: Callable[[Plan, Mapping[str, Step]], None],
    out: Path,
) -> Trial:
    """Train with the settings of a trial, as far as that is not done, and return what came of it."""
    trainings = _trainings(search, plan)
    conduct(plan, {step.id: step for training in trainings for step in reversed(plan.behind(training))})
    score = _score(search, out, trainings)
    return Trial(number, values, score, "not every training was done" if score is None else "")


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """Return the trial with the best score, the first of equals, None where none has one."""
    return max((trial for trial in trials if trial.score is not None), key=lambda one: one.score or 0.0, default=None)


def _trainings(search: Search, plan: Plan) -> list[Step]:
    rows = [row for row in plan.rows if row.label == search.row]
    if not rows:
        known = list(dict.fromkeys(row.label for row in plan.rows))
        raise ConfigError([f"{TABLE}.row: no row is called {search.row!r}{config.nearest(search.row, known)}"])
    if len(rows) > 1:
        raise ConfigError([f"{TABLE}: the experiment has several detectors, and no one score: leave one"])
    return [run.train for run in rows[0].runs]


def _score(search: Search, out: Path, trainings: Sequence[Step]) -> float | None:
    """Return the mean over trainings of their validation score, None where one of them failed."""
    found = [done(out, step) for step in trainings]
    if any(one is None for one in found):
        return None
    scores = [one.result.get("validation") or {} for one in found if one is not None]
    name = search.score or next((name for name in scores[0] if name == _HEADLINE), next(iter(scores[0]), ""))
    if not all(isinstance(each.get(name), int | float) for each in scores):
        known = ", ".join(scores[0]) or "none is told: choose a detector that is judged on the validation set"
        raise ConfigError([f"{TABLE}.score: trainings tell no {name!r}; known: {known}"])
    return float(sum(each[name] for each in scores) / len(scores))


def _suggested(search: Search, trials: Sequence[Trial], seeds: Seeds, number: int) -> dict[str, Value]:
    """Return what a trial tries: decided by its number, the seed, and the trials before it alone."""
    try:
        import optuna
    except ImportError:
        raise ConfigError(["search: the package optuna is missing: pip install 'synthkit-core[search]'"]) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    ranges = {name: _distribution(one) for name, one in search.ranges.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.create_study(direction="maximize", sampler=_sampler(search, seeds.integer("trial", number)))
    for trial in trials:
        failed = trial.score is None
        state = optuna.trial.TrialState.FAIL if failed else optuna.trial.TrialState.COMPLETE
        study.add_trial(
            optuna.trial.create_trial(params=dict(trial.values), distributions=ranges, value=trial.score, state=state)
        )
    return dict(study.ask(ranges).params)


def _sampler(search: Search, seed: int) -> BaseSampler:
    from optuna.samplers import RandomSampler, TPESampler

    seed %= 2**32
    return RandomSampler(seed=seed) if search.sampler == "random" else TPESampler(seed=seed, multivariate=True)


def _distribution(told: Range) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if told.choices:
        return CategoricalDistribution(told.choices)
    if told.whole:
        return IntDistribution(int(told.low), int(told.high), log=told.log)
    return FloatDistribution(told.low, told.high, log=told.log)
