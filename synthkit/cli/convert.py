# SPDX-License-Identifier: Apache-2.0
"""The command that turns labelled images of other formats into data sets, and data sets into these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypedDict

import typer

from synthkit.cli.app import app, finish
from synthkit.cli.options import Address, AllowMissing, ExecutorName, ExecutorOption, Workers, executor_of, on_terminal

# As in app.py, nothing of the pipeline is imported here.
if TYPE_CHECKING:
    from synthkit.execution import Executor

# A constant, as --help would be slow if it had to load the formats; a test compares.
_FORMATS = "coco, cepdof, voc, kitti, yolo, yolo-obb, habbof, market1501, fdh, video, images"
_WORTH_PROCESSES = 64  # images; fewer are converted sooner than processes start
_MENDED = "mend the images (of finds: detect again) and convert them into another place, or say --allow-missing"

Source = Annotated[
    str,
    typer.Argument(
        metavar="IN",
        help="Images and labels of another format; finds, or with --to a data set (or a URL of either).",
    ),
]
Out = Annotated[str, typer.Argument(help="Where the result goes: a folder, or, without --to, a URL (s3://...).")]
Form = Annotated[
    str | None, typer.Option("--format", help=f"What IN holds: {_FORMATS}. [default: found out]", metavar="NAME")
]
To = Annotated[
    str | None, typer.Option("--to", help=f"Format to write: {_FORMATS}. [default: a data set]", metavar="NAME")
]
MaxSize = Annotated[int | None, typer.Option(min=16, help="Shrink images to at most this many pixels a side.")]
Every = Annotated[int, typer.Option(min=1, help="Take every so many images, such as frames of a video.")]
PersonClass = Annotated[
    list[str] | None, typer.Option(help="Another class of IN that is people; may be repeated.", metavar="NAME")
]


class _Taken(TypedDict):
    """What is taken of IN."""

    form: str | None
    max_size_px: int | None
    every: int
    person_classes: list[str]


@app.command()
def convert(
    source: Source,
    out: Out,
    form: Form = None,
    to: To = None,
    max_size: MaxSize = None,
    every: Every = 1,
    person_class: PersonClass = None,
    workers: Workers = None,
    executor: ExecutorOption = ExecutorName.LOCAL,
    address: Address = None,
    allow_missing: AllowMissing = False,
) -> None:
    """Turn labelled images of another format into a data set, or a data set into another format.

    Finds of ``synthkit detect`` become a data set of their images, labelled by what was found; they are taken whole,
    without --format, --max-size, --every and --person-class.

    With --to one process writes, and --workers, --executor and --address are not for it.
    """
    from synthkit.errors import ConfigError

    if to is not None and (workers is not None or executor is not ExecutorName.LOCAL):
        raise ConfigError([f"--to {to}: is written by one process: leave --workers and --executor away"])
    runner = executor_of(None, executor, workers, address, least=_WORTH_PROCESSES)
    taken = _Taken(form=form, max_size_px=max_size, every=every, person_classes=person_class or [])
    if to is None:
        finish(_convert(source, out, runner, taken), allow_missing, _MENDED)
    else:
        _export(source, out, to, taken)


def _convert(source: str, out: str, runner: Executor, taken: _Taken) -> int:
    """Make a data set and tell of it; return how many samples are missing in it."""
    from synthkit.dataset import formats

    with on_terminal() as terminal:
        made = formats.convert(source, out, **taken, executor=runner, progress=terminal, tell=terminal.tell)
    typer.echo(f"converted: {made.location} ({len(made)} samples)")
    summary = made.manifest.summary if made.manifest else None
    return summary.skipped if summary else 0


def _export(source: str, out: str, to: str, taken: _Taken) -> None:
    """Write a data set in another format and tell of it."""
    from synthkit.dataset import formats

    with on_terminal() as terminal:
        made = formats.export(source, out, to, **taken, progress=terminal, tell=terminal.tell)
    typer.echo(f"exported: {made.path} ({made.images} images)")
