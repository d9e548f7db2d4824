# SPDX-License-Identifier: Apache-2.0
"""Masks of finds by a second network, which says of each crop which pixels are bright."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from made_onnx import constant_outputs, model, save
from onnx import helper

from synthkit.anonymization.people import Look, together
from synthkit.anonymization.policy import Policy
from synthkit.errors import ConfigError, WeightsError
from synthkit.finds import sidecar_of
from synthkit.interfaces import ComponentSpec, Runtime
from synthkit.plugins import discover
from synthkit.sample import Detections, RotatedBox, Sample
from synthkit.seeds import Seeds
from synthkit_onnx.masks import MaskNetwork

SIZE = (200, 160)
IN = (24, 48)
CARD = "size_px = [24, 48]\nmean = [128, 128, 128]\ndeviation = [16, 16, 16]\n"


def brightness(folder, card=CARD, *, sigmoid=True, last=False):
    """Write a network of masks: half as fine as its input, 1 where that is bright."""
    width, height = IN
    nodes = [helper.make_node("AveragePool", ["crop"], ["coarse"], kernel_shape=[2, 2], strides=[2, 2]),
             helper.make_node("ReduceMean", ["coarse"], ["grey"], axes=[1], keepdims=1)]  # fmt: skip
    shape = [1, 1, height // 2, width // 2]
    if sigmoid:
        nodes.append(helper.make_node("Sigmoid", ["grey"], ["mask"]))
    else:
        nodes.append(helper.make_node("Identity", ["grey"], ["mask"]))
    if last:
        nodes[-1].output[0] = "before"
        nodes.append(helper.make_node("Transpose", ["before"], ["mask"], perm=[0, 2, 3, 1]))
        shape = [1, height // 2, width // 2, 1]
    folder.mkdir(exist_ok=True)
    (folder / "masks.toml").write_text(card)
    return save(model(nodes, {"crop": [1, 3, height, width]}, {"mask": shape}), folder / "masks.onnx")


def bar(box):
    """Return an image with a bright person in a larger rotated box, and which pixels these are."""
    inner = RotatedBox(box.cx, box.cy, 0.6 * box.w, 0.8 * box.h, box.degrees)
    mask = np.zeros(SIZE[::-1], np.uint8)
    cv2.fillConvexPoly(mask, np.round(inner.corners_px() - 0.5).astype(np.int32), 1)
    return np.where(mask[..., None] > 0, np.uint8(250), np.uint8(20)).repeat(3, axis=2), mask > 0


def finds(*boxes, rotated=True):
    rows = np.array([box.as_tuple() for box in boxes], np.float32)
    corners = np.array([box.corners_px() for box in boxes])
    upright = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1).astype(np.float32)
    scores = np.linspace(0.9, 0.8, len(boxes)).astype(np.float32)
    return Detections(key="a", boxes_xyxy_px=upright, scores=scores, labels=np.zeros(len(boxes), np.int32),
                      rotated_boxes=rows if rotated else None)  # fmt: skip


@pytest.mark.parametrize("degrees", [0.0, 35.0, -70.0])
@pytest.mark.parametrize("last", [False, True])
def test_masks_are_where_people_are(degrees, last, tmp_path):
    box = RotatedBox(90.0, 70.0, 40.0, 90.0, degrees)
    image, people = bar(box)
    network = MaskNetwork.open(brightness(tmp_path, last=last), None, 1)
    found = network.with_masks(Sample(key="a", image=image), finds(box, rotated=degrees != 0))
    mask = found.layers["instances"] == 1
    assert (mask & people).sum() / people.sum() > 0.95
    assert (mask & people).sum() / (mask | people).sum() > 0.8  # its cells are four pixels wide


def test_people_at_the_edge_have_masks_as_well(tmp_path):
    box = RotatedBox(4.0, 60.0, 30.0, 80.0, 20.0)
    image, people = bar(box)
    network = MaskNetwork.open(brightness(tmp_path, CARD + "least = 0.1\n"), None, 1)
    mask = network.with_masks(Sample(key="a", image=image), finds(box)).layers["instances"] > 0
    assert (mask & people).sum() / (mask | people).sum() > 0.7


def test_who_has_no_mask_that_is_believed_is_covered_by_the_box(tmp_path):
    seen, dark = RotatedBox(50.0, 70.0, 40.0, 90.0, 10.0), RotatedBox(150.0, 70.0, 40.0, 90.0, 10.0)
    image, _ = bar(seen)
    sample = Sample(key="a", image=image)
    found = MaskNetwork.open(brightness(tmp_path), None, 1).with_masks(sample, finds(seen, dark))
    assert np.unique(found.layers["instances"]).tolist() == [0, 1]
    side = sidecar_of(found, sample, ["person"], 0.5)
    people = together({"onnx": Look(side, 0.5)}, SIZE, Policy())
    areas = sorted(one.region.area_px for one in people)
    assert areas[0] < 0.7 * 40 * 90
    assert areas[1] >= 40 * 90


def test_what_lies_around_a_box_is_no_mask_of_whom_it_is_about(tmp_path):
    box = RotatedBox(100.0, 80.0, 40.0, 90.0, 20.0)
    inner = RotatedBox(box.cx, box.cy, box.w - 4, box.h - 4, box.degrees)
    dark = cv2.fillConvexPoly(np.zeros(SIZE[::-1], np.uint8), np.round(inner.corners_px() - 0.5).astype(np.int32), 1)
    image = np.where(dark[..., None] > 0, np.uint8(20), np.uint8(250)).repeat(3, axis=2)
    sample = Sample(key="a", image=image)
    found = MaskNetwork.open(brightness(tmp_path), None, 1).with_masks(sample, finds(box))
    (person,) = together({"onnx": Look(sidecar_of(found, sample, ["person"], 0.5), 0.5)}, SIZE, Policy())
    assert person.region.on(SIZE)[dark > 0].all()


def test_the_detector_has_masks_when_a_network_is_named(tmp_path):
    rows = np.array([[[100, 80, 40, 90, 0.9, 0.9]]], np.float32)
    net = save(constant_outputs([1, 3, 160, 200], {"o": rows}), tmp_path / "net.onnx")
    (tmp_path / "net.toml").write_text(
        'classes = ["person"]\ninput = { name = "image", size_px = [200, 160] }\n[output.yolo]\nrows = "o"\n'
    )
    image, people = bar(RotatedBox(100.0, 80.0, 40.0, 90.0, 0.0))
    options = {"model": str(net), "masks": str(brightness(tmp_path / "masks"))}
    with discover().build(ComponentSpec("detector", "onnx", options), Runtime(Seeds(0), tmp_path, threads=1)) as looks:
        (found,) = looks.detect([Sample(key="a", image=image)])
    mask = found.layers["instances"] == 1
    assert (mask & people).sum() / (mask | people).sum() > 0.8


def test_what_is_no_network_of_masks_is_told(tmp_path):
    box = RotatedBox(90.0, 70.0, 40.0, 90.0, 0.0)
    sample = Sample(key="a", image=bar(box)[0])
    with pytest.raises(WeightsError, match=r"expected probabilities; of logits its card tells logits = true"):
        MaskNetwork.open(brightness(tmp_path, sigmoid=False), None, 1).with_masks(sample, finds(box))
    logits = MaskNetwork.open(brightness(tmp_path, CARD + "logits = true\n", sigmoid=False), None, 1)
    assert logits.with_masks(sample, finds(box)).layers["instances"].any()
    flat = save(constant_outputs([1, 3, 48, 24], {"m": np.zeros((1, 7))}), tmp_path / "flat.onnx")
    (tmp_path / "flat.toml").write_text(CARD)
    with pytest.raises(WeightsError, match=r"gives \(1, 7\) for a crop"):
        MaskNetwork.open(flat, None, 1).with_masks(sample, finds(box))
    (tmp_path / "flat.toml").unlink()
    with pytest.raises(WeightsError, match=r"no card beside it; write flat\.toml .*detector\.masks_card"):
        MaskNetwork.open(flat, None, 1)
    with pytest.raises(ConfigError, match="masks_card: decides nothing unless masks is given"):
        discover().configure(ComponentSpec("detector", "onnx", {"model": "a.onnx", "masks_card": "a.toml"}))
