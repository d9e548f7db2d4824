# SPDX-License-Identifier: Apache-2.0
"""The options that commands share, and what is made of them: settings, what runs the work, a session."""

from __future__ import annotations

import enum
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

# As in app.py, nothing of the pipeline is imported here.
if TYPE_CHECKING:
    from synthkit.cli.progress import Terminal
    from synthkit.execution import Executor
    from synthkit.session import Session
    from synthkit.settings import Plan, RunSettings

ConfigFile = Annotated[Path | None, typer.Option("--config", help="Settings in a TOML file.", metavar="FILE")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", help="One setting, such as renderer.samples=16; may be repeated.", metavar="KEY=VALUE"),
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Worker processes; the result never depends on it. [default: all cores]"),
]


class ExecutorName(enum.StrEnum):
    """What runs the work."""

    LOCAL = "local"
    RAY = "ray"


ExecutorOption = Annotated[
    ExecutorName,
    typer.Option(
        "--executor",
        help="This machine's worker processes, or a Ray cluster, each shard a task; the result never depends on it."
        " With ray, data sets must be in a folder that all machines share, or at a URL.",
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        help="With ray: the cluster's head. [default: $RAY_ADDRESS, or a cluster that runs on this machine]",
        metavar="HOST:PORT",
    ),
]
Seed = Annotated[int | None, typer.Option(min=0, help="The one seed of all random draws. [default: 0]")]
AllowMissing = Annotated[bool, typer.Option("--allow-missing", help="Exit 0 although some samples were skipped.")]
RendererName = Annotated[str | None, typer.Option("--renderer", help="Which renderer.", metavar="NAME")]
RefinerName = Annotated[str | None, typer.Option("--refiner", help="Which refiner.", metavar="NAME")]
DetectorName = Annotated[str | None, typer.Option("--detector", help="Which detector.", metavar="NAME")]
Count = Annotated[int, typer.Option(min=1, help="How many samples to make (whole scenes).")]
Backgrounds = Annotated[
    Path | None,
    typer.Option(help="Folder of photos of the empty room. [default: a procedural room]", metavar="DIR"),
]
Checkpoint = Annotated[Path | None, typer.Option(help="Trained weights of the component.", metavar="FILE")]


class GuardMode(enum.StrEnum):
    """What is done about people who drifted in refinement."""

    ON = "on"
    RECORD = "record"
    OFF = "off"


GuardOption = Annotated[
    GuardMode | None,
    typer.Option(
        "--guard",
        help="People whom refinement moved, erased or multiplied get their pixels back (on), are only noted (record),"
        " or nobody looks (off). [default: on]",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def read_plan(
    config: Path | None,
    sets: list[str] | None,
    roles: dict[str, str | None],
    seed: int | None,
    backgrounds: Path | None = None,
    guard: GuardMode | None = None,
    also: Callable[[], None] | None = None,
) -> tuple[Plan, dict[str, Any]]:
    """Return what a command was told, checked, and the plain settings that it comes from.

    Args:
        also: checks options where settings are wrong, so that all is told at once.

    Raises:
        ConfigError: naming all that is wrong with settings, and then with the options.
    """
    from synthkit import settings
    from synthkit.config import collected
    from synthkit.errors import ConfigError
    from synthkit.plugins import discover

    flags: dict[str, Any] = {"seed": seed}
    if backgrounds is not None:
        flags["renderer"] = {"backgrounds": str(backgrounds)}
    if guard is not None:
        flags["guard"] = {"mode": guard.value}
    try:
        given = settings.read(config, sets or (), flags)
        return settings.plan(discover(), given, roles), given
    except ConfigError as error:
        problems = list(error.problems)
        if also is not None:
            with collected(problems):
                also()
        raise ConfigError(problems) from None


@contextmanager
def session_of(plan: Plan, executor: Executor | None = None) -> Iterator[Session]:
    """Show progress around the work of a plan."""
    from synthkit.execution import Local
    from synthkit.session import Session

    with on_terminal() as terminal:
        yield Session(plan.registry, plan.run, executor or Local(cores()), terminal, terminal.tell)


def executor_of(
    run: RunSettings | None, name: ExecutorName, workers: int | None, address: str | None, *, least: int = 1
) -> Executor:
    """Return what runs the work, as the options say.

    Args:
        run: general settings, where the command has them. least: tasks that are worth processes of their own.

    Raises:
        ConfigError: when they do not fit together, or Ray is not installed.
    """
    from synthkit.errors import ConfigError
    from synthkit.execution import Local, RayCluster

    if name is ExecutorName.LOCAL:
        if address is not None:
            raise ConfigError([f"--address {address}: is for --executor ray"])
        return Local(workers or cores(), least=least)
    if workers is not None:
        instead = "" if run is None else "; with ray set task_cpus, task_gpus or task_memory_gb"
        raise ConfigError([f"--workers: is for --executor local{instead}"])
    if run is None:
        return RayCluster(address)
    gpus = run.task_gpus if run.device == "cuda" else 0.0
    return RayCluster(address, cpus=run.task_cpus, gpus=gpus, memory_gb=run.task_memory_gb)


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def on_terminal() -> Iterator[Terminal]:
    """Show progress."""
    from synthkit.cli.progress import Terminal

    with Terminal() as terminal:
        yield terminal
