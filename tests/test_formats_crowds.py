# SPDX-License-Identifier: Apache-2.0
"""Regions of people that are not told apart are to be ignored, and never become one person."""

from __future__ import annotations

import numpy as np
import pytest

from synthkit.dataset import DatasetWriter, formats
from synthkit.sample import Person, RotatedBox, Sample

CROWD = Person(box_xyxy_px=(30, 5, 50, 25), attributes={"iscrowd": True})
BODY = Person(box_xyxy_px=(2, 3, 20, 30))


def exported(tmp_path, to, *people):
    image = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    with DatasetWriter(tmp_path / "data", identity={"test": 1}, scenes=1) as writer:
        writer.spool.put(0, [Sample(key="a", image=image, people=people)])
        writer.finished(0)
        writer.finalise()
    return formats.export(tmp_path / "data", tmp_path / to, to)


def people_in(path):
    return formats.find(path).open(path).sample(0).people


@pytest.mark.parametrize("to", ["yolo", "yolo-obb", "habbof"])
def test_left_out_and_told_where_there_is_no_place(tmp_path, to):
    turned = Person(rotated_box=RotatedBox(40, 15, 10, 20, 5), attributes={"iscrowd": True})
    made = exported(tmp_path, to, BODY, CROWD, turned)
    assert len(people_in(made.path)) == 1
    assert "crowds, which would be taken for one person each (2)" in made.remarks[-1]


def test_kitti_does_not_care(tmp_path):
    made = exported(tmp_path, "kitti", BODY, CROWD)
    first, second = (made.path / "training" / "label_2" / "a.txt").read_text().splitlines()
    assert first.startswith("Pedestrian ")
    assert second.split()[:8] == ["DontCare", "-1.00", "-1", "-10.00", "30.00", "5.00", "50.00", "25.00"]
    assert len(second.split()) == 15
    assert people_in(made.path) == (BODY, CROWD)


def test_voc_has_them_as_difficult(tmp_path):
    made = exported(tmp_path, "voc", BODY, CROWD)
    text = (made.path / "Annotations" / "a.xml").read_text()
    assert text.count("<difficult>1</difficult>") == 1
    assert "crowds are marked as difficult, which evaluators pass over" in made.remarks


@pytest.mark.parametrize("to", ["coco", "cepdof"])
def test_kept_where_there_is_a_place(tmp_path, to):
    assert [dict(one.attributes) for one in people_in(exported(tmp_path, to, BODY, CROWD).path)] == [
        {}, {"iscrowd": True},
    ]  # fmt: skip
