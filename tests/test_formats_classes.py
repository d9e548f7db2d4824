# SPDX-License-Identifier: Apache-2.0
"""Which classes are people: never guessed away, as that would say that nobody is there."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from synthkit.dataset import formats
from synthkit.errors import DatasetError

KITTI_ROW = "{name} 0.00 0 -10 10 20 30 40 -1 -1 -1 -1000 -1000 -1000 -10\n"
VOC = (
    "<annotation><filename>a.png</filename><object><name>{name}</name><bndbox><xmin>2</xmin><ymin>3</ymin>"
    "<xmax>20</xmax><ymax>30</ymax></bndbox></object></annotation>"
)


def labelled(folder, form, name):
    """Write a set of one image with one object of a class."""
    tables = {
        "coco": {
            "annotations/instances_train.json": json.dumps(
                {
                    "images": [{"id": 1, "file_name": "a.png"}],
                    "categories": [{"id": 7, "name": name}],
                    "annotations": [{"image_id": 1, "category_id": 7, "bbox": [2, 3, 18, 27]}],
                }
            )
        },
        "voc": {"Annotations/a.xml": VOC.format(name=name)},
        "yolo": {"data.yaml": f"names: [{name}]", "labels/a.txt": "0 0.5 0.5 0.2 0.2\n"},
        "kitti": {"training/label_2/a.txt": KITTI_ROW.format(name=name)},
        "habbof": {"images/a.txt": f"{name} 30 20 10 20 5\n"},
    }
    place = {"voc": "JPEGImages", "kitti": "training/image_2"}.get(form, "images")
    for file, text in tables[form].items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)
    (folder / place).mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((60, 80, 3), np.uint8)).save(folder / place / "a.png")
    return folder


FORMATS = ("coco", "voc", "yolo", "kitti", "habbof")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", ["People", "human", "pedestrians"])
def test_other_words_for_people(tmp_path, form, name):
    (sample,) = formats.convert(labelled(tmp_path / "set", form, name), tmp_path / "out")
    assert len(sample.people) == 1


@pytest.mark.parametrize("form", FORMATS)
def test_a_set_of_other_classes_is_refused_and_can_be_named(tmp_path, form):
    folder = labelled(tmp_path / "set", form, "Worker")
    with pytest.raises(DatasetError, match=r"has no people, but objects of other classes: 'Worker' \(1\)"):
        formats.convert(folder, tmp_path / "out")
    (sample,) = formats.convert(folder, tmp_path / "out", person_classes=["worker"])
    assert len(sample.people) == 1
    (sample,) = formats.convert(folder, tmp_path / "nobody", person_classes=["person"])
    assert sample.people == ()


def test_a_class_that_is_not_there_is_refused(tmp_path):
    folder = labelled(tmp_path / "set", "yolo", "worker")
    with pytest.raises(DatasetError, match="has no class 'wroker'; it has 'worker'"):
        formats.export(folder, tmp_path / "out", "coco", person_classes=["wroker"])


def test_where_people_are_among_the_classes_nobody_is_there(tmp_path):
    folder = labelled(tmp_path / "set", "yolo", "dog, person")
    (sample,) = formats.convert(folder, tmp_path / "out")
    assert sample.people == ()


def test_formats_without_classes_take_none(tmp_path):
    Image.fromarray(np.zeros((60, 80, 3), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(DatasetError, match="names no classes; omit --person-class"):
        formats.convert(tmp_path, tmp_path / "out", person_classes=["worker"])
