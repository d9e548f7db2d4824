# SPDX-License-Identifier: Apache-2.0
"""Sets of other formats: read into a data set, or written from one.

Each format is a module with a ``FORMAT``, listed here. A set is opened and checked as a whole before
anything is written. ``convert`` makes a data set of it, ``export`` a set of another format.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from synthkit.config import nearest
from synthkit.dataset import records, stores
from synthkit.dataset.formats import cepdof, coco, exporting, fdh, folder, habbof, kitti, market, video, voc, yolo
from synthkit.dataset.formats.base import Format
from synthkit.dataset.formats.converting import Conversion, check_unchanged, left_out, named
from synthkit.dataset.formats.exporting import Export, Exported
from synthkit.dataset.formats.pictures import DatasetPictures, Picture, Pictures, SourcePictures
from synthkit.dataset.formats.source import Source
from synthkit.dataset.opening import tars_in
from synthkit.dataset.reader import Dataset
from synthkit.errors import DatasetError
from synthkit.execution import Executor
from synthkit.interfaces import Progress, silent

__all__ = [
    "FORMATS", "Conversion", "Export", "Exported", "Format", "Picture", "Source", "convert", "detect", "export", "find",
    "is_dataset", "left_out", "prepare",
]  # fmt: skip

_LISTED = (
    coco.FORMAT,
    cepdof.FORMAT,
    voc.FORMAT,
    kitti.FORMAT,
    yolo.FORMAT,
    yolo.CORNERS_FORMAT,
    habbof.FORMAT,
    market.FORMAT,
    fdh.FORMAT,
    video.FORMAT,
    folder.FORMAT,  # takes every folder with images in it
)  # fmt: skip

FORMATS: Mapping[str, Format] = {form.name: form for form in _LISTED}
"""All formats by name. The first that recognises a set is taken: what is told apart best comes first."""


def is_dataset(path: Path) -> bool:
    """Return whether a path needs no conversion: a data set, or WebDataset tars."""
    return (path / records.MANIFEST).is_file() or path.suffix == ".tar" or bool(tars_in(stores.at(path)))


def detect(source: Path, name: str | None = None) -> Format | None:
    """Return the format of a set, None for a data set.

    Raises:
        DatasetError: as ``find`` does.
    """
    if name is None and is_dataset(source):
        strangers = () if (source / records.MANIFEST).is_file() else FORMATS.values()
        return next((form for form in strangers if form.read and form.recognises(source)), None)
    return find(source, name)


def find(source: Path, name: str | None = None) -> Format:
    """Return the format of that name, or else the one that recognises a folder or file.

    Raises:
        DatasetError: when there is no such folder or format, or none that recognises it.
    """
    if name is not None and name not in FORMATS:
        raise DatasetError(f"format {name!r} is not known{nearest(name, FORMATS)}")
    if not source.exists():
        raise DatasetError(f"{source}: is missing; expected a folder of images, an image or a video")
    if name is not None:
        return FORMATS[name]
    for candidate in FORMATS.values():
        if candidate.read and candidate.recognises(source):
            return candidate
    what = "is of no known format" if source.is_dir() else "is no folder, and no file of a known format"
    raise DatasetError(f"{source}: {what} ({_readable()})")


def prepare(
    source: Path | str,
    *,
    form: str | None = None,
    max_size_px: int | None = None,
    every: int = 1,
    person_classes: Collection[str] = (),
    progress: Progress = silent,
    tell: Callable[[str], None] | None = None,
) -> Conversion:
    """Open, check and hash a set of another format that is to be a data set; nothing is written.

    Args and Raises: as in ``convert``.
    """
    if stores.is_url(source):
        raise DatasetError(f"{source}: only data sets are read from URLs; name a format to write it in (--to)")
    place = Path(source)
    chosen = detect(place, form)
    if chosen is None:
        raise DatasetError(f"{place}: is a data set already; name a format to write it in (--to)")
    opened = _opened(place, chosen, max_size_px, every, person_classes, tell)
    content = opened.identify(progress)
    return Conversion(place, chosen.name, max_size_px, every, tuple(person_classes), opened, content)


def convert(
    source: Path | str,
    out: Path | str,
    *,
    form: str | None = None,
    max_size_px: int | None = None,
    every: int = 1,
    person_classes: Collection[str] = (),
    executor: Executor | None = None,
    progress: Progress = silent,
    tell: Callable[[str], None] | None = None,
) -> Dataset:
    """Turn a set of another format into a data set, or do the rest of an interrupted conversion.

    Damaged samples are left out, and noted with the reason. The contents of all files decide what the data set
    is: once one of them was mended or edited, it is another set, which goes to another place. Of a set of finds it
    makes the images with these; see ``labelling.label``.

    Args:
        source: its folder or file, or a set of finds or its URL.
        out: where the data set goes: a folder, or a URL that fsspec reaches.
        form: name of the format; None finds it out.
        max_size_px: shrink larger images (and their labels) to this many pixels a side.
        every: take every so many samples of the source, such as frames of a video, the first included.
        person_classes: names of classes that are people, besides person, people, pedestrian and human.
        executor: what reads the images; None reads them in this process. With other machines the source must be
            in a folder that all of them share. tell: takes lines for the user: the format found, and what was
            ignored or assumed.

    Raises:
        DatasetError: when the source is of no known format, or wrong, telling all that is wrong at
            once; when not one of its images can be read; or when ``out`` holds something else.
    """
    finds = _finds(source)
    if finds is not None:
        from synthkit.labelling import label  # which opens sets of all formats

        _check_whole(source, form, max_size_px, every, person_classes)
        if tell:
            tell(f"{source}: synthkit (finds in images)")
        return label(finds, out, executor=executor, progress=progress)
    conversion = prepare(
        source, form=form, max_size_px=max_size_px, every=every, person_classes=person_classes, progress=progress,
        tell=tell,
    )  # fmt: skip
    return conversion.run(out, executor, progress)


def export(
    source: Path | str,
    out: Path | str,
    to: str,
    *,
    form: str | None = None,
    max_size_px: int | None = None,
    every: int = 1,
    person_classes: Collection[str] = (),
    progress: Progress = silent,
    tell: Callable[[str], None] | None = None,
) -> Exported:
    """Write a data set, or a set of any format that is read, in another format; or finish doing so.

    Image files keep their compressed bytes, without metadata; shrunk images and frames of videos become JPEG
    of quality 95.

    Args:
        source: the set; a data set may be at a URL. out: where the export goes. to: name of the format to
            write. The rest as in ``convert``; a data set's own images are not shrunk.

    Raises:
        DatasetError: when one of the formats is not known or the source is wrong; or when ``out`` holds
            something else, which is left as it is.
    """
    target = FORMATS.get(to)
    if target is None or target.write is None:
        writable = [form.name for form in FORMATS.values() if form.write]
        what = f"only read; written are {', '.join(writable)}" if target else f"not known{nearest(to, writable)}"
        raise DatasetError(f"format {to!r} is {what}")
    if stores.is_url(out):
        raise DatasetError(f"{out}: other formats are written into folders of this machine; copy them from there")
    if stores.is_url(source) and form is not None:
        raise DatasetError(f"{source}: only data sets are read from URLs; omit --format")
    chosen = None if stores.is_url(source) else detect(Path(source), form)
    pictures: Pictures
    write = target.write
    if chosen is None:
        if max_size_px is not None or every != 1 or person_classes:
            raise DatasetError(
                f"{source}: is a data set, which is exported as it is; omit --max-size, --every and --person-class"
            )
        if tell:
            tell(f"{source}: synthkit (a data set)")
        pictures = _stored_pictures(source)
    else:
        opened = _opened(Path(source), chosen, max_size_px, every, person_classes, tell)
        known = {"format": chosen.name, **opened.identify(progress)}
        pictures = SourcePictures(Path(source).resolve().name, opened, known)
        write = _checked(write, opened)
    identity = {"max_size_px": max_size_px, **named(tuple(person_classes))}
    made = exporting.export(target.name, write, pictures, Path(out), identity, progress)
    if tell:
        for line in made.remarks:
            tell(line)
    return made


def _finds(source: Path | str) -> Dataset | None:
    """Return the set of finds that a place holds, None when it holds something else."""
    from synthkit.found import is_of_images

    if stores.at(source).size(records.MANIFEST) is None:
        return None
    data = Dataset.open(source)
    return data if is_of_images(data) else None


def _check_whole(
    source: Path | str, form: str | None, max_size_px: int | None, every: int, person_classes: Collection[str]
) -> None:
    """Check that nothing is asked for that says which images of a set of finds are taken, and how.

    Raises:
        DatasetError: naming every option that does.
    """
    given = {
        "--format": form is not None,
        "--max-size": max_size_px is not None,
        "--every": every != 1,
        "--person-class": bool(person_classes),
    }
    options = [option for option, is_given in given.items() if is_given]
    if options:
        raise DatasetError(
            f"{source}: is a set of finds, of which all images are taken as they are; omit {', '.join(options)}"
        )


def _stored_pictures(source: Path | str) -> Pictures:
    """Return the samples of a data set, or of a set of finds the images that it notes, with these."""
    from synthkit.found import FoundPictures, is_of_images  # which opens sets of all formats

    return FoundPictures(source) if is_of_images(Dataset.open(source)) else DatasetPictures(source)


def _opened(
    source: Path,
    form: Format,
    max_size_px: int | None,
    every: int,
    person_classes: Collection[str],
    tell: Callable[[str], None] | None,
) -> Source:
    if every < 1:
        raise DatasetError(f"{source}: every {every} samples cannot be taken, expected 1 or more")
    if tell:
        tell(f"{source}: {form.name} ({form.summary})")
    opened = form.open(source, max_size_px, every, person_classes)
    if tell:
        for line in opened.remarks:
            tell(line)
    return opened


def _checked(write: Callable[[Export], None], source: Source) -> Callable[[Export], None]:
    """Return a format's ``write`` that believes what it wrote only if the source stayed the same."""

    def checked(job: Export) -> None:
        write(job)
        check_unchanged(source)

    return checked


def _readable() -> str:
    return "; ".join(f"{form.name}: {form.summary}" for form in _LISTED if form.read)
