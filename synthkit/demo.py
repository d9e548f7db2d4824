# SPDX-License-Identifier: Apache-2.0
"""The whole story on one machine: render, refine, train detectors, judge them, export, report.

The demonstration names no plugin: it takes the components that declare settings small enough for it
(``Component.demo``). Its target domain is a stand-in, made by the same renderer with the settings the
renderer declares for that role, so that the demonstration needs no photographs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from synthkit import claims, config, evaluation, pipeline, settings
from synthkit.checkpoint import Checkpoint
from synthkit.config import at_least, setting
from synthkit.dataset import Dataset, storage
from synthkit.errors import ConfigError, PluginError
from synthkit.interfaces import Component, ComponentSpec, Kind, MetricResult
from synthkit.plugins import Registry, check_chain
from synthkit.seeds import Seeds
from synthkit.session import Session
from synthkit.settings import RunSettings

PLAN_FILE = "demo.json"
TIMES_FILE = "times.json"


@attrs.frozen
class DemoSettings:
    """How much the demonstration makes, in the table ``[demo]``."""

    source: int = setting(40, help="rendered scenes to refine and to train on", validator=at_least(1))
    target_train: int = setting(20, help="stand-in target scenes: the refiner's model", validator=at_least(1))
    target_validation: int = setting(10, help="stand-in target scenes that choose checkpoints", validator=at_least(1))
    target_test: int = setting(24, help="stand-in target scenes that give the scores", validator=at_least(1))


@attrs.frozen
class Cast:
    """The components that play, and the sizes."""

    sizes: DemoSettings
    source: ComponentSpec
    target: ComponentSpec
    refiner: ComponentSpec
    detector: ComponentSpec
    metrics: Sequence[ComponentSpec]


@attrs.frozen(eq=False)
class Story:
    """Everything the report tells about."""

    out: Path
    cast: Cast
    datasets: Mapping[str, Dataset]
    refiner: Checkpoint
    detectors: Mapping[str, Checkpoint]
    scores: Mapping[str, Sequence[MetricResult]]
    distances: Mapping[str, Sequence[MetricResult]]
    onnx: Path
    onnx_card: Mapping[str, Any]
    seconds: Mapping[str, float]


def run(session: Session, cast: Cast, out: Path) -> Path:
    """Run the demonstration, or go on with an interrupted one; return the report's path.

    Raises:
        DatasetError: when ``out`` holds something else.
    """
    from synthkit.report.story import write_report

    _claim(out, session, cast)
    story = _tell_story(session, cast, out)
    return write_report(session, story)


def choose(registry: Registry, names: Mapping[str, str | None], changes: Mapping[str, Any]) -> tuple[RunSettings, Cast]:
    """Return the general settings and the components that play, with all settings checked.

    Args:
        names: components to use instead of the first that offer themselves, by kind.
        changes: to the components' demonstration settings (``renderer.width_px`` changes both domains), to
            ``[demo]``, and to the general settings.

    Raises:
        ConfigError: with every problem of every part, a missing component among them; or when the refiner
            needs what the renderer does not provide.
    """
    problems: list[str] = []
    general = settings.general(changes, _TABLES, problems)
    sizes = DemoSettings()
    with config.collected(problems):
        sizes = config.structure(DemoSettings, changes.get("demo", {}), path="demo")
    cast: dict[str, ComponentSpec] = {}
    for kind, roles in _ROLES.items():
        wanted, options = settings.component_table(changes, kind, problems)
        with config.collected(problems):
            player = _player(registry, kind, names.get(kind) or wanted, next(iter(roles.values())))
            if kind != "renderer" and not player.trainable:
                raise PluginError(f"{kind} {player.name!r} learns nothing: the demonstration needs one that does")
            for part, role in roles.items():
                component = _stand_in(registry, player) if part == "target" else player
                cast[part] = _spec(component, role, options or {})
                registry.configure(cast[part])
    if problems:
        raise ConfigError(dict.fromkeys(problems))  # both domains may have the same one
    chain = [(spec.kind, registry.declared(spec)) for spec in (cast["source"], cast["refiner"])]
    check_chain(chain, frozenset())
    metrics = [found.component for found in registry.all("metric") if "settings" in found.component.demo]
    return general, Cast(sizes=sizes, metrics=[_spec(metric, "settings", {}) for metric in metrics], **cast)


_ROLES: Mapping[Kind, Mapping[str, str]] = {
    "renderer": {"source": "source", "target": "target"},
    "refiner": {"refiner": "settings"},
    "detector": {"detector": "settings"},
}
_TABLES = ("demo", *_ROLES)


def _player(registry: Registry, kind: Kind, wanted: str | None, role: str) -> Component:
    if wanted:
        return registry.get(kind, wanted).component
    for found in registry.all(kind):
        if role in found.component.demo:
            return found.component
    raise PluginError(f"no installed {kind} offers itself for the demonstration; see 'synthkit plugins list'")


def _stand_in(registry: Registry, source: Component) -> Component:
    """Return the component of the same renderer that plays the target domain."""
    for found in registry.all("renderer"):
        if found.component.target == source.target and "target" in found.component.demo:
            return found.component
    raise PluginError(f"renderer {source.name!r} declares no stand-in for a target domain; choose another --renderer")


def _spec(component: Component, role: str, changes: Mapping[str, Any]) -> ComponentSpec:
    options = dict(component.demo.get(role, {}))
    config.merge_into(options, changes)
    return ComponentSpec(component.kind, component.name, options)


def _claim(out: Path, session: Session, cast: Cast) -> None:
    """Note in ``out`` which demonstration it holds; refuse a folder that holds anything else."""
    plan = {"seed": session.run.seed, "threads": session.run.threads, "cast": config.plain(cast)}
    claims.claim(out, PLAN_FILE, plan)
    storage.clear_temporaries(out)


def _tell_story(session: Session, cast: Cast, out: Path) -> Story:
    clock = _Clock(out / TIMES_FILE)
    data: dict[str, Dataset] = {}
    for step, (name, spec, count) in enumerate(_renders(cast), 1):
        session.tell(f"rendering {count} scenes: {name} ({step} of 4)")
        with clock.timing(f"render {name}"):
            own = session.reseeded(Seeds(session.run.seed).child("demo").integer(name))
            data[name] = pipeline.render(own, spec, out / name, count).dataset

    session.tell("training the refiner: rendered people towards the target's look")
    with clock.timing("fit refiner"):
        pair = {"source": data["rendered"].path, "target": data["target-train"].path}
        refiner = pipeline.fit(session, cast.refiner, pair, out / "refiner")
    with clock.timing("refine"):
        fitted = pipeline.with_weights(session, cast.refiner, refiner.path)
        data["refined"] = pipeline.refine(session, fitted, data["rendered"].path, out / "refined").dataset

    detectors, scores = {}, {}
    for name in ("rendered", "refined", "target-train"):
        session.tell(f"training a detector on: {name}")
        with clock.timing(f"train on {name}"):
            sets = {"train": data[name].path, "validation": data["target-validation"].path}
            detectors[name] = pipeline.fit(session, cast.detector, sets, out / f"detector-{name}")
        with clock.timing("evaluate"):
            scores[name] = _judge(session, cast, data["target-test"], checkpoint=detectors[name].path)

    with clock.timing("evaluate"):
        distances = {
            name: _judge(session, cast, data[name], reference=data["target-train"])
            for name in ("rendered", "refined", "target-test")
        }
    onnx = out / "detector.onnx"
    with clock.timing("export"):
        card = pipeline.export(session, detectors["refined"].path, onnx)
    return Story(out, cast, data, refiner, detectors, scores, distances, onnx, card, clock.seconds)


def _renders(cast: Cast) -> Iterator[tuple[str, ComponentSpec, int]]:
    yield "rendered", cast.source, cast.sizes.source
    yield "target-train", cast.target, cast.sizes.target_train
    yield "target-validation", cast.target, cast.sizes.target_validation
    yield "target-test", cast.target, cast.sizes.target_test


def _judge(
    session: Session,
    cast: Cast,
    data: Dataset,
    *,
    reference: Dataset | None = None,
    checkpoint: Path | None = None,
) -> list[MetricResult]:
    """Return what the metrics say of a detector (with a checkpoint) or of a distance (with a reference)."""
    about_detectors = checkpoint is not None
    metrics = [spec for spec in cast.metrics if evaluation.judges_detections(session, spec) == about_detectors]
    if not metrics:
        return []
    judged = evaluation.judge(session, metrics, data, reference, checkpoint, explained=False)
    return [result for judgement in judged for result in judgement.results]


class _Clock:
    """Wall seconds by stage, kept on disk so that a resumed demonstration tells the whole time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.seconds: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}

    @contextmanager
    def timing(self, stage: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.monotonic() - began
            storage.write_atomically(self._path, [json.dumps(self.seconds, indent=2).encode()])
