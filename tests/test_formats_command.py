# SPDX-License-Identifier: Apache-2.0
"""``synthkit convert``: names in its help, worker processes, and data sets at URLs."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from synthkit.cli.app import app
from synthkit.dataset import Dataset, formats
from synthkit.errors import ConfigError


def run(*arguments):
    return CliRunner().invoke(app, ["convert", *map(str, arguments)])


def photos(folder):
    folder.mkdir()
    for number in range(3):
        Image.fromarray(np.full((40, 60, 3), 50 * number, np.uint8)).save(folder / f"{number}.png")
    return folder


def test_help_names_every_format():
    from synthkit.cli.convert import _FORMATS

    assert _FORMATS.split(", ") == list(formats.FORMATS)
    assert all(form.write and form.read for form in formats.FORMATS.values())
    assert "habbof" in run("--help").output


def test_workers_make_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr("synthkit.cli.convert._WORTH_PROCESSES", 1)
    folder = photos(tmp_path / "set")
    assert run(folder, tmp_path / "one").exit_code == run(folder, tmp_path / "two", "--workers", 2).exit_code == 0
    shards = [sorted(path.read_bytes() for path in (tmp_path / out / "shards").glob("*.tar")) for out in ("one", "two")]
    assert shards[0] == shards[1]


def test_a_data_set_at_a_url(tmp_path):
    formats.convert(photos(tmp_path / "set"), tmp_path / "data")
    made = run(f"file://{tmp_path / 'data'}", tmp_path / "out", "--to", "images")
    assert made.exit_code == 0, made.output
    assert len(list((tmp_path / "out").glob("*.png"))) == 3


def test_other_sets_are_not_read_from_urls(tmp_path):
    made = run("https://example.org/set", tmp_path / "out")
    assert "only data sets are read from URLs" in str(made.exception)


def test_photos_become_a_data_set_at_a_url(tmp_path):
    place = f"memory://{tmp_path.name}/data"
    folder = photos(tmp_path / "set")
    made = run(folder, place)
    assert made.exit_code == 0, made.output
    assert Dataset.open(place).fingerprint == formats.convert(folder, tmp_path / "here").fingerprint
    assert run(folder, place).exit_code == 0, "the same again is there already"


def test_other_formats_are_not_written_to_urls(tmp_path):
    made = run(photos(tmp_path / "set"), "memory://other", "--to", "coco")
    assert "are written into folders of this machine" in str(made.exception)


def test_refusals_name_the_options(tmp_path):
    formats.convert(photos(tmp_path / "set"), tmp_path / "data")
    made = run(tmp_path / "data", tmp_path / "out", "--to", "images", "--every", 2)
    assert "omit --max-size, --every and --person-class" in str(made.exception)


@pytest.mark.parametrize("option", ["--workers=2", "--executor=ray"])
def test_what_is_for_data_sets_alone_is_refused_for_other_formats(tmp_path, option):
    with pytest.raises(ConfigError, match="--to coco: is written by one process: leave --workers and --executor away"):
        app(["convert", str(tmp_path), str(tmp_path / "out"), "--to=coco", option], standalone_mode=False)
