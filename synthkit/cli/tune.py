# SPDX-License-Identifier: Apache-2.0
"""The command that fits a renderer to real images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthkit.cli.app import app
from synthkit.cli.options import (
    Address,
    Backgrounds,
    ConfigFile,
    ExecutorName,
    ExecutorOption,
    RendererName,
    Seed,
    Sets,
    Workers,
    executor_of,
    read_plan,
    session_of,
)


@app.command()
def tune(
    real: Annotated[
        str,
        typer.Argument(
            metavar="REAL", help="Images of your sensor: a data set (or its URL), or a folder 'convert' knows."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(help="The settings found, for --config; beside it a report, NAME.html.", metavar="NAME.toml"),
    ],
    renderer: RendererName = None,
    renders: Annotated[int, typer.Option(min=1, help="How many images to render at most.")] = 120,
    extractor: Annotated[
        str,
        typer.Option(
            help="A pretrained network whose features are compared too: mobilenet_v2, vgg16, none, or auto, one whose"
            " weights are on this machine.",
            metavar="NAME",
        ),
    ] = "auto",
    backgrounds: Backgrounds = None,
    config: ConfigFile = None,
    sets: Sets = None,
    seed: Seed = None,
    workers: Workers = None,
    executor: ExecutorOption = ExecutorName.LOCAL,
    address: Address = None,
) -> None:
    """Fit light, sensor, colours and people of a renderer to real images.

    What you set yourself is known and stays; the rest that the renderer offers is measured or searched.
    """
    from synthkit.tuning.checks import check_options
    from synthkit.tuning.run import tune as fit

    plan, settings = read_plan(
        config, sets, {"renderer": renderer}, seed, backgrounds, also=lambda: check_options(out, renders, extractor)
    )
    general = {key: value for key, value in settings.items() if key != "renderer"}
    with session_of(plan, executor_of(plan.run, executor, workers, address)) as session:
        tuned = fit(
            session, plan.components["renderer"], real, out, renders, extractor=extractor, general=general
        )  # fmt: skip
    typer.echo(tuned.story.verdict)
    typer.echo(f"settings: {tuned.settings} ({len(tuned.story.fitted)} changed)")
    typer.echo(f"report:   {tuned.report}")
