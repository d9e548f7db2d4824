# SPDX-License-Identifier: Apache-2.0
"""The command that finds people in images, folders, videos and data sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from synthkit.cli.app import app, finish
from synthkit.cli.options import (
    Address,
    AllowMissing,
    ConfigFile,
    DetectorName,
    ExecutorName,
    ExecutorOption,
    Seed,
    Sets,
    Workers,
    executor_of,
    session_of,
)

# As in app.py, nothing of the pipeline is imported here.
Images = Annotated[
    str, typer.Argument(metavar="IN", help="A data set (or its URL), a folder of images, an image, or a video.")
]
Out = Annotated[
    str, typer.Option(help="Where the finds go, a data set without pixels: a folder or a URL.", metavar="OUT")
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(help="A detector of yours, from 'synthkit train'. [default: one that ships]", metavar="FILE"),
]
Score = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Keep finds from this score on. [default: the detector's own, else 0.5]"),
]
Pictures = Annotated[
    Path | None,
    typer.Option(help="Also draw the finds: images, or videos of videos, in this new folder.", metavar="DIR"),
]
Every = Annotated[int, typer.Option(min=1, help="Take every so many images, such as frames of a video.")]
Form = Annotated[
    str | None,
    typer.Option("--format", help="What IN holds, in the words of 'convert'. [default: found out]", metavar="NAME"),
]
Timeout = Annotated[
    float | None,
    typer.Option(min=1, help="Seconds that an image may take before it counts as not looked at. [default: 300]"),
]
Coco = Annotated[
    Path | None,
    typer.Option(help="Also write the finds as a list of results that COCO's evaluators read.", metavar="FILE.json"),
]
Lines = Annotated[bool, typer.Option("--json", help="Print what was found, a line of JSON for each image.")]


@app.command()
def detect(
    images: Images,
    out: Out,
    detector: DetectorName = None,
    checkpoint: Checkpoint = None,
    score: Score = None,
    pictures: Pictures = None,
    coco: Coco = None,
    every: Every = 1,
    form: Form = None,
    timeout: Timeout = None,
    config: ConfigFile = None,
    sets: Sets = None,
    seed: Seed = None,
    workers: Workers = None,
    executor: ExecutorOption = ExecutorName.LOCAL,
    address: Address = None,
    allow_missing: AllowMissing = False,
    as_json: Lines = False,
) -> None:
    """Find people in a data set, a folder of images, an image or a video.

    What is found is a data set of its own: for each image its people, with scores, boxes and what else the detector
    tells. An image that could not be looked at is listed with the reason, never taken for one without people.
    """
    from synthkit import detection, detectors, inputs, settings
    from synthkit.found import Found, counted, lines
    from synthkit.plugins import discover

    if pictures is not None:
        from synthkit.report import finds

        finds.check_pictures(pictures)
    if coco is not None:
        from synthkit import coco_results

        coco_results.check_results(coco)
    plan = detection.plan(discover(), settings.read(config, sets or (), {"seed": seed}), detector, checkpoint)
    spec = plan.components["detector"]
    with session_of(plan, executor_of(plan.run, executor, workers, address)) as session:
        if detector is None and checkpoint is None:
            name = detectors.known_as(plan.registry, spec)
            session.tell(f"detector: {name} as it ships; --detector NAME or --checkpoint FILE takes another")
        opened = inputs.open_images(images, form=form, every=every, progress=session.progress, tell=session.tell)
        made = detection.detect(session, spec, opened, out, least_score=score, timeout_s=timeout or detection.TIMEOUT_S)
        if pictures is not None:
            drawn = finds.draw(Found(made.dataset, opened), pictures, progress=session.progress, tell=session.tell)
        if coco is not None:
            listed = coco_results.write_results(made.dataset, coco)
    if as_json:
        for line in lines(made.dataset):
            typer.echo(json.dumps(line, ensure_ascii=False))
    typer.echo(f"found: {made.dataset.location} ({counted(made.dataset)})", err=as_json)
    if pictures is not None:
        typer.echo(f"drawn: {drawn.path} ({drawn.images} images)", err=as_json)
    if coco is not None:
        typer.echo(f"COCO: {coco} ({listed} results)", err=as_json)
    finish(made.skipped, allow_missing)
