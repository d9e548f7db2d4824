# SPDX-License-Identifier: Apache-2.0
"""COCO that is damaged, wrong or odd: it is read or refused, and what is refused is named."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_coco import LABELS, foreign
from made_sets import HEIGHT, WIDTH, image, written

from synthkit.dataset import formats
from synthkit.errors import DatasetError
from synthkit.sample import Keypoint, Person, RotatedBox, Sample

pytest.importorskip("pycocotools.coco")


def put(*path):
    """Return a change that sets, or with no value deletes, what lies at a path."""
    *places, last, value = path

    def change(table):
        for place in places:
            table = table[place]
        table[last] = value

    return change


RUNS = {"size": [HEIGHT, WIDTH]}
SPOILED = {
    "path": (put("images", 1, "file_name", "../../etc/passwd"), r"images\[1\]: file_name .* is refused"),
    "absolute path": (put("images", 1, "file_name", "/etc/passwd"), "is refused"),
    "no text": (put("images", 1, "file_name", 3), "must be text"),
    "missing": (put("images", 1, "file_name", "none.jpg"), "is in none of val2017/"),
    "size": (put("images", 1, "width", 7), "the labels say 7x80"),
    "odd size": (put("images", 1, "width", {"a": 1}), "the labels say"),
    "id twice": (put("images", 1, "id", 7), "comes twice"),
    "id": (put("images", 1, "id", None), "expected an id"),
    "table": (put("images", 1, None), "expected an id"),
    "category": (put("annotations", 0, "category_id", 2), r"annotations\[0\]: category_id 2 is not among"),
    "category list": (put("annotations", 0, "category_id", [1]), "is not among"),
    "categories": (put("categories", 0, "name", 4), r"categories\[0\]: expected an id and a name"),
    "image": (put("annotations", 0, "image_id", 8), "image_id 8 is not among"),
    "four": (put("annotations", 0, "bbox", [1, 2, 3]), "four finite numbers"),
    "words": (put("annotations", 0, "bbox", ["1", 2, 3, 4]), "four finite numbers"),
    "huge": (put("annotations", 0, "bbox", [1e308, 2, 1e308, 4]), "finite numbers"),
    "huge whole": (put("annotations", 0, "bbox", [10**400, 2, 3, 4]), "four finite numbers"),
    "negative": (put("annotations", 0, "bbox", [10, 20, -3, 4]), "has the size -3x4"),
    "outside": (put("annotations", 0, "bbox", [500, 20, 3, 4]), "lies outside the image"),
    "too large": (put("annotations", 0, "bbox", [0, 0, 999, 4]), "larger than the image"),
    "polygon": (put("annotations", 0, "segmentation", [[1, 2, 3, 4]]), "three or more pairs"),
    "far polygon": (put("annotations", 0, "segmentation", [[1, 2, 3, 4, 1e9, 3]]), "a polygon reaches"),
    "segmentation": (put("annotations", 0, "segmentation", "x"), "polygons or run lengths"),
    "runs": (put("annotations", 0, "segmentation", {**RUNS, "counts": [1, 2]}), "do not add up"),
    "runs of size": (put("annotations", 0, "segmentation", {"size": [9, 9], "counts": [81]}), "are of size"),
    "negative runs": (put("annotations", 0, "segmentation", {**RUNS, "counts": [-1, 9601]}), "whole numbers"),
    "open runs": (put("annotations", 0, "segmentation", {**RUNS, "counts": "oooo"}), "are damaged"),
    "long runs": (put("annotations", 0, "segmentation", {**RUNS, "counts": "o" * 60 + "0"}), "are damaged"),
    "odd runs": (put("annotations", 0, "segmentation", {**RUNS, "counts": "a\u00e9"}), "must be text or whole"),
    "wrong runs": (put("annotations", 0, "segmentation", {**RUNS, "counts": "1:5"}), "do not add up"),
    "flag": (put("annotations", 0, "keypoints", [1, 2, 7] + [0] * 48), "has the flag 7"),
    "points": (put("annotations", 0, "keypoints", [1, 2, 2]), "51 finite numbers"),
    "rotated": (put("annotations", 0, "rotated_box", [1, 2, 3]), "rotated_box must be five"),
    "own": (put("annotations", 0, "synthkit", {"head_px": "x"}), r"annotations\[0\]"),
    "own image": (put("images", 0, "synthkit", {"camera": {"model": "fisheye-polynomial"}}), "image 7: .*damaged"),
    "no list": (put("images", 3), "lists 'images', 'annotations' and 'categories'"),
    "no images": (put("images", []), "is not among the images"),
}


@pytest.mark.parametrize(("change", "message"), SPOILED.values(), ids=SPOILED.keys())
def test_what_is_wrong_is_named_and_nothing_is_written(tmp_path, change, message):
    source = foreign(tmp_path / "set", change)
    with pytest.raises(DatasetError, match=message) as caught:
        formats.convert(source, tmp_path / "out", form="coco")
    assert caught.value.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_all_problems_are_told_at_once(tmp_path):
    def spoil(table):
        table["images"][1]["file_name"] = "none.jpg"
        table["annotations"][0]["bbox"] = [1, 2]
        table["annotations"] += [{"image_id": 7, "category_id": 5}] * 30

    with pytest.raises(DatasetError, match=r"32 problems:(.|\n)*images\[1\](.|\n)*annotations\[0\](.|\n)*12 more"):
        formats.convert(foreign(tmp_path / "set", spoil), tmp_path / "out")


@given(st.binary(max_size=40) | st.text("0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_`abcdefghijklmno", max_size=30))
@settings(max_examples=300, deadline=None)
def test_run_lengths_are_what_pycocotools_makes_of_them_or_refused(text):
    from pycocotools import mask

    from synthkit.dataset.formats import masks

    text = text if isinstance(text, str) else text.decode("latin-1")
    runs = {"size": [5, 7], "counts": text}
    try:
        masks.check(runs, (7, 5))
    except ValueError:
        return
    assert np.array_equal(masks.decode(runs, (7, 5)), mask.decode(runs).astype(bool))


@given(st.lists(st.booleans(), min_size=35, max_size=35))
@settings(max_examples=200, deadline=None)
def test_every_mask_passes_the_check(bits):
    from synthkit.dataset.formats import masks

    picture = np.array(bits).reshape(5, 7)
    runs = masks.encode(picture)
    masks.check(runs, (7, 5))
    assert np.array_equal(masks.decode(runs, (7, 5)), picture)


def test_large_masks_pass_the_check():
    from synthkit.dataset.formats import masks

    picture = np.zeros((3000, 2000), bool)
    picture[100:2900, 50:1900] = True
    picture[1500, 1000] = False
    runs = masks.encode(picture)
    masks.check(runs, (2000, 3000))
    assert np.array_equal(masks.decode(runs, (2000, 3000)), picture)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**30) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["license", "coco_url", "id", "synthkit", "x"]), JSON, max_size=4), JSON, JSON)
@settings(max_examples=100, deadline=None)
def test_any_attribution_is_carried_or_passed_over(fields, listed, info):
    from synthkit.dataset.formats import coco_origin

    known = coco_origin.licences([listed, {"id": 1, "name": "A", "url": info}])
    meta = coco_origin.joined({"scene": 1}, coco_origin.origin(fields, known))
    licence, carried, rest = coco_origin.parted(meta)
    assert rest == {"scene": 1}
    numbered = {"id": fields["id"]} if "id" in fields and "synthkit" not in fields else {}  # files of ours number anew
    again = {**carried, **numbered, "license": fields.get("license")}
    assert coco_origin.joined(rest, coco_origin.origin(again, known)) == meta
    assert (licence is None) == ("licence" not in meta)


def places(table, path=()):
    """Return the paths of all values in a table."""
    found = [path]
    for key, value in table.items() if isinstance(table, dict) else enumerate(table) if isinstance(table, list) else ():
        found += places(value, (*path, key))
    return found


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    instances = np.zeros((HEIGHT, WIDTH), np.uint8)
    instances[20:40, 10:30] = 1
    person = Person(
        instance=1, identity="a", head_px=(3, 4), box_xyxy_px=(10, 20, 30, 40), rotated_box=RotatedBox(20, 30, 5, 9, 4),
        keypoints={"nose": Keypoint(4, 5, None, (1, 2, 3)), "pelvis": Keypoint(6, 7)}, attributes={"a": 1},
    )  # fmt: skip
    sample = Sample(key="one", image=image(), people=[person], layers={"instances": instances}, meta={"licence": "CC0"})
    formats.export(written(folder / "data", [sample]), folder / "coco", "coco")
    return folder / "coco", json.loads((folder / "coco" / LABELS).read_text())


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_any_value_in_any_place_is_read_or_refused(own, data):
    folder, table = own
    table = json.loads(json.dumps(table))
    for _ in range(data.draw(st.integers(1, 3))):
        *path, last = data.draw(st.sampled_from([path for path in places(table) if path]))
        node = table
        for key in path:
            node = node[key]
        node[last] = data.draw(JSON)
    (folder / LABELS).write_text(json.dumps(table))
    try:
        opened = formats.FORMATS["coco"].open(folder)
    except DatasetError:
        return
    for number in range(len(opened)):
        opened.sample(number)
