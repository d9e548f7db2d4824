# SPDX-License-Identifier: Apache-2.0
"""Making a data set of an opened set of another format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from synthkit.cache import scratch_dir
from synthkit.dataset.formats.job import CODEC, fingerprint
from synthkit.dataset.formats.source import Source
from synthkit.dataset.reader import Dataset
from synthkit.dataset.writer import DatasetWriter
from synthkit.errors import DatasetError
from synthkit.execution import Executor, JobSpec, Local
from synthkit.execution.scenes import fill
from synthkit.interfaces import Progress, silent
from synthkit.sample import Skipped

_SCENES_PER_SHARD = 64
_SHOWN = 3  # reasons
_REVISION = 3  # of what conversion makes of a source: to be raised when samples change


@attrs.frozen(eq=False)
class Conversion:
    """A set of another format, opened, checked and hashed, that is to be a data set.

    Args:
        place, form, max_size_px, every, person_classes: how the set was opened, so that workers can do the same.
        source: the opened set. content: what determines its samples.
    """

    place: Path
    form: str
    max_size_px: int | None
    every: int
    person_classes: Sequence[str]
    source: Source
    content: Mapping[str, Any]

    @property
    def identity(self) -> Mapping[str, Any]:
        """Plain JSON that determines the data set."""
        return {
            "convert": self.form,
            "revision": _REVISION,
            "max_size_px": self.max_size_px,
            **self.content,
            **named(self.person_classes),
        }

    def run(self, out: Path | str, executor: Executor | None = None, progress: Progress = silent) -> Dataset:
        """Make the data set, or do the rest of it.

        Args:
            out: where it goes: a folder, or a URL that fsspec reaches. executor: what reads the images; None: this
                process.

        Raises:
            DatasetError: when not one image can be read, one was changed meanwhile, or ``out`` holds something else.
        """
        total = len(self.source)
        writer = DatasetWriter(
            out,
            identity=self.identity,
            notes={**self.source.notes, "remarks": list(self.source.remarks)},
            scenes=total,
            scenes_per_shard=_SCENES_PER_SHARD,
            codec=CODEC,
            scratch=scratch_dir(),
        )
        with writer:
            fill(
                writer, self._job(), executor or Local(0),
                failed=lambda index, reason: [Skipped(self.source.key(index), reason)],
                progress=lambda done: progress("convert", done, total),
            )  # fmt: skip
            check_unchanged(self.source)
            summary = writer.finalise()
            if not summary.samples:
                raise DatasetError(f"{out}: not one sample could be converted: {_reasons(writer.skipped())}")
        return Dataset.open(out)

    def _job(self) -> JobSpec:
        arguments = {
            "source": str(self.place.absolute()),
            "form": self.form,
            "keys": fingerprint(self.source),
            "max_size_px": self.max_size_px,
            "every": self.every,
            "person_classes": list(self.person_classes),
        }
        return JobSpec("synthkit.dataset.formats.job:ConvertJob", arguments)


def left_out(data: Dataset) -> str | None:
    """Return the line that tells how many images could not be converted, and why; None when all could."""
    summary = data.manifest.summary if data.manifest else None
    if summary is None or not summary.skipped:
        return None
    return (
        f"{summary.skipped} of {summary.skipped + summary.samples} images are damaged and left out:"
        f" {_reasons(data.skipped)}"
    )


def check_unchanged(source: Source) -> None:
    """Check that what was read is what was hashed.

    Raises:
        DatasetError: naming a file that was changed meanwhile.
    """
    changed = source.changed()
    if changed is not None:
        raise DatasetError(f"{changed}: was changed while it was being read; begin again, in another place")


def named(person_classes: Sequence[str]) -> dict[str, Any]:
    """Return what classes that are people besides the usual ones add to an identity."""
    return {"person_classes": sorted(person_classes)} if person_classes else {}


def _reasons(skipped: Sequence[tuple[str, str]]) -> str:
    found = sorted({reason for _, reason in skipped})
    return "; ".join(found[:_SHOWN]) + ("; ..." if len(found) > _SHOWN else "")
