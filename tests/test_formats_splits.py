# SPDX-License-Identifier: Apache-2.0
"""Training, validation and test stay apart on the way from format to format."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synthkit.dataset import DatasetWriter, formats
from synthkit.dataset.formats.splits import split_name
from synthkit.sample import Person, Sample

PERSON = {"box_xyxy_px": (2, 3, 20, 30)}


def pixels(seed=0):
    return np.random.default_rng(seed).integers(0, 255, (40, 60, 3), dtype=np.uint8)


def written(path, splits):
    """Write a data set of one sample with one person for each split."""
    with DatasetWriter(path, identity={"test": 1}, scenes=len(splits)) as writer:
        for place, split in enumerate(splits):
            meta = {"split": split} if split else {}
            sample = Sample(key=f"i{place}", image=pixels(place), people=[Person(**PERSON)], meta=meta)
            writer.spool.put(place, [sample])
            writer.finished(place)
        writer.finalise()
    return path


def coco_set(folder, files):
    """Write a COCO set: label file and folder of its images, by the images' names."""
    for number, (labels, place) in enumerate(files.items()):
        (folder / labels).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(number)).save(folder / place / f"{number}.png")
        table = {
            "images": [{"id": 1, "file_name": f"{number}.png", "width": 60, "height": 40}],
            "categories": [{"id": 1, "name": "person"}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [2, 3, 18, 27]}],
        }
        (folder / labels).write_text(json.dumps(table))
    return folder


def splits_of(path):
    opened = formats.find(path).open(path)
    samples = [opened.sample(number) for number in range(len(opened))]
    return {sample.key: sample.meta.get("split") for sample in samples}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("train2017", "train"), ("valid", "val"), ("Validation", "val"), ("test_2014", "test"), ("night/1", "night_1")],
)
def test_one_name_for_each_split(name, expected):
    assert split_name(name) == expected


@pytest.mark.parametrize(
    "files",
    [
        {f"annotations/instances_{split}.json": f"images/{split}" for split in ("train2017", "val2017")},
        {f"annotations/instances_{split}.json": f"images/{split}" for split in ("train", "valid")},
        {f"{split}/_annotations.coco.json": split for split in ("train", "valid", "test")},
        {"annotations/train.json": "images", "annotations/val.json": "images"},
    ],
)
def test_the_usual_coco_sets_become_yolo_with_their_splits(tmp_path, files):
    made = formats.export(coco_set(tmp_path / "coco", files), tmp_path / "yolo", "yolo")
    places = sorted(path.relative_to(made.path).as_posix() for path in made.path.glob("images/*/*"))
    assert places[:2] == ["images/test/2.png", "images/train/0.png"] or places == [
        "images/train/0.png",
        "images/val/1.png",
    ]
    lines = (made.path / "data.yaml").read_text().splitlines()
    assert {"train: images/train", "val: images/val"} <= set(lines)
    assert not any("validation" in line for line in made.remarks)


def test_without_validation_it_is_said(tmp_path):
    made = formats.export(written(tmp_path / "data", ["train", "test"]), tmp_path / "yolo", "yolo")
    (line,) = [line for line in made.remarks if "validation" in line]
    assert line == "there are no images for validation: data.yaml names those of 'train', which then tell nothing"


def test_an_unknown_split_is_no_training(tmp_path):
    made = formats.export(written(tmp_path / "data", ["test", "trainval"]), tmp_path / "yolo", "yolo")
    assert "train: images/trainval\n" in (made.path / "data.yaml").read_text()
    assert "images of the split 'trainval' are in a folder of their own, images/trainval" in made.remarks


@pytest.mark.parametrize("to", ["coco", "voc", "yolo", "kitti"])
def test_there_and_back(tmp_path, to):
    splits = ["train", "val", "test", "night"]
    made = formats.export(written(tmp_path / "data", splits), tmp_path / to, to)
    assert splits_of(made.path) == {f"i{n}": split for n, split in enumerate(splits)}


def test_voc_lists_of_one_class_are_none_of_splits(tmp_path):
    made = formats.export(written(tmp_path / "data", ["train", "val", "night"]), tmp_path / "voc", "voc")
    lists = made.path / "ImageSets" / "Main"
    (lists / "dog_train.txt").write_text("i1  1\ni0 -1\n")
    (lists / "trainval.txt").write_text("i0\ni1\n")
    assert splits_of(made.path) == {"i0": "train", "i1": "val", "i2": "night"}


TRAINVAL = {
    "alone": ({"trainval": "012"}, {"i0": "train", "i1": "train", "i2": "train"}),
    "with test": ({"trainval": "01", "test": "2"}, {"i0": "train", "i1": "train", "i2": "test"}),
    "with train": ({"trainval": "012", "train": "0"}, {"i0": "train", "i1": "val", "i2": "val"}),
    "with val": ({"trainval": "012", "val": "0"}, {"i0": "val", "i1": "train", "i2": "train"}),
    "with both": ({"trainval": "012", "train": "01", "val": "2"}, {"i0": "train", "i1": "train", "i2": "val"}),
}


@pytest.mark.parametrize("to", ["voc", "kitti"])
@pytest.mark.parametrize(("lists", "expected"), TRAINVAL.values(), ids=TRAINVAL)
def test_trainval_is_training_or_what_training_leaves(tmp_path, to, lists, expected):
    made = formats.export(written(tmp_path / "data", [None] * 3), tmp_path / to, to)
    place = made.path / "ImageSets" / ("Main" if to == "voc" else "")
    place.mkdir(parents=True, exist_ok=True)
    for path in place.glob("*.txt"):
        path.unlink()
    for name, numbers in lists.items():
        (place / f"{name}.txt").write_text("".join(f"i{number}\n" for number in numbers))
    assert splits_of(made.path) == expected
    remarks = formats.find(made.path).open(made.path).remarks
    assert any("in the list trainval alone" in line for line in remarks) == (len(lists) < 3)


def test_coco_has_a_file_for_each_split(tmp_path):
    made = formats.export(written(tmp_path / "data", ["train", "valid", None]), tmp_path / "coco", "coco")
    names = sorted(path.name for path in (made.path / "annotations").iterdir())
    assert names == ["instances_default.json", "instances_train.json", "instances_val.json"]
    table = json.loads((made.path / "annotations" / "instances_val.json").read_text())
    assert [entry["file_name"] for entry in table["images"]] == ["i1.png"]
    assert Path(made.path, "images", "val", "i1.png").is_file()


def test_market_tells_where_validation_went(tmp_path):
    crop = Sample(
        key="a", image=pixels(), people=[Person(identity="1")], meta={"camera": 1, "split": "val"}
    )  # fmt: skip
    with DatasetWriter(tmp_path / "data", identity={"test": 1}, scenes=1) as writer:
        writer.spool.put(0, [crop])
        writer.finished(0)
        writer.finalise()
    made = formats.export(tmp_path / "data", tmp_path / "market", "market1501")
    assert any("split 'val' are in the gallery" in line for line in made.remarks)
