# SPDX-License-Identifier: Apache-2.0
"""The command that shows the crops refiners learn from, to choose among them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthkit.cli.app import app
from synthkit.cli.data import Source
from synthkit.cli.options import on_terminal


@app.command()
def crops(
    source: Source,
    out: Annotated[Path, typer.Option(help="Folder for the page and the list.", metavar="DIR", show_default=False)],
    list_: Annotated[
        Path | None,
        typer.Option("--list", help="List to begin with, such as one saved from the page.", metavar="FILE"),
    ] = None,
    min_px: Annotated[float, typer.Option(min=0, help="Least length of a person in the image.", metavar="PX")] = 0,
    min_sharpness: Annotated[float, typer.Option(min=0, help="Least sharpness; the page shows everybody's.")] = 0,
    min_inside: Annotated[float, typer.Option(min=0, max=1, help="Least part of the box in the image.")] = 0,
    max_overlap: Annotated[float, typer.Option(min=0, max=1, help="Largest part of the box under another box.")] = 1,
    aspect: Annotated[
        str | None, typer.Option(help="Least and largest length over width, such as 1,4.", metavar="LOW,HIGH")
    ] = None,
    size: Annotated[int, typer.Option(min=32, max=512, help="Side of the crops on the page in pixels.")] = 128,
) -> None:
    """Show the crops of people in a set, numbered, with a list of which to keep, for fitting refiners.

    Rules and the list that is in the folder already decide which are dropped at first; click, save, fit with
    --set refiner.target_crops.list=FILE.
    """
    from synthkit.config import structure
    from synthkit.crop_choice import CropChoice
    from synthkit.dataset.tools import crop_sheet

    choice = structure(
        CropChoice,
        {"list": list_, "min_px": min_px, "min_sharpness": min_sharpness, "min_inside": min_inside,
         "max_overlap": max_overlap, "aspect": _pair(aspect)},
        path="crops",
    )  # fmt: skip
    with on_terminal() as shown:
        made = crop_sheet.crop_sheet(source, out, choice, size_px=size, progress=shown)
    typer.echo(f"page: {made.page} ({made.kept} crops kept, {made.dropped} dropped)")
    typer.echo(f"list: {made.list} ({'as it was' if made.list_found else 'new'}; edit it here or on the page)")
    typer.echo(f"use it: --set refiner.target_crops.list={made.list}")


def _pair(text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(f"{text!r}: expected two numbers, such as 1,4", param_hint="--aspect") from None
