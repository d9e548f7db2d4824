# SPDX-License-Identifier: Apache-2.0
"""Masks of strangers: painted over each other in little memory, and sound where annotators were not exact."""

from __future__ import annotations

import json
import weakref

import numpy as np
import pytest
from PIL import Image

from synthkit.dataset import formats, verify
from synthkit.dataset.formats import convert, masks
from synthkit.dataset.tools.repair import repair

coco_mask = pytest.importorskip("pycocotools.mask")

WIDTH, HEIGHT = 60, 40


def square(left, top, size, height=None):
    bottom = top + (height or size)
    return [[left, top, left + size, top, left + size, bottom, left, bottom]]


def test_small_masks_lie_on_large_ones_in_whichever_order():
    large, small = square(5, 5, 20), square(10, 10, 4)
    for order in ([(1, large), (2, small)], [(2, small), (1, large)]):
        layer = masks.paint(order, (WIDTH, HEIGHT))
        assert layer.dtype == np.uint8
        assert ((layer == 1).sum(), (layer == 2).sum()) == (20 * 20 - 16, 16)
        assert (layer[10:14, 10:14] == 2).all()


def test_masks_are_unpacked_one_at_a_time(monkeypatch):
    """A hundred of them in a large photo would not fit into memory."""
    alive, most, real = 0, 0, coco_mask.decode

    def gone():
        nonlocal alive
        alive -= 1

    def decode(runs):
        nonlocal alive, most
        array = real(runs)
        alive += 1
        most = max(most, alive)
        weakref.finalize(array, gone)
        return array

    monkeypatch.setattr(coco_mask, "decode", decode)
    layer = masks.paint([(n, square(n, n, 8)) for n in range(1, 31)], (WIDTH, HEIGHT))
    assert most == 1
    assert set(np.unique(layer).tolist()) == set(range(31))


ANNOTATIONS = {
    "masks that overlap": [(square(5, 5, 20), [5, 5, 20, 20]), (square(20, 4, 10, 22), [20, 4, 10, 22])],
    "a box 2 px looser than its polygon": [(square(5, 5, 20), [3, 3, 24, 24])],
    "a box 2 px tighter than its polygon": [(square(5, 5, 20), [7, 7, 16, 16])],
    "the same mask twice": [(square(5, 5, 20), [5, 5, 20, 20]), (square(5, 5, 20), [5, 5, 20, 20])],
}


@pytest.mark.parametrize("name", ANNOTATIONS)
def test_a_converted_set_is_sound_and_a_repair_keeps_every_box(tmp_path, name):
    folder = tmp_path / "coco"
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    Image.new("RGB", (WIDTH, HEIGHT)).save(folder / "images" / "a.png")
    annotations = [
        {"id": n, "image_id": 1, "category_id": 1, "bbox": box, "area": 1, "iscrowd": 0, "segmentation": polygons}
        for n, (polygons, box) in enumerate(ANNOTATIONS[name], 1)
    ]
    table = {
        "images": [{"id": 1, "file_name": "a.png", "width": WIDTH, "height": HEIGHT}],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person"}],
    }
    (folder / "annotations" / "instances_default.json").write_text(json.dumps(table))
    source = formats.find(folder).open(folder)
    expected = [(x, y, x + w, y + h) for _, (x, y, w, h) in ANNOTATIONS[name]]
    assert [person.box_xyxy_px for person in source.sample(0).people] == expected
    convert(folder, tmp_path / "set")
    report = verify.verify(tmp_path / "set")
    assert report.problems == ()
    assert len(report.warnings) == 1
    made = repair(tmp_path / "set", tmp_path / "good")
    assert (made.copied, made.mended, made.dropped) == (1, 0, 0)
    assert [person.box_xyxy_px for person in made.dataset[0].people] == expected
