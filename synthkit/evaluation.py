# SPDX-License-Identifier: Apache-2.0
"""Judging: a detector on a data set, or a data set against another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs
import numpy as np

from synthkit.checkpoint import Checkpoint
from synthkit.dataset import Dataset
from synthkit.errors import ConfigError, DatasetError, PluginError, WeightsError
from synthkit.interfaces import (
    ComponentSpec,
    Detector,
    Evidence,
    Explaining,
    Keeping,
    Metric,
    MetricResult,
    Pair,
    SampleSet,
    Scored,
    State,
)
from synthkit.sample import Detections, Sample
from synthkit.session import Session
from synthkit.states import StateCache
from synthkit.turning import Turned

REFERENCE = "reference"

_SHOWN = 3


@attrs.frozen(eq=False)
class Judgement:
    """A metric's results, what stands behind them where the metric tells, and the set whose keys that names."""

    results: list[MetricResult]
    evidence: Evidence | None
    data: Dataset | Turned


def evaluate(
    session: Session,
    metric: ComponentSpec,
    data: Path | str | Dataset,
    reference: Path | str | Dataset | None = None,
    checkpoint: Path | None = None,
) -> list[MetricResult]:
    """Return a metric's results; see ``judge``."""
    return judge(session, metric, data, reference, checkpoint, explained=False).results


def judge(
    session: Session,
    metric: ComponentSpec,
    data: Path | str | Dataset,
    reference: Path | str | Dataset | None = None,
    checkpoint: Path | None = None,
    *,
    detector: ComponentSpec | None = None,
    turns: int = 0,
    explained: bool = True,
) -> Judgement:
    """Return a metric's results, their definitions completed by what they were measured on, and their evidence.

    Args:
        metric: which one.
        data: what is judged, or what the detector is judged on: a data set, its folder or its URL.
        reference: what ``data`` is compared with, for metrics that have such a role.
        checkpoint: the detector's, for metrics that judge detections. detector: one that needs no checkpoint, instead.
        turns: judge the detector on every sample at so many random turns instead; see ``synthkit.turning``.
        explained: whether evidence is wanted.

    Raises:
        ConfigError: when the metric needs a reference or a detector that is not given, or is given what it has no use
            for.
    """
    if checkpoint is not None and detector is not None:
        raise ConfigError(["--detector: is for those that need no checkpoint; give --checkpoint or --detector"])
    if checkpoint is not None:
        metric = attrs.evolve(metric, checkpoint=str(checkpoint))
    judged = _opened(data)
    shown = Turned(judged, turns, session.runtime("turns").seeds) if turns else judged
    subject = Subject(shown, None if reference is None else _opened(reference), detector)
    with session.entered(metric) as instance:
        assert isinstance(instance, Metric)
        _check(metric.name, instance, reference is not None, checkpoint is not None or detector is not None, turns > 0)
        if checkpoint is not None:
            subject = attrs.evolve(subject, detector=detector_spec(checkpoint))
        states = {role: _state(session, metric, instance, role, subject) for role in instance.roles}
        results = instance.compute(states)
        evidence = instance.explain(states) if explained and isinstance(instance, Explaining) else None
    return Judgement([_completed(session, metric, subject, result) for result in results], evidence, shown)


@attrs.frozen(eq=False)
class Subject:
    """What is judged: a data set, what it is compared with, and the detector that is run on it."""

    data: Dataset | Turned
    reference: Dataset | None = None
    detector: ComponentSpec | None = None

    @property
    def fingerprints(self) -> dict[str, str]:
        """The data sets' fingerprints, as results tell them."""
        data = self.data.data if isinstance(self.data, Turned) else self.data
        found = {"candidate": data.fingerprint}
        return found if self.reference is None else {**found, REFERENCE: self.reference.fingerprint}


def _state(session: Session, metric: ComponentSpec, instance: Metric, role: str, subject: Subject) -> State:
    """Return what a metric observes in a role: what the cache holds of it, where the metric keeps its states."""
    kind = instance.roles[role]
    source = subject.reference if role == REFERENCE and subject.reference is not None else subject.data

    def observe() -> State:
        if kind == "detections":
            assert subject.detector is not None
            return instance.observe(role, scored(session, subject.detector, source))
        if kind == "pairs":
            assert subject.reference is not None
            assert isinstance(subject.data, Dataset)
            return instance.observe(role, paired(session, subject.data, subject.reference))
        return instance.observe(role, session.counted(f"measure {role}", source))

    if not isinstance(instance, Keeping):
        return observe()
    runs = subject.detector if kind == "detections" else None
    identity = {
        "observed": instance.observed(role),
        "kind": kind,
        "items": subject.fingerprints if kind == "pairs" else source.fingerprint,
        "environment": session.registry.environment(metric),
        "device": session.run.device,
        "detector": None if runs is None else [session.registry.identity(runs), session.registry.environment(runs)],
    }
    return StateCache(session.runtime("metric").cache_dir / "states").get(identity, observe)


def _completed(session: Session, metric: ComponentSpec, subject: Subject, result: MetricResult) -> MetricResult:
    """Return a result that tells what it was measured on, and which version of the metric did."""
    found = session.registry.get("metric", metric.name)
    definition = dict(result.definition)
    if metric.checkpoint is not None:
        assert subject.detector is not None
        definition["checkpoint_sha256"] = subject.detector.checkpoint_sha256
    elif subject.detector is not None:
        definition["detector"] = session.registry.identity(subject.detector)
    if isinstance(subject.data, Turned):
        definition["turns"] = f"{subject.data.count} random turns of each image, seed {session.run.seed}"
    version = f"{found.origin.distribution} {found.origin.version}, revision {found.component.revision}"
    return attrs.evolve(result, definition=definition, data=subject.fingerprints, version=version)


def paired(session: Session, data: Dataset, reference: Dataset) -> Iterator[Pair]:
    """Yield each sample of a set with the one of the same key in another, which may hold more.

    Raises:
        DatasetError: before the first, when some have none, or when two share a key.
    """
    keys = data.keys()
    alone = [key for key in keys if key not in reference]
    if alone:
        raise DatasetError(
            f"{data.location}: {len(alone)} of its {len(data)} samples are not in {reference.location}, such as"
            f" {', '.join(alone[:_SHOWN])}: this metric compares samples of the same key"
        )
    for sample in session.counted("compare pairs", data):
        yield Pair(sample, reference.by_key(sample.key))


def judges_detections(session: Session, metric: ComponentSpec) -> bool:
    """Return whether a metric looks at a detector's answers."""
    return "detections" in session.registry.build(metric, session.runtime("metric")).roles.values()


def detector_spec(checkpoint: Path) -> ComponentSpec:
    """Return the detector a checkpoint belongs to, configured as it was trained.

    Raises:
        WeightsError: when it cannot be read or is no detector's.
    """
    found = Checkpoint.open(checkpoint)
    found.require("detector")
    card = found.card
    if not isinstance(card.get("name"), str) or not isinstance(card.get("config"), Mapping):
        raise WeightsError(f"checkpoint {checkpoint}: its card lacks the detector's name or config")
    return ComponentSpec("detector", card["name"], card["config"], str(found.path), found.sha256)


def scored(session: Session, detector: ComponentSpec, data: Sequence[Sample] | SampleSet) -> Iterator[Scored]:
    """Yield each sample with what the detector finds in it.

    Raises:
        PluginError: when the detector does not give one answer per sample, in order, or not in finite numbers.
    """
    with session.entered(detector) as instance:
        assert isinstance(instance, Detector)
        samples: Iterable[Sample] = session.counted("detect", data)
        kept: list[Sample] = []

        def keep() -> Iterator[Sample]:
            for sample in samples:
                kept.append(sample)
                yield sample

        # A detector may read ahead to fill its batch; answers come in order, so the oldest kept is meant.
        for detections in instance.detect(keep()):
            sample = kept.pop(0) if kept else None
            if sample is None or sample.key != detections.key:
                raise PluginError(f"detector {detector.name!r} answered for {detections.key} out of turn")
            if not _finite(detections):
                raise PluginError(f"detector {detector.name!r} answered for {detections.key} with numbers not finite")
            yield Scored(sample, detections)
        if kept:
            raise PluginError(f"detector {detector.name!r} gave no answer for {kept[0].key}")


def _finite(found: Detections) -> bool:
    numbers = (found.scores, found.boxes_xyxy_px, found.rotated_boxes, found.points_px)
    return all(part is None or bool(np.isfinite(part).all()) for part in numbers)


def _opened(data: Path | str | Dataset) -> Dataset:
    return data if isinstance(data, Dataset) else Dataset.open(data)


def _check(name: str, metric: Metric, has_reference: bool, has_detector: bool, turns: bool) -> None:
    problems = []
    wants_reference = REFERENCE in metric.roles or "pairs" in metric.roles.values()
    wants_detector = "detections" in metric.roles.values()
    if wants_reference != has_reference:
        problems.append(
            f"metric {name!r} compares with a reference: give --reference DATASET"
            if wants_reference
            else f"metric {name!r} compares with nothing: leave --reference away"
        )
    if wants_detector != has_detector:
        problems.append(
            f"metric {name!r} judges a detector: give --checkpoint FILE, or --detector NAME for one that needs none"
            if wants_detector
            else f"metric {name!r} judges images, not a detector: leave --checkpoint and --detector away"
        )
    if turns and not wants_detector:
        problems.append(f"metric {name!r} judges no detector: leave --turns away")
    if problems:
        raise ConfigError(problems)
