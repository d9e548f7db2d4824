# SPDX-License-Identifier: Apache-2.0
"""Finds beside the images they are of: shown, counted, drawn and exported."""

from __future__ import annotations

import json

import attrs
import fsspec
import numpy as np
import pytest
from bright_people import (
    SEEING,
    files,
    picture,
    seeing,
    session,
    video,
    written,
)

from synthkit import detection
from synthkit.dataset import formats
from synthkit.dataset.tools.stats import stats
from synthkit.dataset.tools.view import view
from synthkit.errors import DatasetError
from synthkit.found import Found, is_of_images
from synthkit.report.finds import drawing
from synthkit.sample import Person, RotatedBox, Sample

pytestmark = pytest.mark.usefixtures("seeing_installed")


def test_images_are_shown_with_the_finds_in_place_of_their_truth(images, tmp_path):
    samples = [attrs.evolve(sample, people=[Person(1, box_xyxy_px=(0, 0, 2, 2))]) for sample in images]
    data = written(tmp_path / "labelled", samples)
    detection.detect(session(), seeing(masks=True), data.location, tmp_path / "found")
    found = Found.open(tmp_path / "found")
    assert [sample.key for sample in found] == list(data.keys())
    assert [len(sample.people) for sample in found] == [0, 1, 2, 0, 1]
    assert np.array_equal(found[2].image, picture(2))
    assert found[2].layers["instances"].max() == 2
    written(tmp_path / "labelled", [*samples, Sample(key="s9", image=picture(1))])
    with pytest.raises(DatasetError, match=r"its sidecars are of other samples .* than those of .*labelled"):
        Found.open(tmp_path / "found")


def test_finds_are_counted_viewed_and_exported_with_their_images(images, tmp_path):
    detection.detect(session(), SEEING, images.location, tmp_path / "found")
    counts = stats(tmp_path / "found").to_plain()
    assert (counts["samples"], counts["people"]) == (5, 4)
    assert view(tmp_path / "found", tmp_path / "page.html") == 5
    assert (tmp_path / "page.html").read_text().count("data:image/webp") >= 5
    formats.export(tmp_path / "found", tmp_path / "coco", "coco")
    (labels,) = [path for path in (tmp_path / "coco").rglob("*.json") if path.name != "synthkit.json"]
    table = json.loads(labels.read_text())
    assert len(table["images"]) == 5
    assert sorted(annotation["bbox"] for annotation in table["annotations"])[0] == [2, 2, 4, 6]


def test_finds_at_a_url_know_their_images(images, tmp_path):
    memory = fsspec.filesystem("memory")
    try:
        for path, data in files(images.path).items():
            memory.pipe_file(f"/sets/images/{path}", data)
        detection.detect(session(), SEEING, "memory://sets/images", "memory://sets/found")
        found = Found.open("memory://sets/found")
        assert found.images.location == "memory://sets/images"
        assert [len(sample.people) for sample in found] == [0, 1, 2, 0, 1]
        detection.detect(session(), SEEING, images.location, tmp_path / "found")
        shards = {path: data for path, data in files(tmp_path / "found").items() if path.startswith("shards/")}
        assert shards == {path: memory.cat_file(f"/sets/found/{path}") for path in shards}
    finally:
        memory.rm("/sets", recursive=True)


def test_images_that_are_gone_are_told(tmp_path):
    place = video(tmp_path / "hall.avi", 2)
    detection.detect(session(), SEEING, place, tmp_path / "found")
    place.rename(tmp_path / "moved.avi")
    with pytest.raises(DatasetError, match=r"the images that it was found in cannot be opened: .*hall\.avi"):
        Found.open(tmp_path / "found")
    assert not is_of_images(written(tmp_path / "plain", [Sample(key="s0", image=picture(0))]))
    with pytest.raises(DatasetError, match="is no set of finds"):
        Found.open(tmp_path / "plain")


def test_what_is_drawn_is_where_it_was_found():
    sample = Sample(
        key="s",
        image=np.zeros((100, 120, 3), np.uint8),
        people=[
            Person(1, box_xyxy_px=(20, 30, 60, 90)),
            Person(2, rotated_box=RotatedBox(90, 50, 20, 40, 30)),
            Person(3, head_box_xyxy_px=(5, 5, 15, 15)),
            Person(4, box_xyxy_px=(5, 30, 15, 60), head_box_xyxy_px=(6, 45, 14, 55), attributes={"head_score": 0.5}),
        ],
    )
    drawn = drawing(sample).astype(int)
    for x, y in ((20, 60), (60, 60), (40, 30), (40, 90)):
        assert drawn[y - 1 : y + 1, x - 1 : x + 1].max() > 90, (x, y)
    corners = RotatedBox(90, 50, 20, 40, 30).corners_px()
    for x, y in (corners + np.roll(corners, 1, axis=0)) / 2:
        assert drawn[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2].max() > 90, (x, y)
    assert drawn[60, 40].sum() == 0  # inside
    assert drawn[5:15, 5:15, 1].max() > 150  # a head is yellow
    assert drawn[50, 5, 1] < 150 < drawn[50, 5, 0]  # a body is orange
    assert drawn[50, 13:15, 1].max() > 150  # and the head in it yellow
