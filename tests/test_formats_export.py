# SPDX-License-Identifier: Apache-2.0
"""Exports: whole or not at all, taken up where they stopped, the same bytes every time; and the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from made_sets import HEIGHT, WIDTH, written
from PIL import Image
from typer.testing import CliRunner

from synthkit.cli.app import app
from synthkit.dataset import CodecConfig, Dataset, formats
from synthkit.errors import DatasetError
from synthkit.sample import Keypoint, Person, RotatedBox, Sample

WRITTEN = sorted(name for name, form in formats.FORMATS.items() if form.write)
BOXED = ("coco", "kitti", "voc", "yolo", "yolo-obb")


def sample(number, **more):
    image = np.random.default_rng(number).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    person = Person(
        identity=f"person {number}",
        head_px=(30, 25),
        head_box_xyxy_px=(20, 20, 40, 40),
        box_xyxy_px=(10, 20, 60, 70),
        rotated_box=RotatedBox(35, 45, 30, 50, 10),
        keypoints={"nose": Keypoint(30, 25, True)},
        instance=1,
    )
    instances = np.zeros((HEIGHT, WIDTH), np.uint8)
    instances[20:70, 10:60] = 1
    layers = {"instances": instances}
    return Sample(key=f"image_{number}", image=image, people=[person], layers=layers, **more)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def data(tmp_path):
    return written(tmp_path / "data", [sample(n) for n in range(5)], CodecConfig(image_format="jpg"))


@pytest.mark.parametrize("to", BOXED)
def test_an_interrupted_export_goes_on_and_ends_in_the_same_bytes(tmp_path, data, to):
    whole = formats.export(data, tmp_path / "whole", to)
    for stop in range(5):
        partial = tmp_path / ".late.partial"

        def interrupt(stage, done, total, note="", stop=stop):
            assert (stage, total) == ("export", 5)
            if done == stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            formats.export(data, tmp_path / "late", to, progress=interrupt)
        assert not (tmp_path / "late").exists()
        images = [path for path in partial.rglob("*") if path.suffix in (".jpg", ".png")]
        assert len(images) == stop
    kept = {path: path.stat().st_mtime_ns for path in images}
    torn = images[0]
    torn.write_bytes(torn.read_bytes()[:-1])
    made = formats.export(data, tmp_path / "late", to)
    assert made.images == 5
    assert contents(made.path) == contents(whole.path)
    assert not partial.exists()
    later = {path: (made.path / path.relative_to(partial)).stat().st_mtime_ns for path in images}
    assert [path for path in images if later[path] != kept[path]] == [torn], "whole images are not written again"


def test_a_killed_export_goes_on(tmp_path):
    data = written(tmp_path / "data", [sample(n) for n in range(40)])
    whole = formats.export(data, tmp_path / "whole", "coco")
    code = f"from synthkit.dataset import formats; formats.export({str(data)!r}, {str(tmp_path / 'out')!r}, 'coco')"
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", code]) as process:
            images = tmp_path / ".out.partial" / "images"
            deadline = time.monotonic() + 30
            while not images.exists() and time.monotonic() < deadline and process.poll() is None:
                time.sleep(0.005)
            time.sleep(0.01)
            process.kill()
    formats.export(data, tmp_path / "out", "coco")
    assert contents(tmp_path / "out") == contents(whole.path)


def test_what_is_in_the_way_is_left_alone(tmp_path, data):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(DatasetError, match=r"holds other files \(thesis\.txt\); choose a new or empty folder"):
        formats.export(data, tmp_path / "out", "coco")
    assert contents(tmp_path / "out") == {"thesis.txt": b"mine"}
    assert not (tmp_path / ".out.partial").exists()


def test_files_and_foreign_partial_folders_are_in_the_way(tmp_path, data):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(DatasetError):
        formats.export(data, tmp_path / "out", "coco")
    (tmp_path / ".other.partial").mkdir()
    (tmp_path / ".other.partial" / "mine").touch()
    with pytest.raises(DatasetError, match="is in the way"):
        formats.export(data, tmp_path / "other", "coco")
    assert (tmp_path / ".other.partial" / "mine").exists()


def test_an_empty_folder_is_filled_and_a_finished_export_is_done(tmp_path, data):
    (tmp_path / "out").mkdir()
    made = formats.export(data, tmp_path / "out", "yolo")
    before = {path: path.stat().st_mtime_ns for path in made.path.rglob("*")}
    again = formats.export(data, tmp_path / "out", "yolo")
    assert again.remarks == made.remarks
    assert {path: path.stat().st_mtime_ns for path in made.path.rglob("*")} == before
    with pytest.raises(DatasetError, match="holds other files"):
        formats.export(data, tmp_path / "out", "voc")


def test_leftovers_of_another_export_do_not_mix_in(tmp_path, data):
    def interrupt(stage, done, total, note=""):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        formats.export(data, tmp_path / "out", "voc", progress=interrupt)
    formats.export(data, tmp_path / "out", "yolo")
    assert not (tmp_path / "out" / "JPEGImages").exists()


@pytest.mark.parametrize("to", ["coco", "voc", "yolo", "yolo-obb"])
def test_images_are_the_stored_bytes(tmp_path, data, to):
    made = formats.export(data, tmp_path / "out", to)
    stored = {f"{key}.jpg": members["jpg"] for key, members in (Dataset.open(data).members(n) for n in range(5))}
    assert {path.name: path.read_bytes() for path in made.path.rglob("*.jpg")} == stored


@pytest.mark.parametrize("to", BOXED)
def test_any_format_becomes_any_other(tmp_path, data, to):
    first = formats.export(data, tmp_path / "first", "coco")
    made = formats.export(first.path, tmp_path / "second", to)
    direct = formats.export(data, tmp_path / "direct", to)
    ours, theirs = contents(made.path), contents(direct.path)
    pictures = {name for name in theirs if name.endswith((".jpg", ".png", ".txt", ".yaml"))}
    assert pictures
    assert {name: ours[name] for name in pictures} == {name: theirs[name] for name in pictures}


def test_images_of_other_formats_can_be_shrunk(tmp_path, data):
    first = formats.export(data, tmp_path / "first", "coco")
    made = formats.export(first.path, tmp_path / "second", "coco", max_size_px=60)
    back = formats.find(made.path).open(made.path).sample(0)
    assert back.size_px == (60, 40)
    assert back.people[0].box_xyxy_px == (5, 10, 30, 35)
    assert back.people[0].keypoints["nose"].x_px == 15
    assert back.people[0].rotated_box == RotatedBox(17.5, 22.5, 15, 25, 10)
    layer = back.layers["instances"]
    assert layer[10:35, 5:30].all()
    assert layer.sum() == 25 * 25
    with pytest.raises(DatasetError, match="exported as it is"):
        formats.export(data, tmp_path / "third", "coco", max_size_px=60)


def test_where_it_came_from_is_recorded_without_times(tmp_path, data):
    made = formats.export(data, tmp_path / "out", "yolo")
    record = json.loads((made.path / "synthkit.json").read_text())
    assert record["identity"]["from"] == {"dataset": Dataset.open(data).fingerprint}
    assert record["status"] == "finished"
    assert record["remarks"] == list(made.remarks)


def test_images_whose_exif_turns_them_are_stored_without_it(tmp_path):
    import io
    import tarfile

    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    pixels = sample(1).image
    Image.fromarray(pixels).save(buffer, "PNG", exif=exif)
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        member = tarfile.TarInfo("one.png")
        member.size = len(buffer.getvalue())
        tar.addfile(member, io.BytesIO(buffer.getvalue()))
    made = formats.export(tmp_path / "a.tar", tmp_path / "out", "yolo")
    with Image.open(made.path / "images" / "train" / "one.png") as picture:
        assert 0x0112 not in picture.getexif()
        assert np.array_equal(np.asarray(picture), pixels)


@pytest.mark.parametrize(
    ("to", "message"), [("cocoo", "did you mean 'coco'"), ("x", r"is not known; known: .*coco, .*kitti, .*voc")]
)
def test_unknown_targets(tmp_path, data, to, message):
    with pytest.raises(DatasetError, match=message):
        formats.export(data, tmp_path / "out", to)


def test_the_command_says_what_it_found_and_what_was_lost(tmp_path, data):
    there = CliRunner().invoke(app, ["convert", str(data), str(tmp_path / "yolo"), "--to", "yolo"])
    assert there.exit_code == 0, there.output
    assert f"exported: {tmp_path / 'yolo'} (5 images)" in there.stdout
    assert f"{data}: synthkit (a data set)" in there.stderr
    assert "dropped, as yolo has no place for them: head points (5), identities (5), key points (5)" in there.stderr
    back = CliRunner().invoke(app, ["convert", str(tmp_path / "yolo"), str(tmp_path / "back"), "--max-size", "60"])
    assert back.exit_code == 0, back.output
    assert f"converted: {tmp_path / 'back'} (5 samples)" in back.stdout
    assert f"{tmp_path / 'yolo'}: yolo (YOLO text files, upright boxes)" in back.stderr
    assert Dataset.open(tmp_path / "back")[0].size_px == (60, 40)


def test_a_data_set_is_not_converted_to_itself(tmp_path, data):
    with pytest.raises(DatasetError, match="is a data set already; name a format to write it in"):
        formats.convert(data, tmp_path / "out")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_places_that_cannot_be_written(tmp_path, data):
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(DatasetError, match="cannot be written"):
        formats.export(data, tmp_path / "locked" / "out", "coco")


def test_a_refused_export_leaves_nothing(tmp_path):
    data = written(tmp_path / "data", [sample(1), sample(2)])
    with pytest.raises(DatasetError, match="no known camera"):
        formats.export(data, tmp_path / "made", "market1501")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
