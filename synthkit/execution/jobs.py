# SPDX-License-Identifier: Apache-2.0
"""What a job is, how it travels, and how its mistakes come back."""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from types import MappingProxyType, TracebackType
from typing import Any, Protocol, Self

import attrs

from synthkit import errors
from synthkit.errors import SynthkitError, WorkError

_TRACE_LINES = 6


class Job(Protocol):
    """What runs tasks: built from plain arguments, entered once per process, called once per task."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def __call__(self, task: int, /) -> Any:
        """Do one task and return plain JSON values."""


Heard = Callable[[int, int], None]
"""Takes a task, and how many of its steps are done."""


def unheard(task: int, done: int) -> None:
    """Do nothing about a task's steps."""


steps: ContextVar[Callable[[int], None]] = ContextVar("steps", default=lambda done: None)
"""Takes how many steps of a long task are done; set by ``with_steps``."""


def with_steps(job: Job, task: int, heard: Callable[[int], None]) -> Any:
    """Do a task, whose steps are told to ``heard``."""
    token = steps.set(heard)
    try:
        return job(task)
    finally:
        steps.reset(token)


def _plain_arguments(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    # What JSON changes on its way would make a worker's job another than this process's.
    return MappingProxyType(json.loads(json.dumps(dict(arguments), allow_nan=False)))


@attrs.frozen
class JobSpec:
    """A job as it travels: never an instance, never code.

    Args:
        target: ``package.module:Class``, importable by name in a worker.
        arguments: keyword arguments of the class, JSON values only.
    """

    target: str = attrs.field(validator=attrs.validators.matches_re(r"[\w.]+:\w+"))
    arguments: Mapping[str, Any] = attrs.field(factory=dict, converter=_plain_arguments, hash=False)

    def build(self) -> Any:
        """Import the class and return the job, not yet entered."""
        module, _, name = self.target.partition(":")
        return getattr(importlib.import_module(module), name)(**self.arguments)


@attrs.frozen
class Done:
    """A task that was done, and what its job returned."""

    task: int
    result: Any


@attrs.frozen
class Failed:
    """A task that could not be done, and why."""

    task: int
    reason: str


def error_to_plain(error: BaseException) -> dict[str, Any]:
    """Return an error as it travels: what the user can mend by its class, the rest with its last frames."""
    if isinstance(error, SynthkitError):
        return {"class": type(error).__name__, "message": str(error), "exit_code": error.exit_code}
    return {"class": None, "message": reason_of(error)}


def error_from_plain(values: Mapping[str, Any]) -> SynthkitError:
    """Return the user's error that ``error_to_plain`` described; of its own class where that is ours."""
    kind = getattr(errors, values["class"] or "", None)
    if kind is errors.ConfigError:
        return errors.ConfigError(values["message"].splitlines())
    if isinstance(kind, type) and issubclass(kind, SynthkitError):
        return kind(values["message"])
    error = WorkError(values["message"])
    error.exit_code = values.get("exit_code", WorkError.exit_code)
    return error


def outcome_of(task: int, answer: Mapping[str, Any]) -> Done | Failed:
    """Return what came of a task, of the ``result`` or the ``error`` in its answer.

    Raises:
        SynthkitError: the user's error, when it was one.
    """
    error = answer.get("error")
    if error is None:
        return Done(task, answer["result"])
    if error["class"] is not None:
        raise error_from_plain(error)
    return Failed(task, error["message"])


def start_error(error: Mapping[str, Any]) -> SynthkitError:
    """Return what to raise when a job cannot be built or entered."""
    if error["class"] is not None:
        return error_from_plain(error)
    return WorkError(f"the work cannot be begun: {error['message']}")


def reason_of(error: BaseException) -> str:
    """Return what an unexpected error was and where, for a record and for whoever mends it."""
    frames = traceback.extract_tb(error.__traceback__)[-_TRACE_LINES:]
    where = " < ".join(f"{_module_file(frame.filename)}:{frame.lineno} in {frame.name}" for frame in reversed(frames))
    return f"{type(error).__name__}: {error} (at {where})"


def _module_file(name: str) -> str:
    """Return a source file as it is imported, ``package/module.py``: where it is installed is no part of a record."""
    folders = [entry.rstrip(os.sep) + os.sep for entry in sys.path if entry]
    return name.removeprefix(max((folder for folder in folders if name.startswith(folder)), key=len, default=""))
