# SPDX-License-Identifier: Apache-2.0
"""A set is what is in its files: an edit is seen that leaves names, sizes and times as they are."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from synthkit.dataset import DatasetWriter, formats
from synthkit.dataset.formats.contents import Contents
from synthkit.errors import DatasetError
from synthkit.sample import Person, RotatedBox, Sample

WIDTH, HEIGHT = 40, 72
SETS = ("coco", "cepdof", "voc", "kitti", "yolo", "yolo-obb", "habbof", "market1501", "fdh", "images", "video")


def samples():
    for n in range(2):
        body = np.zeros((HEIGHT, WIDTH), np.uint8)
        body[10:60, 10:35] = 1
        person = Person(
            instance=1, identity=str(n + 1), box_xyxy_px=(10, 10, 35, 60), rotated_box=RotatedBox(22, 35, 25, 50, 0)
        )
        image = np.random.default_rng(n).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        layers = {"instances": body, "mask": np.where(body > 0, 0, 255).astype(np.uint8)}
        yield Sample(key=f"i{n}", image=image, people=[person], layers=layers, meta={"camera": 1, "split": "train"})


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("contents") / "data"
    with DatasetWriter(folder, identity={"test": 1}, scenes=2) as writer:
        for place, sample in enumerate(samples()):
            writer.spool.put(place, [sample])
            writer.finished(place)
        writer.finalise()
    return folder


def exported(data, folder, form):
    """Return a set as a stranger has it, and where it is opened."""
    made = formats.export(data, folder / "set", form).path
    (made / "synthkit.json").unlink()
    return next(made.glob("*.mp4")) if form == "video" else made


def change(path):
    """Change a file's last letter or digit, and leave its size and times."""
    status, data = path.stat(), bytearray(path.read_bytes())
    place = max(n for n, byte in enumerate(data) if bytes([byte]).isalnum())
    data[place] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def identity(place, form):
    """Return what determines the samples of a set, None when it cannot be opened."""
    try:
        return dict(formats.FORMATS[form].open(place).identify())
    except DatasetError:
        return None


@pytest.mark.parametrize("form", SETS)
def test_every_file_counts(tmp_path, data, form):
    place = exported(data, tmp_path, form)
    root = place if place.is_dir() else place.parent
    before = identity(place, form)
    assert before is not None
    files = [path for path in root.rglob("*") if path.is_file() and path.name not in ("labelmap.txt", "data.yaml")]
    assert len(files) >= 1
    for path in files:
        kept = tmp_path / "kept"
        shutil.copy2(path, kept)
        change(path)
        assert identity(place, form) != before, path
        shutil.copy2(kept, path)
        assert identity(place, form) == before, path


@pytest.mark.parametrize("form", ["yolo", "habbof", "voc", "kitti"])
def test_labels_that_change_places_count(tmp_path, data, form):
    place = exported(data, tmp_path, form)
    first, second = (next(path for path in place.rglob(f"i{n}.*") if path.suffix in (".txt", ".xml")) for n in (0, 1))
    second.unlink()
    before = identity(place, form)
    first.rename(second)
    assert identity(place, form) != before


def test_folders_of_splits_count(tmp_path, data):
    place = exported(data, tmp_path, "yolo")
    (place / "images" / "train").rename(place / "images" / "night")
    (place / "labels" / "train").rename(place / "labels" / "night")
    (place / "data.yaml").write_text("dusk: images/night\nnames: [person]\n")
    before = identity(place, "yolo")
    (place / "data.yaml").write_text("dawn: images/night\nnames: [person]\n")
    assert identity(place, "yolo") != before


def photos(folder):
    folder.mkdir()
    for number, sample in enumerate(samples()):
        Image.fromarray(sample.image).save(folder / f"{number}.jpg")
    return folder


def test_an_edited_photo_is_another_set(tmp_path):
    folder = photos(tmp_path / "set")
    formats.convert(folder, tmp_path / "data")
    formats.export(folder, tmp_path / "yolo", "yolo")
    change(folder / "1.jpg")
    with pytest.raises(DatasetError, match="images_sha256"):
        formats.convert(folder, tmp_path / "data")
    with pytest.raises(DatasetError, match="holds other files"):
        formats.export(folder, tmp_path / "yolo", "yolo")


def test_an_interrupted_conversion_does_not_go_on_with_an_edited_photo(tmp_path):
    folder = photos(tmp_path / "set")

    def stop(stage, done, total, note=""):
        if (stage, done) == ("convert", 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        formats.convert(folder, tmp_path / "data", progress=stop)
    change(folder / "0.jpg")
    with pytest.raises(DatasetError, match="images_sha256"):
        formats.convert(folder, tmp_path / "data")


@pytest.mark.parametrize("to", [None, "images"])
@pytest.mark.parametrize("what", ["photos", "video"])
def test_what_changes_meanwhile_is_not_believed(tmp_path, to, what):
    source = photos(tmp_path / "set")
    changing = source / "0.jpg"
    if what == "video":
        source = changing = tmp_path / "a.avi"
        writer = cv2.VideoWriter(str(source), cv2.VideoWriter.fourcc(*"MJPG"), 5, (WIDTH, HEIGHT))
        for sample in samples():
            writer.write(sample.image)
        writer.release()

    def meddle(stage, done, total, note=""):
        if (stage, done) in (("convert", 1), ("export", 1)):
            with changing.open("ab") as file:
                file.write(b"\0")

    work = formats.convert if to is None else partial(formats.export, to=to)
    with pytest.raises(DatasetError, match="was changed while it was being read"):
        work(source, tmp_path / "out", progress=meddle)
    assert not (tmp_path / "out").exists() or "finished" not in (tmp_path / "out" / "dataset.json").read_text()


def test_a_photo_is_read_once_to_be_hashed_and_once_to_be_converted(tmp_path, monkeypatch):
    folder, reads = photos(tmp_path / "set"), Counter()
    hashed, read = Path.open, Path.read_bytes

    def opened(path, *args, **options):
        reads[path.name, "opened"] += path.suffix == ".jpg"
        return hashed(path, *args, **options)

    def whole(path):
        reads[path.name, "read"] += path.suffix == ".jpg"
        return read(path)

    monkeypatch.setattr(Path, "open", opened)
    monkeypatch.setattr(Path, "read_bytes", whole)
    formats.convert(folder, tmp_path / "out")
    assert {count for (name, how), count in reads.items() if how == "read" and name.endswith(".jpg")} == {1}
    assert {count for (name, how), count in reads.items() if how == "opened" and name.endswith(".jpg")} <= {1, 2}


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(DatasetError, match=r"a\.jpg: cannot be read: No such file"):
        Contents.of([tmp_path / "a.jpg"])


@pytest.mark.parametrize("form", [form for form in SETS if form != "video"])
def test_what_macos_puts_beside_every_file_is_no_part_of_a_set(tmp_path, data, form):
    place = exported(data, tmp_path, form)
    before = [formats.find(place).open(place).sample(n).people for n in range(2)]
    for path in [path for path in place.rglob("*") if path.is_file()]:
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X        ")
        (path.parent / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    found = formats.detect(place)
    assert found.name == form
    opened = found.open(place)
    assert [opened.sample(n).people for n in range(len(opened))] == before
