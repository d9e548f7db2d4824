# SPDX-License-Identifier: Apache-2.0
"""Detectors on their way to a device: opening files, rewriting, budgets, findings, cards, decoding, comparing."""

from __future__ import annotations

import contextlib
import json
import math

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_onnx import constant_outputs, model
from onnx import TensorProto, helper

from synthkit.cli import export as export_command
from synthkit.deployment import passes
from synthkit.deployment.budget import budget
from synthkit.deployment.cards import InputCard, parse_card, read_card
from synthkit.deployment.decoding import anchor_boxes, decode
from synthkit.deployment.exporting import Wishes
from synthkit.deployment.files import OnnxFile
from synthkit.deployment.linting import lint, quantisation_of
from synthkit.deployment.overlaps import around, iou_table
from synthkit.deployment.parity import compare
from synthkit.deployment.profiles import PROFILES
from synthkit.deployment.quantising import network_layers, quantise
from synthkit.deployment.runner import Runner
from synthkit.errors import ConfigError, WeightsError, WorkError
from synthkit.letterbox import Letterbox
from synthkit.sample import Detections

INPUT = {"name": "image", "size_px": [32, 32]}


def run(made, **inputs):
    return onnxruntime.InferenceSession(made.SerializeToString()).run(None, inputs)


def float32(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32)


def fire():
    """Return a padded convolution, a fire module's concatenation and a pooling, as torch writes them."""
    nodes = [
        helper.make_node("Pad", ["image", "around"], ["padded"], name="pad"),
        helper.make_node(
            "Conv", ["padded", "a.weight", "a.bias"], ["a"], name="n0", kernel_shape=[3, 3], strides=[2, 2]
        ),
        helper.make_node("Relu", ["a"], ["a_r"], name="n1"),
        helper.make_node("MaxPool", ["a_r"], ["pooled"], name="n2", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
        helper.make_node("Conv", ["pooled", "b.weight"], ["b"], name="n3", kernel_shape=[1, 1]),
        helper.make_node("Conv", ["pooled", "c.weight"], ["c"], name="n4", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Concat", ["b", "c"], ["bc"], name="n5", axis=1),
        helper.make_node("Relu", ["bc"], ["wide"], name="n6"),
        helper.make_node("Conv", ["wide", "d.weight"], ["out"], name="n7", kernel_shape=[1, 1]),
    ]
    weights = {
        "around": np.array([0, 0, 0, 0, 0, 0, 1, 1]), "a.weight": float32(4, 3, 3, 3), "a.bias": float32(4),
        "b.weight": float32(5, 4, 1, 1), "c.weight": float32(5, 4, 3, 3), "d.weight": float32(2, 10, 1, 1),
    }  # fmt: skip
    return model(nodes, {"image": [1, 3, 32, 32]}, {"out": [1, 2, 8, 8]}, weights, opset=18)


def rewritten():
    made = fire()
    for rewrite in (passes.fold_pads, passes.explicit_pools, passes.relu_before_concat, passes.name_by_weights):
        rewrite(made)
    passes.lower(made, 17)
    return made


def test_rewriting_changes_no_value():
    torn, image = rewritten(), float32(1, 3, 32, 32)
    onnx.checker.check_model(torn, full_check=True)
    assert run(torn, image=image)[0] == pytest.approx(run(fire(), image=image)[0], abs=1e-5)
    assert (torn.ir_version, torn.opset_import[0].version) == (8, 17)
    kinds = [node.op_type for node in torn.graph.node]
    assert "Pad" not in kinds
    assert kinds.index("Concat") > max(place for place, kind in enumerate(kinds) if kind == "Relu")
    assert not any(item.name == "ceil_mode" and item.i for node in torn.graph.node for item in node.attribute)
    assert [node.name for node in torn.graph.node if node.op_type == "Conv"] == ["a", "b", "c", "d"]


def test_reductions_of_newer_opsets_are_said_in_older_words():
    nodes = [helper.make_node("ReduceMax", ["image", "axes"], ["out"], keepdims=0, noop_with_empty_axes=0)]
    made = model(nodes, {"image": [1, 3, 4, 4]}, {"out": [1, 4, 4]}, {"axes": np.array([1])}, opset=18)
    image = float32(1, 3, 4, 4)
    passes.lower(made, 13)
    onnx.checker.check_model(made, full_check=True)
    assert np.array_equal(run(made, image=image)[0], image.max(axis=1))


def test_what_an_older_opset_does_not_have_is_told():
    made = model([helper.make_node("Mish", ["image"], ["out"])], {"image": [1, 3]}, {"out": [1, 3]}, opset=18)
    with pytest.raises(WorkError, match="Mish"):
        passes.lower(made, 17)


def quantised(scheme="per-channel", ranges=None):
    batches = [float32(1, 3, 32, 32, seed=seed) for seed in range(3)]
    return quantise(rewritten().SerializeToString(), "image", batches, scheme, ranges or {})


def test_eight_bits_stay_near_and_are_repeatable():
    data = quantised()
    assert quantised() == data
    exact, image = rewritten(), float32(1, 3, 32, 32)
    ours = run(onnx.load_model_from_string(data), image=image)[0]
    wanted = run(exact, image=image)[0]
    assert np.abs(ours - wanted).mean() < 0.05 * np.abs(wanted).mean()


def test_known_ranges_are_taken():
    file = OnnxFile.parse(quantised(ranges={"image": (0.0, 255.0)}))
    (entry,) = [node for node in file.model.graph.node if node.op_type == "QuantizeLinear" and node.input[0] == "image"]
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in file.model.graph.initializer}
    assert (values[entry.input[1]], values[entry.input[2]]) == (1.0, -128)


def test_only_the_network_is_quantised():
    nodes = [
        helper.make_node("Mul", ["image", "half"], ["scaled"], name="before"),
        helper.make_node("Conv", ["scaled", "w"], ["c"], name="conv"),
        helper.make_node("Sigmoid", ["c"], ["s"], name="behind"),
        helper.make_node("Concat", ["s", "s"], ["out"], name="after", axis=1),
    ]
    weights = {"half": np.array(0.5, np.float32), "w": float32(2, 3, 1, 1)}
    made = model(nodes, {"image": [1, 3, 4, 4]}, {"out": [1, 4, 4, 4]}, weights)
    assert network_layers(made) == ["before", "conv", "behind"]


def test_a_budget_by_hand():
    file = OnnxFile.parse(rewritten().SerializeToString())
    found = budget(file, InputCard(**{**INPUT, "size_px": (32, 32)}))
    assert found.parameters == 4 * 27 + 4 + 5 * 4 + 5 * 36 + 2 * 10
    assert found.macs == 16 * 16 * 4 * 27 + 8 * 8 * (5 * 4 + 5 * 36 + 2 * 10)
    # At the first convolution: 3 x 32 x 32 go in, 4 x 16 x 16 come out, 4 bytes each.
    assert found.peak_activation_bytes == 4 * (3 * 1024 + 4 * 256)
    assert found.peak_operator == "a"
    assert found.weight_bytes == 4 * found.parameters
    assert found.operators == {"Concat": 1, "Conv": 4, "MaxPool": 1, "Relu": 3}


def test_a_budget_in_eight_bits():
    found = budget(OnnxFile.parse(quantised()), InputCard(**{**INPUT, "size_px": (32, 32)}))
    assert found.peak_activation_bytes == 3 * 1024 + 4 * 256
    assert found.parameters >= 4 * 27 + 4 + 5 * 4 + 5 * 36 + 2 * 10


def findings(made, profile):
    data = made if isinstance(made, bytes) else made.SerializeToString()
    return [str(finding) for finding in lint(OnnxFile.parse(data), PROFILES[profile])]


def test_files_for_each_device_have_no_finding():
    assert findings(rewritten(), "any") == []
    assert findings(rewritten(), "hailo") == []
    assert findings(rewritten(), "litert") == []
    assert findings(rewritten(), "ti") == []
    assert findings(quantised("per-channel"), "stm32n6") == []
    assert findings(quantised("per-tensor"), "stm32mp2") == []
    assert quantisation_of(OnnxFile.parse(quantised("per-tensor"))) == "per-tensor"


@pytest.mark.parametrize(
    ("made", "profile", "what", "remedy"),
    [
        (lambda: model([helper.make_node("Relu", ["i"], ["o"])], {"i": [1]}, {"o": [1]}, opset=20), "any", "opset 20",
         "--opset 17"),
        (lambda: model([helper.make_node("Relu", ["i"], ["o"])], {"i": [1]}, {"o": [1]}, ir=10), "any", "IR version 10",
         "ir_version = 8"),
        (lambda: model([helper.make_node("Relu", ["i"], ["o"])], {"i": ["n"]}, {"o": ["n"]}), "hailo", "not fixed",
         "without --dynamic"),
        (lambda: model([helper.make_node("Relu", ["i"], ["o"])], {"i": [4, 2]}, {"o": [4, 2]}), "ti", "4 images",
         "one image"),
        (lambda: model([helper.make_node("Exp", ["i"], ["o"])], {"i": [1]}, {"o": [1]}), "stm32n6", "Exp (1)",
         "--variant network"),
        (rewritten, "stm32n6", "weights are float", "--int8 --calibrate"),
        (lambda: quantised("per-channel"), "stm32mp2", "weights are per-channel", "--per-tensor"),
        (lambda: quantised("per-channel"), "hailo", "quantised already", "without --int8"),
        (fire, "any", "ceil_mode", "pad at the end"),
        (lambda: model([helper.make_node("Gelu", ["i"], ["o"], domain="com.microsoft")], {"i": [1]}, {"o": [1]},
                       imports=[helper.make_opsetid("com.microsoft", 1)]), "any", "com.microsoft:Gelu", "QDQ"),
    ],
)  # fmt: skip
def test_what_stands_in_the_way_is_told_with_what_to_do(made, profile, what, remedy):
    found = [line for line in findings(made(), profile) if what in line]
    assert found
    assert all(remedy in line for line in found)


def test_the_command_lists_the_profiles_there_are():
    assert export_command._PROFILES.split(", ") == list(PROFILES)


def looping():
    inner = helper.make_graph([helper.make_node("Identity", ["c"], ["d"])], "g",
                              [helper.make_tensor_value_info("i", TensorProto.INT64, []),
                               helper.make_tensor_value_info("c", TensorProto.BOOL, [])],
                              [helper.make_tensor_value_info("d", TensorProto.BOOL, [])])  # fmt: skip
    return model([helper.make_node("Loop", ["", "go"], [], body=inner)], {"go": ([1], TensorProto.BOOL)}, {})


def with_external_data(where):
    made = rewritten()
    tensor = made.graph.initializer[0]
    if where == "attribute":
        inner = helper.make_graph([], "g", [], [])
        inner.initializer.append(tensor)
        made.graph.node.append(helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner))
        made.graph.initializer.remove(tensor)
        tensor = made.graph.node[-1].attribute[0].g.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    return made


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: with_external_data("graph"), "weights in other files"),
        (lambda: with_external_data("attribute"), "weights in other files"),
        (looping, "may run for ever"),
        (lambda: model([helper.make_node("Evil", ["i"], ["o"], domain="evil")], {"i": [1]}, {"o": [1]}), "evil:Evil"),
    ],
)
def test_files_that_could_do_harm_are_refused(made, message):
    with pytest.raises(ValueError, match=message):
        OnnxFile.parse(made().SerializeToString())


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=64), st.integers(0, 10_000), st.integers(0, 255))
def test_damaged_files_are_told(noise, place, value):
    data = bytearray(constant_outputs([1, 3, 8, 8], {"a": np.zeros((1, 2))}).SerializeToString())
    data[place % len(data)] = value
    for damaged in (noise, bytes(data), bytes(data[: place % len(data)])):
        with contextlib.suppress(ValueError):
            OnnxFile.parse(damaged)


CARD = {
    "classes": ["person"],
    "input": INPUT,
    "output": {"anchors": {"anchors": [[8, 16]], "stride": 16}},
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"output": {}}, "give one of boxes, anchors, yolo"),
        ({"output": {"boxes": {}, "yolo": {"rows": "o"}}}, "boxes and yolo"),
        ({"classes": []}, "different names"),
        ({"input": {"name": "x", "size_px": [10**6, 4]}}, "input.size_px"),
        ({"input": {**INPUT, "deviation": [0.0, 1.0, 1.0]}}, "none of its values may be 0"),
        ({"input": {**INPUT, "dtype": "uint8", "mean": [1.0, 1.0, 1.0]}}, "no mean"),
        ({"output": {"anchors": {"anchors": [[8, 16]] * 100}}}, "1 to 64"),
        ({"outputs": {}}, "did you mean 'output'"),
        ({"most": 10**9}, "between 1 and 2000"),
    ],
)
def test_cards_that_make_no_sense_are_told(change, message):
    with pytest.raises(ConfigError) as told:
        parse_card({**CARD, **change}, "here")
    assert message in str(told.value)
    assert str(told.value).startswith("here: ")


@pytest.mark.parametrize("text", ["", "[", '{"detector": 3}', "[" * 100_000, "\x00\xff"])
def test_files_that_are_no_cards_are_told(tmp_path, text):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(ConfigError, match=r"c\.json"):
        read_card(tmp_path / "c.json")


def test_cards_are_read_from_toml_and_json(tmp_path):
    (tmp_path / "c.json").write_text(json.dumps({"detector": CARD, "else": 1}))
    (tmp_path / "c.toml").write_text(
        'classes = ["person"]\ninput = { name = "image", size_px = [32, 32] }\n'
        "[output.anchors]\nanchors = [[8, 16]]\nstride = 16\n"
    )
    assert read_card(tmp_path / "c.json") == read_card(tmp_path / "c.toml") == parse_card(CARD, "")


def detected(card, made, size_px=(32, 32)):
    runner = Runner.of(parse_card(card, "made"), made.SerializeToString(), "made")
    return runner.detect("key", np.zeros((size_px[1], size_px[0], 3), np.uint8))


def test_anchors_are_decoded_by_hand():
    confidence, deltas = np.zeros((1, 1, 2, 2)), np.zeros((1, 4, 2, 2))
    confidence[0, 0, 1, 0] = 0.75
    deltas[0, :, 1, 0] = [0.5, -0.25, math.log(0.5), 2.0]
    found = detected(CARD, constant_outputs([1, 3, 32, 32], {"confidence": confidence, "deltas": deltas}))
    # The cell's middle is (8, 24); moved by half of 8 and a quarter of 16; 8 / 2 wide, 16 e 2 high, clipped.
    assert found.boxes_xyxy_px == pytest.approx(np.array([[10.0, 0.0, 14.0, 32.0]]))
    assert found.scores == pytest.approx([0.75])


def test_images_of_another_size_get_boxes_in_their_own_pixels():
    confidence = np.zeros((1, 1, 2, 2))
    confidence[0, 0, 0, 1] = 0.5
    made = constant_outputs([1, 3, 32, 32], {"confidence": confidence, "deltas": np.zeros((1, 4, 2, 2))})
    found = detected(CARD, made, (128, 64))  # a quarter, and 8 pixels of black above
    assert found.boxes_xyxy_px == pytest.approx(np.array([[80.0, 0.0, 112.0, 32.0]]))


def test_classes_multiply_the_confidence():
    card = {**CARD, "classes": ["a", "b"], "output": {"anchors": {**CARD["output"]["anchors"], "classes": "logits"}}}
    confidence, logits = np.zeros((1, 1, 2, 2)), np.zeros((1, 2, 2, 2))
    confidence[0, 0, 0, 0] = 0.5
    logits[0, :, 0, 0] = [0.0, math.log(3.0)]
    arrays = {"confidence": confidence, "deltas": np.zeros((1, 4, 2, 2)), "logits": logits}
    found = detected(card, constant_outputs([1, 3, 32, 32], arrays))
    assert found.scores == pytest.approx([0.375])
    assert found.labels.tolist() == [1]


def test_rotated_boxes_keep_their_angle():
    card = {**CARD, "output": {"anchors": {"anchors": [[8, 8]], "boxes": "rotated"}}}
    confidence, deltas = np.zeros((1, 1, 2, 2)), np.zeros((1, 6, 2, 2))
    confidence[0, 0, 0, 0] = 0.5
    deltas[0, :, 0, 0] = [0, 0, math.log(2.0), 0, 0, 1]  # twice as wide as high, so its sides change places
    found = detected(card, constant_outputs([1, 3, 32, 32], {"confidence": confidence, "deltas": deltas}), (64, 64))
    assert found.rotated_boxes == pytest.approx(np.array([[16.0, 16.0, 16.0, 32.0, -45.0]]))
    assert found.boxes_xyxy_px == pytest.approx(np.array([[0.0, 0.0, 32.97, 32.97]]), abs=0.01)


def rows(*table):
    return np.array([table], np.float32)


def test_rows_of_the_yolo_family():
    one, two = [10, 10, 8, 8, 0.9, 0.8, 0.1], [11, 10, 8, 8, 0.8, 0.8, 0.1]
    card = {"classes": ["a", "b"], "input": INPUT, "output": {"yolo": {"rows": "o"}}}
    found = detected(card, constant_outputs([1, 3, 32, 32], {"o": rows(one, two, [24, 24, 4, 4, 0.5, 0.2, 0.6])}))
    assert found.boxes_xyxy_px == pytest.approx(np.array([[6, 6, 14, 14], [22, 22, 26, 26]]))
    assert found.scores == pytest.approx([0.72, 0.3])
    assert found.labels.tolist() == [0, 1]


def test_transposed_rows_without_objectness_and_classes_that_do_not_matter():
    table = rows([10, 10, 8, 8, 0.9, 0.1], [20, 20, 8, 8, 0.1, 0.9])
    card = {"classes": ["a"], "input": INPUT,
            "output": {"yolo": {"rows": "o", "transposed": True, "objectness": False}}}  # fmt: skip
    found = detected(card, constant_outputs([1, 3, 32, 32], {"o": table.transpose(0, 2, 1)}))
    assert found.boxes_xyxy_px == pytest.approx(np.array([[6, 6, 14, 14]]))


def test_rows_over_grids():
    table = np.zeros((1, 4 + 1, 6), np.float32)
    table[0, 3] = [0.5, 0.5, 0.0, math.log(0.5), 1.0, 0.5]  # the last cell of stride 16
    card = {"classes": ["a"], "input": INPUT, "output": {"yolo": {"rows": "o", "strides": [16, 32]}}}
    found = detected(card, constant_outputs([1, 3, 32, 32], {"o": table}))
    assert found.boxes_xyxy_px == pytest.approx(np.array([[16.0, 20.0, 32.0, 28.0]]))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"confidence": np.zeros((1, 1, 2, 2)), "other": np.zeros((1, 4, 2, 2))}, "no output 'deltas'"),
        ({"confidence": np.zeros((1, 1, 2, 2)), "deltas": np.zeros((1, 5, 2, 2))}, "output deltas"),
        ({"confidence": np.zeros((1, 1, 3, 2)), "deltas": np.zeros((1, 4, 3, 2))}, "cells"),
        ({"confidence": np.zeros((1, 2)), "deltas": np.zeros((1, 4, 2, 2))}, "4 axes"),
        ({"confidence": np.full((1, 1, 2, 2), np.nan), "deltas": np.zeros((1, 4, 2, 2))}, "not finite"),
    ],
)
def test_outputs_that_are_not_what_the_card_tells(arrays, message):
    with pytest.raises(WeightsError, match=message):
        detected(CARD, constant_outputs([1, 3, 32, 32], arrays))


def test_inputs_that_are_not_what_the_card_tells():
    made = constant_outputs([1, 3, 64, 32], {"confidence": np.zeros((1, 1, 2, 2))})
    with pytest.raises(WeightsError, match=r"float32 \[1, 3, 32, 32\]"):
        detected(CARD, made)
    with pytest.raises(WeightsError, match="tells 'pixels' alone"):
        detected({**CARD, "input": {"name": "pixels", "size_px": [32, 32]}}, made)


def test_rotated_overlaps_equal_opencvs():
    boxes = np.random.default_rng(5).uniform([10, 10, 2, 5, -90], [30, 30, 12, 25, 90], (40, 5))
    boxes[0] = boxes[1]
    table = iou_table(boxes, boxes)
    assert table.diagonal() == pytest.approx(1.0, abs=1e-3)
    for row, one in enumerate(boxes[:8]):
        for column, other in enumerate(boxes):
            kind, corners = cv2.rotatedRectangleIntersection(
                *((tuple(b[:2]), tuple(b[2:4]), float(b[4])) for b in (one, other))
            )
            shared = 0.0 if kind == cv2.INTERSECT_NONE else cv2.contourArea(cv2.convexHull(corners))
            union = one[2] * one[3] + other[2] * other[3] - shared
            assert table[row, column] == pytest.approx(shared / union, abs=2e-3)


def test_boxes_around_rotated_ones():
    assert around(np.array([[50.0, 50.0, 20.0, 40.0, 90.0]]), (100, 100)) == pytest.approx(np.array([[30, 40, 70, 60]]))


def finds(*found):
    table = np.array(found, np.float32).reshape(-1, 5)
    return Detections("k", table[:, :4], table[:, 4], np.zeros(len(table), np.int32))


def test_finds_are_compared_by_hand():
    ours = [finds([0, 0, 10, 10, 0.9], [50, 50, 60, 60, 0.5]), finds()]
    theirs = [finds([0, 0, 10, 8, 0.8], [50, 50, 60, 60, 0.2]), finds([0, 0, 5, 5, 0.6])]
    found = compare(ours, theirs, 0.3)
    # Three boxes of ours and theirs have a like (0.2 is below half of 0.3 nowhere), one of theirs has none.
    assert (found.images, found.boxes) == (2, 4)
    assert found.matched == pytest.approx(0.75)
    assert found.least_iou == pytest.approx(0.8)
    assert found.largest_score_difference == pytest.approx(0.3)


def test_nothing_found_is_alike():
    assert compare([finds()], [finds()], 0.3).matched == 1.0
    assert compare([finds([0, 0, 5, 5, 0.6])], [finds()], 0.3).matched == 0.0


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"int8": True}, "--int8: needs --calibrate"),
        ({"profile": "stm32n6"}, "--profile stm32n6: needs --calibrate"),
        ({"profile": "stm32"}, "is not known; there are any, stm32n6"),
        ({"per_tensor": True, "calibrate": "x"}, "--per-tensor: is for --int8"),
        ({"calibrate": "x"}, "--calibrate: is for --int8"),
        ({"profile": "hailo", "dynamic": True}, "--dynamic: the toolchain of hailo"),
        ({"opset": 99}, "--opset 99"),
    ],
)
def test_wishes_that_do_not_go_together(wishes, message):
    with pytest.raises(ConfigError, match=message):
        Wishes(**wishes).resolved()


def test_profiles_decide_what_is_not_said():
    profile, form, scheme = Wishes(profile="stm32mp2", calibrate="x").resolved()
    assert (profile.name, form.variant, scheme) == ("stm32mp2", "network", "per-tensor")
    assert Wishes(profile="hailo").resolved()[2] == "float"
    assert Wishes().resolved()[1].variant == "complete"


def test_ways_to_fit_an_image():
    image = np.full((10, 20, 3), 200, np.uint8)
    corner = Letterbox((20, 10), (40, 40), "corner", 114)
    assert (corner.scale_xy, corner.offset_px) == ((2.0, 2.0), (0, 0))
    laid = corner.apply(image)
    assert (laid[:20].min(), laid[20:].max()) == (200, 114)
    assert Letterbox((20, 10), (40, 40), "stretch").apply(image).min() == 200
    assert Letterbox((20, 10), (40, 40), "stretch").scale_xy == (2.0, 4.0)
    assert Letterbox((20, 10), (40, 40)).offset_px == (0, 10)


def test_published_centres():
    card = parse_card({**CARD, "output": {"anchors": {"anchors": [[2, 2]], "centres": "published"}}}, "")
    boxes = anchor_boxes(card.output.anchors, 2, 2, np.zeros((2, 2, 1, 4)), (32, 32))
    assert boxes[0, 1, 0] == pytest.approx([64 / 3 - 1, 32 / 3 - 1, 64 / 3 + 1, 32 / 3 + 1])
    assert decode(card, {"confidence": np.zeros((1, 1, 2, 2)), "deltas": np.zeros((1, 4, 2, 2))}).scores.size == 0
