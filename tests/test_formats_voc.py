# SPDX-License-Identifier: Apache-2.0
"""Pascal VOC: pixels counted from 1 with the last one included, and XML that is believed nothing."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_sets import BOXES, HEIGHT, WIDTH, image, reopened, written
from PIL import Image

from synthkit.dataset import formats
from synthkit.errors import DatasetError
from synthkit.sample import Person, RotatedBox, Sample


def one(tmp_path, *people):
    data = written(tmp_path / "data", [Sample(key="one", image=image(), people=people)])
    made = formats.export(data, tmp_path / "voc", "voc")
    return made, ElementTree.parse(tmp_path / "voc" / "Annotations" / "one.xml").getroot()


FLAGS = st.sampled_from([{}, {"difficult": True}, {"truncated": True, "pose": "Left"}])


@given(st.lists(st.none() | st.lists(st.builds(Person, box_xyxy_px=BOXES, attributes=FLAGS), max_size=5), min_size=1,
                max_size=3).filter(any))  # fmt: skip
@settings(max_examples=15, deadline=None)
def test_people_come_back_rounded_outwards_to_whole_pixels(crowds):
    samples = [Sample(key=f"image_{n}", image=image(n), people=people) for n, people in enumerate(crowds)]
    with tempfile.TemporaryDirectory() as folder:
        formats.export(written(Path(folder) / "data", samples), Path(folder) / "voc", "voc")
        back = reopened(Path(folder) / "voc")
    for before, after in zip(samples, back, strict=True):
        assert (after.key, after.people is None) == (before.key, before.people is None)
        for ours, theirs in zip(before.people or (), after.people or (), strict=True):
            left, top, right, bottom = ours.box_xyxy_px
            expected = [math.floor(left + 1e-3), math.floor(top + 1e-3), math.ceil(right - 1e-3)]
            assert list(theirs.box_xyxy_px)[:3] == expected
            assert theirs.box_xyxy_px[3] == math.ceil(bottom - 1e-3)
            assert theirs.attributes == ours.attributes


def test_pixels_count_from_one_and_the_last_is_included(tmp_path):
    _, root = one(tmp_path, Person(box_xyxy_px=(10, 0, 20, HEIGHT)))
    box = root.find("object/bndbox")
    assert [box.findtext(edge) for edge in ("xmin", "ymin", "xmax", "ymax")] == ["11", "1", "20", str(HEIGHT)]
    assert [root.findtext(f"size/{name}") for name in ("width", "height", "depth")] == ["120", "80", "3"]
    assert root.findtext("filename") == "one.png"
    assert (tmp_path / "voc" / "ImageSets" / "Main" / "train.txt").read_text() == "one\n"
    assert reopened(tmp_path / "voc")[0].people[0].box_xyxy_px == (10, 0, 20, HEIGHT)


def test_heads_are_objects_after_their_people(tmp_path):
    person = Person(box_xyxy_px=(10, 20, 60, 70), head_box_xyxy_px=(20, 20, 40, 40))
    _, root = one(tmp_path, person, Person(head_box_xyxy_px=(100, 2, 110, 12)))
    assert [node.findtext("name") for node in root.findall("object")] == ["person", "head", "head"]
    assert reopened(tmp_path / "voc")[0].people == (person, Person(head_box_xyxy_px=(100, 2, 110, 12)))


def test_boxes_cut_at_the_edge_are_truncated(tmp_path):
    made, root = one(tmp_path, Person(box_xyxy_px=(-5, 5, 20, 30)), Person(rotated_box=RotatedBox(60, 40, 10, 20, 0)))
    assert [node.findtext("truncated") for node in root.findall("object")] == ["1", "0"]
    assert any("upright box around" in line for line in made.remarks)
    assert made.remarks[-1] == "dropped, as voc has no place for them: rotated boxes (1)"


def test_images_whose_people_are_unknown_are_in_no_list(tmp_path):
    samples = [Sample(key="a", image=image(), people=None), Sample(key="b", image=image(), people=())]
    formats.export(written(tmp_path / "data", samples), tmp_path / "voc", "voc")
    assert (tmp_path / "voc" / "ImageSets" / "Main" / "train.txt").read_text() == "b\n"
    assert [sample.people for sample in reopened(tmp_path / "voc")] == [None, ()]


OBJECT = """<object><name>{name}</name><difficult>0</difficult><bndbox>
<xmin>{0}</xmin><ymin>{1}</ymin><xmax>{2}</xmax><ymax>{3}</ymax></bndbox>{more}</object>"""


def thing(*edges, name="person", more=""):
    return OBJECT.format(*edges, name=name, more=more)


def foreign(
    folder, *objects, head="", size=(WIDTH, HEIGHT), filename="a.jpg", labels="Annotations", images="JPEGImages"
):
    """Write a stranger's set of one image."""
    (folder / labels).mkdir(parents=True)
    images = images or "JPEGImages"
    (folder / images).mkdir(exist_ok=True)
    Image.fromarray(image()).save(folder / images / "a.jpg")
    text = f"{head}<annotation><filename>{filename}</filename><size><width>{size[0]}</width><height>{size[1]}</height>"
    text += "<depth>3</depth></size>" + "".join(objects) + "</annotation>"
    (folder / labels / "a.xml").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("labels", "images"), [("Annotations", "JPEGImages"), ("annotations", "images"), (".", "."), ("train", "train")]
)
def test_strangers_sets(tmp_path, labels, images):
    part = "<part><name>head</name><bndbox><xmin>12</xmin><ymin>21</ymin><xmax>20</xmax><ymax>30</ymax></bndbox></part>"
    objects = thing(11, 21, 40, "60.0", name="Person", more=part), thing(1, 1, 9, 9, name="dog")
    told = []
    folder = foreign(tmp_path / "set", *objects, labels=labels, images=images)
    (sample,) = formats.convert(folder, tmp_path / "out", tell=told.append)
    assert sample.people == (Person(box_xyxy_px=(10, 20, 40, 60), head_box_xyxy_px=(11, 20, 20, 30)),)
    assert told[0].endswith("voc (Pascal VOC XML)")
    assert told[1] == "only people are read; ignored classes: 'dog' (1)"


def test_sets_that_count_from_zero_say_so_themselves(tmp_path):
    source = formats.find(foreign(tmp_path / "set", thing(0, 5, 10, 20), thing(30, 40, 50, 60))).open(tmp_path / "set")
    assert source.remarks == (
        "coordinates count from 0 here, not from 1 as in VOC: they are taken for edges of pixels",
    )
    assert [person.box_xyxy_px for person in source.sample(0).people] == [(0, 5, 10, 20), (30, 40, 50, 60)]


def test_the_image_is_found_by_the_labels_name_when_the_stated_one_is_gone(tmp_path):
    assert len(reopened(foreign(tmp_path / "set", filename="IMG_1.JPG"))) == 1


ENTITIES = '<!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
FILE = '<!DOCTYPE foo [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
SPOILED = {
    "bomb": ([thing("&b;", 1, 2, 3)], {"head": ENTITIES}, "a DTD or entities, which are refused"),
    "file": ([thing("&x;", 1, 2, 3)], {"head": FILE}, "a DTD or entities, which are refused"),
    "no xml": (["<object>"], {}, r"a\.xml: is no XML"),
    "encoding": ([], {"head": "<?xml version='1.0' encoding='nonsense'?>"}, "is no XML"),
    "nan": ([thing(1, 2, "nan", 4)], {}, "object 1: expected finite numbers, got 'nan'"),
    "huge": ([thing(1, 2, "9" * 400, 4)], {}, "object 1: expected finite numbers"),
    "wide": ([thing(1, 2, 9e9, 4)], {}, "larger than the image"),
    "words": ([thing(1, 2, "x", 4)], {}, "expected finite numbers, got 'x'"),
    "round": ([thing(50, 2, 10, 4)], {}, "has the size"),
    "outside": ([thing(500, 2, 510, 4)], {}, "lies outside the image"),
    "no box": (["<object><name>person</name></object>"], {}, "object 1: has no bndbox"),
    "no name": (["<object></object>"], {}, "object 1: has no name"),
    "size": ([], {"size": (7, HEIGHT)}, "the labels say 7"),
    "odd size": ([], {"size": ("x", HEIGHT)}, "expected finite numbers"),
    "path": ([], {"filename": "../../etc/passwd"}, "is refused"),
    "absolute": ([], {"filename": "/etc/passwd"}, "is refused"),
}


@pytest.mark.parametrize(("objects", "how", "message"), SPOILED.values(), ids=SPOILED.keys())
def test_what_is_wrong_is_named_and_nothing_is_written(tmp_path, objects, how, message):
    source = foreign(tmp_path / "set", *objects, **how)
    with pytest.raises(DatasetError, match=message):
        formats.convert(source, tmp_path / "out", form="voc")
    assert not (tmp_path / "out").exists()


def test_all_problems_are_told_at_once(tmp_path):
    source = foreign(tmp_path / "set", thing(1, 2, "x", 4), "<object><name>person</name></object>")
    (source / "Annotations" / "b.xml").write_text("<annotation>")
    with pytest.raises(DatasetError, match=r"3 problems:(.|\n)*object 1(.|\n)*object 2(.|\n)*b\.xml: is no XML"):
        formats.convert(source, tmp_path / "out")


def test_deep_documents_end(tmp_path):
    source = foreign(tmp_path / "set", "<x>" * 100_000 + "</x>" * 100_000)
    assert len(reopened(source)) == 1


PIECES = st.sampled_from(
    ["<object>", "</object>", "<name>", "</name>", "person", "head", "<bndbox>", "</bndbox>", "<xmin>", "</xmin>", "1",
     "-3", "1e400", "<ymin>2</ymin>", "<xmax>5</xmax>", "<ymax>9</ymax>", "<size>", "</size>", "<width>", "</width>",
     "<filename>", "</filename>", "../x", "&amp;", "&x;", "<!--", "-->", "<?pi ?>", thing(1, 2, 30, 40)]
)  # fmt: skip


@given(st.lists(PIECES, max_size=12))
@settings(max_examples=150, deadline=None)
def test_any_document_is_read_or_refused(tmp_path_factory, pieces):
    folder = foreign(tmp_path_factory.mktemp("any"), *pieces)
    try:
        opened = formats.FORMATS["voc"].open(folder)
    except DatasetError:
        return
    opened.sample(0)
