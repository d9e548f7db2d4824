# SPDX-License-Identifier: Apache-2.0
"""Networks of the user's own: whatever is wrong with a file or a class is told in one line that names it."""

from __future__ import annotations

import sys

import numpy as np
import onnx
import pytest
from made_onnx import model, save
from onnx import TensorProto, helper

from synthkit import own_networks
from synthkit.deployment import files
from synthkit.errors import ConfigError, WeightsError
from synthkit.own_networks import OnnxNetwork

torch = pytest.importorskip("torch")

CLASSES = """
import torch

class Mean(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))
    def forward(self, pixels):
        return (pixels.mean(dim=(2, 3)) * self.scale).half()

class Raising(Mean):
    def forward(self, pixels):
        raise ZeroDivisionError("first line\\nof no colour")

class Pair(Mean):
    def forward(self, pixels):
        return pixels, pixels

class Complex(Mean):
    def forward(self, pixels):
        return pixels.to(torch.complex64)

class Half(Mean):
    def __init__(self):
        super().__init__()
        self.register_buffer("short", torch.ones(3, dtype=torch.bfloat16))

class Lazy(Mean):
    def __init__(self):
        super().__init__()
        self.last = torch.nn.LazyLinear(2)

class Extra(Mean):
    def get_extra_state(self):
        return {"threshold": 1}

class Drawn(Mean):
    def __init__(self):
        super().__init__()
        self.last = torch.nn.Linear(3, 2)

class Unmade(Mean):
    def __init__(self):
        raise RuntimeError
"""


@pytest.fixture
def classes(tmp_path, monkeypatch):
    (tmp_path / "own_classes.py").write_text(CLASSES)
    monkeypatch.syspath_prepend(tmp_path)
    yield lambda name, path=None: own_networks.made(f"own_classes:{name}", "extractor", path)
    sys.modules.pop("own_classes", None)


def identity(network):
    return own_networks.sha256_of("own_classes:It", network)


def test_a_class_gives_float32_and_is_known_by_its_tensors(classes, tmp_path):
    network = classes("Mean")
    found = own_networks.run(network, torch.full((2, 3, 4, 4), 0.5), "mine")
    assert found.dtype == torch.float32
    assert found.tolist() == [[0.5] * 3] * 2
    torch.save({"scale": torch.full((1,), 2.0), "head": torch.zeros(1)}, tmp_path / "twice.pth")
    twice = classes("Mean", tmp_path / "twice.pth")
    assert own_networks.run(twice, torch.ones(1, 3, 2, 2), "mine").tolist() == [[2.0] * 3]
    assert identity(network) == identity(classes("Mean"))
    assert identity(network) != identity(twice)


def test_tensors_that_are_drawn_are_drawn_alike(classes):
    """Parts that were looked at apart, and metrics that share features, are compared in one network."""
    torch.manual_seed(7)
    following = torch.rand(1)
    torch.manual_seed(7)
    first, second = classes("Drawn"), classes("Drawn")
    assert identity(first) == identity(second)
    assert torch.rand(1) == following


def test_a_class_that_was_written_anew_is_another_network(classes, tmp_path):
    before = identity(classes("Mean"))
    (tmp_path / "own_classes.py").write_text(CLASSES.replace("mean(dim=(2, 3))", "amax(dim=(2, 3))"))
    sys.modules.pop("own_classes")
    assert identity(classes("Mean")) != before


def test_tensors_of_types_that_numpy_lacks_are_known_as_well(classes):
    half, other = classes("Half"), classes("Half")
    assert identity(half) == identity(other)
    other.short[0] = 2
    assert identity(half) != identity(other)


@pytest.mark.parametrize(("name", "part"), [("Lazy", r"last\.weight"), ("Extra", "_extra_state")])
def test_classes_whose_state_is_no_tensors(classes, name, part):
    with pytest.raises(ConfigError, match=rf"^extractor: own_classes:{name}: its {part} is no plain tensor"):
        classes(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Raising", r"^mine: fails on pictures \(1, 3, 8, 8\): of no colour$"),
        ("Pair", r"^mine: gives tuple, expected a tensor of real numbers$"),
        ("Complex", r"^mine: gives torch\.complex64, expected"),
    ],
)
def test_classes_that_fail_say_so(classes, name, message):
    with pytest.raises(WeightsError, match=message):
        own_networks.run(classes(name), torch.zeros(1, 3, 8, 8), "mine")


def test_classes_that_cannot_be_had(classes, tmp_path):
    with pytest.raises(ConfigError, match=r"^extractor: own_classes:Unmade cannot be made: RuntimeError$"):
        classes("Unmade")
    with pytest.raises(ConfigError, match="has no attribute 'Absent'"):
        classes("Absent")
    with pytest.raises(ConfigError, match=r"collections:OrderedDict is no torch\.nn\.Module"):
        own_networks.made("collections:OrderedDict", "extractor", None)
    torch.save({"scale": torch.ones(2)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"other\.pth: are not of own_classes:Mean: size mismatch"):
        classes("Mean", tmp_path / "other.pth")


PIXELS = {"pixels": [1, 3, 4, 4]}
VECTOR = {"vector": [1, 3]}


def opened(folder, made):
    return OnnxNetwork.open(save(made, folder / "net.onnx"), "extractor", 1)


def test_an_onnx_file_gives_float32_whatever_its_numbers_are(tmp_path):
    made = model(
        [helper.make_node("ReduceSum", ["pixels"], ["sum"], keepdims=0),
         helper.make_node("Cast", ["sum"], ["whole"], to=TensorProto.INT64)],
        PIXELS, {"whole": ([], TensorProto.INT64)},
    )  # fmt: skip
    network = opened(tmp_path, made)
    found = network.run(np.ones((1, 3, 4, 4), np.float32), "whole")
    assert (network.one_by_one, found.dtype, float(found)) == (True, np.float32, 48.0)


def test_onnx_files_whose_outputs_are_no_numbers(tmp_path):
    cast = helper.make_node("Cast", ["pixels"], ["texts"], to=TensorProto.STRING)
    texts = opened(tmp_path, model([cast], PIXELS, {"texts": ([1, 3, 4, 4], TensorProto.STRING)}))
    with pytest.raises(WeightsError, match=r"net\.onnx: its output 'texts' is object, expected an array of numbers"):
        texts.run(np.ones((1, 3, 4, 4), np.float32), "texts")
    graph = helper.make_graph(
        [helper.make_node("SequenceConstruct", ["pixels"], ["list"])], "made",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [1, 3, 4, 4])],
        [helper.make_tensor_sequence_value_info("list", TensorProto.FLOAT, None)],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(WeightsError, match="its output 'list' is list, expected"):
        opened(tmp_path, made).run(np.ones((1, 3, 4, 4), np.float32), "list")


def test_onnx_files_that_take_other_things_than_pictures(tmp_path):
    add = helper.make_node("Add", ["pixels", "more"], ["vector"])
    with pytest.raises(WeightsError, match="has the inputs pixels, more; an extractor has one, pictures"):
        opened(tmp_path, model([add], PIXELS | {"more": [1]}, {"vector": [1, 3, 4, 4]}))
    constant = helper.make_node(
        "Constant", [], ["vector"], value=helper.make_tensor("v", TensorProto.FLOAT, [3], [1] * 3)
    )
    with pytest.raises(WeightsError, match="has no input; an extractor has one, pictures"):
        opened(tmp_path, model([constant], {}, {"vector": [3]}))
    network = opened(tmp_path, model([helper.make_node("Flatten", ["pixels"], ["vector"])], {"pixels": [1, 12]},
                                     {"vector": [1, 12]}))  # fmt: skip
    with pytest.raises(WeightsError, match=r"net\.onnx: ONNX Runtime cannot run it: .*[Ii]nvalid rank"):
        network.run(np.ones((1, 3, 2, 2), np.float32), "vector")


def test_an_onnx_file_that_is_too_large_is_told_with_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_MODEL_BYTES", 1 << 20)
    weight = np.zeros((1 << 18, 2), np.float32)
    made = model([helper.make_node("Add", ["pixels", "w"], ["vector"])], {"pixels": [1, 2]}, VECTOR, {"w": weight})
    onnx.save(made, tmp_path / "net.onnx")
    with pytest.raises(WeightsError, match=r"net\.onnx: is larger than 1 MiB, too large for an extractor"):
        OnnxNetwork.open(tmp_path / "net.onnx", "extractor", 1)
