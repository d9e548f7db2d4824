# SPDX-License-Identifier: Apache-2.0
"""The command that tells where something comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthkit.cli.app import app
from synthkit.cli.options import Workers, cores, session_of

Places = Annotated[
    list[Path] | None,
    typer.Option(
        "--in",
        help="Folder below which what it was made from is looked for; may be repeated."
        " [default: the experiment it belongs to, or the folder that holds its folder]",
        metavar="DIR",
    ),
]


@app.command()
def lineage(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A data set, shard, checkpoint, ONNX file or results.")],
    places: Places = None,
    report: Annotated[Path | None, typer.Option(help="Also write a page with the graph.", metavar="FILE.html")] = None,
) -> None:
    """Tell where something comes from: configurations, seeds, versions, and what it was made from."""
    from synthkit.lineage import drawing
    from synthkit.lineage.tracing import trace

    traced = trace(path, places or ())
    for line in drawing.tree(traced):
        typer.echo(line)
    if report is not None:
        drawing.write_report(traced, report)
        typer.echo(f"{report}", err=True)


@app.command()
def reproduce(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A data set, checkpoint or ONNX file.")],
    out: Annotated[Path, typer.Option(help="New folder for what is made again.")],
    places: Places = None,
    files: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=FILE",
            help="A file or folder that the component's settings name, where it lies now, such as"
            " backbone_file=weights.npz; may be repeated.",
        ),
    ] = None,
    workers: Workers = None,
) -> None:
    """Make a data set, a checkpoint or an ONNX file again from its parents, and tell whether it is the same."""
    from synthkit import config, settings
    from synthkit.execution import Local
    from synthkit.lineage import reproducing
    from synthkit.plugins import discover

    plan = settings.plan(discover(), {}, {})
    with session_of(plan, Local(workers or cores())) as session:
        made = reproducing.reproduce(session, path, out, places or (), config.parse_sets(files or ()))
    typer.echo(f"{'the same' if made.same else 'another one'}: {made.place} ({made.found}, was {made.expected})")
    if not made.same:
        typer.echo(
            "other versions, processors or devices can be the reason: 'synthkit lineage' tells those it had", err=True
        )
        raise typer.Exit(1)
