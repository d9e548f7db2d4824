# SPDX-License-Identifier: Apache-2.0
"""Writing other formats so that an export is there whole or not at all, and goes on where it stopped.

Everything is written to ``.NAME.partial`` beside the place it is to have, and renamed in one step at the
end. Files that are already there with the right bytes are kept. ``synthkit.json`` in the folder says what
it was made from.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import attrs

import synthkit
from synthkit.dataset import records, storage
from synthkit.dataset.description import load, plain
from synthkit.dataset.formats.photos import key_of
from synthkit.dataset.formats.pictures import Picture, Pictures
from synthkit.dataset.notes import without_folders
from synthkit.errors import DatasetError
from synthkit.interfaces import Progress

RECORD = "synthkit.json"
NO_VIDEO = "images"
_SHOWN, _MOST_DAMAGED = 5, 20


@attrs.frozen
class Exported:
    """A finished export: where it is, how many images it has, and what there is to tell about it."""

    path: Path
    images: int
    remarks: tuple[str, ...]


class _Damaged(DatasetError):
    """The source is at fault, not the format."""


class Export:
    """One export under way: the pictures to write, and the folder to write them to.

    Iterating yields every picture once, in order, and reports progress; damaged ones are told together at
    the end, as an error. A format's ``write`` puts each
    picture's files with ``put``, and what lists or describes the whole last.
    """

    def __init__(self, form: str, pictures: Pictures, folder: Path, progress: Progress) -> None:
        self._form, self._pictures, self._folder, self._progress = form, pictures, folder, progress
        self._dropped: Counter[str] = Counter()
        self._remarks: dict[str, None] = {}
        self._names: list[str] = []
        self._folders: set[Path] = set()
        self._videos: dict[str | None, str] = {None: NO_VIDEO}

    @property
    def name(self) -> str:
        """The exported set's name, for people: printable."""
        return "".join(letter if letter.isprintable() else "_" for letter in self._pictures.name)

    @property
    def notes(self) -> Mapping[str, Any]:
        """Where the pictures come from: plain JSON, as their set has it."""
        return self._pictures.notes

    def __len__(self) -> int:
        return len(self._pictures)

    def __iter__(self) -> Iterator[Picture]:
        return self.pictures(range(len(self)))

    def pictures(self, places: Sequence[int]) -> Iterator[Picture]:
        """Yield the pictures at all places, in this order; as iterating does."""
        total, keys = len(places), set()
        damaged: list[str] = []
        for done, index in enumerate(places):
            self._progress("export", done, total)
            try:
                picture = self._pictures[index]
            except DatasetError as error:
                damaged.append(str(error))
                continue
            if picture.key in keys:
                raise DatasetError(f"{self.name}: key {picture.key!r} comes twice, and would be one file")
            keys.add(picture.key)
            yield picture
        if damaged:
            more = [f"... and {len(damaged) - _MOST_DAMAGED} more"] if damaged[_MOST_DAMAGED:] else []
            first = f"{self.name}: {len(damaged)} of {total} images cannot be read:"
            raise _Damaged("\n  ".join([first, *damaged[:_MOST_DAMAGED], *more]))
        self._progress("export", total, total)

    def put(self, name: str, data: bytes) -> None:
        """Write a file below the export's folder, unless it is there with just these bytes.

        Args:
            name: relative, with forward slashes.
        """
        path = self._place(name)
        with storage.disk_errors(path):
            if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
                return
        storage.write_atomically(path, [data], durable=False)

    def put_chunks(self, name: str, chunks: Iterable[bytes]) -> None:
        """Write a file that is too large to hold, always anew."""
        storage.write_atomically(self._place(name), chunks, durable=False)

    def video(self, sequence: str | None) -> str:
        """Return what a sequence's folder or file is called, as no other one is; "images" for those of no sequence."""
        known = sequence or None
        if known not in self._videos:
            taken, name = set(self._videos.values()), key_of(known or "")
            numbered = (f"{name}_{number}" for number in itertools.count(2))
            self._videos[known] = next(one for one in itertools.chain([name], numbered) if one not in taken)
        return self._videos[known]

    def dropped(self, what: str, count: int = 1) -> None:
        """Count something that the format cannot hold, such as "head points"; told once, at the end."""
        self._dropped[what] += count

    def remark(self, line: str) -> None:
        """Tell the user a line at the end; the same line is told once."""
        self._remarks[line] = None

    def finish(self) -> tuple[str, ...]:
        """Make every file durable, and return the lines to tell."""
        for name in self._names:
            descriptor = os.open(self._folder / name, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        for folder in sorted({self._folder, *self._folders}):
            storage.sync_folder(folder)
        lost = ", ".join(f"{what} ({count})" for what, count in sorted(self._dropped.items()))
        lines = [f"dropped, as {self._form} has no place for them: {lost}"] if lost else []
        return (*self._remarks, *lines)

    def _place(self, name: str) -> Path:
        relative = PurePosixPath(name)
        if relative.is_absolute() or ".." in relative.parts or "\0" in name:
            raise DatasetError(f"{self.name}: {name!r} cannot be a file's name")
        path = self._folder / relative
        if path.parent not in self._folders:
            with storage.disk_errors(path.parent):
                path.parent.mkdir(parents=True, exist_ok=True)
                storage.clear_temporaries(path.parent)
            self._folders |= {path.parent, *(self._folder / parent for parent in relative.parent.parents)}
        self._names.append(name)
        return path


def export(
    form: str, write: Callable[[Export], None], pictures: Pictures, out: Path, identity: Mapping[str, Any],
    progress: Progress,
) -> Exported:  # fmt: skip
    """Write pictures in another format, or do the rest of an interrupted export.

    Args:
        form, write: the format. out: where it goes. identity: plain JSON that determines the result,
            besides the pictures.

    Raises:
        DatasetError: when ``out`` holds something else; nothing is done then.
    """
    claim = plain(
        {"to": form, "from": pictures.identity, **identity, "synthkit": synthkit.__version__}, "the export's identity"
    )
    done = _finished(out, claim)
    if done is not None:
        return Exported(out, len(pictures), tuple(done["remarks"]))
    partial = out.resolve().with_name(f".{out.resolve().name}.partial")
    with storage.disk_errors(out):
        partial.mkdir(parents=True, exist_ok=True)
        lock = storage.FolderLock(partial)
    with contextlib.closing(lock):
        _begin(partial, claim)
        job = Export(form, pictures, partial, progress)
        try:
            write(job)
        except _Damaged:  # after a fault of disk or network, what has been written need not be written again
            raise
        except DatasetError:  # such pictures cannot be written so, however often it is tried
            shutil.rmtree(partial, ignore_errors=True)
            raise
        with storage.disk_errors(out):
            remarks = job.finish()
            table = {
                "identity": claim,
                "images": len(pictures),
                "notes": without_folders(pictures.notes),
                "remarks": remarks,
            }
            _write_record(partial, "finished", table)
            partial.rename(out.resolve())
            storage.sync_folder(out.resolve().parent)
    return Exported(out, len(pictures), remarks)


def check_place(out: Path) -> None:
    """Check, before long work, that an export may go to a place: that nothing is there, or an export.

    Raises:
        DatasetError: when something else is.
    """
    if _read_record(out) is None:
        _finished(out, {})


def _write_record(folder: Path, status: str, table: Mapping[str, Any]) -> None:
    text = records.pretty({"format": "synthkit-export", "status": status, **plain(table, "the export's record")})
    storage.write_atomically(folder / RECORD, [text])


def _read_record(folder: Path) -> Mapping[str, Any] | None:
    """Return an export's record, None when there is none that can be read."""
    try:
        table = load((folder / RECORD).read_bytes())
    except (OSError, ValueError):
        return None
    return table if isinstance(table, dict) and table.get("format") == "synthkit-export" else None


def _finished(out: Path, claim: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the record of the same export when it is there already, None when there is nothing."""
    with storage.disk_errors(out):
        if not out.exists() and not out.is_symlink():
            return None
        names = sorted(path.name for path in out.iterdir())
    record = _read_record(out)
    if record and record.get("identity") == claim and isinstance(record.get("remarks"), list):
        return record
    if names:
        shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        raise DatasetError(f"{out}: holds other files ({shown}); choose a new or empty folder")
    return None


def _begin(partial: Path, claim: Mapping[str, Any]) -> None:
    """Take up the partial folder of the same export, or clear away that of another one."""
    record = _read_record(partial)
    with storage.disk_errors(partial):
        storage.clear_temporaries(partial)
        if record and record.get("identity") == claim:
            return
        others = sorted(partial.iterdir())
        if others and record is None:
            raise DatasetError(f"{partial}: is in the way: it holds files of no export; remove it")
        for path in others:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != RECORD:
                path.unlink()
    _write_record(partial, "building", {"identity": claim})
