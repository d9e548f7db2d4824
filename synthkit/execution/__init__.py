# SPDX-License-Identifier: Apache-2.0
"""One primitive runs all work: a job, over task numbers, by an executor: on this machine, or on many with Ray."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Protocol, Self

from synthkit.execution.cluster import RayCluster
from synthkit.execution.jobs import Done, Failed, Heard, JobSpec, unheard
from synthkit.execution.local import Local

__all__ = ["Done", "Executor", "Failed", "JobSpec", "Local", "RayCluster", "run"]


class Executor(Protocol):
    """What runs jobs; the results never depend on which one it is."""

    @property
    def whole_shards(self) -> bool:
        """Whether its tasks should be whole shards, published from where they are made, rather than scenes."""

    def run(self, job: JobSpec, tasks: Iterable[int], heard: Heard = unheard) -> Generator[Done | Failed, None, None]:
        """Run a job, as ``run`` does."""

    def limited(self, timeout_s: float) -> Self:
        """Return the same with a limit on how long a task may take, or a step of it where it tells them."""


def run(
    job: JobSpec,
    tasks: Iterable[int],
    executor: Executor,
    *,
    heard: Heard = unheard,
) -> Generator[Done | Failed, None, None]:
    """Run a job over tasks and yield what comes of each as it finishes, in no promised order.

    Closing the generator, an interrupt, or the end of this process end the work.

    Args:
        job: what to run. tasks: numbers, each of which is handed to the job once. executor: where.
        heard: takes how many steps of a task are done, of tasks that tell them.

    Yields:
        ``Done`` with the job's result; ``Failed`` when the job raised an unexpected error, or what ran it
        died of the task too often.

    Raises:
        SynthkitError: what the job raised of these, in any task. WorkError: when the work cannot be begun.
    """
    return executor.run(job, tasks, heard)
