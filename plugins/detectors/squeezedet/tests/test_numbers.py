# SPDX-License-Identifier: Apache-2.0
"""Network, anchors, assignment, decoding, loss and filter against values worked by hand."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit_squeezedet.anchors import anchor_grid, assign, encode, fit_shapes, shape_iou, within_regions
from synthkit_squeezedet.decoding import Predictions, Targets, decode, filter_boxes, loss, safe_exp
from synthkit_squeezedet.network import SqueezeDet, normalize

KITTI_ANCHORS = np.array(
    [[36, 37], [366, 174], [115, 59], [162, 87], [38, 90], [258, 173], [224, 108], [78, 170], [72, 43]], float
)


NONE = torch.zeros(0, dtype=torch.int64)


@pytest.mark.parametrize(("name", "count"), [("squeezedet", 2_082_120), ("squeezedet-plus", 7_021_640)])
def test_parameters_as_published(name, count):
    with torch.device("meta"):
        assert sum(p.numel() for p in SqueezeDet(3, 9, name=name).parameters()) == count


@pytest.mark.parametrize("name", ["squeezedet", "squeezedet-plus"])
def test_output_of_the_kitti_configuration(name):
    network = SqueezeDet(3, 9, name=name).to("meta").eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 384, 1248, device="meta")).shape == (1, 16_848, 8)


def test_the_first_prediction():
    network = SqueezeDet(3, 9).eval()
    network.initialize(torch.Generator().manual_seed(0))
    with torch.inference_mode():
        first = network(torch.zeros(1, 3, 64, 48))
    assert torch.sigmoid(first[..., 3]).sub(0.5).abs().max() < 0.01
    assert first[..., 4:].abs().max() < 0.05


def test_work_of_squeezedet_plus():
    """77.1 GFLOP where nothing is padded, at 1242x375 (77.2 in the paper); here whole strides and whole borders."""
    work = []
    network = SqueezeDet(3, 9, name="squeezedet-plus").to("meta")
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(lambda own, _, out: work.append(2 * out[0].numel() * own.weight[0].numel()))
    network(torch.zeros(1, 3, 384, 1248, device="meta"))
    assert sum(work) == 83_386_368_000


def test_published_anchor_centres():
    grid = anchor_grid((1248, 384), 16, KITTI_ANCHORS, "published").reshape(24, 78, 9, 4)
    assert grid[0, 0, 0].tolist() == pytest.approx([1248 / 79, 384 / 25, 36, 37])
    assert grid[23, 77, 8].tolist() == pytest.approx([78 * 1248 / 79, 24 * 384 / 25, 72, 43])


def test_anchors_in_the_middle_of_their_cells():
    grid = anchor_grid((64, 32), 16, np.array([[10.0, 20.0]]), "cells")
    assert grid[:, :2].tolist() == [[8, 8], [24, 8], [40, 8], [56, 8], [8, 24], [24, 24], [40, 24], [56, 24]]


def test_padding_is_that_of_tensorflow():
    """A weight that looks up and left only must see the image's own first pixel, not padding."""
    network = SqueezeDet(1, 1)
    with torch.no_grad():
        network.conv1.weight.zero_()
        network.conv1.bias.zero_()
        network.conv1.weight[0, 0, 0, 0] = 1.0
    image = torch.arange(1.0, 32 * 32 + 1).reshape(1, 1, 32, 32).expand(1, 3, 32, 32)
    padded = torch.nn.functional.pad(image, (0, 1, 0, 1))
    assert network.conv1(padded)[0, 0].shape == (16, 16)
    assert network.conv1(padded)[0, 0, 0, 0].item() == 1.0


def test_each_truth_takes_its_best_free_anchor():
    anchors = np.array([[10, 10, 10, 10], [30, 10, 10, 10], [50, 10, 20, 20]], float)
    truth = np.array([[11, 10, 10, 10], [12, 10, 10, 10], [100, 100, 19, 19]], float)
    # The second truth finds its best anchor taken and overlaps no other: the nearest free one is its own.
    assert assign(truth, anchors)[1].tolist() == [0, 1, 2]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 12))
def test_no_anchor_stands_for_two(seed, count):
    generator = np.random.default_rng(seed)
    anchors = anchor_grid((64, 48), 16, np.array([[12.0, 12.0], [24.0, 30.0]]), "cells")
    truth = np.concatenate([generator.uniform(0, 60, (count, 2)), generator.uniform(2, 40, (count, 2))], axis=1)
    assert len(set(assign(truth, anchors)[1].tolist())) == count


def test_more_anchors_learn_from_each_truth_as_far_as_they_are_good_and_its_own():
    line = [[x, 10, 10, 10] for x in (10, 12, 14, 16, 30, 31)]
    anchors = np.array(line, float)
    truth = np.array([[10, 10, 10, 10], [30, 10, 10, 10]], float)
    who, chosen = assign(truth, anchors, 4)
    # Overlaps with the first: 1, 2/3, 3/7 (less than half of the best), 1/4; with the second 1 and 9/11.
    assert list(zip(who.tolist(), chosen.tolist(), strict=True)) == [(0, 0), (1, 4), (0, 1), (1, 5)]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 12), st.integers(1, 6), st.booleans())
def test_the_released_assignment_stays_first_and_no_anchor_is_taken_twice(seed, count, positives, rotated):
    generator = np.random.default_rng(seed)
    anchors = anchor_grid((64, 48), 16, np.array([[12.0, 12.0], [24.0, 30.0]]), "cells")
    truth = np.concatenate([generator.uniform(0, 60, (count, 2)), generator.uniform(2, 40, (count, 2))], axis=1)
    if rotated:
        truth = np.column_stack([truth, generator.uniform(-90, 90, count)])
    who, chosen = assign(truth, anchors, positives)
    assert chosen[:count].tolist() == assign(truth, anchors)[1].tolist()
    assert len(set(chosen.tolist())) == len(chosen)
    assert np.bincount(who, minlength=count).max(initial=0) <= positives


def test_fitted_anchors_find_the_clusters():
    generator = np.random.default_rng(0)
    clusters = np.array([[10.0, 12.0], [30.0, 30.0], [40.0, 80.0]])
    sizes = np.concatenate([centre + generator.normal(0, 0.5, (50, 2)) for centre in clusters])
    assert fit_shapes(sizes, 3, generator) == pytest.approx(clusters, abs=0.3)
    assert shape_iou(sizes, fit_shapes(sizes, 9, generator)).max(axis=1).mean() > 0.95


def test_fitting_with_fewer_sizes_than_anchors():
    shapes = fit_shapes(np.array([[20.0, 20.0]]), 9, np.random.default_rng(0))
    assert shapes.shape == (9, 2)
    assert shapes.min() == 10
    assert shapes.max() == 40


def test_sizes_that_differ_by_rounding_are_one():
    above = np.nextafter(20.0, 21.0)
    sizes = np.array([[20.0, 20.0], [above, 20.0], [20.0, above], [above, above]])
    assert len(np.unique(fit_shapes(sizes, 3, np.random.default_rng(0)), axis=0)) == 3


def test_safe_exp():
    values = safe_exp(torch.tensor([-1.0, 0.0, 1.0, 3.0]))
    assert values.tolist() == pytest.approx([math.exp(-1), 1.0, math.e, 3 * math.e])


def test_decoding_by_hand():
    raw = torch.tensor([[[2.0, 1.0, 0.0, 0.5, -0.25, math.log(0.5), 2.0]]])
    anchors = torch.tensor([[40.0, 40.0, 20.0, 16.0]])
    found = decode(raw, anchors, (100, 60))
    assert found.classes[0, 0].tolist() == pytest.approx([1 / (1 + math.exp(-1)), 1 / (1 + math.e)])
    assert found.confidence.item() == 0.5
    # centre (50, 36), width 10, height 16 * 2e = 87, clipped to the image's 60
    assert found.boxes_px[0, 0].tolist() == pytest.approx([45, 0, 55, 60])


@given(st.lists(st.floats(2, 90), min_size=4, max_size=4))
@settings(deadline=None)
def test_decoding_inverts_encoding(values):
    box = np.array([[values[0], values[1], min(values[2], 40), min(values[3], 40)]])
    anchor = np.array([[50.0, 50.0, 20.0, 20.0]])
    deltas = torch.tensor(encode(box, anchor))
    raw = torch.cat([torch.zeros(1, 2), deltas], dim=1).unsqueeze(0)
    corners = decode(raw, torch.tensor(anchor), (1000, 1000)).boxes_px[0, 0].numpy()
    wanted = np.concatenate([box[0, :2] - box[0, 2:] / 2, box[0, :2] + box[0, 2:] / 2]).clip(0)
    assert corners == pytest.approx(wanted, abs=1e-5)


def test_loss_by_hand():
    anchors = torch.tensor([[10.0, 10.0, 10.0, 10.0], [30.0, 10.0, 10.0, 10.0], [50.0, 10.0, 10.0, 10.0]])
    raw = torch.zeros(2, 3, 7)
    raw[..., 0] = math.log(3.0)  # the first of two classes has probability 3/4
    raw.requires_grad_()
    predictions = decode(raw, anchors, (64, 32))
    targets = Targets(
        image=torch.tensor([0, 0, 1]),
        anchor=torch.tensor([0, 1, 2]),
        label=torch.tensor([0, 1, 0]),
        deltas=torch.tensor([[0.1, 0, 0, 0], [0, 0.2, 0, 0], [0, 0, 0, 0.3]]),
        boxes_px=torch.tensor([[5.0, 5, 15, 15], [25, 5, 35, 10], [45, 5, 50, 15]]),
        ignored_image=NONE,
        ignored_anchor=NONE,
    )
    parts = loss(predictions, targets)
    assert parts.box.item() == pytest.approx(5 * (0.01 + 0.04 + 0.09) / 3)
    overlaps = [1.0, 0.5, 0.5]
    at_objects = 75 / 3 * sum((overlap - 0.5) ** 2 for overlap in overlaps)
    elsewhere = 100 / 1.5 * 3 * 0.25  # an image has 3 anchors, and 3 / 2 objects
    assert parts.confidence.item() == pytest.approx((at_objects + elsewhere) / 2)
    logs = [2 * math.log(0.75), 2 * math.log(0.25), 2 * math.log(0.75)]
    assert parts.classes.item() == pytest.approx(-sum(logs) / 3)
    (gradient,) = torch.autograd.grad(parts.confidence, raw)
    assert gradient[..., -4:].abs().max() == 0  # the overlap is a target


def test_ignored_anchors_teach_neither_object_nor_background():
    """Two images of three anchors: one has an object, three are ignored, that with the object among them."""
    raw = torch.zeros(2, 3, 6, requires_grad=True)
    anchors = torch.tensor([[10.0, 10.0, 10.0, 10.0], [30.0, 10.0, 10.0, 10.0], [50.0, 10.0, 10.0, 10.0]])
    targets = Targets(
        image=torch.tensor([0]),
        anchor=torch.tensor([1]),
        label=torch.tensor([0]),
        deltas=torch.zeros(1, 4),
        boxes_px=torch.tensor([[25.0, 5.0, 35.0, 15.0]]),
        ignored_image=torch.tensor([0, 0, 1]),
        ignored_anchor=torch.tensor([0, 1, 2]),
    )
    parts = loss(decode(raw, anchors, (64, 32)), targets)
    at_object, elsewhere = 75 * 0.5**2, 100 / 2.5 * 0.5**2
    assert parts.confidence.item() == pytest.approx((at_object + 3 * elsewhere) / 2)
    (gradient,) = torch.autograd.grad(parts.total, raw)
    taught = gradient.abs().sum(dim=2) > 0
    assert taught.tolist() == [[False, True, True], [True, True, False]]


def test_which_anchors_are_ignored_by_hand():
    """A crowd from (0, 0) to (20, 20), and what is left of somebody at the right edge, 2 x 20 pixels."""
    regions = np.array([[10.0, 10.0, 20.0, 20.0], [99.0, 50.0, 2.0, 20.0]])
    anchors = [
        [20, 10, 10, 10],  # half of it lies in the crowd
        [21, 10, 10, 10],  # four tenths
        [10, 10, 40, 40],  # holds all of the crowd
        [40, 20, 50, 50],  # holds 5 x 20 of it, a quarter
        [90, 50, 20, 20],  # holds all that is left of somebody
        [89, 50, 20, 20],  # half of it
        [88, 50, 20, 20],  # nothing: they touch
        [99, 65, 4, 20],  # a quarter of it
    ]
    assert within_regions(regions, np.array(anchors, float)).tolist() == [0, 2, 4, 5]
    assert within_regions(np.zeros((0, 4)), np.array(anchors, float)).shape == (0,)


def test_a_batch_without_people_has_a_loss():
    nobody = Targets(NONE, NONE, NONE, torch.zeros(0, 4), torch.zeros(0, 4), NONE, NONE)
    parts = loss(decode(torch.zeros(1, 3, 6), torch.ones(3, 4), (64, 32)), nobody)
    assert parts.box.item() == 0
    assert parts.confidence.item() == pytest.approx(100 / 2 * 3 * 0.25)


def predictions(boxes, scores, classes):
    table = torch.nn.functional.one_hot(torch.tensor(classes), 2).float()[None]
    return Predictions(table, torch.tensor([scores]), torch.zeros(1, len(scores), 4), torch.tensor([boxes]))


def test_the_dropped_still_drop_others():
    boxes = [[0.0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10], [0, 0, 10, 10], [30, 0, 40, 10]]
    found = filter_boxes(predictions(boxes, [0.9, 0.8, 0.7, 0.6, 0.001], [0, 0, 0, 1, 0]), score=0.01, overlap=0.4)
    kept, scores, labels, count = (part[0] for part in found)
    # The second is dropped by the first; the third overlaps the second alone, and yet is dropped.
    assert count.item() == 2
    assert scores.tolist() == pytest.approx([0.9, 0.6, 0, 0, 0])
    assert labels.tolist() == [0, 1, 0, 0, 0]
    assert kept[:2].tolist() == [[0, 0, 10, 10], [0, 0, 10, 10]]
    assert kept[2:].abs().max() == 0


def test_at_most_64_detections():
    boxes = [[20.0 * n, 0, 20.0 * n + 10, 10] for n in range(100)]
    found = filter_boxes(predictions(boxes, [0.5] * 100, [0] * 100), score=0.01, overlap=0.4)
    assert found[0].shape == (1, 64, 4)
    assert found[3].item() == 64


def test_normalisation():
    image = torch.tensor([124, 116, 104], dtype=torch.uint8).expand(1, 2, 2, 3)
    assert normalize(image).shape == (1, 3, 2, 2)
    assert normalize(image)[0, :, 0, 0].tolist() == pytest.approx([0.0056, -0.0049, 0.0082], abs=1e-3)


def test_weights_of_squeezenet_fit():
    torch.manual_seed(0)
    shapes = {"features.0": (64, 3, 3)}
    fires = [(3, 64, 16, 64), (4, 128, 16, 64), (6, 128, 32, 128), (7, 256, 32, 128)]
    fires += [(9, 256, 48, 192), (10, 384, 48, 192), (11, 384, 64, 256), (12, 512, 64, 256)]
    for index, channels, squeeze, expand in fires:
        shapes[f"features.{index}.squeeze"] = (squeeze, channels, 1)
        shapes[f"features.{index}.expand1x1"] = (expand, squeeze, 1)
        shapes[f"features.{index}.expand3x3"] = (expand, squeeze, 3)
    weights = {}
    for name, (out, into, side) in shapes.items():
        weights[f"{name}.weight"] = torch.randn(out, into, side, side)
        weights[f"{name}.bias"] = torch.randn(out)
    network = SqueezeDet(1, 9)
    network.load_squeezenet(weights)
    own = dict(network.named_parameters())
    assert torch.equal(own["conv1.weight"], weights["features.0.weight"])
    assert torch.equal(own["fires.fire9.expand3x3.bias"], weights["features.12.expand3x3.bias"])


def test_the_plugin_module_is_light():
    code = "import sys, synthkit_squeezedet.plugin; assert not {'torch', 'onnx', 'cv2'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
