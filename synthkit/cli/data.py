# SPDX-License-Identifier: Apache-2.0
"""The commands for finished data sets: verify, stats, split, merge, filter, view, describe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from synthkit.cli.app import app
from synthkit.cli.options import Address, ExecutorName, ExecutorOption, Json, Seed, Workers, executor_of, on_terminal

Source = Annotated[str, typer.Argument(metavar="IN", help="Data set.", show_default=False)]
_WORTH_PROCESSES = 2  # shards; one is made sooner than a process starts
Out = Annotated[str, typer.Argument(help="Where the new data set goes.", show_default=False)]


@app.command()
def verify(
    path: Annotated[str, typer.Argument(help="Data set to check.", show_default=False)],
    repair: Annotated[
        str | None,
        typer.Option(help="Write what is sound as a new data set; the original stays as it is.", metavar="OUT"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check every byte, box and mask of a data set; exit 1 when something is wrong and is not repaired."""
    if repair is not None:
        _repair(path, repair, as_json)
        return
    from synthkit.dataset.verify import verify as check

    with on_terminal() as shown:
        report = check(path, progress=shown)
    if as_json:
        table = {"path": path, "shards": report.shards, "samples": report.samples,
                 "problems": report.problems, "warnings": report.warnings}  # fmt: skip
        typer.echo(json.dumps(table, indent=2))
    else:
        for warning in report.warnings:
            typer.echo(f"warning: {warning}", err=True)
        for problem in report.problems:
            typer.echo(f"problem: {problem}", err=True)
        typer.echo(
            f"{path}: {report.samples} samples in {report.shards} shards,"
            f" {len(report.problems)} problems, {len(report.warnings)} warnings"
        )
    raise typer.Exit(1 if report.problems else 0)


def _repair(path: str, out: str, as_json: bool) -> None:
    from synthkit.dataset.tools.repair import repair

    with on_terminal() as shown:
        made = repair(path, out, progress=shown)
    counts = {"copied": made.copied, "mended": made.mended, "dropped": made.dropped}
    if as_json:
        typer.echo(json.dumps({"path": out, **counts, "findings": made.lines}, indent=2))
        return
    for line in made.lines:
        typer.echo(f"found: {line}", err=True)
    told = ", ".join(f"{count} {name}" for name, count in counts.items())
    typer.echo(f"repaired: {out} ({told}; what was dropped is listed in its notes)")


@app.command()
def stats(
    path: Source,
    plots: Annotated[
        Path | None, typer.Option(help="Folder for plots as PNG, with a map of where people are.", metavar="DIR")
    ] = None,
    as_json: Json = False,
) -> None:
    """Count what is in a data set: people, sizes, places, occlusion, identities, cameras."""
    from synthkit.dataset.tools.stats import rows
    from synthkit.dataset.tools.stats import stats as count

    with on_terminal() as shown:
        found = count(path, progress=shown)
    if as_json:
        typer.echo(json.dumps(found.to_plain(), indent=2))
    else:
        for name, value in rows(found):
            typer.echo(f"{name:<28} {value}")
    if plots is not None:
        from synthkit.dataset.tools.plots import write_plots

        files = write_plots(found, plots)
        for file in files:
            typer.echo(f"plot: {file}", err=True)
        if not files:
            typer.echo(f"no plots: nothing is known of the people in {path}", err=True)


@app.command()
def split(
    source: Source,
    out: Annotated[str, typer.Option(help="Folder for the parts.", metavar="DIR", show_default=False)],
    by: Annotated[
        list[str],
        typer.Option(help="What must not be in two parts: identity, background, sequence or sample; may be repeated.",
                     metavar="WHAT", show_default=False),
    ],
    parts: Annotated[str, typer.Option(help="Names and shares, which sum to 1.")] = "train=0.8,val=0.1,test=0.1",
    seed: Seed = None,
    workers: Workers = None,
    executor: ExecutorOption = ExecutorName.LOCAL,
    address: Address = None,
) -> None:  # fmt: skip
    """Split a data set so that no person (room, clip) is in two parts."""
    from synthkit.dataset.tools import split as tool

    shares = tool.parse_parts(parts)
    runner = executor_of(None, executor, workers, address, least=_WORTH_PROCESSES)
    with on_terminal() as shown:
        made = tool.split(source, out, shares, tool.checked_by(by), seed=seed or 0, executor=runner,
                          progress=shown, tell=shown.tell)  # fmt: skip
    for name, part in made.parts.items():
        typer.echo(f"{name}: {part.location} ({len(part)} samples, asked for {shares[name]:.0%})")


@app.command()
def merge(
    sources: Annotated[list[str], typer.Argument(metavar="IN...", help="Data sets.", show_default=False)],
    out: Annotated[str, typer.Option(help="Where the new data set goes.", show_default=False)],
    rename: Annotated[
        bool, typer.Option("--rename", help="Put each set's name before its keys and sequences.")
    ] = False,
    workers: Workers = None,
    executor: ExecutorOption = ExecutorName.LOCAL,
    address: Address = None,
) -> None:
    """Make one data set of several; a key in two of them is an error, unless --rename is given."""
    from synthkit.dataset.tools.merge import merge as join

    runner = executor_of(None, executor, workers, address, least=_WORTH_PROCESSES)
    with on_terminal() as shown:
        made = join(sources, out, rename=rename, executor=runner, progress=shown, tell=shown.tell)
    typer.echo(f"merged: {made.location} ({len(made)} samples)")


@app.command(name="filter")
def filter_(
    source: Source,
    out: Out,
    key: Annotated[list[str] | None, typer.Option(help="Key, or pattern with * and ?.", metavar="GLOB")] = None,
    sequence: Annotated[list[str] | None, typer.Option(help="Sequence, or pattern.", metavar="GLOB")] = None,
    background: Annotated[
        list[str] | None, typer.Option(help="Name of the background photo, or pattern.", metavar="GLOB")
    ] = None,
    layer: Annotated[list[str] | None, typer.Option(help="Layer that must be there.", metavar="NAME")] = None,
    min_people: Annotated[int | None, typer.Option(min=0, help="At least so many people (who count).")] = None,
    max_people: Annotated[int | None, typer.Option(min=0, help="At most so many people (who count).")] = None,
    min_visible: Annotated[
        float | None, typer.Option(min=0, max=1, help="People count of whom at least this part is seen.")
    ] = None,
    min_size: Annotated[
        float | None, typer.Option(min=0, help="People count whose box is at least so long.", metavar="PX")
    ] = None,
    workers: Workers = None,
    executor: ExecutorOption = ExecutorName.LOCAL,
    address: Address = None,
) -> None:
    """Keep the samples that fulfil all conditions; an option given twice means either.

    --min-visible and --min-size say which people count; alone they ask for at least one who does.
    """
    from synthkit.dataset.tools.filter import Conditions, filtered

    conditions = Conditions(
        keys=tuple(key or ()), sequences=tuple(sequence or ()), backgrounds=tuple(background or ()),
        layers=tuple(layer or ()), min_people=min_people, max_people=max_people, min_visible=min_visible,
        min_size_px=min_size,
    )  # fmt: skip
    runner = executor_of(None, executor, workers, address, least=_WORTH_PROCESSES)
    with on_terminal() as shown:
        made, places = filtered(source, out, conditions, executor=runner, progress=shown)
    typer.echo(f"filtered: {made.location} ({len(made)} samples of {places} places)")


@app.command()
def view(
    source: Source,
    out: Annotated[Path, typer.Option(help="The page to write.", metavar="FILE.html")] = Path("gallery.html"),
    count: Annotated[int, typer.Option(min=1, help="How many samples to show.")] = 48,
    size: Annotated[int, typer.Option(min=64, max=4096, help="Longer side of the pictures in pixels.")] = 640,
    layers: Annotated[
        bool, typer.Option("--layers/--no-layers", help="Layers as pictures too; they take most of the page's size.")
    ] = True,
    seed: Seed = None,
) -> None:
    """Make one HTML page to look at a data set: pictures and layers with boxes, heads, key points, masks to switch."""
    from synthkit.dataset.tools import view as tool

    chosen = tool.Shown(count=count, seed=seed or 0, size_px=size, layers=layers)
    with on_terminal() as shown:
        held = tool.view(source, out, chosen, progress=shown)
    typer.echo(f"gallery: {out} ({held} samples, {out.stat().st_size / 1e6:.1f} MB)")


@app.command()
def describe(
    source: Source,
    out: Annotated[
        Path | None,
        typer.Option(help="The file to write. [default: croissant.json in the data set]", metavar="FILE.json"),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Its name. [default: the folder's]", metavar="TEXT")] = None,
    description: Annotated[str | None, typer.Option(help="What it is. [default: from the records]")] = None,
    license_: Annotated[
        str | None,
        typer.Option("--license", help="Address or SPDX identifier. [default: as recorded]", metavar="LICENSE"),
    ] = None,
    creator: Annotated[
        list[str] | None,
        typer.Option(help="Who made it; 'org:NAME' for an organisation; may be repeated.", metavar="NAME"),
    ] = None,
    citation: Annotated[str | None, typer.Option(help="How to cite it, BibTeX at best.")] = None,
    url: Annotated[str | None, typer.Option(help="Its page.", metavar="URL")] = None,
    date: Annotated[str | None, typer.Option(help="Day of publication.", metavar="YYYY-MM-DD")] = None,
    version: Annotated[str | None, typer.Option(help="Its version.", metavar="MAJOR.MINOR.PATCH")] = None,
    base_url: Annotated[
        str | None,
        typer.Option(
            help="Address at which the data set's folder is published. [default: beside the file]", metavar="URL"
        ),
    ] = None,
) -> None:
    """Write Croissant metadata of a data set, with responsible-AI fields: what the records know, and what you state."""
    from synthkit.dataset import metadata

    statement = metadata.Statement(
        name=name, description=description, license=license_, creators=tuple(creator or ()), citation=citation,
        url=url, date=date, version=version,
    )  # fmt: skip
    with on_terminal() as shown:
        made = metadata.describe(source, out, statement, base_url=base_url, progress=shown)
    for remark in made.remarks:
        typer.echo(remark, err=True)
    typer.echo(f"described: {made.location} ({made.samples} samples in {made.shards} shards)")
