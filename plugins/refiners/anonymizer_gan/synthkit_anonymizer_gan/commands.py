# SPDX-License-Identifier: Apache-2.0
"""``synthkit generator``: generators of people, judged."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthkit.cli.options import ConfigFile, Seed, Sets, Workers, cores, session_of

_WORTH_PROCESSES = 4  # shards of crops

app = typer.Typer(help="Generators of people, judged.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def group() -> None:
    """Generators of people, judged."""


@app.command()
def judge(
    data: Annotated[str, typer.Argument(metavar="IN", help="Data set of people who were not learned from.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for scores, figures and what is compared.")],
    checkpoint: Annotated[
        list[str],
        typer.Option(help="A generator, or the folder of its training; may be repeated.", metavar="[NAME=]FILE"),
    ],
    metrics: Annotated[
        str | None,
        typer.Option(
            help="Which metrics, with commas between them."
            " [default: fid,fid-clip,lpips,consistency,surface-consistency]",
            metavar="NAME[,NAME...]",
        ),
    ] = None,
    shown: Annotated[int, typer.Option(min=0, max=64, help="People in a row of the figures; 0: no figures.")] = 8,
    config: ConfigFile = None,
    sets: Sets = None,
    seed: Seed = None,
    workers: Workers = None,
) -> None:
    """Judge generators by the metrics and figures of thesis 002, and write them to OUT.

    People in IN are made again: drawn at random, twice; from their own looks, and from their looks in another image;
    and one for each identity. Settings of metrics are those of 'synthkit evaluate'.
    """
    from synthkit import evaluation, settings
    from synthkit.execution import Local
    from synthkit.plugins import discover
    from synthkit_anonymizer_gan import judging

    given = settings.read(config, sets or (), {"seed": seed})
    table = given.get("metric")
    named = table.get("name") if isinstance(table, dict) else None
    plan = evaluation.plan(discover(), given, metrics or named or judging.METRICS)
    generators = judging.named(checkpoint)
    with session_of(plan, Local(workers or cores(), least=_WORTH_PROCESSES)) as session:
        scores = judging.judge(session, data, generators, plan.metrics, out, shown=shown)
    for line in judging.table(scores, list(generators)):
        typer.echo(line)
    typer.echo(f"{out}", err=True)
