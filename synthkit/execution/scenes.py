# SPDX-License-Identifier: Apache-2.0
"""Filling a data set with scenes: one by one where workers share this machine's disk, else in whole shards
where nothing of them is there yet."""

from __future__ import annotations

import base64
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

import attrs

from synthkit.dataset import DatasetWriter, SceneSpool, records, shards, storage, stores
from synthkit.dataset.layout import Layout
from synthkit.dataset.records import Manifest, ShardRecord
from synthkit.dataset.spool import SpooledScene, to_bytes
from synthkit.errors import DatasetError, WorkError
from synthkit.execution import Executor, Failed, JobSpec, run
from synthkit.execution.jobs import Job, steps
from synthkit.sample import Skipped

_SPOOL_PREFIX = "synthkit-shard-"
_ABANDONED_S = 60.0

Reason = Callable[[int, str], Sequence[Skipped]]
"""Takes a scene and why nothing came of it, and returns its holes, or raises."""


@runtime_checkable
class Portable(Protocol):
    """A job that knows what its results depend on besides its arguments."""

    def check_machine(self) -> None:
        """Raise WorkError when this machine has other files or plugins than the one that sent the job."""

    def environment(self) -> Mapping[str, str]:
        """Return the versions of what decides about the bytes on this machine."""


def fill(
    writer: DatasetWriter, job: JobSpec, executor: Executor, *, failed: Reason, progress: Callable[[int], None]
) -> None:
    """Have every scene made that is still missing; the bytes are the same whatever the executor.

    Args:
        writer: entered. job: task n makes scene n and puts it in the ``SceneSpool`` that the job gets as
            its argument ``spool`` (``SceneSpool.to_plain()``).
        failed: what to keep of a scene that ended its processes. progress: takes how many scenes are done.
    """
    filling = _by_shard if executor.whole_shards else _by_scene
    filling(writer, job, executor, failed, progress)


def _by_scene(
    writer: DatasetWriter, job: JobSpec, executor: Executor, failed: Reason, progress: Callable[[int], None]
) -> None:
    """Have all scenes made into the writer's own spool."""
    progress(writer.scenes_done)
    spooling = _spooling_in(job, writer.spool)
    with closing(run(spooling, writer.pending_scenes(), executor)) as outcomes:
        for outcome in outcomes:
            if isinstance(outcome, Failed):
                writer.spool.put(outcome.task, failed(outcome.task, outcome.reason))
            writer.finished(outcome.task)
            progress(writer.scenes_done)


def _by_shard(
    writer: DatasetWriter, job: JobSpec, executor: Executor, failed: Reason, progress: Callable[[int], None]
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
    with closing(run(_elsewhere(ShardJob, writer, job), sorted(pending), executor, heard=heard)) as outcomes:
        for outcome in outcomes:
            pending.discard(outcome.task)
            going.pop(outcome.task, None)
            if not isinstance(outcome, Failed):
                writer.adopt(outcome.task)
                progress(writer.scenes_done + sum(going.values()))
    with closing(run(_elsewhere(SceneJob, writer, job), writer.pending_scenes(), executor)) as outcomes:
        for outcome in outcomes:
            if isinstance(outcome, Failed):
                writer.spool.put(outcome.task, failed(outcome.task, outcome.reason))
                writer.finished(outcome.task)
            else:
                writer.receive(outcome.task, base64.b64decode(outcome.result))
            progress(writer.scenes_done)


def _elsewhere(kind: type[_Elsewhere], writer: DatasetWriter, job: JobSpec) -> JobSpec:
    location = writer.store.location
    arguments = {
        "target": job.target,
        "arguments": dict(job.arguments),
        "location": location if stores.is_url(location) else str(Path(location).resolve()),
        "fingerprint": writer.manifest.fingerprint,
        "scenes": writer.manifest.scenes,
        "environment": writer.environment,
        "strict": writer.strict,
    }
    return JobSpec(f"{__name__}:{kind.__name__}", arguments)


def _spooling_in(job: JobSpec, spool: SceneSpool) -> JobSpec:
    return attrs.evolve(job, arguments={**job.arguments, "spool": spool.to_plain()})


class _Elsewhere:
    """Makes scenes in a spool of its own, on whatever machine this is.

    Args:
        target, arguments: the job that makes scenes, without its spool.
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
        self._layout = attrs.evolve(Layout.of(manifest), scenes=self._scenes)
        folder = Path(tempfile.gettempdir(), f"{_SPOOL_PREFIX}{secrets.token_hex(8)}")
        self._spool = SceneSpool(folder, manifest.codec, environment="")
        job = _spooling_in(self._inner, self._spool).build()
        self._environment = self._environment_of(job)
        self._job: Job = self._entered.enter_context(job)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered.close()

    @contextmanager
    def _spool_folder(self) -> Iterator[None]:
        """Have the folder of the spool for one shard, locked; what killed processes left of theirs goes."""
        folder = self._spool.folder
        with storage.disk_errors(folder):
            _clear_abandoned(folder.parent)
            folder.mkdir(mode=0o700)
            lock = storage.FolderLock(folder)
        try:
            yield
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            lock.close()

    def _environment_of(self, job: Job) -> dict[str, Any]:
        found = {**self._expected, **records.environment()}
        if isinstance(job, Portable):
            job.check_machine()
            found |= job.environment()
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

    def _spooled(self, scene: int) -> SpooledScene:
        spooled = self._spool.read(scene)
        if spooled is None:
            raise WorkError(f"{self._spool.folder}: scene {scene} was damaged on the disk; run the same again")
        return spooled


class ShardJob(_Elsewhere):
    """Task n makes all scenes of shard n and publishes it."""

    def __call__(self, shard: int) -> int:
        """Make and publish a shard; return how many samples it holds."""
        scenes = self._layout.scenes_of(shard)
        published = self._published(shard, scenes)
        if published is not None:
            return published.samples
        with self._spool_folder():
            for done, scene in enumerate(scenes, 1):
                self._job(scene)
                steps.get()(done)
            record = self._published(shard, scenes) or shards.publish(
                self._store, shard, scenes.start, self._made(scenes), self._environment
            )
        return record.samples

    def _made(self, scenes: range) -> Iterator[SpooledScene]:
        """Yield the scenes; raise in the end when this machine was thought dead, and the set is finished already."""
        yield from map(self._spooled, scenes)
        if self._manifest().summary is not None:
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
        with self._spool_folder():
            self._job(scene)
            spooled = attrs.evolve(self._spooled(scene), origins=(self._environment,))
        return base64.b64encode(b"".join(to_bytes(spooled, self._spool.environment))).decode()


def _clear_abandoned(parent: Path) -> None:
    for folder in parent.glob(f"{_SPOOL_PREFIX}*"):
        with suppress(OSError, DatasetError):  # another user's, or somebody works in it
            if time.time() - folder.stat().st_mtime > _ABANDONED_S:  # who has just made one has not locked it yet
                with closing(storage.FolderLock(folder)):
                    shutil.rmtree(folder)
