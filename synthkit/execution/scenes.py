# SPDX-License-Identifier: Apache-2.0
"""Filling a data set with scenes: one by one where workers share this machine's disk, else in whole shards
where nothing of them is there yet."""

from __future__ import annotations

import base64
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import attrs

from synthkit.dataset import DatasetWriter, SceneSpool, records, shards, stores
from synthkit.dataset.layout import Layout
from synthkit.dataset.records import Manifest, ShardRecord
from synthkit.dataset.spool import Result, SpooledScene, packed_scene, to_bytes
from synthkit.errors import WorkError
from synthkit.execution import Executor, Failed, JobSpec, run
from synthkit.execution.jobs import steps
from synthkit.sample import Skipped

Reason = Callable[[int, str], Sequence[Skipped]]
"""Takes a scene and why nothing came of it, and returns its holes, or raises."""


class Maker(ABC):
    """What makes scenes: built from plain arguments, entered once per process, called once per scene."""

    def check_machine(self) -> None:
        """Raise WorkError when this machine has other files or plugins than the one that sent the job."""
        return None

    def environment(self) -> Mapping[str, str]:
        """Return the versions of what decides about the bytes on this machine, besides what every record tells."""
        return {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    @abstractmethod
    def __call__(self, scene: int, /) -> Iterable[Result]:
        """Return what comes of a scene, which depends on nothing that is done for others."""


def fill(
    writer: DatasetWriter,
    maker: JobSpec,
    executor: Executor,
    *,
    failed: Reason,
    progress: Callable[[int], None],
    whole_shards: bool = False,
) -> None:
    """Have every scene made that is still missing; the bytes are the same whatever the executor.

    Args:
        writer: entered. maker: a ``Maker``. failed: what to keep of a scene that ended its processes.
        progress: takes how many scenes are done.
        whole_shards: make whole shards here too, as scenes are quicker made again than kept one by one.
    """
    filling = _by_shard if whole_shards or executor.whole_shards else _by_scene
    filling(writer, maker, executor, failed, progress)


def _by_scene(
    writer: DatasetWriter, maker: JobSpec, executor: Executor, failed: Reason, progress: Callable[[int], None]
) -> None:
    """Have all scenes made into the writer's own spool."""
    progress(writer.scenes_done)
    job = _wrapped(SpoolJob, maker, spool=writer.spool.to_plain())
    with closing(run(job, writer.pending_scenes(), executor)) as outcomes:
        for outcome in outcomes:
            if isinstance(outcome, Failed):
                writer.spool.put(outcome.task, failed(outcome.task, outcome.reason))
            writer.finished(outcome.task)
            progress(writer.scenes_done)


def _by_shard(
    writer: DatasetWriter, maker: JobSpec, executor: Executor, failed: Reason, progress: Callable[[int], None]
) -> None:
    """Have shards made whole where nothing of them is there; then, scene by scene, what is missing of the others
    and of those that could not be made whole, so that nothing finished is made again or lost to its neighbours."""
    pending = set(writer.pending_shards())
    going: dict[int, int] = {}

    def heard(shard: int, scenes: int) -> None:
        if shard in pending:  # news may be late
            going[shard] = scenes
            progress(writer.scenes_done + sum(going.values()))

    progress(writer.scenes_done)
    with closing(run(_elsewhere(ShardJob, writer, maker), sorted(pending), executor, heard=heard)) as outcomes:
        for outcome in outcomes:
            pending.discard(outcome.task)
            going.pop(outcome.task, None)
            if not isinstance(outcome, Failed):
                writer.adopt(outcome.task)
                progress(writer.scenes_done + sum(going.values()))
    with closing(run(_elsewhere(SceneJob, writer, maker), writer.pending_scenes(), executor)) as outcomes:
        for outcome in outcomes:
            if isinstance(outcome, Failed):
                writer.spool.put(outcome.task, failed(outcome.task, outcome.reason))
                writer.finished(outcome.task)
            else:
                writer.receive(outcome.task, base64.b64decode(outcome.result))
            progress(writer.scenes_done)


def _wrapped(kind: type, maker: JobSpec, **arguments: Any) -> JobSpec:
    return JobSpec(
        f"{__name__}:{kind.__name__}", {"target": maker.target, "arguments": dict(maker.arguments), **arguments}
    )


def _elsewhere(kind: type[_Elsewhere], writer: DatasetWriter, maker: JobSpec) -> JobSpec:
    location = writer.store.location
    return _wrapped(
        kind,
        maker,
        location=location if stores.is_url(location) else str(Path(location).resolve()),
        fingerprint=writer.manifest.fingerprint,
        scenes=writer.manifest.scenes,
        environment=writer.environment,
        strict=writer.strict,
    )


class SpoolJob:
    """Task n makes scene n and spools it.

    Args:
        target, arguments: of the ``Maker``. spool: a ``SceneSpool`` on this machine's disk, plain.
    """

    def __init__(self, target: str, arguments: Mapping[str, Any], spool: Mapping[str, Any]) -> None:
        self._maker: Maker = JobSpec(target, arguments).build()
        self._spool = SceneSpool.from_plain(spool)

    def __enter__(self) -> Self:
        self._maker = self._maker.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._maker.__exit__(kind, error, trace)

    def __call__(self, scene: int) -> dict[str, int]:
        """Make and spool a scene; return how many samples and holes it has."""
        return self._spool.put(scene, self._maker(scene))


class _Elsewhere:
    """Makes scenes on whatever machine this is.

    Args:
        target, arguments: of the ``Maker``.
        location: of the data set; every machine must reach it. fingerprint, scenes: what its manifest says.
        environment: of the machine that sent the job. strict: refuse to work in another one.
    """

    def __init__(
        self,
        target: str,
        arguments: Mapping[str, Any],
        location: str,
        fingerprint: str,
        scenes: int,
        environment: Mapping[str, Any],
        strict: bool,
    ) -> None:
        self._inner = JobSpec(target, arguments)
        self._store = stores.at(location)
        self._fingerprint, self._scenes = fingerprint, scenes
        self._expected, self._strict = dict(environment), strict
        self._entered = ExitStack()

    def __enter__(self) -> Self:
        manifest = self._manifest()
        self._codec = manifest.codec
        self._layout = attrs.evolve(Layout.of(manifest), scenes=self._scenes)
        maker: Maker = self._inner.build()
        self._environment = self._environment_of(maker)
        self._maker = self._entered.enter_context(maker)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered.close()

    def _made(self, scene: int) -> SpooledScene:
        return packed_scene(scene, self._maker(scene), self._codec)

    def _environment_of(self, maker: Maker) -> dict[str, Any]:
        found = {**self._expected, **records.environment()}
        maker.check_machine()
        found |= maker.environment()
        if self._strict and found != self._expected:
            raise WorkError(f"{socket.gethostname()}: is another environment; strict=true refuses to mix them")
        return found

    def _manifest(self) -> Manifest:
        reached = self._store.size(records.MANIFEST) is not None
        manifest = Manifest.read(self._store) if reached else None
        if manifest is None or manifest.fingerprint != self._fingerprint:
            raise WorkError(
                f"{self._store.location}: is not the same place on every machine of the cluster;"
                " --out must be in a folder that all machines share, or a URL such as s3://BUCKET/NAME"
            )
        return manifest


class _PublishedMeanwhile(Exception):
    """Another task has published the same shard."""

    def __init__(self, record: ShardRecord) -> None:
        self.record = record


class ShardJob(_Elsewhere):
    """Task n makes all scenes of shard n and publishes it."""

    def __call__(self, shard: int) -> int:
        """Make and publish a shard; return how many samples it holds."""
        scenes = self._layout.scenes_of(shard)
        record = self._published(shard, scenes)
        if record is None:
            try:
                made = self._all_made(shard, scenes)
                record = shards.publish(self._store, shard, scenes.start, made, self._environment)
            except _PublishedMeanwhile as meanwhile:
                record = meanwhile.record
        return record.samples

    def _all_made(self, shard: int, scenes: range) -> Iterator[SpooledScene]:
        for done, scene in enumerate(scenes, 1):
            yield self._made(scene)
            steps.get()(done)
        published = self._published(shard, scenes)
        if published is not None:
            raise _PublishedMeanwhile(published)
        if self._manifest().summary is not None:  # this machine was thought dead
            raise WorkError(f"{self._store.location}: was finished by others meanwhile; nothing is left to do")

    def _published(self, shard: int, scenes: range) -> ShardRecord | None:
        """Return the record of a shard that was published whole: by a task that died before it could tell, or that
        was only thought dead. On some devices another copy has other bytes, and may be in use already."""
        if self._store.size(records.record_name(shard)) is None:
            return None
        record = ShardRecord.read(self._store, shard)
        same = (record.first_scene, record.scenes, record.skipped) == (scenes.start, len(scenes), ())
        return record if same and self._store.size(records.tar_name(shard)) == record.bytes else None


class SceneJob(_Elsewhere):
    """Task n makes scene n and hands its bytes over."""

    def __call__(self, scene: int) -> str:
        """Make a scene; return the file of its spool, which tells this machine's environment, in base64."""
        made = attrs.evolve(self._made(scene), origins=(self._environment,))
        return base64.b64encode(b"".join(to_bytes(made, environment=""))).decode()
