# SPDX-License-Identifier: Apache-2.0
"""KITTI: fifteen fields, unknowns as KITTI has them, PNG images."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_sets import BOXES, image, reopened, written
from PIL import Image

from synthkit.dataset import CodecConfig, Dataset, formats
from synthkit.errors import DatasetError
from synthkit.sample import Person, RotatedBox, Sample

PRECISION_PX = 0.0051


SPACE = [-1.57, 1.8, 0.5, 0.7, 2.0, 1.5, 12.25, -1.4]
ATTRIBUTES = st.sampled_from(
    [{}, {"truncated": 0.25, "occluded": 2}, {"kitti_type": "Person_sitting", "occluded": 0}, {"kitti_3d": SPACE}]
)


@given(st.lists(st.none() | st.lists(st.builds(Person, box_xyxy_px=BOXES, attributes=ATTRIBUTES), max_size=5),
                min_size=1, max_size=3))  # fmt: skip
@settings(max_examples=15, deadline=None)
def test_people_come_back_to_two_decimals(crowds):
    samples = [Sample(key=f"{n:06d}", image=image(n), people=people) for n, people in enumerate(crowds)]
    with tempfile.TemporaryDirectory() as folder:
        formats.export(written(Path(folder) / "data", samples), Path(folder) / "kitti", "kitti")
        back = reopened(Path(folder) / "kitti")
    for before, after in zip(samples, back, strict=True):
        assert (after.key, after.people is None) == (before.key, before.people is None)
        assert np.array_equal(after.image, before.image)
        for ours, theirs in zip(before.people or (), after.people or (), strict=True):
            assert theirs.box_xyxy_px == pytest.approx(ours.box_xyxy_px, abs=PRECISION_PX)
            assert theirs.attributes == ours.attributes


def line(tmp_path, person):
    data = written(tmp_path / "data", [Sample(key="one", image=image(), people=[person])])
    made = formats.export(data, tmp_path / "kitti", "kitti")
    return made, (tmp_path / "kitti" / "training" / "label_2" / "one.txt").read_text()


def test_what_is_unknown_is_written_as_kitti_has_it(tmp_path):
    _, text = line(tmp_path, Person(box_xyxy_px=(10, 20, 30, 40)))
    assert text == (
        "Pedestrian -1.00 3 -10.00 10.00 20.00 30.00 40.00 -1.00 -1.00 -1.00 -1000.00 -1000.00 -1000.00 -10.00\n"
    )


@pytest.mark.parametrize(("fraction", "expected"), [(1.0, 0), (0.95, 0), (0.9, 1), (0.5, 1), (0.49, 2), (0.0, 2)])
def test_occlusion_from_the_visible_fraction(tmp_path, fraction, expected):
    _, text = line(tmp_path, Person(box_xyxy_px=(10, 20, 30, 40), visible_fraction=fraction))
    assert text.split()[2] == str(expected)


def test_people_with_rotated_boxes_only_and_people_without(tmp_path):
    made, text = line(tmp_path, Person(rotated_box=RotatedBox(60, 40, 10, 20, -90), identity="x"))
    assert text.split()[4:8] == ["50.00", "35.00", "70.00", "45.00"]
    assert made.remarks[-1] == "dropped, as kitti has no place for them: identities (1), rotated boxes (1)"


def test_jpeg_becomes_png_without_a_pixel_changed(tmp_path):
    data = written(tmp_path / "data", [Sample(key="one", image=image(), people=())], CodecConfig(image_format="jpg"))
    made = formats.export(data, tmp_path / "kitti", "kitti")
    with Image.open(tmp_path / "kitti" / "training" / "image_2" / "one.png", formats=("PNG",)) as picture:
        assert np.array_equal(np.asarray(picture), Dataset.open(data)[0].image)
    assert any("PNG" in line for line in made.remarks)


UNKNOWN_3D = "-1 -1 -1 -1000 -1000 -1000 -10"


def foreign(folder, text, *, root="training"):
    """Write a stranger's set of one image."""
    (folder / root / "image_2").mkdir(parents=True)
    (folder / root / "label_2").mkdir()
    Image.fromarray(image()).save(folder / root / "image_2" / "000000.png")
    (folder / root / "label_2" / "000000.txt").write_text(text)
    return folder


def test_strangers_sets(tmp_path):
    rows = [
        f"Pedestrian 0.00 0 -10 10.00 20.00 30.00 40.00 {UNKNOWN_3D}",
        f"Person_sitting -1 3 -10 1 2 3 4 {UNKNOWN_3D} 0.87",
        "Car 0.00 1 -1.5 1 2 3 4 1.5 1.6 4 1 2 30 -1.5",
        f"DontCare -1 -1 -10 0 0 5 5 {UNKNOWN_3D}",
    ]
    folder = foreign(tmp_path / "set", "\n".join(rows))
    (folder / "testing" / "image_2").mkdir(parents=True)
    Image.fromarray(image(2)).save(folder / "testing" / "image_2" / "000000.png")
    told = []
    first, second = formats.convert(folder, tmp_path / "out", tell=told.append)
    assert first.people == (
        Person(box_xyxy_px=(10, 20, 30, 40), attributes={"truncated": 0.0, "occluded": 0}),
        Person(box_xyxy_px=(1, 2, 3, 4), attributes={"kitti_type": "Person_sitting"}),
        Person(box_xyxy_px=(0, 0, 5, 5), attributes={"iscrowd": True}),
    )
    assert second.people is None
    assert (first.meta["split"], second.meta["split"]) == ("train", "test")
    assert told[0].endswith("kitti (KITTI object labels (image_2, label_2))")
    assert told[1:] == [
        "1 images have no label file: their people are unknown",
        "only people are read; ignored classes: 'Car' (1)",
    ]


SPOILED = {
    "fields": ("Pedestrian 0 0 0 1 2 3 4", r"000000\.txt: line 1: has 8 fields, expected 15"),
    "nan": (f"Pedestrian 0 0 -10 nan 2 3 4 {UNKNOWN_3D}", "finite numbers, got 'nan'"),
    "infinite": (f"Pedestrian 0 0 -10 1 2 3 4 {UNKNOWN_3D[:-3]}inf", "finite numbers, got 'inf'"),
    "round": (f"Pedestrian 0 0 -10 10 2 3 4 {UNKNOWN_3D}", "has the size -7x2"),
    "flat": (f"Pedestrian 0 0 -10 3 2 3 4 {UNKNOWN_3D}", "no width or height"),
    "outside": (f"Pedestrian 0 0 -10 300 2 303 4 {UNKNOWN_3D}", "lies outside the image"),
    "huge": (f"Pedestrian 0 0 -10 0 2 1e300 4 {UNKNOWN_3D}", "larger than the image"),
    "crowd": (f"DontCare 0 0 -10 0 2 1 4 {UNKNOWN_3D}\n" * 10_001, "10001 objects are in one image"),
}


@pytest.mark.parametrize(("text", "message"), SPOILED.values(), ids=SPOILED.keys())
def test_what_is_wrong_is_named_and_nothing_is_written(tmp_path, text, message):
    source = foreign(tmp_path / "set", text)
    with pytest.raises(DatasetError, match=message):
        formats.convert(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_all_problems_are_told_at_once(tmp_path):
    source = foreign(tmp_path / "set", "Pedestrian 0\nPedestrian 1\n")
    (source / "training" / "image_2" / "1.png").write_bytes(b"no")
    with pytest.raises(DatasetError, match=r"3 problems:(.|\n)*line 1(.|\n)*line 2(.|\n)*1\.png is no JPEG or PNG"):
        formats.convert(source, tmp_path / "out")


FIELDS = st.sampled_from(["0", "1", "20", "-1", "30.5", "-10", "1e-320", "1e300", "nan", "x", "\u0661", "Car"])


@given(st.lists(st.lists(FIELDS, min_size=14, max_size=15), max_size=4))
@settings(max_examples=100, deadline=None)
def test_any_lines_are_read_or_refused(tmp_path_factory, rows):
    text = "\n".join(" ".join(["Pedestrian", *row]) for row in rows)
    folder = foreign(tmp_path_factory.mktemp("any"), text)
    try:
        opened = formats.FORMATS["kitti"].open(folder)
    except DatasetError:
        return
    opened.sample(0)
