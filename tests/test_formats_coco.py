# SPDX-License-Identifier: Apache-2.0
"""COCO: what we write is what pycocotools reads, and comes back whole; strangers' sets are read."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_coco import LABELS, foreign
from made_sets import BOXES, HEIGHT, WIDTH, image, written
from PIL import Image

from synthkit.dataset import description, formats
from synthkit.sample import Keypoint, Person, RotatedBox, Sample

coco = pytest.importorskip("pycocotools.coco")


def described(people):
    """Return people as a data set writes them down: at its declared decimals."""
    return description.to_json(Sample(key="x", image=image(), people=people))


def whole(values):
    return round(values, 3)


PIXELS = st.floats(-20, 140).map(whole)
ROTATED = st.builds(
    RotatedBox, st.floats(1, WIDTH - 1).map(whole), st.floats(1, HEIGHT - 1).map(whole),
    st.floats(1, 9).map(whole), st.floats(9, 40).map(whole), st.floats(-90, 89.99).map(whole),
)  # fmt: skip
POINTS = st.dictionaries(
    st.sampled_from(["nose", "left_wrist", "right_ankle", "pelvis", "head_top"]),
    st.builds(Keypoint, PIXELS, PIXELS, st.sampled_from([True, False, None]), st.sampled_from([None, (1.0, 2.0, 0.5)])),
    max_size=5,
)
PEOPLE = st.builds(
    Person,
    identity=st.sampled_from([None, "anna", "Hall/4"]),
    head_px=st.none() | st.tuples(PIXELS, PIXELS),
    head_box_xyxy_px=st.none() | BOXES,
    box_xyxy_px=st.none() | BOXES,
    rotated_box=ROTATED,
    keypoints=POINTS,
    visible_fraction=st.sampled_from([None, 0.25, 1.0]),
    attributes=st.sampled_from([{}, {"pose": "sitting", "clothes": ["coat"]}, {"iscrowd": True}]),
)


@given(st.lists(st.none() | st.lists(PEOPLE, max_size=4), min_size=1, max_size=3))
@settings(max_examples=15, deadline=None)
def test_what_coco_can_carry_comes_back_exactly(crowds):
    samples = [
        Sample(key=f"image_{n}", image=image(n), people=people, sequence="walk", frame=n, time_s=n / 4,
               meta={"licence": "CC0-1.0", "scene": {"seed": n}})
        for n, people in enumerate(crowds)
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        data = written(Path(folder) / "data", samples)
        formats.export(data, Path(folder) / "coco", "coco")
        opened = formats.find(Path(folder) / "coco").open(Path(folder) / "coco")
        back = [opened.sample(n) for n in range(len(opened))]
    for before, after in zip(samples, back, strict=True):
        assert described(after.people) == described(before.people)
        assert (after.key, after.sequence, after.frame, after.time_s) == (
            before.key, before.sequence, before.frame, before.time_s,
        )  # fmt: skip
        assert before.meta.items() <= after.meta.items()
        assert np.array_equal(after.image, before.image)


@given(st.lists(BOXES, min_size=1, max_size=6), st.randoms(use_true_random=False))
@settings(max_examples=15, deadline=None)
def test_pycocotools_sees_the_same_boxes_and_masks(boxes, random):
    instances = np.zeros((HEIGHT, WIDTH), np.uint8)
    for number, (left, top, right, bottom) in enumerate(boxes, 1):
        instances[int(top) : int(bottom), int(left) : int(right)] = number
        instances[random.randrange(HEIGHT), random.randrange(WIDTH)] = number
    people = [Person(instance=number, box_xyxy_px=box) for number, box in enumerate(boxes, 1)]
    sample = Sample(key="one", image=image(), people=people, layers={"instances": instances})
    with tempfile.TemporaryDirectory() as folder:
        data = written(Path(folder) / "data", [sample])
        formats.export(data, Path(folder) / "coco", "coco")
        theirs = coco.COCO(str(Path(folder) / "coco" / LABELS))
        opened = formats.find(Path(folder) / "coco").open(Path(folder) / "coco")
        back = opened.sample(0)
    assert np.array_equal(back.layers["instances"], instances)
    assert described(back.people) == described(sample.people)
    annotations = theirs.loadAnns(theirs.getAnnIds(imgIds=[1], catIds=[1]))
    for person, annotation in zip(people, annotations, strict=True):
        x, y, w, h = annotation["bbox"]
        assert np.allclose((x, y, x + w, y + h), person.box_xyxy_px, atol=2e-3)
        ours = instances == person.instance
        if ours.any():
            assert np.array_equal(theirs.annToMask(annotation).astype(bool), ours)
            assert annotation["area"] == ours.sum()


def one(tmp_path, *people, **more):
    data = written(tmp_path / "data", [Sample(key="one", image=image(), people=people, **more)])
    made = formats.export(data, tmp_path / "coco", "coco")
    return made, json.loads((tmp_path / "coco" / LABELS).read_text())


def test_ids_begin_with_one_and_nothing_is_invented(tmp_path):
    _, table = one(tmp_path, Person(box_xyxy_px=(1, 2, 11, 22)))
    assert table["images"][0]["id"] == table["annotations"][0]["id"] == table["categories"][0]["id"] == 1
    assert table["licenses"] == []
    assert "license" not in table["images"][0]
    assert table["info"] == {"description": "data"}
    assert table["annotations"][0]["bbox"] == [1, 2, 10, 20]
    assert "keypoints" not in table["annotations"][0]


def test_licences_are_carried(tmp_path):
    _, table = one(tmp_path, meta={"licences": {"bodies": "CC0-1.0"}})
    assert table["licenses"] == [{"id": 1, "name": "bodies: CC0-1.0", "url": ""}]
    assert table["images"][0]["license"] == 1


def test_key_points_count_pixel_centres_and_flags_say_what_is_seen(tmp_path):
    points = {
        "nose": Keypoint(10.5, 20.5, True),
        "left_eye": Keypoint(11.5, 20.5, False),
        "right_eye": Keypoint(130.0, 20.5, False),
        "pelvis": Keypoint(10.5, 40.5, True),
    }
    _, table = one(tmp_path, Person(box_xyxy_px=(1, 2, 30, 60), keypoints=points), Person(box_xyxy_px=(1, 2, 3, 4)))
    first, second = table["annotations"]
    assert first["keypoints"][:9] == [10, 20, 2, 11, 20, 1, 0, 0, 0]
    assert first["num_keypoints"] == 2
    assert second["keypoints"] == [0] * 51, "evaluators look for key points of all"
    assert second["num_keypoints"] == 0
    assert table["categories"][0]["keypoints"][0] == "nose"
    assert min(min(pair) for pair in table["categories"][0]["skeleton"]) == 1


def test_the_upright_box_around_a_rotated_one_is_told_and_not_taken_for_truth(tmp_path):
    box = RotatedBox(60, 40, 10, 30, 90 - 180)
    made, table = one(tmp_path, Person(rotated_box=box))
    assert table["annotations"][0]["bbox"] == [45, 35, 30, 10]
    assert table["annotations"][0]["rotated_box"] == [60, 40, 10, 30, -90]
    assert any("upright box around" in line for line in made.remarks)
    back = formats.find(made.path).open(made.path).sample(0)
    assert back.people == (Person(rotated_box=box),)


def test_people_without_any_box_are_counted(tmp_path):
    made, table = one(tmp_path, Person(head_px=(3, 4)), Person(head_px=(5, 6)))
    assert table["annotations"] == []
    assert made.remarks[-1] == "dropped, as coco has no place for them: people without a box (2)"


@pytest.mark.parametrize("layout", ["val2017", "images/val2017", "images", "."])
def test_strangers_sets_in_the_usual_layouts(tmp_path, layout):
    told = []
    data = formats.convert(foreign(tmp_path / "set", layout=layout), tmp_path / "out", tell=told.append)
    first, second = data
    assert told[0] == f"{tmp_path / 'set'}: coco (COCO JSON: boxes, masks and key points)"
    assert told[1] == "only people are read; ignored classes: 'dog' (1)"
    assert first.people == (Person(instance=1, box_xyxy_px=(10, 20, 40, 60)),)
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[20:60, 10:40] = 1
    assert np.array_equal(first.layers["instances"], expected)
    assert first.meta["licence"] == "Attribution"
    assert first.meta["licence_url"] == "http://example.org/by"
    assert second.meta["licence"] == "not stated"
    assert first.meta["split"] == "val"
    assert second.people[0].attributes == {"iscrowd": True}
    assert (second.layers["instances"] == 1).sum() == 160
    assert (second.layers["instances"][:, :2] == 1).all(), "run lengths go down the columns"


ORIGIN = {
    "coco_url": "http://images.example.org/a.jpg",
    "flickr_url": "http://farm1.example.org/a_z.jpg",
    "date_captured": "2013-11-14 17:02:52",
    "photographer": "Å. Person",
}
INFO = {"description": "Rooms", "url": "http://example.org", "version": "1.0", "year": 2026, "contributor": "A group"}


def attributed(table):
    """Add who made the images, and under which of three licences."""
    table["info"] = INFO
    table["licenses"] = [
        {"id": 4, "name": "Attribution", "url": "http://example.org/by"},
        {"id": 0, "name": "", "url": "http://example.org/other"},
        {"id": 7, "name": "", "url": ""},
    ]
    table["images"][0] |= ORIGIN
    table["images"][1]["license"] = 0


def attribution(folder):
    """Return what label files say of whose the images are, by image."""
    table = json.loads(next(folder.glob("annotations/*.json")).read_text())
    licences = {entry["id"]: entry for entry in table["licenses"]}
    own = ("id", "file_name", "width", "height", "synthkit")
    images = {
        Path(entry["file_name"]).stem: {key: value for key, value in entry.items() if key not in own}
        | {"license": licences.get(entry.get("license"))}
        for entry in table["images"]
    }
    return table["info"], images


@pytest.mark.parametrize("through_a_data_set", [True, False])
def test_attribution_survives(tmp_path, through_a_data_set):
    source = foreign(tmp_path / "set", attributed)
    middle = formats.convert(source, tmp_path / "data").path if through_a_data_set else source
    first = formats.export(middle, tmp_path / "first", "coco").path
    again = formats.export(formats.convert(first, tmp_path / "data2").path, tmp_path / "again", "coco").path
    info, images = attribution(source)
    images["b"]["license"] = {"id": 0, "name": "http://example.org/other", "url": "http://example.org/other"}
    for made in (first, again):
        assert attribution(made) == (info, images)


def test_what_is_changed_in_cocos_own_fields_is_believed(tmp_path):
    made = formats.export(foreign(tmp_path / "set", attributed), tmp_path / "first", "coco").path
    labels = next(made.glob("annotations/*.json"))
    table = json.loads(labels.read_text())
    del table["images"][0]["license"], table["images"][0]["flickr_url"]
    table["licenses"][1]["name"] = "Another"
    labels.write_text(json.dumps(table))
    opened = formats.find(made).open(made)
    assert "licence_url" not in opened.sample(0).meta
    assert opened.sample(0).meta["licence"] == "not stated"
    assert "flickr_url" not in opened.sample(0).meta["coco"]
    assert opened.sample(1).meta["licence"] == "Another"


def test_licences_of_parts_are_none_of_the_whole(tmp_path):
    made, _ = one(tmp_path, meta={"licences": {"bodies": "CC0-1.0", "hair": "MIT"}})
    meta = formats.find(made.path).open(made.path).sample(0).meta
    assert meta["licences"] == {"bodies": "CC0-1.0", "hair": "MIT"}
    assert meta["licence"] == "not stated"


def test_two_licences_with_one_number_stay_two(tmp_path):
    licences = [("A", "http://example.org/a"), ("B", "http://example.org/b"), ("A", "http://example.org/a")]
    samples = [
        Sample(
            key=f"i{n}", image=image(n), people=(), meta={"licence": name, "licence_url": url, "coco": {"license": 3}}
        )
        for n, (name, url) in enumerate(licences)
    ]
    made = formats.export(written(tmp_path / "data", samples), tmp_path / "coco", "coco").path
    table = json.loads((made / LABELS).read_text())
    assert [entry["license"] for entry in table["images"]] == [3, 1, 3]
    assert [(entry["id"], entry["name"]) for entry in table["licenses"]] == [(3, "A"), (1, "B")]


def test_key_points_replace_the_same_set_without_them(tmp_path):
    def with_points(table):
        table["annotations"][0]["keypoints"] = [9, 19, 2] + [0] * 45 + [12, 13, 1]

    foreign(tmp_path / "set")
    source = foreign(tmp_path / "other", with_points, labels="person_keypoints_val2017.json")
    (source / "annotations" / "person_keypoints_val2017.json").rename(
        tmp_path / "set" / "annotations" / "person_keypoints_val2017.json"
    )
    person = formats.find(tmp_path / "set").open(tmp_path / "set").sample(0).people[0]
    assert person.keypoints == {"nose": Keypoint(9.5, 19.5, True), "right_ankle": Keypoint(12.5, 13.5, False)}


def test_images_that_lie_on_their_side(tmp_path):
    source = foreign(tmp_path / "set")
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise
    upright = image()
    Image.fromarray(np.rot90(upright)).save(source / "val2017" / "a.png", exif=exif)
    (source / "val2017" / "a.png").rename(source / "val2017" / "a.jpg")
    sample = formats.find(source).open(source).sample(0)
    assert np.array_equal(sample.image, upright), "the labels' width and height say which way round"
    formats.export(source, tmp_path / "again", "coco")
    assert np.array_equal(formats.find(tmp_path / "again").open(tmp_path / "again").sample(0).image, upright)


def test_heads_find_their_people(tmp_path):
    def with_heads(table):
        table["categories"].append({"id": 2, "name": "head"})
        for number, box in enumerate([[15, 20, 5, 5], [100, 5, 6, 6]]):
            table["annotations"].append({"id": 10 + number, "image_id": 7, "category_id": 2, "bbox": box})

    people = formats.find(foreign(tmp_path / "set", with_heads)).open(tmp_path / "set").sample(0).people
    assert people[0].head_box_xyxy_px == (15, 20, 20, 25)
    assert people[0].box_xyxy_px == (10, 20, 40, 60)
    assert people[1] == Person(head_box_xyxy_px=(100, 5, 106, 11))


def test_labels_of_test_images_are_unknown(tmp_path):
    source = foreign(tmp_path / "set", lambda table: table.pop("annotations"), labels="image_info_val2017.json")
    assert formats.find(source).open(source).sample(0).people is None
