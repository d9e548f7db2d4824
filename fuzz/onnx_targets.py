# SPDX-License-Identifier: Apache-2.0
"""What is fuzzed of detectors in ONNX files: a stranger's file, and a card beside a proper one.

As in ``targets``: bytes from nowhere, and no errors but those that are documented.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from synthkit.deployment.cards import parse_card, read_card
from synthkit.deployment.files import OnnxFile
from synthkit.deployment.linting import lint
from synthkit.deployment.profiles import PROFILES
from synthkit.deployment.runner import Runner
from synthkit.errors import SynthkitError

INPUT = [1, 3, 32, 32]
ROWS = np.array([[[10, 10, 8, 8, 0.9, 0.8], [24, 24, 4, 4, 0.5, 0.6]]], np.float32)
OUTPUTS: dict[str, Any] = {
    "rows": ROWS,
    "boxes": np.array([[[1, 2, 9, 9], [4, 4, 20, 30]]], np.float32),
    "turned": np.array([[[8, 8, 4, 9, 30], [20, 20, 4, 8, -60]]], np.float32),
    "scores": np.array([[0.9, 0.4]], np.float32),
    "labels": np.array([[0, 0]], np.float32),
    "count": np.array([2], np.float32),
    "confidence": np.linspace(0, 1, 8, dtype=np.float32).reshape(1, 2, 2, 2),
    "deltas": np.linspace(-1, 1, 32, dtype=np.float32).reshape(1, 8, 2, 2),
    "deltas_turned": np.linspace(-1, 1, 48, dtype=np.float32).reshape(1, 12, 2, 2),
}
CARD: dict[str, Any] = {
    "classes": ["person"],
    "input": {"name": "image", "size_px": [32, 32]},
    "output": {"yolo": {"rows": "rows"}},
}

_IMAGE = np.arange(40 * 24 * 3, dtype=np.uint32).astype(np.uint8).reshape(24, 40, 3)


def made(nodes: list[Any], weights: dict[str, Any], outputs: dict[str, Any], imports: Any = (), **more: Any) -> Any:
    """Return a model that takes ``image``; outputs by name, with their shapes."""
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, INPUT)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), *imports], **more)
    model.ir_version = 8
    return model


@functools.cache
def model() -> bytes:
    """Return a model that gives ``OUTPUTS``, whatever goes in."""
    nodes = [
        helper.make_node("ReduceSum", ["image"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "nought"], ["none"]),
        *(helper.make_node("Add", [f"{name}_values", "none"], [name]) for name in OUTPUTS),
    ]
    weights = {f"{name}_values": value for name, value in OUTPUTS.items()} | {"nought": np.float32(0)}
    return bytes(made(nodes, weights, {name: value.shape for name, value in OUTPUTS.items()}).SerializeToString())


def onnx_file(data: bytes) -> None:
    """Read a stranger's file, look at it for each device, run it by its own card or by one that may fit."""
    try:
        file = OnnxFile.parse(data)
    except ValueError:
        return
    for profile in PROFILES.values():
        for finding in lint(file, profile):
            assert str(finding).isprintable()
    for values in (CARD, file.card):
        with contextlib.suppress(SynthkitError):
            found = Runner.of(parse_card(values, "held"), file.data, "held").detect("a", _IMAGE)
            assert np.isfinite(found.scores).all()
            assert np.isfinite(found.boxes_xyxy_px).all()


def detector_card(data: bytes) -> None:
    """Read a card, as TOML or as JSON (the first byte says), and find by it what a proper file gives."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder, contextlib.suppress(SynthkitError):
        path = Path(folder) / ("card.json" if data[:1] < b"\x80" else "card.toml")
        path.write_bytes(data[1:])
        found = Runner.of(read_card(path), model(), "held").detect("a", _IMAGE)
        assert np.isfinite(found.scores).all()
        assert np.isfinite(found.boxes_xyxy_px).all()


def embedded_card(data: bytes) -> None:
    """Read a card as the example for devices does, which may end with a line that says what is wrong."""
    example = embedded()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        path = Path(folder) / "net.onnx"
        path.write_bytes(model())
        path.with_suffix(".json").write_bytes(data)
        _ended_in_a_line(lambda: example.Detector(path)(_IMAGE))


def _ended_in_a_line(work: Callable[[], object]) -> None:
    with contextlib.redirect_stderr(io.StringIO()):
        code: Any = ""
        try:
            work()
        except SystemExit as error:
            code = error.code
        assert isinstance(code, str)
        assert len(code.splitlines()) <= 1


@functools.cache
def embedded() -> ModuleType:
    """Return the example ``examples/embedded/detect.py``."""
    place = Path(__file__).parent.parent / "examples" / "embedded" / "detect.py"
    spec = importlib.util.spec_from_file_location("embedded_detect", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (onnx_file, detector_card, embedded_card)
}
