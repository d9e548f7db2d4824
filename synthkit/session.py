# SPDX-License-Identifier: Apache-2.0
"""What the work of one command shares: plugins, general settings, processes, progress."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import attrs

from synthkit.cache import cache_dir
from synthkit.errors import ConfigError
from synthkit.execution import Executor, Local
from synthkit.interfaces import ComponentSpec, Progress, Runtime, SampleSet, silent
from synthkit.plugins import Registry
from synthkit.sample import Sample
from synthkit.seeds import Seeds
from synthkit.settings import RunSettings


@attrs.frozen
class Session:
    """The surroundings of a run; nothing in it but ``run`` may change what comes out.

    Args:
        registry: the installed components. run: general settings.
        executor: what renders and refines. progress: how long work tells where it is.
        tell: takes lines that the user should read.

    Raises:
        ConfigError: when the settings ask for what the executor cannot do.
    """

    registry: Registry
    run: RunSettings = attrs.field(factory=RunSettings)
    executor: Executor = attrs.field(factory=Local)
    progress: Progress = silent
    tell: Callable[[str], None] = logging.getLogger("synthkit").warning

    def __attrs_post_init__(self) -> None:
        if not self.executor.whole_shards:
            return
        problems = []
        if self.run.shard_mb is not None:
            problems.append("shard_mb: machines that make whole shards must know their scenes: use scenes_per_shard")
        if self.run.device not in ("auto", "cpu", "cuda"):
            problems.append(f"device: {self.run.device} cannot be chosen on another machine: use cpu or cuda")
        if problems:
            raise ConfigError(problems)

    def reseeded(self, seed: int) -> Session:
        """Return the same session with another seed."""
        return attrs.evolve(self, run=attrs.evolve(self.run, seed=seed))

    def runtime(self, role: str) -> Runtime:
        """Return what a component of this process gets."""
        return Runtime(
            seeds=Seeds(self.run.seed).child(role),
            cache_dir=cache_dir(),
            device=self.run.device,
            threads=self.run.threads,
            progress=self.progress,
        )

    @contextmanager
    def entered(self, spec: ComponentSpec) -> Iterator[Any]:
        """Build a component in this process and enter it."""
        with self.registry.build(spec, self.runtime(spec.kind)) as component:
            yield component

    def counted(self, stage: str, samples: Sequence[Sample] | SampleSet) -> Iterator[Sample]:
        """Yield the samples of a set while telling how far it is."""
        total = len(samples)
        self.progress(stage, 0, total)
        for index, sample in enumerate(samples):
            yield sample
            self.progress(stage, index + 1, total)
