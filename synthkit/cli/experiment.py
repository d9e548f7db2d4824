# SPDX-License-Identifier: Apache-2.0
"""The command that runs an experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthkit.cli.app import app
from synthkit.cli.options import Sets, Workers, cores, on_terminal


@app.command()
def experiment(
    file: Annotated[Path, typer.Argument(metavar="FILE.toml", help="What is compared with what.")],
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
    memory_gb: Annotated[
        float | None,
        typer.Option(min=0.1, help="Memory that steps may take together. [default: what is free at the start]"),
    ] = None,
    sets: Sets = None,
) -> None:
    """Compare data sets by the detectors they train: from one file to tables, plots and a report.

    What is done is never done again, also after the file was changed; what fails stops nothing that does not need it.
    """
    from synthkit.execution import Local
    from synthkit.experiments import description, estimate, planning
    from synthkit.experiments.history import History
    from synthkit.experiments.running import Budget
    from synthkit.experiments.whole import conduct, default_folder, free_memory_mb
    from synthkit.plugins import discover
    from synthkit.session import Session

    registry = discover()
    described = description.read(file, registry, sets or ())
    folder = out or default_folder(file)
    budget = Budget(workers or cores(), free_memory_mb() if memory_gb is None else memory_gb * 1000)
    with on_terminal() as terminal:
        session = Session(registry, described.run, Local(budget.cores), terminal, terminal.tell)
        plan = planning.plan(session, described)
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
