# SPDX-License-Identifier: Apache-2.0
"""Where the fuzzing of detectors begins: proper files and cards, and hostile ones."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import onnx
import onnx_targets
from onnx import TensorProto, helper
from onnx_targets import CARD, INPUT, ROWS, made

_OWN = helper.make_opsetid("f", 1)
_ANCHORS = {"anchors": [[10.0, 14.0]], "stride": 16}
_FORMS: dict[str, Any] = {
    "yolo": {"yolo": {"rows": "rows"}},
    "boxes": {"boxes": {"count": "count"}},
    "turned boxes": {"boxes": {"boxes": "turned", "labels": None, "count": None}},
    "anchors": {"anchors": {**_ANCHORS, "anchors": [[10.0, 14.0], [4, 9]]}},
    "turned anchors": {"anchors": {"anchors": [[9, 9], [4, 9]], "deltas": "deltas_turned", "boxes": "rotated"}},
}


def _varint(value: int) -> bytes:
    parts = []
    while True:
        parts.append(value & 127 | (128 if value > 127 else 0))
        value >>= 7
        if not value:
            return bytes(parts)


def _plain(node: Any = None, **more: Any) -> Any:
    return made([node or helper.make_node("Relu", ["image"], ["o"])], {}, {"o": INPUT}, **more)


def of_size(sides: list[int], kind: str = "Expand") -> Any:
    """Return a model whose output asks for memory."""
    last = helper.make_node(kind, ["sum", "sides"], ["o"])
    if kind == "ConstantOfShape":
        last = helper.make_node(kind, ["sides"], ["o"])
    nodes = [helper.make_node("ReduceSum", ["image"], ["sum"], keepdims=0), last]
    return made(nodes, {"sides": np.array(sides, np.int64)}, {"o": sides})


def _laughs(levels: int, width: int) -> Any:
    """Return a model of functions that each call the next one several times."""
    functions = []
    for level in range(levels):
        kind, domain = (f"f{level + 1}", "f") if level < levels - 1 else ("Relu", "")
        names = ["x", *(f"t{n}" for n in range(width - 1)), "y"]
        nodes = [helper.make_node(kind, [a], [b], domain=domain) for a, b in itertools.pairwise(names)]
        opsets = [helper.make_opsetid("", 17), _OWN]
        functions.append(helper.make_function("f", f"f{level}", ["x"], ["y"], nodes, opsets))
    node = helper.make_node("f0", ["image"], ["o"], domain="f")
    return made([node], {}, {"o": INPUT}, [_OWN], functions=functions)


def _nested(depth: int) -> Any:
    graph = None
    for _ in range(depth):
        node = helper.make_node("Identity", ["image"], ["o"])
        if graph is not None:
            node = helper.make_node("If", ["yes"], ["o"], then_branch=graph, else_branch=graph)
        graph = helper.make_graph([node], "g", [], [helper.make_tensor_value_info("o", TensorProto.FLOAT, INPUT)])
    node = helper.make_node("If", ["yes"], ["o"], then_branch=graph, else_branch=graph)
    return made([node], {"yes": np.array(True)}, {"o": INPUT})


def _maps() -> Any:
    """Return a model whose output is a list of tables."""
    flat = helper.make_node("Reshape", ["image", "sides"], ["flat"])
    zipped = helper.make_node("ZipMap", ["flat"], ["rows"], domain="ai.onnx.ml", classlabels_int64s=[*range(3072)])
    model = made([flat, zipped], {"sides": np.array([1, -1])}, {"rows": [1]}, [helper.make_opsetid("ai.onnx.ml", 3)])
    value = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    model.graph.output[0].CopyFrom(helper.make_value_info("rows", helper.make_sequence_type_proto(value)))
    return model


def _quantised() -> Any:
    """Return a model with the weights of a convolution in eight bits."""
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["weights"], axis=0),
        helper.make_node("Conv", ["image", "weights"], ["o"], name="conv"),
    ]
    weights = {"w": np.ones((2, 3, 1, 1), np.int8), "scale": np.ones(2, np.float32), "zero": np.zeros(2, np.int8)}
    return made(nodes, weights, {"o": [1, 2, 32, 32]})


def _damaged() -> dict[str, Any]:
    """Return models of which one part is wrong."""
    found = {name: _quantised() for name in ("no scale", "no input", "short", "long", "of no kind", "below zero")}
    del found["no scale"].graph.node[0].input[1:]
    del found["no input"].graph.node[0].input[:]
    found["short"].graph.initializer[1].raw_data = b"\0"
    found["long"].graph.initializer[1].dims[0] = 1 << 62
    found["of no kind"].graph.initializer[1].data_type = 99
    found["below zero"].graph.initializer[2].dims[0] = -1
    found["elsewhere"] = _quantised()
    found["elsewhere"].graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    found["elsewhere"].graph.initializer[0].external_data.add(key="location", value="/etc/passwd")
    found["cyclic"] = made(
        [helper.make_node("Add", ["image", "b"], ["o"]), helper.make_node("Relu", ["o"], ["b"])], {}, {"o": INPUT}
    )
    found["other rows"] = made(
        [helper.make_node("Flatten", ["image"], ["rows"])], {}, {"rows": [1, 3072]}
    )  # of another number of axes than the card tells
    found["texts"] = made(
        [helper.make_node("Constant", [], ["rows"], value_strings=[b"a"]), helper.make_node("Relu", ["image"], ["o"])],
        {}, {"o": INPUT},
    )  # fmt: skip
    found["texts"].graph.output.append(helper.make_tensor_value_info("rows", TensorProto.STRING, [1]))
    for name, value in {"nan": np.nan, "infinite": np.inf}.items():
        add = helper.make_node("Add", ["sum", "values"], ["rows"])
        nodes = [helper.make_node("ReduceSum", ["image"], ["sum"], keepdims=0), add]
        found[name] = made(nodes, {"values": np.full_like(ROWS, value)}, {"rows": ROWS.shape})
    return found


def files() -> dict[str, bytes]:
    """Return ONNX files."""
    models = {
        "relu": _plain(),
        "quantised": _quantised(),
        "own operator": _plain(helper.make_node("Run", ["image"], ["o"], domain="evil")),
        "unknown operator": _plain(helper.make_node("Rel\x1b[2Ju", ["image"], ["o"])),
        "loop": _plain(helper.make_node("Loop", ["image"], ["o"], body=_plain().graph)),
        "laughs": _laughs(7, 10),
        "a function": _laughs(1, 3),
        "calls itself": _laughs(1, 1),
        "calls none": _laughs(2, 1),
        "nested": _nested(5),
        "nested deeply": _nested(12),
        "eight gigabytes": of_size([2, 1 << 30]),
        "exabytes": of_size([1 << 30, 1 << 30]),
        "of a constant": of_size([1 << 31], "ConstantOfShape"),
        "tables": _maps(),
        "new": _plain(),
        "no opset": _plain(),
        **_damaged(),
    }
    models["calls itself"].functions[0].node[0].CopyFrom(helper.make_node("f0", ["x"], ["y"], domain="f"))
    models["new"].ir_version = 1 << 40
    del models["no opset"].opset_import[:]
    found = {name: bytes(model.SerializeToString()) for name, model in models.items()}
    for name, card in {
        "its card": json.dumps({"detector": CARD}),
        "a deep card": "[" * 100_000,
        "a wide card": json.dumps({"detector": {**CARD, **{f"x{n}": [] for n in range(20_000)}}}),
        "a card of other things": '"x"',
    }.items():
        model = onnx.load_model_from_string(onnx_targets.model())
        model.metadata_props.add(key="synthkit.card", value=card)
        found[name] = bytes(model.SerializeToString())
    empty = b"\x0a\x00" * 1_500_000
    return found | {
        "all outputs": onnx_targets.model(),
        "nothing": b"",
        "an executable": b"MZ" * 100,
        "many empty operators": b"\x3a" + _varint(len(empty)) + empty,
        "name that is no text": found["relu"].replace(b"image", b"im\xffge"),
        "name with a line": found["relu"].replace(b"image", b"im\nge"),
        "cut": found["quantised"][:-20],
        "group": b"\x0b" + found["relu"],
        "endless number": b"\x08" + b"\xff" * 20,
    }


def _cards() -> dict[str, Any]:
    """Return cards as values."""
    found: dict[str, Any] = {name: {**CARD, "output": form} for name, form in _FORMS.items()}
    values = {"huge": 10**300, "minus": -1, "text": "x", "list": [[]], "table": {"x": 1}, "null": None, "true": True}
    for name, value in values.items():
        for key in ("classes", "input", "output", "score_threshold", "operating_score", "nms_iou", "most", "odd"):
            found[f"{key} {name}"] = {**CARD, key: value}
        for key in ("name", "size_px", "layout", "dtype", "colour", "mean", "deviation", "fit", "grey"):
            found[f"input {key} {name}"] = {**CARD, "input": {**CARD["input"], key: value}}
        for key in ("rows", "transposed", "objectness", "strides"):
            found[f"yolo {key} {name}"] = {**CARD, "output": {"yolo": {"rows": "rows", key: value}}}
        for key in ("confidence", "deltas", "classes", "anchors", "boxes", "stride", "centres"):
            found[f"anchors {key} {name}"] = {**CARD, "output": {"anchors": {**_ANCHORS, key: value}}}
    large = {**CARD, "input": {"name": "image", "size_px": [4096, 4096]}}
    return found | {
        "large": large,
        "fine grids": {**large, "output": {"yolo": {"rows": "rows", "strides": [1] * 8}}},
        "large anchors": {**CARD, "output": {"anchors": {"anchors": [[1e308, 1e308], [1e-308, 1]]}}},
        "many unknown": {**CARD, **{f"classs{n}": 1 for n in range(5000)}},
        "a long name": {**CARD, "x" * 60_000: 1},
        "many classes": {**CARD, "classes": [str(n) for n in range(2000)]},
        "uint8": {**CARD, "input": {**CARD["input"], "dtype": "uint8"}},
        "stretched": {**CARD, "input": {**CARD["input"], "fit": "stretch"}, "output": _FORMS["turned boxes"]},
        "every other": {**CARD, "most": 1, "nms_iou": 0, "score_threshold": 0, "operating_score": 1},
    }


def cards() -> dict[str, bytes]:
    """Return cards behind a byte that says how they are read."""
    found = {name: b"\0" + json.dumps(card).encode() for name, card in _cards().items()}
    number = "9" * 5000
    texts = {
        "deep": "[" * 100_000,
        "no numbers": '{"classes": NaN, "input": Infinity, "output": -Infinity}',
        "a huge number": f'{{"classes": {number}}}',
        "two of a key": '{"classes": [], "classes": ["a"]}',
        "no table": "[]",
        "no text": "\udcff",
        "larger": " " * (1 << 18),
    }
    tables = {
        "good": 'classes = ["person"]\ninput = { name = "image", size_px = [32, 32] }\n[output.yolo]\nrows = "rows"\n',
        "dots": "a." * 8000 + "a = 1",
        "more dots": "a." * 100_000 + "a = 1",
        "header": "[" + "a." * 8000 + "a]",
        "brackets": "a = " + "[" * 8000,
        "braces": "a = " + "{b=" * 4000,
        "a date": "classes = 1979-05-27T07:32:00Z",
        "a huge number": f"most = {number}",
        "infinite": "score_threshold = inf\nnms_iou = nan",
    }
    found |= {f"json {name}": b"\0" + text.encode(errors="surrogateescape") for name, text in texts.items()}
    return found | {f"toml {name}": b"\x80" + text.encode() for name, text in tables.items()}


def _exported() -> dict[str, Any]:
    """Return cards with all values told, as an export writes them."""
    from synthkit import config as configs
    from synthkit.deployment.cards import parse_card

    return {
        name: {"detector": configs.plain(parse_card({**CARD, "output": form}, "held"))} for name, form in _FORMS.items()
    }


def exported_cards() -> dict[str, bytes]:
    """Return cards as ``synthkit export`` writes them, and with one value another."""
    whole = _exported()
    found: dict[str, Any] = dict(whole)
    values = [10**300, 10**6, -1, 0, 2.5, "x", [[]], {}, None, True, float("nan")]
    for name, card in whole.items():
        inner = card["detector"]
        for number, value in enumerate(values):
            if name == "boxes":
                found |= {f"{key} {number}": {"detector": {**inner, key: value}} for key in inner}
                for key in inner["input"]:
                    found[f"input {key} {number}"] = {"detector": {**inner, "input": {**inner["input"], key: value}}}
                for key in inner["output"]:
                    found[f"output {key} {number}"] = {"detector": {**inner, "output": {**inner["output"], key: value}}}
            for kind, form in inner["output"].items():
                for key in form or ():
                    output = {**inner["output"], kind: {**form, key: value}}
                    found[f"{name} {kind} {key} {number}"] = {"detector": {**inner, "output": output}}
    return {name: json.dumps(card).encode() for name, card in found.items()} | {
        "nothing": b"",
        "no text": b"\xff",
        "deep": b"[" * 100_000,
        "no table": b"[]",
        "no detector": b"{}",
    }


def seeds(target: str) -> dict[str, bytes]:
    """Return a target's seeds by name."""
    return {"onnx_file": files, "detector_card": cards, "embedded_card": exported_cards}[target]()
