# SPDX-License-Identifier: Apache-2.0
"""What worker processes do for the stages: render a scene, refine a sample, find people in an image."""

from __future__ import annotations

import itertools
import socket
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import attrs

from synthkit import config, finds
from synthkit.cache import cache_dir
from synthkit.dataset import Dataset
from synthkit.drift.settings import GuardSettings
from synthkit.errors import DatasetError, PluginError, SynthkitError, WorkError
from synthkit.execution.jobs import reason_of
from synthkit.execution.scenes import Maker
from synthkit.interfaces import ComponentSpec, Detector, Refiner, Renderer, Runtime, sample_key
from synthkit.plugins import discover
from synthkit.sample import Sample, Sidecar, Skipped
from synthkit.seeds import Seeds
from synthkit.session import Session


def job_arguments(session: Session, spec: ComponentSpec, **more: Any) -> dict[str, Any]:
    """Return the plain arguments of a job; files and folders are named from the root."""
    options = _absolute(session.registry.configure(spec))
    return {
        "spec": {**attrs.asdict(spec), "options": options},
        "identity": config.fingerprint(session.registry.identity(spec)),
        "seed": session.run.seed,
        "device": session.run.device,
        **more,
    }


def scene_keys(scene: int, samples_per_scene: int) -> list[str]:
    """Return the keys of what a renderer makes of a scene."""
    return [sample_key(scene, n) for n in range(samples_per_scene)]


def slot_key(data: Dataset, slot: int | Skipped) -> str:
    """Return the key of a set's place, be it a sample's position or a hole."""
    return slot.key if isinstance(slot, Skipped) else data.key(slot)


def _absolute(value: Any) -> Any:
    """Return a config as JSON values with whole paths: another machine's working directory is another."""
    if attrs.has(type(value)):
        return {field.name: _absolute(getattr(value, field.name)) for field in attrs.fields(type(value))}
    if isinstance(value, Mapping):
        return {str(key): _absolute(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_absolute(item) for item in value]
    return str(value.absolute()) if isinstance(value, Path) else value


class ComponentJob(Maker):
    """A component, entered once per process.

    Args:
        spec: the component. identity: fingerprint of its identity where the job was sent from.
        seed, device: as in the general settings.
    """

    def __init__(self, spec: Mapping[str, Any], identity: str, seed: int, device: str) -> None:
        self.spec = ComponentSpec(**spec)
        self.seeds = Seeds(seed).child(self.spec.kind)
        self.device = device
        self._identity = identity
        # One thread each: the work is spread over processes, and results may depend on the number.
        runtime = Runtime(self.seeds, cache_dir(), device=device, threads=1)
        self.registry = discover()
        self.component = self.registry.build(self.spec, runtime)
        self._entered = ExitStack()
        self._also: list[Any] = []

    def check_machine(self) -> None:
        """Check that the component and its files are the same here as where the job was sent from.

        Raises:
            WorkError: when they are not.
        """
        if config.fingerprint(self.registry.identity(self.spec)) != self._identity:
            raise WorkError(
                f"{socket.gethostname()}: {self.spec.kind} {self.spec.name!r}, or a file in its settings, is another"
                " one there; every machine of the cluster needs the same"
            )

    def also(self, component: Any) -> Any:
        """Return another component, which is entered with the first one."""
        self._also.append(component)
        return component

    def environment(self) -> dict[str, str]:
        """Return the versions of the component's packages on this machine."""
        return self.registry.environment(self.spec)

    def __enter__(self) -> Self:
        self.component = self._entered.enter_context(self.component)
        for component in self._also:
            self._entered.enter_context(component)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered.close()

    def __call__(self, scene: int) -> Sequence[Sample | Sidecar | Skipped]:
        """Return what comes of a scene."""
        try:
            return self.results(scene)
        except SynthkitError:
            raise
        except Exception as error:  # a stranger's code: what it could not do is a hole, with the reason
            return [Skipped(key, reason_of(error)) for key in self.keys(scene)]

    @abstractmethod
    def results(self, scene: int) -> Sequence[Sample | Sidecar | Skipped]:
        """Make a scene; any error but ours makes holes of it."""

    @abstractmethod
    def keys(self, scene: int) -> list[str]:
        """Return the keys of what should come of a scene."""


class RenderJob(ComponentJob):
    """Task n renders scene n."""

    component: Renderer

    def results(self, scene: int) -> Sequence[Sample | Skipped]:
        """Render one scene."""
        results = list(self.component.render(scene, self.seeds.child("scene", scene)))
        keys, expected = [result.key for result in results], self.keys(scene)
        if keys != expected:
            raise PluginError(f"renderer {self.spec.name!r}: scene {scene} gave {keys}, expected {expected}")
        return results

    def keys(self, scene: int) -> list[str]:
        """Return the keys of a scene's samples."""
        return scene_keys(scene, self.component.samples_per_scene)


class RefineJob(ComponentJob):
    """Task n refines the sample of the source's slot n; its holes stay holes.

    Args:
        source: path or URL of the data set. source_fingerprint: of what was found there.
        guard: settings of the drift guard, None where it does not apply.
    """

    component: Refiner

    def __init__(self, source: str, source_fingerprint: str, guard: Mapping[str, Any] | None, **common: Any) -> None:
        super().__init__(**common)
        self.guard = None if guard is None else config.structure(GuardSettings, guard)
        self.source = Dataset.open(source)
        self.slots = self.source.slots()
        self._source_fingerprint = source_fingerprint

    def check_machine(self) -> None:
        """Check besides that the source is the same."""
        super().check_machine()
        if self.source.fingerprint != self._source_fingerprint:
            raise WorkError(f"{self.source.location}: is another data set on {socket.gethostname()}")

    def results(self, scene: int) -> Sequence[Sample | Skipped]:
        """Refine one sample."""
        slot = self.slots[scene]
        if isinstance(slot, Skipped):
            return [slot]
        sample = self.source[slot]
        return [self._guarded(sample)]

    def _refined(self, sample: Sample) -> Sample | Skipped:
        results = list(self.component.refine([sample]))
        keys = [result.key for result in results]
        if keys != [sample.key]:
            raise PluginError(f"refiner {self.spec.name!r}: sample {sample.key} gave {keys}")
        return results[0]

    def _guarded(self, sample: Sample) -> Sample | Skipped:
        from synthkit import crops  # OpenCV, which only refining needs
        from synthkit.drift.guard import guarded, unguarded

        with crops.watched() as reinserted:
            result = self._refined(sample)
        if isinstance(result, Skipped):
            return result
        if self.guard is None:
            return unguarded(sample, result)
        return guarded(sample, result, self.guard, self.spec.name, reinserted)

    def keys(self, scene: int) -> list[str]:
        """Return the key of a slot."""
        return [slot_key(self.source, self.slots[scene])]


class DetectJob(ComponentJob):
    """Task n looks for people in the image of place n; where it cannot be known who is there, there is a hole.

    Args:
        images: an ``inputs.Images``, plain. least_score: what counts as found.
    """

    component: Detector

    def __init__(self, images: Mapping[str, Any], least_score: float, **common: Any) -> None:
        from synthkit import inputs  # all formats, which only this job needs

        super().__init__(**common)
        self.images = inputs.reopened(images)
        self.least_score = least_score

    def check_machine(self) -> None:
        """Check besides that the images are the same."""
        super().check_machine()
        self.images.check_machine()

    def results(self, scene: int) -> Sequence[Sidecar | Skipped]:
        """Look at one image."""
        try:
            sample = self.images.read(scene)
        except DatasetError:  # tells where the data set lies, and a record is the same wherever it does
            return [Skipped(self.images.key(scene), "it cannot be read: the data set is damaged there")]
        return [sample if isinstance(sample, Skipped) else self._found(sample)]

    def _found(self, sample: Sample) -> Sidecar | Skipped:
        """Return what was found, or, whatever went wrong, why it is not known."""
        name = f"detector {self.spec.name!r}"
        try:
            answers = list(itertools.islice(self.component.detect([sample]), 2))
            if len(answers) != 1:
                raise finds.Nonsense(f"gave {'two answers' if answers else 'no answer'} for one image")
            return finds.sidecar_of(answers[0], sample, self.component.class_names, self.least_score)
        except finds.Nonsense as error:
            return Skipped(sample.key, f"{name} {error}")
        except SynthkitError as error:
            return Skipped(sample.key, f"{name}: {error}")

    def keys(self, scene: int) -> list[str]:
        """Return the key of a place."""
        return [self.images.key(scene)]
