# SPDX-License-Identifier: Apache-2.0
"""Small ONNX models, made by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def model(nodes, inputs, outputs, weights=None, *, opset=17, ir=8, imports=()):
    """Return a model; inputs and outputs are {name: shape} of float32, or {name: (shape, type)}."""

    def values(table):
        for name, told in table.items():
            shape, kind = told if isinstance(told, tuple) else (told, TensorProto.FLOAT)
            yield helper.make_tensor_value_info(name, kind, shape)

    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in (weights or {}).items()]
    graph = helper.make_graph(list(nodes), "made", list(values(inputs)), list(values(outputs)), tensors)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset), *imports])
    made.ir_version = ir
    return made


def constant_outputs(shape, arrays):
    """Return a model that takes float32 of a shape and gives these arrays, whatever goes in."""
    nodes, weights = [], {"nought": np.zeros(1, np.float32)}
    nodes.append(helper.make_node("ReduceSum", ["image"], ["sum"], keepdims=0))
    nodes.append(helper.make_node("Mul", ["sum", "nought"], ["none"]))
    for name, array in arrays.items():
        weights[f"{name}_values"] = np.asarray(array, np.float32)
        nodes.append(helper.make_node("Add", [f"{name}_values", "none"], [name]))
    return model(nodes, {"image": shape}, {name: list(np.shape(array)) for name, array in arrays.items()}, weights)


def save(made, path: Path) -> Path:
    """Write a model."""
    onnx.save(made, path)
    return path
