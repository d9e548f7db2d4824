# SPDX-License-Identifier: Apache-2.0
"""Sets of rotated boxes: brought in with their boxes on the people, or refused with everything that is wrong."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from PIL import Image

from synthkit.dataset import Dataset, DatasetWriter, formats
from synthkit.errors import DatasetError
from synthkit.execution import Local
from synthkit.sample import Person, RotatedBox, Sample

SIZE = 200
BOX = [60.0, 90.0, 20.0, 60.0, 30.0]


def draw(box):
    """Return a dark picture with a bright rotated rectangle, drawn pixel by pixel from the definition."""
    cx, cy, w, h, degrees = box
    angle = math.radians(degrees)  # clockwise on the screen
    y, x = np.mgrid[0:SIZE, 0:SIZE] + 0.5
    across = (x - cx) * math.cos(angle) + (y - cy) * math.sin(angle)
    along = -(x - cx) * math.sin(angle) + (y - cy) * math.cos(angle)
    inside = (abs(across) <= w / 2) & (abs(along) <= h / 2)
    return np.where(inside[..., None], 255, 10).astype(np.uint8).repeat(3, axis=-1)


def annotation(image="Hall_000001", box=None, **more):
    return {"area": 1, "bbox": box or BOX, "category_id": 1, "image_id": image, "iscrowd": 0,
            "segmentation": [], "person_id": 4, **more}  # fmt: skip


def build(folder, *, video="Hall", images=2, annotations=None, change=None):
    """Write a small set; ``change`` may spoil the table before it is written."""
    (folder / video).mkdir(parents=True)
    (folder / "annotations").mkdir(exist_ok=True)
    table = {"images": [], "annotations": [annotation(f"{video}_000001")] if annotations is None else annotations}
    for n in range(1, images + 1):
        name = f"{video}_{n:06d}"
        Image.fromarray(draw(BOX)).save(folder / video / f"{name}.jpg", quality=95)
        table["images"].append({"file_name": f"{name}.jpg", "id": name, "width": SIZE, "height": SIZE})
    if change:
        change(table)
    (folder / "annotations" / f"{video}.json").write_text(json.dumps(table))
    return folder


def test_boxes_identities_and_sources(tmp_path):
    data = formats.convert(build(tmp_path / "set"), tmp_path / "out")
    first, second = data
    assert [first.key, second.key] == ["Hall_000001", "Hall_000002"]
    (person,) = first.people
    assert person.rotated_box == RotatedBox(*BOX)
    assert person.identity == "Hall/4"
    assert person.box_xyxy_px is None, "visible boxes are not known"
    assert second.people == (), "an image without labels is known to be empty"
    assert (first.sequence, first.frame) == ("Hall", 1)
    assert first.meta["source"] == {"format": "cepdof", "file": "Hall/Hall_000001.jpg", "size_px": [SIZE, SIZE]}
    assert first.meta["licence"] == data.manifest.notes["licence"] == "not stated"


@pytest.mark.parametrize("max_size_px", [None, SIZE, 100, 64])
def test_the_box_sits_on_the_figure_at_any_size(tmp_path, max_size_px):
    sample = formats.convert(build(tmp_path / "set"), tmp_path / "out", max_size_px=max_size_px)[0]
    scale = min(1.0, (max_size_px or SIZE) / SIZE)
    assert sample.size_px == (round(SIZE * scale), round(SIZE * scale))
    box = sample.people[0].rotated_box
    angle = math.radians(box.degrees)
    y, x = np.mgrid[0 : sample.size_px[1], 0 : sample.size_px[0]] + 0.5
    across = (x - box.cx) * math.cos(angle) + (y - box.cy) * math.sin(angle)
    along = -(x - box.cx) * math.sin(angle) + (y - box.cy) * math.cos(angle)
    inside = (abs(across) <= box.w / 2) & (abs(along) <= box.h / 2)
    bright = sample.image[..., 0] > 128
    assert (inside & bright).sum() / (inside | bright).sum() > 0.9


def test_boxes_come_in_the_convention(tmp_path):
    wide = [60.0, 90.0, 60.0, 20.0, -60.0]
    data = formats.convert(build(tmp_path / "set", annotations=[annotation(box=wide)]), tmp_path / "out")
    assert data[0].people[0].rotated_box == RotatedBox(60, 90, 20, 60, 30)


def test_boxes_that_reach_over_the_edge_are_kept(tmp_path):
    data = formats.convert(build(tmp_path / "set", annotations=[annotation(box=[3, 3, 20, 60, 0])]), tmp_path / "out")
    assert data[0].people[0].rotated_box.cx == 3


def test_sets_without_identities_and_with_several_videos(tmp_path):
    def anonymous(table):
        del table["annotations"][0]["person_id"]
        table["images"][0]["id"] = table["annotations"][0]["image_id"] = 7
        del table["images"][0]["width"]

    build(tmp_path / "set", change=anonymous)
    build(tmp_path / "set", video="Yard", images=1)
    data = formats.convert(tmp_path / "set", tmp_path / "out", form="cepdof")
    assert list(data.keys()) == ["Hall_7", "Hall_000002", "Yard_000001"]
    assert data[0].people[0].identity is None
    assert data[2].sequence == "Yard"


def test_images_may_lie_in_images_or_beside(tmp_path):
    build(tmp_path / "set", images=1)
    (tmp_path / "set" / "images").mkdir()
    (tmp_path / "set" / "Hall" / "Hall_000001.jpg").rename(tmp_path / "set" / "images" / "Hall_000001.jpg")
    assert len(formats.convert(tmp_path / "set", tmp_path / "out")) == 1


def test_wepdtof_has_its_videos_in_frames(tmp_path):
    build(tmp_path / "set")
    (tmp_path / "set" / "frames").mkdir()
    (tmp_path / "set" / "Hall").rename(tmp_path / "set" / "frames" / "Hall")
    data = formats.convert(tmp_path / "set", tmp_path / "out")
    assert [sample.sequence for sample in data] == ["Hall", "Hall"]


def spoil_image(key, value):
    return lambda table: table["images"][1].__setitem__(key, value)


SPOILED = {
    "box outside": (
        [annotation(box=[900, 90, 20, 60, 0])],
        None,
        r"annotations\[0\]: bbox around \(900, 90\) lies outside",
    ),
    "nan": ([annotation(box=[1, 2, 3, 4, "NaN"])], None, "five finite numbers"),
    "four numbers": ([annotation(box=[1, 2, 3, 4])], None, "five finite numbers"),
    "no box": ([annotation(bbox=None)], None, "five finite numbers"),
    "no size": ([annotation(box=[50, 50, 0, 20, 0])], None, "has the size 0x20"),
    "huge": ([annotation(box=[50, 50, 20, 2000, 0])], None, "larger than the image"),
    "twice": ([annotation(), annotation()], None, r"annotations\[1\]: repeats annotations\[0\]"),
    "other class": ([annotation(category_id=2)], None, "category_id is 2"),
    "unknown image": ([annotation("Hall_9")], None, "image_id 'Hall_9' is not among the images"),
    "no annotation": (["x"], None, "is not among the images"),
    "missing image": (None, spoil_image("file_name", "none.jpg"), r"images\[1\]: image 'none.jpg' is neither in"),
    "path": (None, spoil_image("file_name", "../../etc/passwd"), "is refused"),
    "absolute path": (None, spoil_image("file_name", "/etc/passwd"), "is refused"),
    "id twice": (None, spoil_image("id", "Hall_000001"), "comes twice"),
    "other size": (None, spoil_image("width", 7), "the labels say 7x200"),
    "no id": (None, lambda table: table["images"][1].pop("id"), "expected file_name and id"),
    "no image entry": (None, lambda table: table["images"].append(3), "expected file_name and id"),
    "no lists": (None, lambda table: table.pop("annotations"), "with the lists"),
    "no images": ([], lambda table: table["images"].clear(), "lists no images"),
}


@pytest.mark.parametrize(("annotations", "change", "message"), SPOILED.values(), ids=SPOILED.keys())
def test_what_is_wrong_is_named_and_nothing_is_written(tmp_path, annotations, change, message):
    source = build(tmp_path / "set", annotations=annotations, change=change)
    with pytest.raises(DatasetError, match=message) as caught:
        formats.convert(source, tmp_path / "out")
    assert caught.value.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_all_problems_are_told_at_once(tmp_path):
    boxes = [annotation(box=[900 + n, 90, 20, 60, 0]) for n in range(30)]
    source = build(tmp_path / "set", annotations=boxes, change=spoil_image("file_name", "none.jpg"))
    with pytest.raises(DatasetError, match=r"31 problems:(.|\n)*images\[1\](.|\n)*annotations\[5\](.|\n)*and 11 more"):
        formats.convert(source, tmp_path / "out")


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"images": 3, "annotations": []}', b"\xff", b'{"images":NaN}'])
def test_labels_that_are_no_labels(tmp_path, content):
    source = build(tmp_path / "set")
    (source / "annotations" / "Hall.json").write_bytes(content)
    with pytest.raises(DatasetError, match=r"Hall\.json: is no JSON with the lists"):
        formats.convert(source, tmp_path / "out")


def test_pictures_that_are_no_pictures(tmp_path):
    source = build(tmp_path / "set")
    (source / "Hall" / "Hall_000002.jpg").write_bytes(b"GIF89a")
    with pytest.raises(DatasetError, match="no JPEG or PNG"):
        formats.convert(source, tmp_path / "out")


def test_a_torn_picture_is_left_out_and_a_mended_one_is_another_set(tmp_path):
    source = build(tmp_path / "set")
    picture = source / "Hall" / "Hall_000002.jpg"
    whole = picture.read_bytes()
    picture.write_bytes(whole[:-400])
    data = formats.convert(source, tmp_path / "out")
    assert (len(data), data.manifest.summary.skipped) == (1, 1)
    picture.write_bytes(whole)
    with pytest.raises(DatasetError, match="images_sha256"):
        formats.convert(source, tmp_path / "out")
    assert len(formats.convert(source, tmp_path / "other")) == 2


def test_workers_and_resuming_give_the_same_bytes(tmp_path):
    source = build(tmp_path / "set", images=5)
    here = formats.convert(source, tmp_path / "here")
    formats.convert(source, tmp_path / "there", executor=Local(2))
    told = []

    def stop(stage, done, total, note=""):
        told.append((stage, done, total))
        if (stage, done) == ("convert", 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        formats.convert(source, tmp_path / "late", progress=stop)
    assert told == [("hash", 0, 5), ("hash", 5, 5), ("convert", 0, 5), ("convert", 1, 5), ("convert", 2, 5)]
    assert not formats.convert(source, tmp_path / "late").skipped
    for name in ("there", "late"):
        for path in here.path.rglob("*.*"):
            other = tmp_path / name / path.relative_to(here.path)
            assert path.is_dir() or other.read_bytes() == path.read_bytes()
        assert Dataset.open(tmp_path / name).fingerprint == here.fingerprint


@pytest.mark.parametrize(
    ("form", "make", "message"),
    [
        ("cepdoff", lambda path: path.mkdir(), "did you mean 'cepdof'"),
        (None, lambda path: path.mkdir(), "is of no known format .*cepdof: rotated boxes"),
        (None, lambda path: None, "is missing"),
        (None, lambda path: path.touch(), "is no folder"),
        ("cepdof", lambda path: path.mkdir(), "has no annotations"),
    ],
)
def test_sources_of_no_format(tmp_path, form, make, message):
    make(tmp_path / "set")
    with pytest.raises(DatasetError, match=message):
        formats.convert(tmp_path / "set", tmp_path / "out", form=form)


def test_data_sets_need_no_conversion(tmp_path):
    made = formats.convert(build(tmp_path / "set"), tmp_path / "out")
    assert formats.is_dataset(made.path)
    assert formats.is_dataset(made.path / "shards")
    assert not formats.is_dataset(tmp_path / "set")


def as_written(tmp_path, **more):
    source = build(tmp_path / "set", **more)
    made = formats.export(source, tmp_path / "made", "cepdof")
    return source, made, json.loads((tmp_path / "made" / "annotations" / "Hall.json").read_text())


def test_the_same_labels_and_images_come_back(tmp_path):
    people = [annotation(), annotation(box=[100.0, 40.5, 10.25, 20.125, -89.9999]), annotation("Hall_000002")]
    source, made, table = as_written(tmp_path, annotations=people)
    original = json.loads((source / "annotations" / "Hall.json").read_text())
    assert table["images"] == original["images"]
    assert [{**entry, "area": 1} for entry in table["annotations"]] == original["annotations"] != []
    assert table["annotations"][0]["area"] == BOX[2] * BOX[3]
    assert table["categories"] == [{"id": 1, "name": "person", "supercategory": "person"}]
    for name in ("Hall_000001.jpg", "Hall_000002.jpg"):
        assert (made.path / "Hall" / name).read_bytes() == (source / "Hall" / name).read_bytes()
    assert formats.detect(made.path).name == "cepdof"
    before, after = (formats.convert(path, tmp_path / f"{path.name}.data") for path in (source, made.path))
    assert [sample.people for sample in after] == [sample.people for sample in before]


def test_the_same_bytes_each_time_and_through_a_data_set(tmp_path):
    source, made, _ = as_written(tmp_path)
    formats.export(formats.convert(source, tmp_path / "data").path, tmp_path / "through", "cepdof")
    formats.export(source, tmp_path / "again", "cepdof")
    label = "annotations/Hall.json"
    assert (made.path / label).read_bytes() == (tmp_path / "again" / label).read_bytes()
    assert (made.path / label).read_bytes() == (tmp_path / "through" / label).read_bytes()


def test_several_videos_whose_images_alternate(tmp_path):
    people = [Person(rotated_box=RotatedBox(*BOX))]
    with DatasetWriter(tmp_path / "set", identity={}, scenes=6) as writer:
        for n in range(6):
            video = ("Hall", "Yard")[n % 2]
            image = np.zeros((SIZE, SIZE, 3), np.uint8)
            sample = Sample(key=f"{video}_{n:06d}", image=image, people=people[: n // 2], sequence=video, frame=n)
            writer.spool.put(n, [sample])
            writer.finished(n)
        writer.finalise()
    formats.export(tmp_path / "set", tmp_path / "made", "cepdof")
    for video, first in (("Hall", 0), ("Yard", 1)):
        names = [f"{video}_{n:06d}" for n in range(first, 6, 2)]
        table = json.loads((tmp_path / "made" / "annotations" / f"{video}.json").read_text())
        assert [image["id"] for image in table["images"]] == names
        assert [entry["image_id"] for entry in table["annotations"]] == names[1:]


def test_videos_in_which_nobody_is_seen_stay_rotated_boxes(tmp_path):
    _, made, table = as_written(tmp_path, annotations=[])
    assert table["annotations"] == []
    assert formats.detect(made.path).name == "cepdof"
    assert [sample.people for sample in formats.convert(made.path, tmp_path / "out")] == [(), ()]


def test_identities_that_are_words(tmp_path):
    _, made, table = as_written(tmp_path, annotations=[annotation(person_id="p 7"), annotation(box=[*BOX[:4], 0.0])])
    assert [entry["person_id"] for entry in table["annotations"]] == ["p 7", 4]
    assert any("person_id counts within a video" in line for line in made.remarks)


def test_crowds_stay_crowds(tmp_path):
    _, made, table = as_written(tmp_path, annotations=[annotation(iscrowd=1)])
    assert table["annotations"][0]["iscrowd"] == 1
    assert not any("attributes" in line for line in made.remarks)
