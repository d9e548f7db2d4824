# SPDX-License-Identifier: Apache-2.0
"""What metrics look at, and the states that they make of it: each set is read once, whatever their number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import attrs
import numpy as np

from synthkit import config, weights
from synthkit.dataset import Dataset
from synthkit.errors import ConfigError, DatasetError, PluginError, SynthkitError, WeightsError
from synthkit.interfaces import (
    ComponentSpec,
    Detector,
    Keeping,
    Metric,
    Pair,
    Progress,
    RoleKind,
    SampleSet,
    Scored,
    State,
    Weighted,
)
from synthkit.sample import Detections, Sample
from synthkit.session import Session
from synthkit.sharing import shared
from synthkit.states import StateCache
from synthkit.turning import Turned

REFERENCE = "reference"

_SHOWN = 3


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

    def source(self, of_reference: bool) -> Dataset | Turned:
        """Return the set that is looked at."""
        return self.reference if of_reference and self.reference is not None else self.data

    def kept_by(self, session: Session, kind: RoleKind, of_reference: bool) -> dict[str, Any]:
        """Return what of the items decides about a state."""
        runs = self.detector if kind == "detections" else None
        registry = session.registry
        return {
            "kind": kind,
            "items": self.fingerprints if kind == "pairs" else self.source(of_reference).fingerprint,
            "detector": None if runs is None else [registry.identity(runs), registry.environment(runs)],
            "device": session.run.device,
        }


@attrs.frozen(eq=False)
class _Look:
    """What one metric observes in one role.

    Args:
        metric: its place among the metrics. items: as what it looks, and whether at the reference.
        key: what its state is known by; looks of the same key share it. kept: whether the cache keeps it.
    """

    metric: int
    role: str
    items: tuple[RoleKind, bool]
    key: str
    kept: bool


def states_of(
    session: Session, subject: Subject, metrics: Sequence[tuple[ComponentSpec, Metric]]
) -> list[dict[str, State] | Exception]:
    """Return the states by role of metrics that were entered, in their order, or why one has none.

    States that the cache holds are not made again; metrics that observe the same share a state; all others look at each
    set in one pass. One that fails ends alone, and is not asked again.

    Raises:
        ConfigError, WeightsError: before anything is looked at, of all networks that cannot be had.
    """
    cache = StateCache(session.runtime("metric").cache_dir / "states")
    looks, problems = _all_looks(session, subject, metrics)
    found: dict[str, State] = {
        look.key: kept for look in looks if look.kept and (kept := cache.get(look.key)) is not None
    }
    observing = {look.metric: metrics[look.metric][1] for look in looks if look.key not in found}
    _check_networks(observing.values(), problems, session.progress)
    waiting: dict[tuple[RoleKind, bool], dict[str, _Look]] = {}
    for look in looks:
        if look.key not in found:
            waiting.setdefault(look.items, {}).setdefault(look.key, look)
    failed: dict[int, Exception] = {}
    for items, group in waiting.items():
        users = {key: [look.metric for look in looks if look.key == key] for key in group}
        going = [look for look in group.values() if not all(user in failed for user in users[look.key])]
        observe = [partial(metrics[look.metric][1].observe, look.role) for look in going]
        for look, state in zip(going, _observed(_items(session, subject, *items), observe), strict=True):
            if isinstance(state, Exception):
                failed |= {user: state for user in users[look.key] if user not in failed}
                continue
            found[look.key] = state
            if look.kept:
                cache.put(look.key, state)
    return [
        failed[place] if place in failed else {look.role: found[look.key] for look in looks if look.metric == place}
        for place in range(len(metrics))
    ]


def _observed(items: Iterator[Any], observe: Sequence[Callable[[Iterator[Any]], State]]) -> Sequence[State | Exception]:
    """Return what metrics make of items in one pass, or how each fails; all fail alike where the items do."""

    def attempt(one: Callable[[Iterator[Any]], State], items: Iterator[Any]) -> State | Exception:
        try:
            return one(items)
        except Exception as error:
            return error

    try:
        return shared(items, [partial(attempt, one) for one in observe])
    except Exception as error:
        return [error] * len(observe)


def _all_looks(
    session: Session, subject: Subject, metrics: Sequence[tuple[ComponentSpec, Metric]]
) -> tuple[list[_Look], list[SynthkitError]]:
    """Return what metrics look at, and why some cannot tell by what they look."""
    looks: list[_Look] = []
    problems: list[SynthkitError] = []
    for place, (spec, metric) in enumerate(metrics):
        try:
            looks += _looks(session, subject, place, spec, metric)
        except (ConfigError, WeightsError) as error:
            problems.append(error)
    return looks, problems


def _check_networks(metrics: Iterable[Metric], problems: list[SynthkitError], progress: Progress) -> None:
    """Raise what is wrong with networks, and with the weights that some metrics need, as one error."""
    try:
        weights.require((wanted for metric in metrics if isinstance(metric, Weighted) for wanted in metric.weights()),
                        progress)  # fmt: skip
    except WeightsError as error:
        problems = [*problems, error]
    if not problems:
        return
    lines = dict.fromkeys(line for problem in problems for line in str(problem).splitlines())
    if all(isinstance(problem, ConfigError) for problem in problems):
        raise ConfigError(lines)
    raise WeightsError("\n".join(lines))


def _looks(session: Session, subject: Subject, place: int, spec: ComponentSpec, metric: Metric) -> Iterator[_Look]:
    for role, kind in metric.roles.items():
        of_reference = role == REFERENCE and subject.reference is not None
        key, kept = f"{place} {role}", isinstance(metric, Keeping)
        if isinstance(metric, Keeping):
            told = {"observed": metric.observed(role), "environment": session.registry.environment(spec)}
            key = config.fingerprint(told | subject.kept_by(session, kind, of_reference))
        yield _Look(place, role, (kind, of_reference), key, kept)


def _items(session: Session, subject: Subject, kind: RoleKind, of_reference: bool) -> Iterator[Any]:
    source = subject.source(of_reference)
    if kind == "detections":
        assert subject.detector is not None
        return scored(session, subject.detector, source)
    if kind == "pairs":
        assert subject.reference is not None
        assert isinstance(subject.data, Dataset)
        return paired(session, subject.data, subject.reference)
    return session.counted(f"measure {REFERENCE if of_reference else 'candidate'}", source)


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
