# SPDX-License-Identifier: Apache-2.0
"""What a stage is that makes a data set: one job over many tasks, resumable, whatever runs it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from synthkit import execution
from synthkit.cache import scratch_dir
from synthkit.dataset import Dataset, DatasetWriter, stores
from synthkit.errors import ConfigError, WorkError
from synthkit.execution.scenes import fill
from synthkit.interfaces import ComponentSpec
from synthkit.jobs import job_arguments
from synthkit.sample import Skipped
from synthkit.session import Session
from synthkit.training import ranks


@attrs.frozen(eq=False)
class Made:
    """A finished data set, and how many of its samples were skipped."""

    dataset: Dataset
    skipped: int


def _unchecked() -> None:
    return None


@attrs.frozen(eq=False)
class Stage:
    """One job over many tasks, whose results become the scenes of a data set.

    Args:
        job: a ``Maker`` by name, built from the spec and ``arguments``. identity, notes: of the data set.
        keys: of what should come of a scene. verb: what it is called to the user.
        check: raises when what was read is no longer what it was; asked before the set is finished.
        ended: what to record of a scene that ended its processes, from how they ended.
        may_be_empty: whether a set of holes alone is a result.
    """

    session: Session
    spec: ComponentSpec
    job: str
    arguments: Mapping[str, Any]
    identity: Mapping[str, Any]
    notes: Mapping[str, Any]
    keys: Callable[[int], Sequence[str]]
    verb: str
    check: Callable[[], None] = _unchecked
    ended: Callable[[str], str] = str
    may_be_empty: bool = False

    def run(self, out: Path | str, scenes: int) -> Made:
        """Make the data set at ``out``, or the rest of it.

        Raises:
            DatasetError: when ``out`` holds something else. WorkError: when not one sample could be made.
        """
        require_one_process(f"'{self.verb}'")
        run = self.session.run
        writer = DatasetWriter(
            out,
            identity=self.identity,
            notes=self.notes,
            scenes=scenes,
            scenes_per_shard=run.scenes_per_shard,
            shard_bytes=run.shard_bytes,
            codec=run.codec,
            environment=self.session.registry.environment(self.spec),
            strict=run.strict,
            scratch=scratch_dir(),
        )
        with writer:
            told = self._tell_warnings(writer, 0)
            fill(writer, self._job(), self.session.executor, failed=self._holes, progress=self._progress(scenes))
            self._tell_warnings(writer, told)
            self.check()
            summary = writer.finalise()
        if not summary.samples and not self.may_be_empty:
            reasons = "; ".join(sorted({reason for _, reason in writer.skipped()})[:3])
            raise WorkError(f"{out}: not one sample could be made: {reasons}")
        return Made(Dataset.open(out, allow_empty=self.may_be_empty), summary.skipped)

    def _job(self) -> execution.JobSpec:
        return execution.JobSpec(self.job, job_arguments(self.session, self.spec, **self.arguments))

    def _holes(self, scene: int, reason: str) -> list[Skipped]:
        return [Skipped(key, self.ended(reason)) for key in self.keys(scene)]

    def _progress(self, scenes: int) -> Callable[[int], None]:
        return lambda done: self.session.progress(self.verb, done, scenes)

    def _tell_warnings(self, writer: DatasetWriter, told: int) -> int:
        for warning in writer.warnings[told:]:
            self.session.tell(f"warning: {warning}")
        return len(writer.warnings)


def provenance(session: Session, spec: ComponentSpec) -> dict[str, Any]:
    """Return what a set's notes tell of the component that made it."""
    return {**session.registry.provenance(spec), "seed": session.run.seed}


def seen_from(source: Path | str, out: Path | str) -> str:
    """Return where a set lies as its offspring notes it: relative, so that both may be moved together."""
    ends = [str(end).partition("://") if stores.is_url(end) else ("", "", str(end)) for end in (source, out)]
    (scheme, _, place), (other_scheme, _, other) = ends
    return os.path.relpath(place, other) if scheme == other_scheme else str(source)


def try_out(session: Session, spec: ComponentSpec) -> None:
    """Enter a component, so that what is wrong with its files is told before a folder is claimed for its output.

    On the CPU, because those who do the work may have devices that this process has not.
    """
    with session.registry.build(spec, attrs.evolve(session.runtime(spec.kind), device="cpu")):
        pass


def require_one_process(work: str) -> None:
    """Check that torchrun did not start several of this one.

    Raises:
        ConfigError: when it did.
    """
    if ranks.size() > 1:
        raise ConfigError([f"torchrun: its {ranks.size()} processes share a training: 'fit' or 'train', not {work}"])
