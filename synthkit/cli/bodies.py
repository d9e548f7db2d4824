# SPDX-License-Identifier: Apache-2.0
"""The commands that make sets of crops of people, and tell wrong surface maps in them from right ones."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from synthkit.cli.app import app, finish
from synthkit.cli.options import (
    Address,
    AllowMissing,
    ExecutorName,
    ExecutorOption,
    Workers,
    executor_of,
    on_terminal,
)

# As in app.py, nothing of the pipeline is imported here.
bodies_app = typer.Typer(help="Crops of people with masks and surface maps, as FDH's.", no_args_is_help=True)
app.add_typer(bodies_app, name="bodies")

_WORTH_PROCESSES = 64  # images


class Up(enum.StrEnum):
    """Which way is up in crops."""

    AUTO = "auto"
    UPRIGHT = "upright"
    NADIR = "nadir"


class Space(enum.StrEnum):
    """A mesh of the body's surface."""

    MPFB = "mpfb"
    SMPL = "smpl_27554"


Crops = Annotated[str, typer.Argument(metavar="CROPS", help="A set of crops.", show_default=False)]
Parts = Annotated[
    Path | None,
    typer.Option(help="Which part of the body each vertex is of, where none ships: docs/fdh.md.", metavar="FILE.npy"),
]
_LEAST = "Least number of different vertices for each part of the body that a map shows."


@bodies_app.command("cut")
def cut(
    images: Annotated[
        str, typer.Argument(metavar="IN", help="A data set (or its URL), a folder of images, an image, or a video.")
    ],
    out: Annotated[str, typer.Argument(metavar="OUT", help="Where the crops go: a folder or a URL.")],
    found: Annotated[
        list[str] | None,
        typer.Option("--finds", help="Finds of 'synthkit detect' in IN; may be repeated. [default: IN's own layers]",
                     metavar="DIR"),
    ] = None,
    view: Annotated[
        Up,
        typer.Option(help="Which way is up: the image's (upright), away from the place below the camera (nadir), or"
                     " the latter where the camera is known (auto)."),
    ] = Up.AUTO,
    space: Annotated[
        Space | None, typer.Option(help="Which mesh's surface maps are taken, where there are some of several.")
    ] = None,
    least: Annotated[
        float | None,
        typer.Option(min=0, help=f"{_LEAST} [default: what holds for the mesh, of finds; 0 of IN's own]"),
    ] = None,
    parts: Parts = None,
    workers: Workers = None,
    executor: ExecutorOption = ExecutorName.LOCAL,
    address: Address = None,
    allow_missing: AllowMissing = False,
) -> None:  # fmt: skip
    """Cut people out of images, into crops of 160x288 pixels with mask and surface map (thesis 002, section 4.3.2)."""
    from synthkit.bodies import cutting

    runner = executor_of(None, executor, workers, address, least=_WORTH_PROCESSES)
    settings = cutting.CutSettings(view=view.value, space=space.value if space else None, least=least, parts=parts)
    with on_terminal() as shown:
        made = cutting.cut(images, out, found or (), settings, executor=runner, progress=shown, tell=shown.tell)
    typer.echo(f"cut: {made.location} ({len(made)} crops)")
    finish(len(made.skipped), allow_missing)


@bodies_app.command("judge")
def judge(
    crops: Crops,
    page: Annotated[Path, typer.Argument(metavar="PAGE.html", help="The page to write.", show_default=False)],
    truth: Annotated[
        str | None,
        typer.Option(help="The rendered set in which these people were found, to judge their maps by.", metavar="IN"),
    ] = None,
    parts: Parts = None,
) -> None:
    """Show how many vertices crops show for each part of the body, and from how many on maps are right (appendix A)."""
    from synthkit.bodies import judging, misdetections
    from synthkit.bodies.reading import BodyCrops
    from synthkit.dataset import Dataset
    from synthkit.dataset.tools.outputs import check_file
    from synthkit.report import misdetections as report

    check_file(page, "PAGE.html", lambda data: report.MARK.encode() in data)
    opened = BodyCrops.open(crops)
    table = misdetections.parts_of(opened.space, parts)
    real = None if truth is None else Dataset.open(truth, layers=[opened.space.layer])
    with on_terminal() as shown:
        found = list(judging.measures(opened, table, real, shown))
    least = misdetections.LEAST_PER_PART[opened.space.name] if real is None else judging.suggested(found)
    report.write_report(opened, table, found, least, page)
    if real is not None:
        typer.echo(f"threshold: {least:g}")
    typer.echo(f"page: {page}")


@bodies_app.command("filter")
def filter_(
    crops: Crops,
    out: Annotated[str, typer.Argument(help="Where the new set goes.", show_default=False)],
    least: Annotated[float | None, typer.Option(min=0, help=f"{_LEAST} [default: what holds for the mesh]")] = None,
    parts: Parts = None,
) -> None:
    """Keep the crops whose surface maps are believed (appendix A)."""
    from synthkit.bodies import judging

    with on_terminal() as shown:
        made, places = judging.filtered(crops, out, least, parts, progress=shown)
    typer.echo(f"filtered: {made.location} ({len(made)} crops of {places})")
