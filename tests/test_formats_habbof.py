# SPDX-License-Identifier: Apache-2.0
"""HABBOF: text files of rotated boxes there and back, and refused with everything that is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_sets import written
from PIL import Image

from synthkit.dataset import Dataset, formats
from synthkit.errors import DatasetError
from synthkit.sample import Person, RotatedBox, Sample

WIDTH, HEIGHT = 60, 40


def picture(path: Path, size=(WIDTH, HEIGHT)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size[1], size[0], 3), 90, np.uint8)).save(path)


def build(folder: Path, text="person 30 20 10 16 -30\n", video="Lab1"):
    picture(folder / video / "000001.jpg")
    if text is not None:
        (folder / video / "000001.txt").write_text(text)
    return folder


def sample(key, people, **more):
    return Sample(key=key, image=np.full((HEIGHT, WIDTH, 3), 90, np.uint8), people=people, **more)


def turn(a: float, b: float) -> float:
    """Return by how many degrees two boxes' angles differ; half a turn is none."""
    return abs((a - b + 90) % 180 - 90)


def test_boxes_and_what_is_known_besides(tmp_path):
    build(tmp_path / "set")
    build(tmp_path / "set", text="", video="Lab2")
    build(tmp_path / "set", text=None, video="Meeting1")
    told = []
    data = formats.convert(tmp_path / "set", tmp_path / "out", tell=told.append)
    assert list(data.keys()) == ["Lab1_000001", "Lab2_000001", "Meeting1_000001"], "names repeat in each video"
    assert data[0].people == (Person(rotated_box=RotatedBox(30, 20, 10, 16, -30)),)
    assert (data[0].sequence, data[0].frame) == ("Lab1", 1)
    assert data[1].people == (), "an empty file says that nobody is there"
    assert data[2].people is None, "no file says nothing"
    assert any("degrees clockwise" in line for line in told), "what is assumed is told"
    assert any("1 images have no label file" in line for line in told)


def test_boxes_come_in_the_convention(tmp_path):
    data = formats.convert(build(tmp_path / "set", "person 30 20 16 10 60\n"), tmp_path / "out")
    assert data[0].people[0].rotated_box == RotatedBox(30, 20, 10, 16, -30)


boxes = st.builds(
    RotatedBox.normalized,
    st.floats(0, WIDTH),
    st.floats(0, HEIGHT),
    st.floats(0.01, 60),
    st.floats(0.01, 60),
    st.floats(-180, 180),
)


@pytest.mark.parametrize("name", ["habbof", "cepdof"])
@settings(max_examples=15, deadline=None)
@given(people=st.lists(st.lists(boxes, max_size=4), min_size=1, max_size=3))
def test_there_and_back_within_a_ten_thousandth_of_a_degree(name, people):
    with TemporaryDirectory() as folder:
        root = Path(folder)
        samples = [
            sample(f"Lab_{n:06d}", [Person(rotated_box=box) for box in group], sequence="Lab", frame=n)
            for n, group in enumerate(people)
        ]
        stored = list(Dataset.open(written(root / "set", samples)))
        formats.export(root / "set", root / "made", name)
        found = list(formats.convert(root / "made", root / "back", form=name))
    assert [(s.key, s.sequence, s.frame) for s in found] == [(s.key, s.sequence, s.frame) for s in stored]
    for now, before in zip(found, stored, strict=True):
        expected = list(dict.fromkeys(p.rotated_box for p in before.people if p.rotated_box.w > 0))
        assert len(now.people) == len(expected)
        for person, box in zip(now.people, expected, strict=True):
            back = person.rotated_box
            assert turn(back.degrees, box.degrees) < 1e-4
            assert np.allclose(back.as_tuple()[:4], box.as_tuple()[:4], atol=1e-3)


def test_what_it_has_no_place_for_is_told(tmp_path):
    people = [
        Person(identity="7", rotated_box=RotatedBox(30, 20, 10, 16, 0), head_px=(30, 15)),
        Person(box_xyxy_px=(10, 10, 30, 20)),
        Person(head_px=(1, 1)),
        Person(rotated_box=RotatedBox(200, 20, 10, 16, 0)),
    ]
    written(tmp_path / "set", [sample("a", people), sample("b", None)])
    made = formats.export(tmp_path / "set", tmp_path / "made", "habbof")
    text = "\n".join(made.remarks)
    assert "head points (1), identities (1), people without a box in the image (2)" in text
    assert "have their upright one" in text
    assert "no label file" in text
    rows = (tmp_path / "made" / "a.txt").read_text().splitlines()
    assert rows[1] == "person 20.000000 15.000000 10.000000 20.000000 -90.000000"
    assert not (tmp_path / "made" / "b.txt").exists()
    assert formats.detect(tmp_path / "made").name == "habbof"


def test_boxes_along_the_radius_are_written_where_they_are_known(tmp_path):
    rotated, radial = RotatedBox(30, 20, 10, 16, 12), RotatedBox(30, 20, 11, 18, 0)
    people = [Person(rotated_box=rotated, radial_box=radial), Person(rotated_box=RotatedBox(20, 20, 8, 9, 5))]
    written(tmp_path / "set", [sample("a", people)])
    made = formats.export(tmp_path / "set", tmp_path / "made", "habbof")
    assert (tmp_path / "made" / "a.txt").read_text().splitlines() == [
        "person 30.000000 20.000000 11.000000 18.000000 0.000000",
        "person 20.000000 20.000000 8.000000 9.000000 5.000000",
    ]
    assert made.remarks == ("dropped, as habbof has no place for them: rotated boxes (1)",)
    made = formats.export(tmp_path / "set", tmp_path / "other", "cepdof")
    assert made.remarks == ("dropped, as cepdof has no place for them: boxes along the radius (1)",)


def test_images_are_taken_over_and_bytes_are_the_same_each_time(tmp_path):
    source = build(tmp_path / "set")
    for name in ("one", "two"):
        formats.export(source, tmp_path / name, "habbof")
    assert (tmp_path / "one/Lab1/000001.jpg").read_bytes() == (source / "Lab1/000001.jpg").read_bytes()
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*") if p.is_file())
    assert len(files) == 3
    assert all((tmp_path / "one" / f).read_bytes() == (tmp_path / "two" / f).read_bytes() for f in files)


WRONG = {
    "five fields": ("person 1 2 3 4\n", "line 1: has 5 fields"),
    "no number": ("person 30 20 10 x 5\n", "line 1: expected finite numbers, got 'x'"),
    "not finite": ("\nperson 30 20 10 nan 5\n", "line 2: expected finite numbers"),
    "outside": ("person 300 20 10 16 5\n", r"lies outside"),
    "no size": ("person 30 20 0 16 5\n", "has the size 0x16"),
    "huge": ("person 30 20 10 1600 5\n", "no box in this image"),
    "no text": (b"\xff\xfe\x00", "is no UTF-8 text"),
    "too long": (b"person 30 20 10 16 5\n" * 10_001, "more than 10000"),
}


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_named(tmp_path, text, message):
    build(tmp_path / "set")
    (tmp_path / "set/Lab1/000001.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DatasetError, match=message):
        formats.convert(tmp_path / "set", tmp_path / "out", form="habbof")
    assert not (tmp_path / "out").exists()


def test_all_problems_are_told_at_once(tmp_path):
    build(tmp_path / "set", "person 1 2\nperson 300 20 10 16 5\n")
    build(tmp_path / "set", "person 30 20 0 0 0\n", video="Lab2")
    (tmp_path / "set/Lab2/000001.jpg").write_bytes(b"GIF89a")
    picture(tmp_path / "set/Lab1/000001.png")
    with pytest.raises(DatasetError, match=r"4 problems:(.|\n)*line 1(.|\n)*line 2(.|\n)*same label(.|\n)*no JPEG"):
        formats.convert(tmp_path / "set", tmp_path / "out", form="habbof")


def test_other_classes_are_left_out(tmp_path):
    told = []
    source = build(tmp_path / "set", "person 30 20 10 16 5\nchair 30 20 10 16 5\n")
    assert len(formats.convert(source, tmp_path / "out", tell=told.append)[0].people) == 1
    assert any("'chair' (1)" in line for line in told)


def test_images_of_no_video_lie_in_the_folder_itself(tmp_path):
    box = RotatedBox(30, 20, 10, 16, 0)
    written(tmp_path / "set", [sample("x", [Person(rotated_box=box)])])
    formats.export(tmp_path / "set", tmp_path / "made", "habbof")
    (back,) = formats.convert(tmp_path / "made", tmp_path / "back")
    assert (back.key, back.sequence, back.frame) == ("x", None, None)


def test_names_of_sequences_stay_in_the_folder(tmp_path):
    box = RotatedBox(30, 20, 10, 16, 0)
    written(tmp_path / "set", [sample("x", [Person(rotated_box=box)], sequence="../../up")])
    for name in ("habbof", "cepdof"):
        formats.export(tmp_path / "set", tmp_path / name, name)
        assert (tmp_path / name / "______up" / "x.png").is_file()


def test_cepdof_from_habbof_has_the_boxes(tmp_path):
    formats.export(build(tmp_path / "set"), tmp_path / "made", "cepdof")
    table = json.loads((tmp_path / "made/annotations/Lab1.json").read_text())
    assert table["annotations"][0]["bbox"] == [30, 20, 10, 16, -30]
