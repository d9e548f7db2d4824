# SPDX-License-Identifier: Apache-2.0
"""Judging: a detector on a data set, or a data set against another, by one metric or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from synthkit import config, detectors, settings
from synthkit.dataset import Dataset
from synthkit.errors import ConfigError, SynthkitError, WorkError
from synthkit.interfaces import ComponentSpec, Evidence, Explaining, Metric, MetricResult, Resampling, State
from synthkit.meaning import cautions_of, check_name, check_value
from synthkit.observing import REFERENCE, Subject, states_of
from synthkit.plugins import Registry
from synthkit.session import Session
from synthkit.settings import Plan
from synthkit.turning import Turned


@attrs.frozen(eq=False)
class Judgement:
    """A metric's results, what stands behind them where the metric tells, and the set whose keys that names.

    Args:
        reference: the set that was compared with, if any.
        resampled: results on resampled items, by name, of metrics that tell them and where evidence is wanted; see
            ``Resampling``.
    """

    metric: str
    results: list[MetricResult]
    evidence: Evidence | None
    data: Dataset | Turned
    reference: Dataset | None = None
    resampled: Mapping[str, npt.NDArray[np.float64]] = attrs.field(factory=dict)


class MetricsFailed(SynthkitError):
    """Some of several metrics failed.

    Args:
        judged: what the others say. failures: with the names of those that failed.
    """

    def __init__(self, judged: Sequence[Judgement], failures: Sequence[tuple[str, Exception]]) -> None:
        self.judged = judged
        self.failures = list({id(error): error for _, error in failures}.values())
        self.exit_code = max(getattr(error, "exit_code", WorkError.exit_code) for error in self.failures)
        self.problems = [
            _problem(" and ".join(name for name, other in failures if other is error), error) for error in self.failures
        ]
        super().__init__("\n".join(self.problems))


def _problem(name: str, error: Exception) -> str:
    told = str(error)
    if not isinstance(error, SynthkitError):
        return f"{name}: fails with {type(error).__name__}: {told}"
    return told if told.startswith(name) else f"{name}: {told}"


def plan(
    registry: Registry,
    given: Mapping[str, Any],
    metrics: str | None,
    detector: str | None = None,
    checkpoint: Path | None = None,
) -> Plan:
    """Check the settings of a command that judges, and return them with the metrics and the detector, if there is one.

    Args:
        given: plain settings, as ``settings.plan`` takes them. metrics: their names, with commas between.
        detector, checkpoint: of the one that is judged, see ``detectors.from_settings``.

    Raises:
        ConfigError: with every problem of every part. PluginError, WeightsError: as ``detectors.chosen`` does.
    """
    problems: list[str] = []
    parts = {}
    table = given.get("detector")
    if detector or checkpoint or (isinstance(table, Mapping) and table.get("name")):
        spec = detectors.from_settings(registry, given, detector, checkpoint, problems)
        parts = {} if spec is None else {"detector": spec}
    elif table is not None:
        problems.append("detector: which one? give --checkpoint FILE, or --detector NAME for one that is ready")
    with config.collected(problems):
        found = settings.plan(registry, {key: given[key] for key in given if key != "detector"}, {"metric": metrics})
        if not problems:
            return attrs.evolve(found, components=parts)
    raise ConfigError(problems)


def evaluate(
    session: Session,
    metric: ComponentSpec,
    data: Path | str | Dataset,
    reference: Path | str | Dataset | None = None,
    checkpoint: Path | None = None,
) -> list[MetricResult]:
    """Return one metric's results; see ``judge``."""
    (judgement,) = judge(session, [metric], data, reference, checkpoint, explained=False)
    return judgement.results


def judge(
    session: Session,
    metrics: Sequence[ComponentSpec],
    data: Path | str | Dataset,
    reference: Path | str | Dataset | None = None,
    checkpoint: Path | None = None,
    *,
    detector: ComponentSpec | None = None,
    turns: int = 0,
    explained: bool = True,
) -> list[Judgement]:
    """Return metrics' results, completed by what they were measured on, and their evidence, in the metrics' order.

    Args:
        metrics: which ones.
        data: what is judged, or what the detector is judged on: a data set, its folder or its URL.
        reference: what ``data`` is compared with, for metrics that have such a role.
        checkpoint: the detector's, for metrics that judge detections; it is set up as it was trained. detector:
            instead, as ``detectors.chosen`` gives it, or by name and settings one that is ready as it ships.
        turns: judge the detector on every sample at so many random turns instead; see ``synthkit.turning``.
        explained: whether evidence is wanted.

    Raises:
        ConfigError: when a metric needs a reference or a detector that is not given, or none has a use for what is.
        PluginError: when a metric's result borrows the name of a published one, or is no number.
        MetricsFailed: when that, or anything else, stops some of several metrics; the others are not stopped by it.
    """
    if checkpoint is not None and detector is not None:
        raise ConfigError(["--detector: is for those that are ready as they ship; give --checkpoint or --detector"])
    if checkpoint is not None:
        detector = detectors.detector_spec(session.registry, checkpoint)
    elif detector is not None and detector.checkpoint is None:
        detector = detectors.chosen(session.registry, detector.name, detector.options)
    if detector is not None and detector.checkpoint is not None:
        metrics = [attrs.evolve(metric, checkpoint=detector.checkpoint) for metric in metrics]
    layers = _layers(session, metrics)
    judged = _opened(data, layers)
    shown = Turned(judged, turns, session.runtime("turns").seeds) if turns else judged
    subject = Subject(shown, None if reference is None else _opened(reference, layers), detector)
    with ExitStack() as stack:
        entered = [(metric, stack.enter_context(session.entered(metric))) for metric in metrics]
        _check(entered, reference is not None, detector is not None, turns > 0)
        return _judgements(session, subject, entered, explained)


def _judgements(
    session: Session, subject: Subject, metrics: Sequence[tuple[ComponentSpec, Metric]], explained: bool
) -> list[Judgement]:
    judged: list[Judgement] = []
    failures: list[tuple[str, Exception]] = []
    for (metric, instance), states in zip(metrics, states_of(session, subject, metrics), strict=True):
        try:
            if isinstance(states, Exception):
                raise states
            judged.append(_judgement(session, subject, metric, instance, states))
            if explained:
                judged[-1] = _explained(judged[-1], instance, states)
        except Exception as error:
            failures.append((metric.name, error))
    if not failures:
        return judged
    if not judged and len({id(error) for _, error in failures}) == 1:
        raise failures[0][1]
    raise MetricsFailed(judged, failures)


def _judgement(
    session: Session, subject: Subject, metric: ComponentSpec, instance: Metric, states: Mapping[str, State]
) -> Judgement:
    results = [_completed(session, metric, subject, result) for result in instance.compute(states)]
    return Judgement(metric.name, results, None, subject.data, subject.reference)


def _explained(judgement: Judgement, metric: Metric, states: Mapping[str, State]) -> Judgement:
    evidence = metric.explain(states) if isinstance(metric, Explaining) else None
    resampled = metric.resampled(states) if isinstance(metric, Resampling) else {}
    return attrs.evolve(judgement, evidence=evidence, resampled=resampled)


def _completed(session: Session, metric: ComponentSpec, subject: Subject, result: MetricResult) -> MetricResult:
    """Return a result that tells what it was measured on, and which version of the metric did."""
    found = session.registry.get("metric", metric.name)
    definition = dict(result.definition)
    if metric.checkpoint is not None:
        assert subject.detector is not None
        definition["checkpoint_sha256"] = subject.detector.checkpoint_sha256
        if changed := detectors.changed(session.registry, subject.detector):
            definition["detector_settings"] = changed
    elif subject.detector is not None:
        definition["detector"] = session.registry.identity(subject.detector)
    if isinstance(subject.data, Turned):
        definition["turns"] = f"{subject.data.count} random turns of each image, seed {session.run.seed}"
    check_name(metric.name, result)
    check_value(metric.name, result)
    version = f"{found.origin.distribution} {found.origin.version}, revision {found.component.revision}"
    return attrs.evolve(
        result,
        definition=definition,
        data=subject.fingerprints,
        version=version,
        cautions=(*result.cautions, *cautions_of(result.counts, subject.fingerprints)),
    )


def judges_detections(session: Session, metric: ComponentSpec) -> bool:
    """Return whether a metric looks at a detector's answers."""
    return "detections" in session.registry.build(metric, session.runtime("metric")).roles.values()


def _layers(session: Session, metrics: Sequence[ComponentSpec]) -> frozenset[str] | None:
    """Return the layers that any of the metrics looks at, None where that may be all."""
    found: frozenset[str] = frozenset()
    for metric in metrics:
        reads = session.registry.get("metric", metric.name).component.reads
        if reads is None:
            return None
        found |= reads
    return found


def _opened(data: Path | str | Dataset, layers: frozenset[str] | None) -> Dataset:
    return data if isinstance(data, Dataset) else Dataset.open(data, layers=layers)


def _check(
    entered: Sequence[tuple[ComponentSpec, Metric]], has_reference: bool, has_detector: bool, has_turns: bool
) -> None:
    problems = []
    uses_reference = uses_detector = False
    for spec, metric in entered:
        assert isinstance(metric, Metric)
        kinds = metric.roles.values()
        wants_reference, wants_detector = REFERENCE in metric.roles or "pairs" in kinds, "detections" in kinds
        uses_reference, uses_detector = uses_reference or wants_reference, uses_detector or wants_detector
        if wants_reference and not has_reference:
            problems.append(f"metric {spec.name!r} compares two sets: give the other one as well: IN REFERENCE")
        if wants_detector and not has_detector:
            problems.append(
                f"metric {spec.name!r} judges a detector: give --checkpoint FILE, or --detector NAME for one that needs"
                " none"
            )
    names = " and ".join(repr(spec.name) for spec, _ in entered)
    if has_reference and not uses_reference:
        problems.append(f"metric {names}: compares with nothing: leave the second data set away")
    if has_detector and not uses_detector:
        problems.append(f"metric {names}: judges images, not a detector: leave --checkpoint and --detector away")
    if has_turns and not uses_detector:
        problems.append(f"metric {names}: judges no detector: leave --turns away")
    if problems:
        raise ConfigError(problems)
