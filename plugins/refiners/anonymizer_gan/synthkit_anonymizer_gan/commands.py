# SPDX-License-Identifier: Apache-2.0
"""``synthkit generator``: generators of people and the sets that they learn from, judged."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from synthkit.cli.options import ConfigFile, Json, Seed, Sets, Workers, cores, session_of

_WORTH_PROCESSES = 4  # shards of crops


class Alignment(enum.StrEnum):
    """How people are cut out."""

    HEAD = "head"
    BOX = "box"
    IMAGE = "image"


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
    and one for each identity. Settings of metrics are those of 'synthkit evaluate'; refiner.draws, truncation, truncate
    and modes say who is drawn.
    """
    from synthkit import config as configs
    from synthkit import evaluation, settings
    from synthkit.errors import ConfigError
    from synthkit.execution import Local
    from synthkit.plugins import discover
    from synthkit_anonymizer_gan import judging

    given = settings.read(config, sets or (), {"seed": seed})
    table = given.get("metric")
    named = table.get("name") if isinstance(table, dict) else None
    registry, problems = discover(), list[str]()
    _, options = settings.component_table(given, "refiner", problems)
    given.pop("refiner", None)
    with configs.collected(problems):
        sampling = judging.sampling_of(registry, options or {})
    with configs.collected(problems):
        plan = evaluation.plan(registry, given, metrics or named or judging.METRICS)
    if problems:
        raise ConfigError(problems)
    generators = judging.named(checkpoint)
    with session_of(plan, Local(workers or cores(), least=_WORTH_PROCESSES)) as session:
        scores = judging.judge(session, data, generators, plan.metrics, out, shown=shown, sampling=sampling)
    for line in judging.table(scores, list(generators)):
        typer.echo(line)
    typer.echo(f"{out}", err=True)


@app.command()
def outliers(
    data: Annotated[str, typer.Argument(metavar="IN", help="The data set that the generator learned from.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for outliers.json and a picture of the worst.")],
    checkpoint: Annotated[str, typer.Option(help="A generator, or the folder of its training.", metavar="FILE")],
    share: Annotated[float, typer.Option(min=0, max=1, help="Which share of the people is left out.")] = 0.05,
    metric: Annotated[str, typer.Option(help="By which distance: lpips, ssim or psnr.", metavar="NAME")] = "lpips",
    config: ConfigFile = None,
    sets: Sets = None,
    workers: Workers = None,
) -> None:
    """List the people whom a generator cannot make again, for the setting leave_out of the next training."""
    from synthkit import evaluation, settings
    from synthkit.execution import Local
    from synthkit.plugins import discover
    from synthkit_anonymizer_gan import judging
    from synthkit_anonymizer_gan import outliers as finding

    plan = evaluation.plan(discover(), settings.read(config, sets or (), {}), metric)
    (generator,) = judging.named([checkpoint]).values()
    (chosen,) = plan.metrics
    with session_of(plan, Local(workers or cores(), least=_WORTH_PROCESSES)) as session:
        found = finding.find(session, data, generator, chosen, share, out)
    typer.echo(f"outliers: {out / finding.FILE} ({len(found)} people)")


@app.command()
def variation(
    data: Annotated[list[str], typer.Argument(metavar="IN...", help="Data sets of people, to be compared.")],
    alignment: Annotated[
        Alignment, typer.Option(help="How people are cut out: head, as under ceiling cameras; box; image, of crops.")
    ] = Alignment.HEAD,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Tell how much pose, appearance and context of people vary in sets (thesis 002, section 3.6)."""
    import json

    import attrs

    from synthkit.cli.options import on_terminal
    from synthkit.dataset import Dataset
    from synthkit.seeds import Seeds
    from synthkit_anonymizer_gan import variation as varying

    with on_terminal() as terminal:
        found = {
            place: attrs.asdict(
                varying.variation(
                    Dataset.open(place, layers=("instances",)), alignment.value, Seeds(seed or 0), terminal
                )
            )
            for place in data
        }
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for place, numbers in found.items():
        typer.echo(f"{place}:")
        for name, value in numbers.items():
            typer.echo(f"  {name:<12}{value:>10.4g}")
