# SPDX-License-Identifier: Apache-2.0
"""The commands that run an experiment, and that look for its best settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synthkit.cli.app import app
from synthkit.cli.options import Sets, Workers, cores, on_terminal

if TYPE_CHECKING:
    from synthkit.experiments.description import Experiment
    from synthkit.experiments.running import Budget


File = Annotated[Path, typer.Argument(metavar="FILE.toml", help="What is compared with what.")]
Memory = Annotated[
    float | None,
    typer.Option("--memory-gb", min=0.1, help="Memory that steps may take together. [default: what is free]"),
]


@app.command()
def experiment(
    file: File,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of all steps and the report. [default: a folder in synthkit-out named like the file]"
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell the steps, and what they will take where that is known.")
    ] = False,
    workers: Workers = None,
    memory_gb: Memory = None,
    sets: Sets = None,
) -> None:
    """Compare data sets by the detectors they train: from one file to tables, plots and a report.

    What is done is never done again, also after the file was changed; what fails stops nothing that does not need it.
    """
    from synthkit.execution import Local
    from synthkit.experiments import description, estimate, planning
    from synthkit.experiments.history import History
    from synthkit.experiments.whole import conduct, default_folder
    from synthkit.plugins import discover
    from synthkit.session import Session

    registry = discover()
    described = description.read(file, registry, sets or ())
    folder = out or default_folder(file)
    budget = _budget(workers, memory_gb)
    with on_terminal() as terminal:
        session = Session(registry, described.run, Local(budget.cores), terminal, terminal.tell)
        plan = planning.plan(session, described, folder)
        expected = estimate.estimate(plan, folder, budget.cores, History())
        if dry_run:
            for line in (*estimate.table(expected), *estimate.summary(expected)):
                typer.echo(line)
            return
        for line in estimate.summary(expected):
            terminal.tell(line)
        conducted = conduct(session, plan, folder, budget)
    typer.echo(f"report: {conducted.report}")
    if conducted.missing:
        raise typer.Exit(1)


@app.command()
def search(
    file: File,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of all steps and of what was found; an experiment's own may be it."
            " [default: a folder in synthkit-out named like the file]"
        ),
    ] = None,
    workers: Workers = None,
    memory_gb: Memory = None,
    sets: Sets = None,
) -> None:
    """Look for the settings with which one row does best on the validation set, as the file's table 'search' tells.

    The test set has no part in it. What is done is never done again: stopped, the same command goes on.
    """
    from synthkit.execution import Local
    from synthkit.experiments import planning, whole
    from synthkit.experiments import search as searching
    from synthkit.plugins import discover
    from synthkit.report.experiment.searching import write_search
    from synthkit.session import Session

    given = list(sets or ())
    registry, declared = discover(), searching.declared(file, given)
    folder, budget = out or whole.default_folder(file), _budget(workers, memory_gb)
    with on_terminal() as terminal:
        # What plans and works has each trial's general settings.
        def session_of(experiment: Experiment) -> Session:
            return Session(registry, experiment.run, Local(budget.cores), terminal, terminal.tell)

        trials: list[searching.Trial] = []
        for trial in searching.look(
            declared, registry, file, given,
            lambda experiment: planning.plan(session_of(experiment), experiment, folder),
            lambda plan, steps: whole.do_steps(session_of(plan.experiment), plan, steps, folder, budget),
            folder,
        ):  # fmt: skip
            trials.append(trial)
            told = f"failed: {trial.failed}" if trial.score is None else f"{trial.score:.4g}"
            terminal.tell(f"trial {trial.number + 1}: {searching.options_of(trial.values)}: {told}")
            page = write_search(declared, trials, folder)
    best = searching.best_of(trials)
    if best is None:
        typer.echo("every trial failed", err=True)
        raise typer.Exit(1)
    typer.echo(f"best on validation: {best.score:.4g}, by")
    typer.echo(searching.options_of(best.values))
    typer.echo(f"trials: {page}")


def _budget(workers: int | None, memory_gb: float | None) -> Budget:
    from synthkit.experiments.running import Budget
    from synthkit.experiments.whole import free_memory_mb

    return Budget(workers or cores(), free_memory_mb() if memory_gb is None else memory_gb * 1000)
