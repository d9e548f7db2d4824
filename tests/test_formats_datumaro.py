# SPDX-License-Identifier: Apache-2.0
"""Another program opens our exports: Datumaro, where it is installed."""

from __future__ import annotations

import numpy as np
import pytest

from synthkit.dataset import DatasetWriter, formats
from synthkit.sample import Person, Sample

datumaro = pytest.importorskip("datumaro")

WIDTH, HEIGHT = 120, 80
BOX = (10.0, 20.0, 60.0, 70.0)
HEAD = (20.0, 20.0, 40.0, 40.0)


@pytest.fixture
def data(tmp_path):
    """A data set of two images, one of them without anybody."""
    rng = np.random.default_rng(0)
    instances = np.zeros((HEIGHT, WIDTH), np.uint8)
    instances[20:70, 10:60] = 1
    person = Person(instance=1, box_xyxy_px=BOX, head_box_xyxy_px=HEAD)
    samples = [
        Sample(key="a", image=rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8), people=[person],
               layers={"instances": instances}),
        Sample(key="b", image=rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8), people=()),
    ]  # fmt: skip
    with DatasetWriter(tmp_path / "data", identity={"test": 1}, scenes=2) as writer:
        for place, sample in enumerate(samples):
            writer.spool.put(place, [sample])
            writer.finished(place)
        writer.finalise()
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("to", "theirs", "heads", "first"),
    # Datumaro keeps VOC's numbers as they are, which count from 1.
    [("coco", "coco_instances", False, 0), ("yolo", "yolo", True, 0), ("voc", "voc_detection", True, 1),
     ("kitti", "kitti_detection", False, 0)],
)  # fmt: skip
def test_datumaro_finds_the_format_and_the_boxes(tmp_path, data, to, theirs, heads, first):
    made = formats.export(data, tmp_path / "out", to)
    found = {item.id: item for item in datumaro.Dataset.import_from(str(made.path), theirs)}
    assert sorted(name.rpartition("/")[2] for name in found) == ["a", "b"]
    if to != "kitti":  # which Datumaro recognises in no layout, but opens when told
        assert theirs in datumaro.Environment().detect_dataset(str(made.path))
    item = next(item for name, item in found.items() if name.endswith("a"))
    assert item.media.size == (HEIGHT, WIDTH)
    boxes = [note.points for note in item.annotations if isinstance(note, datumaro.Bbox)]
    expected = [BOX, HEAD] if heads else [BOX]
    assert np.allclose(sorted(boxes), [(box[0] + first, box[1] + first, *box[2:]) for box in expected], atol=0.01)
    masks = [note.image for note in item.annotations if isinstance(note, datumaro.Mask)]
    assert all(mask.astype(bool)[20:70, 10:60].all() and mask.sum() == 2500 for mask in masks)
    assert len(masks) == (to == "coco")
