# SPDX-License-Identifier: Apache-2.0
"""What a network costs a sensor: parameters, multiplications, flash, and memory while it runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
import onnx
from onnx import helper

from synthkit.deployment.cards import InputCard
from synthkit.deployment.files import OnnxFile
from synthkit.deployment.passes import shapes_of

_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "QLinearConv", "ConvInteger"})
_QUANTISERS = frozenset({"QuantizeLinear", "DequantizeLinear"})
_IN_PLACE = frozenset({"Relu", "Clip", "Sigmoid", "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze"})

Shape = tuple[int | None, ...]


@attrs.frozen
class Budget:
    """What it costs.

    Args:
        parameters: weights and biases. macs: multiplications with addition, of convolutions and matrix products, for
            one image. flash_bytes: of the file. weight_bytes: of weights, biases, and their scales.
        peak_activation_bytes: the most that inputs, outputs and what later operators need take up while an operator
            runs, weights apart; activations and quantisation count as done in place, and nothing is cut into tiles.
            peak_operator: which one that is.
        operators: how often each is there.
    """

    parameters: int
    macs: int
    flash_bytes: int
    weight_bytes: int
    peak_activation_bytes: int
    peak_operator: str
    operators: Mapping[str, int]


def budget(file: OnnxFile, card: InputCard) -> Budget:
    """Return what a model costs for one image of the card's size."""
    model = _fixed(file.model, card)
    shapes = shapes_of(model)
    names = _weights(model)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    scales = {name for node in model.graph.node if node.op_type in _QUANTISERS for name in node.input[1:]}
    peak, where = _peak(model, shapes)
    return Budget(
        parameters=sum(math.prod(tensors[name].dims) for name in names),
        macs=sum(_macs(node, shapes, model) for node in model.graph.node),
        flash_bytes=len(file.data),
        weight_bytes=sum(_bytes(tensors[name]) for name in names | (scales & set(tensors))),
        peak_activation_bytes=peak,
        peak_operator=where,
        operators=file.operators,
    )


def weight_of(node: Any, model: Any) -> tuple[str, Any] | None:
    """Return the initializer's name behind a layer's weights, and the DequantizeLinear between, if there is one."""
    makers = {name: other for other in model.graph.node for name in other.output}
    place = 3 if node.op_type == "QLinearConv" else 1
    if len(node.input) <= place:
        return None
    name, maker = node.input[place], makers.get(node.input[place])
    if maker is not None and maker.op_type == "DequantizeLinear":
        return (maker.input[0], maker) if len(maker.input) > 1 else None
    return None if maker is not None else (name, None)


def _fixed(model: Any, card: InputCard) -> Any:
    """Return a copy with the input's shape that of one image."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    width, height = card.size_px
    sides = (1, 3, height, width) if card.layout == "NCHW" else (1, height, width, 3)
    for item in result.graph.input:
        if item.name == card.name:
            for place, side in zip(item.type.tensor_type.shape.dim, sides, strict=False):
                place.dim_value = side
    del result.graph.value_info[:]
    for output in result.graph.output:  # stated with the free sides' names
        for place in output.type.tensor_type.shape.dim:
            if place.HasField("dim_param"):
                place.Clear()
    return result


def _weights(model: Any) -> set[str]:
    """Return the names of the initializers that are weights or biases."""
    initializers = {tensor.name for tensor in model.graph.initializer}
    makers = {name: node for node in model.graph.node for name in node.output}
    found = set()
    for node in model.graph.node:
        if node.op_type not in _WEIGHTED:
            continue
        for name in node.input[1:]:
            maker = makers.get(name)
            source = maker.input[0] if maker is not None and maker.op_type == "DequantizeLinear" else name
            if source in initializers:
                found.add(source)
    if any(node.op_type == "QLinearConv" for node in model.graph.node):
        found = {name for name in found if len(_dims(model, name)) in (1, 4) and math.prod(_dims(model, name)) > 1}
    return found


def _dims(model: Any, name: str) -> list[int]:
    return next((list(tensor.dims) for tensor in model.graph.initializer if tensor.name == name), [])


def _macs(node: Any, shapes: Mapping[str, Shape], model: Any) -> int:
    if node.op_type not in _WEIGHTED:
        return 0
    weight = weight_of(node, model)
    out = shapes.get(node.output[0], ())
    if weight is None or None in out or not out:
        return 0
    dims = _dims(model, weight[0])
    if node.op_type == "MatMul":
        return math.prod(side for side in out if side) * (dims[-2] if len(dims) > 1 else dims[0])
    if node.op_type == "Gemm":
        return math.prod(dims) * int(out[0] or 1)
    if node.op_type == "ConvTranspose":
        source = shapes.get(node.input[0], ())
        return math.prod(dims) * math.prod(side for side in (source[0], *source[2:]) if side)
    return math.prod(dims) * math.prod(side for side in (out[0], *out[2:]) if side)


def _peak(model: Any, shapes: Mapping[str, Shape]) -> tuple[int, str]:
    """Return the most bytes of activations alive at once, and the operator that runs then."""
    sizes, alias = _storage(model, shapes)
    steps = [node for node in model.graph.node if node.op_type != "Constant"]
    last: dict[str, int] = {alias(item.name): len(steps) for item in model.graph.output}
    for step, node in enumerate(steps):
        for name in node.input:
            key = alias(name)
            last[key] = max(last.get(key, step), step)
    alive = {alias(item.name) for item in model.graph.input if alias(item.name) in sizes}
    best, where = 0, ""
    for step, node in enumerate(steps):
        alive |= {alias(name) for name in node.output if alias(name) in sizes}
        total = sum(sizes[key] for key in alive)
        if total > best:
            best, where = total, node.name or node.op_type
        alive = {key for key in alive if last.get(key, -1) > step}
    return best, where


def _storage(model: Any, shapes: Mapping[str, Shape]) -> tuple[dict[str, int], Any]:
    """Return the bytes of each buffer, and a function from a tensor's name to that of its buffer.

    What is quantised right after it was computed is never stored in float.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    constants |= {name for node in model.graph.node if node.op_type == "Constant" for name in node.output}
    users: dict[str, int] = {}
    for node in model.graph.node:
        for name in node.input:
            users[name] = users.get(name, 0) + 1
    parent: dict[str, str] = {}
    width: dict[str, int] = {}

    def find(name: str) -> str:
        while name in parent:
            name = parent[name]
        return name

    for node in model.graph.node:
        if not node.input or node.op_type == "Constant":
            continue
        source = node.input[0]
        if all(name in constants for name in node.input):  # weights' DequantizeLinear
            constants |= set(node.output)
            continue
        joins = node.op_type in _QUANTISERS or (node.op_type in _IN_PLACE and users.get(source) == 1)
        if joins and source not in constants:
            parent[node.output[0]] = find(source)
            if node.op_type in _QUANTISERS:
                width[find(source)] = 1
    elements = _element_bytes(model)
    sizes = {}
    for name in {*elements, *(output for node in model.graph.node for output in node.output)}:
        shape = shapes.get(name)
        if not name or name in parent or name in constants or shape is None or None in shape:
            continue
        sizes[name] = math.prod(side for side in shape if side is not None) * width.get(name, elements.get(name, 4))
    return sizes, find


def _element_bytes(model: Any) -> dict[str, int]:
    """Return the bytes of an element of each tensor whose type can be inferred."""
    inferred = onnx.shape_inference.infer_shapes(model)
    return {
        value.name: _item_bytes(value.type.tensor_type.elem_type)
        for value in (*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output)
        if value.type.tensor_type.elem_type
    }


def _bytes(tensor: Any) -> int:
    return int(math.prod(tensor.dims)) * _item_bytes(tensor.data_type)


def _item_bytes(kind: int) -> int:
    try:
        return int(np.dtype(helper.tensor_dtype_to_np_dtype(kind)).itemsize)
    except (KeyError, TypeError):
        return 4
