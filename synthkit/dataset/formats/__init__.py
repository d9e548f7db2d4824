# SPDX-License-Identifier: Apache-2.0
"""Bringing in sets of other formats: each is opened, checked as a whole, and written as a data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import attrs

from synthkit.config import nearest
from synthkit.dataset import records
from synthkit.dataset.codec import CodecConfig
from synthkit.dataset.formats import cepdof
from synthkit.dataset.reader import Dataset, tars_in
from synthkit.dataset.writer import DatasetWriter
from synthkit.errors import DatasetError, WorkError
from synthkit.execution import Failed, JobSpec, run
from synthkit.interfaces import Progress, silent
from synthkit.sample import Sample

_SCENES_PER_SHARD = 64


class Source(Protocol):
    """An opened and checked set of another format."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """Plain JSON that determines the samples: hashes of labels, names and sizes of images."""

    @property
    def notes(self) -> Mapping[str, Any]:
        """Plain JSON besides: where it came from, its licence."""

    def __len__(self) -> int: ...

    def sample(self, index: int) -> Sample:
        """Read and return one sample."""


@attrs.frozen
class Format:
    """A format by name.

    Args:
        name, summary: for ``--format`` and listings.
        recognises: whether a folder looks like it; cheap. open: the checked set, with images shrunk to
            at most so many pixels a side (None: as they are).
    """

    name: str
    summary: str
    recognises: Callable[[Path], bool]
    open: Callable[[Path, int | None], Source]


FORMATS: Mapping[str, Format] = {
    "cepdof": Format("cepdof", "rotated boxes as JSON (CEPDOF, MW-R, WEPDTOF)", cepdof.recognises, cepdof.CepdofSource),
}


def is_dataset(path: Path) -> bool:
    """Return whether a path needs no conversion: a data set, or WebDataset tars."""
    return (path / records.MANIFEST).is_file() or path.suffix == ".tar" or bool(tars_in(path))


def find(source: Path, name: str | None = None) -> Format:
    """Return the format of that name, or else the one that recognises a folder.

    Raises:
        DatasetError: when there is no such folder or format, or none that recognises it.
    """
    if name is not None and name not in FORMATS:
        raise DatasetError(f"format {name!r} is not known{nearest(name, FORMATS)}")
    if not source.is_dir():
        raise DatasetError(f"{source}: is {'no folder' if source.exists() else 'missing'}; expected a folder of images")
    if name is not None:
        return FORMATS[name]
    for candidate in FORMATS.values():
        if candidate.recognises(source):
            return candidate
    known = "; ".join(f"{form.name}: {form.summary}" for form in FORMATS.values())
    raise DatasetError(f"{source}: is of no known format ({known})")


def convert(
    source: Path,
    out: Path,
    *,
    form: str | None = None,
    max_size_px: int | None = None,
    workers: int = 0,
    progress: Progress = silent,
) -> Dataset:
    """Turn a set of another format into a data set, or do the rest of an interrupted conversion.

    Args:
        source: its folder. out: where the data set goes. form: name of the format; None finds it out.
        max_size_px: shrink larger images (and their labels) to this many pixels a side.
        workers: processes besides this one; 0 works here.

    Raises:
        DatasetError: when the source is of no known format, or wrong, telling all that is wrong at
            once; or when ``out`` holds something else.
    """
    source = Path(source)
    chosen = find(source, form)
    opened = chosen.open(source, max_size_px)
    identity = {"convert": chosen.name, "max_size_px": max_size_px, **opened.identity}
    writer = DatasetWriter(
        out,
        identity=identity,
        notes=opened.notes,
        scenes=len(opened),
        scenes_per_shard=_SCENES_PER_SHARD,
        codec=CodecConfig(image_format="jpg"),  # photos come as JPEG, and are tenfold as PNG
    )
    with writer:
        arguments = {
            "source": str(source),
            "form": chosen.name,
            "max_size_px": max_size_px,
            "spool": writer.spool.to_plain(),
        }
        job = JobSpec("synthkit.dataset.formats.job:ConvertJob", arguments)
        progress("convert", writer.scenes_done, len(opened))
        with closing(run(job, writer.pending_scenes(), workers=workers)) as outcomes:
            for outcome in outcomes:
                if isinstance(outcome, Failed):
                    raise WorkError(f"{source}: image {outcome.task} cannot be converted: {outcome.reason}")
                writer.finished(outcome.task)
                progress("convert", writer.scenes_done, len(opened))
        writer.finalise()
    return Dataset.open(out)
