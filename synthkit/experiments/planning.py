# SPDX-License-Identifier: Apache-2.0
"""From an experiment to its steps: each is planned once, whichever rows need it (thesis 000, algorithm 3)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from synthkit import config, evaluation, pipeline
from synthkit.dataset import Dataset, formats
from synthkit.errors import ConfigError, DatasetError
from synthkit.experiments.description import (
    PLACE_MARK,
    REAL,
    RENDERED,
    TEST,
    VALIDATION,
    Experiment,
    Rendering,
    places,
)
from synthkit.experiments.steps import Step, begun
from synthkit.interfaces import ComponentSpec
from synthkit.observing import REFERENCE
from synthkit.sample import Sample
from synthkit.seeds import Seeds
from synthkit.session import Session

REVISION = 1  # to be raised when steps do otherwise what is described alike


@attrs.frozen
class Source:
    """A data set that steps take: where it lies, what decides about it, and the step that makes it, if any.

    Args:
        place: a path from the experiment's folder or from the root, or a URL. samples: None where not known before.
        carries: what its samples do, in the words of ``Component.provides``; None where not known before.
    """

    place: str
    identity: str
    step: Step | None
    samples: float | None
    carries: frozenset[str] | None


@attrs.frozen
class Run:
    """A row with one seed: the data it is trained on, by parts, and the detector's training and judgement."""

    seed: int
    data: tuple[tuple[Source, float | None], ...]
    train: Step
    judged: Step


@attrs.frozen
class Row:
    """What is compared: a training set, with a detector, once for each seed."""

    label: str
    detector: str
    runs: tuple[Run, ...]


@attrs.frozen
class Comparison:
    """What metrics say of a row's data beside that of another: by row, seed and the other's name, as a step."""

    row: str
    seed: int | None
    other: str
    step: Step


@attrs.frozen
class Plan:
    """All steps, each after those it needs, and what the report is made of."""

    experiment: Experiment
    steps: Mapping[str, Step]
    data: Mapping[str, Source]
    refined: Mapping[tuple[str, int], Source]
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]

    def behind(self, step: Step) -> list[Step]:
        """Return a step and all that it rests upon."""
        found: dict[str, Step] = {}
        waiting = [step]
        while waiting:
            one = waiting.pop()
            if one.id not in found:
                found[one.id] = one
                waiting += [self.steps[need] for need in one.needs]
        return list(found.values())


def plan(session: Session, experiment: Experiment, out: Path) -> Plan:
    """Return the plan of an experiment in a folder; files that steps read are hashed for it.

    Raises:
        ConfigError, DatasetError, PluginError: as far as can be known before any work.
    """
    return _Planner(session, experiment, out).plan()


class _Planner:
    def __init__(self, session: Session, experiment: Experiment, out: Path) -> None:
        self._session, self._registry, self._experiment = session, session.registry, experiment
        self._begun = begun(out)
        self._steps: dict[str, Step] = {}
        self._data: dict[str, Source] = {}
        self._refined: dict[tuple[str, int], Source] = {}

    def plan(self) -> Plan:
        experiment = self._experiment
        problems: list[str] = []
        for role, given in experiment.data.items():
            with config.collected(problems):
                self._data[role] = self._rendered(role, given) if isinstance(given, Rendering) else self._stored(given)
        if problems:
            raise ConfigError(problems)
        judging = [one.name for one in self._of_detectors()]
        if experiment.detectors and not judging:
            problems.append("metric: none of them judges detectors, such as detection")
        if judging and not experiment.detectors:
            problems.append(f"metric: {', '.join(judging)} judges detectors: add one, such as [detectors.squeezedet]")
        problems += self._learned_from_test()
        problems += self._too_small()
        problems += self._lacking()
        if problems:
            raise ConfigError(problems)
        for label, row in experiment.refiners.items():
            for seed in row.seeds:
                self._refined[label, seed] = self._refine(label, row.spec, seed, self._data[REAL])
        rows = [
            Row(label, detector, tuple(self._run(label, detector, seed) for seed in experiment.seeds_of(label)))
            for label in experiment.rows for detector in experiment.detectors
        ]  # fmt: skip
        comparisons = list(self._comparisons())
        return Plan(experiment, self._steps, self._data, self._refined, tuple(rows), tuple(comparisons))

    def _learned_from_test(self) -> Iterator[str]:
        """Yield which other data sets are the one that gives the scores, or show scenes of it."""
        shown = {role: self._scenes(source) for role, source in self._data.items()}
        for role, scenes in shown.items():
            if role != TEST and scenes == shown.get(TEST):
                yield f"data.{TEST}: shows the scenes of data.{role}: scores need images that had no other part"

    def _scenes(self, source: Source) -> str:
        """Return the identity of what a set shows: of rendered scenes a smaller set has the first ones of a larger."""
        if source.step is None or source.step.kind != "render":
            return source.identity
        return config.fingerprint({**source.step.identity, "count": None})

    def _too_small(self) -> Iterator[str]:
        """Yield which mixtures and sizes want more of a set than it holds, as far as that is known before."""
        held = self._samples_of(REAL)
        for count in sorted({sized.count for sized in self._experiment.sizes.values()}):
            if held is not None and count > held:
                yield f"sizes.counts: {count} real images, and there are {held:.0f}"
        for label, parts in self._experiment.mixtures.items():
            first = self._samples_of(parts[0].row)
            for part in parts[1:]:
                held = self._samples_of(part.row)
                if first is not None and held is not None and part.amount is not None and part.amount * first > held:
                    yield (
                        f"mixtures.{label}: {part.row}:{part.amount:g} is {part.amount * first:.0f} samples,"
                        f" {part.amount:g} times the {first:.0f} of {parts[0].row!r}, and it has {held:.0f}"
                    )

    def _lacking(self) -> Iterator[str]:
        """Yield which refiners and metrics need what the samples that they will get do not carry."""
        rendered = self._data[RENDERED].carries
        needing = [(f"refiners.{label}", row.spec, [(f"data.{RENDERED}", rendered)])
                   for label, row in self._experiment.refiners.items()]  # fmt: skip
        needing += [(f"metric.{spec.name}", spec, list(self._seen_by(spec))) for spec in self._experiment.metrics]
        for label, spec, seen in needing:
            for name, carries in seen:
                missing = frozenset() if carries is None else self._registry.declared(spec).needs - carries
                if missing:
                    yield (
                        f"{label}: {spec.name!r} set up so needs {', '.join(sorted(missing))}, and samples of {name}"
                        f" carry only {', '.join(sorted(carries or ())) or 'images'}"
                    )

    def _seen_by(self, metric: ComponentSpec) -> Iterator[tuple[str, frozenset[str] | None]]:
        """Yield the sets that a metric looks at, and what they carry; of pairs one or the other may carry it."""
        roles = self._roles(metric)
        if roles == {"pairs"}:
            for label, row in self._experiment.refiners.items():
                yield f"{label} and {RENDERED}", self._refined_carries(row.spec)
            return
        seen = [TEST] if "detections" in roles else [RENDERED, *([REAL] if self._refers(metric) else [])]
        for role in dict.fromkeys([*seen, *places(metric)]):
            if role in self._data:  # without detectors there is no test set
                yield f"data.{role}", self._data[role].carries

    def _refined_carries(self, spec: ComponentSpec) -> frozenset[str] | None:
        """Return what refined samples carry: what the rendered ones do, and what the refiner adds."""
        rendered = self._data[RENDERED].carries
        return None if rendered is None else rendered | self._registry.declared(spec).provides

    def _samples_of(self, row: str) -> float | None:
        """Return how many samples a row's set will have, where that is known: a refined one has those of its source."""
        return self._data.get(row, self._data[RENDERED]).samples

    def _step(
        self,
        kind: Any,
        label: str,
        identity: Mapping[str, Any],
        order: Mapping[str, Any],
        *,
        inputs: Mapping[str, Source | Step] | None = None,
        seed: int | None = None,
        units: float | None = None,
        cores: int = 1,
    ) -> Step:
        """Return the step of that description, planned before or now."""
        given = inputs or {}
        run = attrs.evolve(self._experiment.run, seed=self._experiment.run.seed if seed is None else seed)
        makers = [one if isinstance(one, Step) else one.step for one in given.values()]
        step = Step(
            kind,
            label,
            {
                "revision": REVISION,
                **identity,
                "seed": run.seed,
                "inputs": {name: one.id if isinstance(one, Step) else one.identity for name, one in given.items()},
            },
            {
                **order,
                "run": config.plain(run),
                "inputs": {name: one.product if isinstance(one, Step) else one.place for name, one in given.items()},
            },
            tuple(dict.fromkeys(maker.id for maker in makers if maker is not None)),
            units,
            cores,
        )
        return self._steps.setdefault(step.id, self._begun(step))

    def _rendered(self, role: str, given: Rendering) -> Source:
        seed = given.seed
        if seed is None:  # sets of one renderer must not show the same scenes
            seed = Seeds(self._experiment.run.seed).child("experiment").integer(role)
        identity = {"component": self._registry.identity(given.spec), "count": given.count, "codec": self._codec()}
        order = {"component": attrs.asdict(given.spec), "count": given.count}
        step = self._step("render", role, identity, order, seed=seed, units=given.count)
        per_scene = self._registry.build(given.spec, self._session.runtime("renderer")).samples_per_scene
        carries = self._registry.declared(given.spec).provides
        return _made(step, -(-given.count // per_scene) * per_scene, carries)

    def _stored(self, place: str) -> Source:
        opened = pipeline.opened_real(self._session, place)
        identity = pipeline.real_identity(opened)
        sample = pipeline.peopled(opened if isinstance(opened, Dataset) else _readable(opened.source))
        carries = None if sample is None else pipeline.carried_by(sample)
        if isinstance(opened, Dataset):
            return Source(opened.location if "://" in opened.location else str(opened.path.resolve()), identity, None,
                          len(opened), carries)  # fmt: skip
        order = {"place": place, "expected": identity}
        step = self._step(
            "import", place, {"content": identity, "codec": self._codec()}, order, units=len(opened.source)
        )
        return _made(step, len(opened.source), carries)

    def _codec(self) -> Any:
        return config.plain(self._experiment.run.codec)

    def _subset(self, count: int) -> Source:
        """Plan so many of the real images; larger ones hold the smaller ones."""
        label = f"{count} real images"
        step = self._step("subset", label, {"count": count}, {"count": count}, inputs={"source": self._data[REAL]},
                          units=count)  # fmt: skip
        return _made(step, count, self._data[REAL].carries)

    def _refine(self, label: str, spec: ComponentSpec, seed: int, target: Source) -> Source:
        source, run = self._data[RENDERED], self._experiment.run
        component, declared = self._registry.identity(spec), self._registry.declared(spec)
        inputs: dict[str, Source | Step] = {"source": source}
        if declared.trainable:
            sets = {"source": source, "target": target}
            inputs["checkpoint"] = self._step(
                "fit", f"{label}, seed {seed}", {"component": component, "threads": run.threads},
                {"component": attrs.asdict(spec)}, seed=seed,
                inputs={role: item for role, item in sets.items() if role in declared.learns_from},
                units=self._training_steps(spec), cores=run.threads,
            )  # fmt: skip
        identity = {"component": component, "codec": self._codec(), "guard": config.plain(run.guard)}
        order = {"component": attrs.asdict(spec)}
        step = self._step("refine", f"{label}, seed {seed}", identity, order, inputs=inputs, seed=seed,
                          units=source.samples)  # fmt: skip
        return _made(step, source.samples, self._refined_carries(spec))

    def _training_steps(self, spec: ComponentSpec) -> float | None:
        steps = getattr(self._registry.configure(spec), "steps", None)
        return float(steps) if isinstance(steps, int) else None

    def _set_of(self, row: str, seed: int) -> Source:
        return self._data[row] if row in self._data else self._refined[row, seed]

    def _data_of(self, label: str, seed: int) -> list[tuple[Source, float | None]]:
        """Return the sets that a row is trained on, and how many times as much of each as of the first."""
        experiment = self._experiment
        if label in experiment.sizes:
            sized = experiment.sizes[label]
            real = self._subset(sized.count)
            sets = [real] if sized.with_real else []
            if sized.refiner is not None:
                named = f"{sized.refiner}, {sized.count} images"
                sets.append(self._refine(named, experiment.refiners[sized.refiner].spec, seed, real))
            return [(one, None) for one in sets]
        if label in experiment.mixtures:
            return [(self._set_of(part.row, seed), part.amount) for part in experiment.mixtures[label]]
        return [(self._set_of(label, seed), None)]

    def _run(self, label: str, detector: str, seed: int) -> Run:
        experiment, spec = self._experiment, self._experiment.detectors[detector]
        data = self._data_of(label, seed)
        inputs: dict[str, Source | Step] = {f"train{place}": source for place, (source, _) in enumerate(data)}
        inputs["validation"] = self._data[VALIDATION]
        amounts, threads = [amount for _, amount in data], experiment.run.threads
        named = label if len(experiment.detectors) == 1 else f"{label}, {detector}"
        train = self._step(
            "train", f"on {named}, seed {seed}",
            {"component": self._registry.identity(spec), "threads": threads, "amounts": amounts},
            {"component": attrs.asdict(spec), "amounts": amounts}, inputs=inputs, seed=seed,
            units=self._training_steps(spec), cores=threads,
        )  # fmt: skip
        judged = self._evaluate(
            f"detector of {named}, seed {seed}",
            self._of_detectors(),
            {"candidate": self._data[TEST], "checkpoint": train},
            units=self._data[TEST].samples,
        )
        return Run(seed, tuple(data), train, judged)

    def _evaluate(
        self, label: str, metrics: Sequence[ComponentSpec], inputs: Mapping[str, Source | Step], units: float | None
    ) -> Step:
        """Plan what metrics say; settings that name one of the data sets have it among the inputs."""
        named: dict[str, Source | Step] = {
            f"{PLACE_MARK}{place}": self._data[place] for metric in metrics for place in places(metric)
        }
        threads = self._experiment.run.threads
        return self._step(
            "evaluate", label, {"metrics": [self._registry.identity(metric) for metric in metrics], "threads": threads},
            {"metrics": [attrs.asdict(metric) for metric in metrics]}, inputs={**inputs, **named}, units=units,
            cores=threads,
        )  # fmt: skip

    def _of_detectors(self) -> list[ComponentSpec]:
        return [one for one in self._experiment.metrics if evaluation.judges_detections(self._session, one)]

    def _comparisons(self) -> Iterator[Comparison]:
        """Yield what tells how far data lies from real and from rendered data (thesis 000, table 4.1)."""
        of_sets = [one for one in self._experiment.metrics if not evaluation.judges_detections(self._session, one)]
        towards = [one for one in of_sets if self._roles(one) != {"pairs"}]
        since = [one for one in of_sets if self._roles(one) == {"pairs"} or (self._refers(one) and not places(one))]
        subjects: list[tuple[str, int | None, Source]] = [(RENDERED, None, self._data[RENDERED])]
        subjects += [(label, seed, source) for (label, seed), source in self._refined.items()]
        for label, seed, source in subjects:
            others = {REAL: towards} if label == RENDERED else {REAL: towards, RENDERED: since}
            for other, metrics in others.items():
                if metrics:
                    named = label if seed is None else f"{label}, seed {seed}"
                    inputs = {"candidate": source}
                    if any(self._refers(one) or self._roles(one) == {"pairs"} for one in metrics):
                        inputs["reference"] = self._data[other]
                    step = self._evaluate(f"{named} beside {other}", metrics, inputs, units=source.samples)
                    yield Comparison(label, seed, other, step)

    def _roles(self, metric: ComponentSpec) -> set[str]:
        return set(self._registry.build(metric, self._session.runtime("metric")).roles.values())

    def _refers(self, metric: ComponentSpec) -> bool:
        return REFERENCE in self._registry.build(metric, self._session.runtime("metric")).roles


def _made(step: Step, samples: float | None, carries: frozenset[str] | None) -> Source:
    return Source(step.product, step.id, step, samples, carries)


def _readable(source: formats.Source) -> Iterator[Sample]:
    """Yield the samples of a set of another format; damaged ones are left out when it is converted."""
    for index in range(len(source)):
        with contextlib.suppress(DatasetError):
            yield source.sample(index)
