# SPDX-License-Identifier: Apache-2.0
"""A damaged photo is left out and told, and stops nothing but an export; sets are not mistaken for others."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from synthkit.cli.app import app
from synthkit.dataset import Dataset, formats
from synthkit.errors import DatasetError


def photos(folder, damaged=()):
    folder.mkdir(parents=True)
    for number in range(4):
        path = folder / f"{number}.jpg"
        pixels = np.random.default_rng(number).integers(0, 255, (40, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        if number in damaged:
            path.write_bytes(path.read_bytes()[:900])
    return folder


def test_damaged_photos_are_left_out_and_noted(tmp_path):
    folder = photos(tmp_path / "set", damaged=(1, 3))
    data = formats.convert(folder, tmp_path / "out")
    assert [sample.key for sample in data] == ["0", "2"]
    assert data.manifest.summary.skipped == 2


def test_the_command_says_so(tmp_path):
    folder = photos(tmp_path / "set", damaged=(1,))
    made = CliRunner().invoke(app, ["convert", str(folder), str(tmp_path / "out")])
    assert made.exit_code == 1
    assert "1 samples were skipped" in made.output
    assert "convert them into another place" in made.output
    made = CliRunner().invoke(app, ["convert", str(folder), str(tmp_path / "other"), "--allow-missing"])
    assert made.exit_code == 0


def test_nothing_but_damage_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match="not one sample could be converted"):
        formats.convert(photos(tmp_path / "set", damaged=range(4)), tmp_path / "out")


def test_an_export_tells_all_damage_at_once_and_keeps_the_rest(tmp_path):
    folder = photos(tmp_path / "set", damaged=(1, 3))
    with pytest.raises(DatasetError, match=r"2 of 4 images cannot be read:") as told:
        formats.export(folder, tmp_path / "out", "images")
    assert {"1.jpg", "3.jpg"} <= {word.rpartition("/")[2] for word in str(told.value).replace(":", " ").split()}
    kept = sorted(path.name for path in (tmp_path / ".out.partial").glob("*.jpg"))
    assert kept == ["0.jpg", "2.jpg"]
    assert not (tmp_path / "out").exists()


def test_what_the_format_refuses_is_cleared_away(tmp_path):
    with pytest.raises(DatasetError, match="samples are"):
        formats.export(photos(tmp_path / "set"), tmp_path / "out", "market1501")
    assert not (tmp_path / ".out.partial").exists()


def test_habbof_with_a_text_that_is_none_of_labels(tmp_path):
    folder = photos(tmp_path / "set")
    (folder / "0.txt").write_text("person 30 20 10 20 5\n")
    (folder / "README.txt").write_text("Read me first.\n")
    assert formats.find(folder).name == "habbof"
    (folder / "0.txt").rename(folder / "notes.txt")
    assert formats.find(folder).name == "images", "labels lie beside their image"


@pytest.mark.parametrize(
    ("row", "hint"),
    [("0 .5 .5 .2 .2 .9", "results with confidences"), ("0 .5 .5 .2 .2 .1 .1 2 .3 .3 1", "keep the first 5 fields")],
)
def test_yolo_of_other_tasks_is_no_unlabelled_set(tmp_path, row, hint):
    photos(tmp_path / "set" / "images")
    (tmp_path / "set" / "labels").mkdir()
    (tmp_path / "set" / "labels" / "0.txt").write_text(row)
    (tmp_path / "set" / "data.yaml").write_text("names: [person]")
    with pytest.raises(DatasetError, match=hint):
        formats.convert(tmp_path / "set", tmp_path / "out")


def test_a_set_opens_after_damage(tmp_path):
    formats.convert(photos(tmp_path / "set", damaged=(0,)), tmp_path / "out")
    assert len(Dataset.open(tmp_path / "out")) == 3
