# SPDX-License-Identifier: Apache-2.0
"""YOLO, upright and rotated: fractions to the pixel and back, and everything that trainers stumble over."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_sets import BOXES, HEIGHT, WIDTH, image, reopened, written
from PIL import Image

from synthkit.dataset import CodecConfig, formats
from synthkit.errors import DatasetError
from synthkit.sample import Person, RotatedBox, Sample

PRECISION_PX = 1e-4


def one(tmp_path, to, *people, key="one", **more):
    data = written(tmp_path / "data", [Sample(key=key, image=image(), people=people, **more)])
    return formats.export(data, tmp_path / to, to)


@st.composite
def people_with_heads(draw):
    """People, some with their head in the box."""
    box = draw(BOXES)
    if not draw(st.booleans()):
        return Person(box_xyxy_px=box)
    left, top, right, bottom = box
    share = draw(st.floats(0.2, 1))
    return Person(
        box_xyxy_px=box,
        head_box_xyxy_px=(left, top, round(left + (right - left) * share, 3), round(top + (bottom - top) * share, 3)),
    )


@given(st.lists(st.none() | st.lists(people_with_heads(), max_size=5), min_size=1, max_size=3))
@settings(max_examples=15, deadline=None)
def test_upright_boxes_and_heads_come_back(crowds):
    samples = [Sample(key=f"image_{n}", image=image(n), people=people) for n, people in enumerate(crowds)]
    with tempfile.TemporaryDirectory() as folder:
        formats.export(written(Path(folder) / "data", samples), Path(folder) / "yolo", "yolo")
        back = reopened(Path(folder) / "yolo")
    for before, after in zip(samples, back, strict=True):
        assert (after.key, after.people is None) == (before.key, before.people is None)
        for ours, theirs in zip(before.people or (), after.people or (), strict=True):
            assert theirs.box_xyxy_px == pytest.approx(ours.box_xyxy_px, abs=PRECISION_PX)
            assert (theirs.head_box_xyxy_px is None) == (ours.head_box_xyxy_px is None)
            if ours.head_box_xyxy_px:
                assert theirs.head_box_xyxy_px == pytest.approx(ours.head_box_xyxy_px, abs=PRECISION_PX)


ROTATED = st.builds(
    RotatedBox, st.floats(0, WIDTH).map(int), st.floats(0, HEIGHT).map(int),
    st.floats(1, 40), st.floats(41, 90), st.floats(-90, 89.99),
)  # fmt: skip


@given(st.lists(ROTATED, max_size=5))
@settings(max_examples=15, deadline=None)
def test_rotated_boxes_come_back(boxes):
    sample = Sample(key="one", image=image(), people=[Person(rotated_box=box) for box in boxes])
    with tempfile.TemporaryDirectory() as folder:
        formats.export(written(Path(folder) / "data", [sample]), Path(folder) / "obb", "yolo-obb")
        back = formats.FORMATS["yolo-obb"].open(Path(folder) / "obb")
        people = back.sample(0).people
    for box, person in zip(boxes, people, strict=True):
        theirs = person.rotated_box
        assert theirs.as_tuple()[:4] == pytest.approx(box.as_tuple()[:4], abs=2e-3)  # 1e-3 px is a data set's own
        turn = (theirs.degrees - box.degrees + 90) % 180 - 90
        assert abs(turn) < 2e-4


def test_lines_are_fractions_of_width_and_height(tmp_path):
    one(tmp_path, "yolo", Person(box_xyxy_px=(12, 8, 36, 24)))
    assert (tmp_path / "yolo" / "labels" / "train" / "one.txt").read_text() == (
        "0 0.20000000 0.20000000 0.20000000 0.20000000\n"
    )
    assert (tmp_path / "yolo" / "data.yaml").read_text() == (
        "train: images/train\nval: images/train\nnames:\n  0: person\n"
    )


def test_corners_go_round_clockwise(tmp_path):
    one(tmp_path, "yolo-obb", Person(rotated_box=RotatedBox(60, 40, 12, 24, 0)))
    fields = (tmp_path / "yolo-obb" / "labels" / "train" / "one.txt").read_text().split()
    corners = np.array(fields[1:], float).reshape(4, 2) * (WIDTH, HEIGHT)
    assert np.allclose(corners, [(54, 28), (66, 28), (66, 52), (54, 52)])


def test_a_quarter_clockwise_on_the_screen(tmp_path):
    folder = foreign(tmp_path / "set", "0 " + " ".join(f"{v}" for v in turned(RotatedBox(60, 40, 10, 40, 30))))
    (sample,) = reopened(folder)
    assert sample.people[0].rotated_box.as_tuple() == pytest.approx((60, 40, 10, 40, 30))


def turned(box):
    return (box.corners_px() / (WIDTH, HEIGHT)).reshape(-1)


@pytest.mark.parametrize("start", range(4))
@pytest.mark.parametrize("way", [1, -1])
def test_corners_may_begin_anywhere_and_run_either_way(tmp_path, start, way):
    corners = RotatedBox(60, 40, 10, 40, -20).corners_px()[::way]
    values = (np.roll(corners, start, axis=0) / (WIDTH, HEIGHT)).reshape(-1)
    (sample,) = reopened(foreign(tmp_path / "set", "0 " + " ".join(map(str, values))))
    box = sample.people[0].rotated_box
    assert box.as_tuple() == pytest.approx((60, 40, 10, 40, -20), abs=1e-6)


def test_four_corners_that_are_no_rectangle_get_the_smallest_one_around(tmp_path):
    values = np.array([(20, 20), (60, 22), (60, 40), (20, 40)]) / (WIDTH, HEIGHT)
    (sample,) = reopened(foreign(tmp_path / "set", "0 " + " ".join(map(str, values.reshape(-1)))))
    assert np.allclose(sorted(map(tuple, sample.people[0].rotated_box.corners_px().round(3)))[0], (20, 20), atol=0.1)


def test_boxes_are_cut_at_the_edges_as_trainers_reject_the_image_otherwise(tmp_path):
    people = Person(box_xyxy_px=(-10, -10, 60, 40)), Person(rotated_box=RotatedBox(2, 40, 10, 30, 45))
    one(tmp_path, "yolo", *people)
    fields = np.loadtxt(tmp_path / "yolo" / "labels" / "train" / "one.txt")
    assert fields[:, 1:].min() >= 0
    assert (fields[:, 1:3] - fields[:, 3:] / 2).min() >= -1e-9
    assert fields[0, 1:].tolist() == [0.25, 0.25, 0.5, 0.5]


def test_people_outside_are_counted_and_what_is_lost_is_told(tmp_path):
    made = one(tmp_path, "yolo", Person(box_xyxy_px=(-10, -10, -1, -1)), Person(identity="a", box_xyxy_px=(1, 1, 9, 9)))
    assert made.remarks[-1] == (
        "dropped, as yolo has no place for them: identities (1), people without a box in the image (1)"
    )


def test_splits_and_stored_bytes_are_kept(tmp_path):
    samples = [
        Sample(key=f"i{n}", image=image(n), people=(), meta={"split": split} if split else {})
        for n, split in enumerate(["train", "val", "elsewhere", None])
    ]
    data = formats.convert(
        formats.export(
            written(tmp_path / "data", samples, CodecConfig(image_format="jpg")), tmp_path / "yolo", "yolo"
        ).path, tmp_path / "back",
    )  # fmt: skip
    assert {sample.key: sample.meta["split"] for sample in data} == {
        "i0": "train", "i1": "val", "i2": "elsewhere", "i3": "train",
    }  # fmt: skip
    assert "val: images/val\n" in (tmp_path / "yolo" / "data.yaml").read_text()
    from synthkit.dataset import Dataset

    stored = Dataset.open(tmp_path / "data").members(1)[1]["jpg"]
    assert (tmp_path / "yolo" / "images" / "val" / "i1.jpg").read_bytes() == stored


def test_an_exif_orientation_counts_as_it_does_for_trainers(tmp_path):
    folder = foreign(tmp_path / "set", "0 0.25 0.5 0.5 1")
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = image(3)
    Image.fromarray(np.rot90(upright)).save(folder / "images" / "a.png", exif=exif)
    (sample,) = reopened(folder)
    assert np.array_equal(sample.image, upright)
    assert sample.people[0].box_xyxy_px == (0, 0, WIDTH / 2, HEIGHT)


def foreign(folder, text="0 0.5 0.5 0.5 0.5", names="names: [person, head, car]", *, yaml="data.yaml"):
    """Write a stranger's set of one image."""
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    Image.fromarray(image()).save(folder / "images" / "a.png")
    if text is not None:
        (folder / "labels" / "a.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    (folder / yaml).write_bytes(names if isinstance(names, bytes) else names.encode())
    return folder


def test_strangers_sets(tmp_path):
    told = []
    folder = foreign(tmp_path / "set", "2 .5 .5 .1 .1\n\n1 .5 .3 .1 .1\n0 .5 .5 .5 .5\n1 .1 .1 .1 .1\n")
    Image.fromarray(image()).save(folder / "images" / "b.jpg")
    first, second = formats.convert(folder, tmp_path / "out", tell=told.append)
    assert first.people == (
        Person(box_xyxy_px=(30, 20, 90, 60), head_box_xyxy_px=(54, 20, 66, 28)),
        Person(head_box_xyxy_px=(6, 4, 18, 12)),
    )
    assert second.people is None
    assert told[1:] == [
        "1 images have no label file: their people are unknown",
        "only people are read; ignored classes: 'car' (1)",
    ]


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("images/train", "labels/train"), ("train/images", "train/labels"), ("obj_train_data", "obj_train_data"),
        ("images/images", "images/labels"),
    ],
)  # fmt: skip
def test_layouts(tmp_path, images, labels):
    folder = tmp_path / "set"
    for place in (images, labels):
        (folder / place).mkdir(parents=True, exist_ok=True)
    Image.fromarray(image()).save(folder / images / "a.jpg")
    (folder / labels / "a.txt").write_text("0 .5 .5 .5 .5")
    (folder / "obj.names").write_text("pedestrian\ncar\n")
    (sample,) = (formats.FORMATS["yolo"].open(folder).sample(n) for n in range(1))
    assert sample.people == (Person(box_xyxy_px=(30, 20, 90, 60)),)


def test_an_empty_file_says_that_nobody_is_there(tmp_path):
    (sample,) = reopened(foreign(tmp_path / "set", ""))
    assert sample.people == ()


def test_names_by_number(tmp_path):
    (sample,) = reopened(foreign(tmp_path / "set", "7 .5 .5 .5 .5", "path: ../elsewhere\nnames:\n  7: Person\n  9: 3"))
    assert len(sample.people) == 1


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip(
    "abcdefgh", "bcdefghi", strict=True)) + "names: *i"  # fmt: skip
SPOILED = {
    "fields": ("0 .5 .5 .5", "names: [person]", r"a\.txt: line 1: has 4 fields, expected 5"),
    "polygon": ("0 .5 .5 .5 .5 .5 .5", "names: [person]", "key points and polygons are not read"),
    "nan": ("0 nan .5 .5 .5", "names: [person]", "finite numbers, got 'nan'"),
    "infinite": ("0 1e999 .5 .5 .5", "names: [person]", "finite numbers, got '1e999'"),
    "words": ("0 x .5 .5 .5", "names: [person]", "finite numbers, got 'x'"),
    "pixels": ("0 50 50 20 20", "names: [person]", "fractions of the image"),
    "negative": ("0 .5 .5 -.2 .2", "names: [person]", "has the size -0.2x0.2"),
    "class": ("3 .5 .5 .2 .2", "names: [person]", "class 3 is not among the 1 names"),
    "half a class": ("0.5 .5 .5 .2 .2", "names: [person]", "class 0.5 is not among"),
    "no text": (b"\xff\xfe\x00", "names: [person]", "is no UTF-8 text"),
    "no names": ("", "nc: 3", "has no 'names'"),
    "odd names": ("", "names: [[a], b]", "has no 'names'"),
    "no yaml": ("", "names: [", "is no YAML"),
    "tag": ("", "names: !!python/object/apply:os.system ['true']", "is no YAML"),
    "bomb": ("", BOMB, "YAML aliases, which are refused"),
    "deep": ("", "names: " + "[" * 50_000, "nested too deeply"),
    "deep lists": ("", "names: " + "- " * 40_000, "is no YAML"),
    "binary yaml": ("", b"\x00\xff", "is no YAML"),
}


@pytest.mark.parametrize(("text", "names", "message"), SPOILED.values(), ids=SPOILED.keys())
def test_what_is_wrong_is_named_and_nothing_is_written(tmp_path, text, names, message):
    with pytest.raises(DatasetError, match=message):
        formats.convert(foreign(tmp_path / "set", text, names), tmp_path / "out", form="yolo")
    assert not (tmp_path / "out").exists()


def test_all_problems_are_told_at_once(tmp_path):
    folder = foreign(tmp_path / "set", "9 .5 .5 .5 .5\n0 .5 .5\n")
    Image.fromarray(image()).save(folder / "images" / "a.jpg")
    (folder / "images" / "c.png").write_bytes(b"GIF89a")
    with pytest.raises(DatasetError, match=r"(.|\n)*class 9(.|\n)*line 2(.|\n)*the same label file(.|\n)*c\.png is no"):
        formats.convert(folder, tmp_path / "out", form="yolo")


def test_crowds_beyond_all_measure_are_refused(tmp_path):
    folder = foreign(tmp_path / "set", "0 .5 .5 .5 .5\n" * 10_001)
    with pytest.raises(DatasetError, match="10001 objects are in one image"):
        formats.convert(folder, tmp_path / "out")


def test_folders_without_names_or_labels_are_not_yolo(tmp_path):
    folder = foreign(tmp_path / "set")
    (folder / "data.yaml").unlink()
    assert not formats.FORMATS["yolo"].recognises(folder)
    with pytest.raises(DatasetError, match=r"has no class names; expected a data\.yaml"):
        formats.FORMATS["yolo"].open(folder)


def test_angles_survive_wide_images(tmp_path):
    """Fractions of width and height differ in scale: angles must be taken in pixels."""
    box = RotatedBox(900, 100, 30, 120, 37.5)
    wide = np.zeros((200, 1800, 3), np.uint8)
    data = written(tmp_path / "data", [Sample(key="wide", image=wide, people=[Person(rotated_box=box)])])
    formats.export(data, tmp_path / "obb", "yolo-obb")
    (sample,) = reopened(tmp_path / "obb")
    assert math.isclose(sample.people[0].rotated_box.degrees, 37.5, abs_tol=1e-4)


FIELDS = st.sampled_from(
    ["0", "1", "2", "-1", "0.5", ".5", "1.005", "-0.004", "3", "1e-320", "1e300", "nan", "x", "\u0661"]
)


@given(st.lists(st.lists(FIELDS, max_size=10), max_size=6), st.sampled_from(["yolo", "yolo-obb"]))
@settings(max_examples=80, deadline=None)
def test_any_lines_are_read_or_refused(tmp_path_factory, rows, form):
    text = "\n".join(" ".join(row) for row in rows)
    folder = foreign(tmp_path_factory.mktemp("any"), text)
    try:
        opened = formats.FORMATS[form].open(folder)
    except DatasetError:
        return
    opened.sample(0)
