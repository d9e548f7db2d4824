# SPDX-License-Identifier: Apache-2.0
"""Rewriting ONNX graphs, without changing what they compute, into what older and smaller toolchains read.

Each pass works in place.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import onnx
from onnx import helper, numpy_helper

from synthkit.errors import WorkError

IR_VERSION = 8
"""What readers of 2021 and later take; newer ones take it too."""

# Since opset 18 these have their axes as an input; before, as an attribute.
_REDUCTIONS = frozenset({"ReduceMax", "ReduceMin", "ReduceMean", "ReduceProd", "ReduceL1", "ReduceL2"})


def fold_pads(model: Any) -> None:
    """Give zeros that are laid around a convolution's input to the convolution itself."""
    constants, makers, users = _constants(model), _makers(model), _users(model)
    for node in [node for node in model.graph.node if node.op_type == "Conv"]:
        pad = makers.get(node.input[0])
        if pad is None or pad.op_type != "Pad" or len(users[pad.output[0]]) > 1 or not _is_zero_pad(pad, constants):
            continue
        widths = constants[pad.input[1]].tolist()
        rank = len(widths) // 2
        if any(widths[axis] or widths[rank + axis] for axis in (0, 1)):
            continue
        around = widths[2:rank] + widths[rank + 2 :]
        own = _attribute(node, "pads", [0] * len(around))
        _set(node, "pads", [a + b for a, b in zip(own, around, strict=True)])
        node.input[0] = pad.input[0]
        model.graph.node.remove(pad)
    _drop_unused(model)


def explicit_pools(model: Any) -> None:
    """Round pooled sizes up by padding at the end rather than by ``ceil_mode``, where sizes are known."""
    shapes = shapes_of(model)
    for node in [node for node in model.graph.node if node.op_type == "MaxPool"]:
        shape = shapes.get(node.input[0])
        if not _attribute(node, "ceil_mode", 0) or shape is None or None in shape[2:]:
            continue
        kernel = _attribute(node, "kernel_shape", [])
        strides = _attribute(node, "strides", [1] * len(kernel))
        pads = _attribute(node, "pads", [0] * 2 * len(kernel))
        for axis, (size, k, s) in enumerate(zip(shape[2:], kernel, strides, strict=True)):
            whole = size + pads[axis] + pads[len(kernel) + axis]
            pads[len(kernel) + axis] += max(0, -(-(whole - k) // s) * s + k - whole)
        _set(node, "pads", pads)
        _set(node, "ceil_mode", 0)


def relu_before_concat(model: Any) -> None:
    """Apply a ReLU to the parts of a concatenation rather than to the whole.

    The same values; but a convolution with a ReLU behind it is one operator on all devices, and 8 bits for values of
    which the negative ones vanish would be half wasted.
    """
    makers, users = _makers(model), _users(model)
    for relu in [node for node in model.graph.node if node.op_type == "Relu"]:
        concat = makers.get(relu.input[0])
        if concat is None or concat.op_type != "Concat" or len(users[concat.output[0]]) > 1:
            continue
        at = list(model.graph.node).index(concat)
        for number, part in enumerate(list(concat.input)):
            name = f"{part}_relu"
            model.graph.node.insert(at, helper.make_node("Relu", [part], [name], name=f"{concat.name}_relu_{number}"))
            concat.input[number] = name
        concat.output[0] = relu.output[0]
        model.graph.node.remove(relu)
    del model.graph.value_info[:]


def name_by_weights(model: Any) -> None:
    """Name operators with weights after these, ``fires.fire2.squeeze``, so that tools' reports can be read."""
    weights = {tensor.name for tensor in model.graph.initializer}
    for node in model.graph.node:
        named = [name for name in node.input if name in weights and name.endswith(".weight")]
        if named:
            node.name = named[0].removesuffix(".weight")


def lower(model: Any, opset: int) -> None:
    """State an older opset, and IR version 8, for a graph that needs no newer one.

    Raises:
        WorkError: naming operators that the older opset does not have.
    """
    constants = _constants(model)
    for node in model.graph.node:
        if node.op_type in _REDUCTIONS and opset < 18:
            _remove(node, "noop_with_empty_axes")  # said of axes that are not given, and these are
            if len(node.input) == 2 and node.input[1] in constants:
                _set(node, "axes", constants[node.input[1]].tolist())
                del node.input[1]
        if node.op_type == "Split" and opset < 18:
            _remove(node, "num_outputs")
    _drop_unused(model)
    newer = sorted({node.op_type for node in model.graph.node if not _exists(node, opset)})
    if newer:
        raise WorkError(f"opset {opset}: {', '.join(newer)} cannot be said in it; choose a newer one")
    stated = [entry for entry in model.opset_import if entry.domain not in ("", "ai.onnx")]
    del model.opset_import[:]
    model.opset_import.extend([helper.make_opsetid("", opset), *stated])
    model.ir_version = IR_VERSION


def shapes_of(model: Any) -> dict[str, tuple[int | None, ...]]:
    """Return the shapes of all tensors that can be inferred; None for a side that is not fixed."""
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    result = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    for value in (*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output):
        kind = value.type.tensor_type
        if kind.HasField("shape"):
            result[value.name] = tuple(
                side.dim_value if side.HasField("dim_value") else None for side in kind.shape.dim
            )
    return result


def _exists(node: Any, opset: int) -> bool:
    """Tell whether an operator of an opset means what it means in the graph's."""
    if node.domain not in ("", "ai.onnx") or node.op_type in _REDUCTIONS | {"Split", "Pad"}:
        return True  # their forms above are the older ones; the checker looks at what is written
    try:
        schema = onnx.defs.get_schema(node.op_type, opset)
        return bool(schema.since_version == onnx.defs.get_schema(node.op_type, 18).since_version)
    except onnx.defs.SchemaError:
        return False


def _is_zero_pad(pad: Any, constants: dict[str, Any]) -> bool:
    mode = next((item.s.decode() for item in pad.attribute if item.name == "mode"), "constant")
    value = constants.get(pad.input[2]) if len(pad.input) > 2 and pad.input[2] else 0
    has_axes = len(pad.input) > 3 and pad.input[3]
    zero = value is not None and not float(value)
    return mode == "constant" and pad.input[1] in constants and zero and not has_axes


def _constants(model: Any) -> dict[str, Any]:
    """Return the values that are fixed, by name."""
    result = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            value = next((item.t for item in node.attribute if item.name == "value"), None)
            if value is not None:
                result[node.output[0]] = numpy_helper.to_array(value)
    return result


def _makers(model: Any) -> dict[str, Any]:
    return {name: node for node in model.graph.node for name in node.output}


def _users(model: Any) -> dict[str, list[Any]]:
    result: dict[str, list[Any]] = {output.name: [output] for output in model.graph.output}
    for node in model.graph.node:
        for name in node.input:
            result.setdefault(name, []).append(node)
    return result


def _drop_unused(model: Any) -> None:
    """Remove constants that nothing takes any more."""
    users = _users(model)
    for tensor in [tensor for tensor in model.graph.initializer if tensor.name not in users]:
        model.graph.initializer.remove(tensor)
    for node in [n for n in model.graph.node if n.op_type == "Constant" and n.output[0] not in users]:
        model.graph.node.remove(node)


def _attribute(node: Any, name: str, default: Any) -> Any:
    for item in node.attribute:
        if item.name == name:
            return list(item.ints) if item.type == onnx.AttributeProto.INTS else item.i
    return default


def _set(node: Any, name: str, value: int | Iterable[int]) -> None:
    _remove(node, name)
    node.attribute.append(helper.make_attribute(name, value))


def _remove(node: Any, name: str) -> None:
    for item in [item for item in node.attribute if item.name == name]:
        node.attribute.remove(item)
