# SPDX-License-Identifier: Apache-2.0
"""Whether a device's toolchain will take an ONNX file, and what to do when it will not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import attrs
import numpy as np
from onnx import TensorProto, numpy_helper

from synthkit.deployment.budget import weight_of
from synthkit.deployment.files import OnnxFile, all_nodes, operator_name
from synthkit.deployment.profiles import Profile, Quantisation

_QUANTISERS = ("QuantizeLinear", "DequantizeLinear")
_NETWORK = "synthkit export RUN --variant network"


@attrs.frozen
class Finding:
    """Something in a file that a toolchain will not like.

    Args:
        level: ``error``: it will refuse it, or run it where it is slow; ``warning``: it may.
        what: is wrong, and where. remedy: what to do.
    """

    level: Literal["error", "warning"]
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.level}: {self.what}; {self.remedy}"


def lint(file: OnnxFile, profile: Profile) -> list[Finding]:
    """Return what stands in the way of a file on a device, errors first."""
    found = [*_versions(file, profile), *_operators(file, profile), *_shapes(file, profile), *_bits(file, profile),
             *_forms(file)]  # fmt: skip
    return sorted(found, key=lambda finding: finding.level)


def quantisation_of(file: OnnxFile) -> Quantisation:
    """Return the scheme of a file's weights: per channel as soon as one layer has a scale for each filter."""
    scales = [scale for node in file.model.graph.node for scale in _scales(node, file.model)]
    if not scales:
        return "float"
    return "per-channel" if any(scale.size > 1 for scale in scales) else "per-tensor"


def _versions(file: OnnxFile, profile: Profile) -> Iterator[Finding]:
    if file.opset > profile.opset:
        yield Finding("error", f"opset {file.opset} is newer than {profile.opset}",
                      f"export it anew with --opset {profile.opset}, or use onnx.version_converter")  # fmt: skip
    if file.model.ir_version > profile.ir:
        yield Finding(
            "error", f"IR version {file.model.ir_version} is newer than {profile.ir}",
            f"export it anew with synthkit export, or set model.ir_version = {profile.ir} when it uses nothing newer",
        )  # fmt: skip


def _operators(file: OnnxFile, profile: Profile) -> Iterator[Finding]:
    strange = [name for name in file.operators if ":" in name]
    if strange:
        yield Finding("error", f"{', '.join(strange)} are not ONNX's own operators",
                      "export without ONNX Runtime's optimisations, 8 bits as QDQ rather than QOperator")  # fmt: skip
    if profile.operators is None:
        return
    other = {name: count for name, count in file.operators.items() if name not in profile.operators and ":" not in name}
    if set(other) & set(_QUANTISERS):
        yield Finding("error", f"it is quantised already ({', '.join(sorted(set(other) & set(_QUANTISERS)))})",
                      f"the toolchain quantises by itself: {_NETWORK} without --int8")  # fmt: skip
        other = {name: count for name, count in other.items() if name not in _QUANTISERS}
    if other:
        first = next(node for node in all_nodes(file.model) if operator_name(node) in other)
        listed = ", ".join(f"{name} ({count})" for name, count in other.items())
        yield Finding(
            "error", f"operators that do not run on the device: {listed}, first {first.name or first.op_type!r}",
            f"leave decoding and the filter to the host: {_NETWORK}",
        )  # fmt: skip


def _shapes(file: OnnxFile, profile: Profile) -> Iterator[Finding]:
    if not profile.static:
        return
    graph = file.model.graph
    initializers = {tensor.name for tensor in graph.initializer}
    for value in [item for item in (*graph.input, *graph.output) if item.name not in initializers]:
        sides = [side.dim_value if side.HasField("dim_value") else side.dim_param or "?"
                 for side in value.type.tensor_type.shape.dim]  # fmt: skip
        if any(isinstance(side, str) for side in sides):
            yield Finding("error", f"{value.name} has the shape {sides}, which is not fixed",
                          "export it without --dynamic")  # fmt: skip
        elif sides and sides[0] != 1:
            yield Finding("error", f"{value.name} holds {sides[0]} images", "export it for one image at a time")


def _bits(file: OnnxFile, profile: Profile) -> Iterator[Finding]:
    scheme = quantisation_of(file)
    if scheme not in profile.quantisations:
        wanted = profile.quantisations[0]
        remedy = {
            "float": "export it without --int8",
            "per-channel": "export it with --int8 --calibrate SET",
            "per-tensor": "export it with --int8 --per-tensor --calibrate SET",
        }[wanted]
        yield Finding("error", f"weights are {scheme}, the device wants {wanted}", remedy)
    if scheme == "float":
        return
    layers = [node for node in file.model.graph.node if node.op_type == "Conv"]
    left = [node.name for node in layers if not list(_scales(node, file.model))]
    if left:
        yield Finding("warning", f"{len(left)} of {len(layers)} convolutions stay in float, first {left[0]!r}",
                      "they run on the host's processor: quantise all, or none")  # fmt: skip
    if _has_odd_weights(file.model):
        yield Finding("error", "weights are not signed 8-bit with zero point 0",
                      "quantise weights as symmetric QInt8, as synthkit export --int8 does")  # fmt: skip


def _forms(file: OnnxFile) -> Iterator[Finding]:
    """Yield what toolchains read differently."""
    for node in all_nodes(file.model):
        if any(item.name == "ceil_mode" and item.i for item in node.attribute):
            yield Finding("warning", f"{node.name or node.op_type} rounds sizes up (ceil_mode), which some ignore",
                          "pad at the end instead, as synthkit export does for fixed shapes")  # fmt: skip
            return


def _scales(node: Any, model: Any) -> Iterator[Any]:
    """Yield the scale of a convolution's weights, when they are quantised."""
    if node.op_type != "Conv":
        return
    weight = weight_of(node, model)
    if weight is not None and weight[1] is not None:
        yield from (numpy_helper.to_array(t) for t in model.graph.initializer if t.name == weight[1].input[1])


def _has_odd_weights(model: Any) -> bool:
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        weight = weight_of(node, model) if node.op_type == "Conv" else None
        if weight is None or weight[1] is None or weight[0] not in tensors:
            continue
        zero = tensors.get(weight[1].input[2]) if len(weight[1].input) > 2 else None
        shifted = zero is not None and np.any(numpy_helper.to_array(zero))
        if shifted or tensors[weight[0]].data_type != TensorProto.INT8:
            return True
    return False
