# SPDX-License-Identifier: Apache-2.0
"""Boxes at the image's edge, sets without videos, and rotated boxes in VOC's XML."""

from __future__ import annotations

import math

import numpy as np
import pytest
from made_sets import written
from PIL import Image

from synthkit.dataset import formats
from synthkit.errors import DatasetError
from synthkit.sample import Person, RotatedBox, Sample

ROTATED = (
    "<annotation><filename>a.png</filename><object><type>robndbox</type><name>person</name><robndbox><cx>30</cx>"
    "<cy>20</cy><w>{w}</w><h>20</h><angle>{angle}</angle></robndbox></object></annotation>"
)


def sample(key, *people, **more):
    return Sample(key=key, image=np.zeros((40, 60, 3), np.uint8), people=people, **more)


def first_of(path):
    return formats.find(path).open(path).sample(0)


@pytest.mark.parametrize("to", ["cepdof", "habbof", "yolo-obb"])
def test_a_centre_less_than_a_pixel_outside_is_kept(tmp_path, to):
    data = written(tmp_path / "data", [sample("a", Person(rotated_box=RotatedBox(-0.4, 40.5, 10, 20, 5)))])
    (person,) = first_of(formats.export(data, tmp_path / to, to).path).people
    assert person.rotated_box.cx == pytest.approx(-0.4, abs=1e-4)


@pytest.mark.parametrize("to", ["cepdof", "habbof"])
def test_keys_and_missing_sequences_stay_as_they_are(tmp_path, to):
    person = Person(rotated_box=RotatedBox(20, 20, 10, 20, 5))
    data = written(tmp_path / "data", [sample("a", person), sample("b", person, sequence="hall")])
    path = formats.export(data, tmp_path / to, to).path
    opened = formats.find(path).open(path)
    found = {one.key: one.sequence for one in (opened.sample(number) for number in range(2))}
    assert found == {"a": None, "b": "hall"}


def voc(folder, **values):
    folder.mkdir()
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(folder / "a.png")
    (folder / "a.xml").write_text(ROTATED.format(**values))
    return folder


def test_rotated_boxes_in_xml(tmp_path):
    (person,) = first_of(voc(tmp_path / "set", w=10, angle=math.radians(30))).people
    assert person.rotated_box.as_tuple() == pytest.approx((30, 20, 10, 20, 30))
    assert person.box_xyxy_px is None


def test_a_rotated_box_of_no_size_is_told(tmp_path):
    with pytest.raises(DatasetError, match=r"robndbox of 0x20 around \(30, 20\) has no size"):
        formats.convert(voc(tmp_path / "set", w=0, angle=0), tmp_path / "out")
