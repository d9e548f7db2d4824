# SPDX-License-Identifier: Apache-2.0
"""Running a job on many machines with Ray: a task that dies with its machine is done again on another."""

from __future__ import annotations

import importlib.util
import itertools
import logging
import os
import secrets
import socket
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, ClassVar, Self

import attrs

from synthkit.entrypoints import ALLOW_VARIABLE
from synthkit.errors import ConfigError, WorkError
from synthkit.execution import _ray_worker
from synthkit.execution.jobs import Done, Failed, Heard, JobSpec, start_error, unheard
from synthkit.execution.process import thread_variables

RETRIES = 3
_IN_FLIGHT = 1000  # tasks that Ray is told of at a time
_POLL_S = 0.5
_PROBE_S = 5.0
_BYTES_PER_GB = 10**9


@attrs.frozen
class RayCluster:
    """The machines of a Ray cluster; an ``Executor``.

    All of them need the same packages, and the places that jobs name.

    Args:
        address: ``HOST:PORT`` of its head; None takes ``$RAY_ADDRESS``, a cluster that runs on this machine, or
            else starts one on this machine alone.
        cpus, gpus, memory_gb: what a task takes of its machine (10^9 bytes; 0 leaves memory to luck).
        timeout_s: how long a task may take, or a step of it where it tells them; None means for ever. With a limit the
            work is done in a process of its own beside Ray's, which can be ended and replaced.

    Raises:
        ConfigError: when Ray is not installed.
    """

    whole_shards: ClassVar[bool] = True

    address: str | None = None
    cpus: float = 1.0
    gpus: float = 0.0
    memory_gb: float = 0.0
    timeout_s: float | None = None

    def __attrs_post_init__(self) -> None:
        if importlib.util.find_spec("ray") is None:
            raise ConfigError(["--executor ray: Ray is not installed: pip install 'synthkit-core[ray]'"])

    def run(self, job: JobSpec, tasks: Iterable[int], heard: Heard = unheard) -> Generator[Done | Failed, None, None]:
        """Run a job as ``execution.run`` does.

        A task fails when the job raised an unexpected error, its processes or machines died ``1 + RETRIES`` times,
        or it overran its time twice.

        Raises:
            WorkError: when the cluster cannot be reached, has no machine for such tasks, or cannot begin them.
        """
        first, waiting = _peeked(tasks)
        if not first:
            return
        with _connected(self.address) as (ray, kept):
            self._check_room(ray)
            yield from _Tasks(ray, job, self._options(), heard, self.timeout_s, kept=kept).results(waiting)

    def limited(self, timeout_s: float) -> Self:
        """Return the same with a time limit."""
        return attrs.evolve(self, timeout_s=timeout_s)

    def _options(self) -> dict[str, Any]:
        variables = {**thread_variables(1), "PYTHONHASHSEED": "0"}
        if not self.gpus:
            variables["CUDA_VISIBLE_DEVICES"] = ""  # Ray hides none from a task that asked for none
        if ALLOW_VARIABLE in os.environ:
            variables[ALLOW_VARIABLE] = os.environ[ALLOW_VARIABLE]
        return {
            "num_cpus": self.cpus,
            "num_gpus": self.gpus,
            "memory": round(self.memory_gb * _BYTES_PER_GB) or None,
            "scheduling_strategy": "SPREAD",  # a machine is filled when all have work, not before
            "max_retries": RETRIES,
            "max_calls": 0,  # else Ray ends a process after each task that has a GPU
            "runtime_env": {"env_vars": variables},
        }

    def _check_room(self, ray: Any) -> None:
        """Ray would wait for ever for a machine that is large enough."""
        wanted = {"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory_gb * _BYTES_PER_GB}
        machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        if any(all(has.get(name, 0) >= amount for name, amount in wanted.items()) for has in machines):
            return
        most = ", ".join(
            f"{has.get('CPU', 0):g} CPUs, {has.get('GPU', 0):g} GPUs, {has.get('memory', 0) / _BYTES_PER_GB:.1f} GB"
            for has in machines
        )
        raise WorkError(
            f"no machine of the Ray cluster has room for a task of {self.cpus:g} CPUs, {self.gpus:g} GPUs and"
            f" {self.memory_gb:g} GB (there are: {most}); see the settings task_cpus, task_gpus, task_memory_gb"
        )


class _Tasks:
    """The tasks that a cluster was told of and has not finished.

    Args:
        kept: whether the connection outlives the work. Otherwise the cluster ends the tasks with it.
    """

    def __init__(
        self, ray: Any, job: JobSpec, options: Mapping[str, Any], heard: Heard, timeout_s: float | None = None,
        *, kept: bool = True,
    ) -> None:  # fmt: skip
        self._ray, self._kept = ray, kept
        self._heard: Heard | None = heard
        # Once for all tasks: they may hold a place for each of a million samples.
        self._job = ray.put((job.target, dict(job.arguments), secrets.token_hex(8), timeout_s))
        self._remote = ray.remote(**options)(_ray_worker.do)
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        # Beside the driver, so that no other machine's death takes it away.
        self._listener = ray.remote(num_cpus=0)(_ray_worker.Heard).options(scheduling_strategy=here).remote()
        self._running: dict[Any, int] = {}

    def results(self, tasks: Iterator[int]) -> Generator[Done | Failed, None, None]:
        try:
            while (finished := self._wait(tasks)) is not None:
                self._listen()
                for reference in finished:
                    task = self._running.pop(reference)
                    yield self._outcome(task, reference)
        finally:
            # Only what would go on without it: in a race with a task that finishes or is tried again cancelling may
            # end the driver (ray-project/ray issue 54260). By force: Ray 2.60 does so whenever tasks are asked to stop.
            for reference in self._running if self._kept else ():
                with suppress(Exception):  # what is not to be reached any more is ended already
                    self._ray.cancel(reference, force=True)
            with suppress(Exception):  # gone with the head, or with the memory of its machine
                self._ray.kill(self._listener)

    def _wait(self, tasks: Iterator[int]) -> list[Any] | None:
        """Keep the cluster busy and return what finished in a while; None when all has."""
        try:
            if not self._fill(tasks):
                return None
            return list(self._ray.wait(list(self._running), timeout=_POLL_S)[0])
        except self._ray.exceptions.RayError as error:
            raise WorkError(
                f"the Ray cluster is lost: {_last_line(error)}; what is finished is kept: run the same again"
            ) from None

    def _fill(self, tasks: Iterator[int]) -> bool:
        for task in itertools.islice(tasks, _IN_FLIGHT - len(self._running)):
            reference = self._remote.remote(self._job, task, self._listener)
            self._running[reference] = task
        return bool(self._running)

    def _listen(self) -> None:
        if self._heard is None:
            return
        try:
            noted = self._ray.get(self._listener.fresh.remote())
        except self._ray.exceptions.RayError:  # the work can go on without news of it
            self._heard = None
            return
        for task, done in noted.items():
            self._heard(task, done)

    def _outcome(self, task: int, reference: Any) -> Done | Failed:
        exceptions = self._ray.exceptions
        try:
            answer = self._ray.get(reference)
        except (exceptions.RuntimeEnvSetupError, exceptions.RayTaskError) as error:
            # Not of the task, which tells its errors as a result: synthkit itself is missing there, or so.
            raise WorkError(f"a machine of the Ray cluster cannot begin the work: {_last_line(error)}") from None
        except exceptions.RayError as error:
            return Failed(task, f"its Ray task died: {type(error).__name__} ({1 + RETRIES} attempts)")
        if "error" in answer:
            raise start_error(answer["error"])
        return Failed(task, answer["failed"]) if "failed" in answer else Done(task, answer["result"])


def _peeked(tasks: Iterable[int]) -> tuple[bool, Iterator[int]]:
    """Return whether there are tasks, and all of them."""
    waiting = iter(tasks)
    first = list(itertools.islice(waiting, 1))
    return bool(first), itertools.chain(first, waiting)


@contextmanager
def _connected(address: str | None) -> Iterator[tuple[Any, bool]]:
    """Connect to a cluster, and leave it in the end; a connection that the caller has is used and kept.

    Yields:
        The module, and whether the connection is kept.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster that is started here tells nobody of it
    import ray
    import ray.util.scheduling_strategies

    address = address or os.environ.get("RAY_ADDRESS")
    if address:
        _probe(address)
    if ray.is_initialized():
        yield ray, True
        return
    try:
        ray.init(address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, SystemExit) as error:
        raise WorkError(
            f"Ray at {address or 'this machine'}: cannot be reached: {_last_line(error)};"
            " a cluster that asks for a token also needs RAY_AUTH_MODE=token here"
        ) from None
    try:
        yield ray, False
    finally:
        ray.shutdown()


def _probe(address: str) -> None:
    """Tell at once of an address where nobody listens: Ray itself ends the process, after minutes."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not colon or not port.isdecimal():
        if address in ("auto", "local"):
            return
        raise ConfigError([f"--address {address}: expected HOST:PORT, such as 192.0.2.7:6379"])
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PROBE_S).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise WorkError(
            f"Ray at {address}: cannot be reached: {reason}; is 'ray start --head' running there?"
        ) from None


def _last_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
