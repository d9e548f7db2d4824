# SPDX-License-Identifier: Apache-2.0
"""Eight bits: static quantisation of a network by what its layers give on sample images."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from synthkit.deployment.passes import IR_VERSION
from synthkit.errors import WorkError

Scheme = Literal["per-channel", "per-tensor"]

_LAYERS = frozenset({"Conv", "Relu", "MaxPool", "AveragePool", "GlobalAveragePool", "Concat", "Sigmoid", "Add", "Mul"})


def quantise(
    data: bytes, input_name: str, batches: Iterable[npt.NDArray[Any]], scheme: Scheme,
    ranges: Mapping[str, tuple[float, float]],
) -> bytes:  # fmt: skip
    """Return a float model with the layers of its network in 8 bits, as pairs of QuantizeLinear and DequantizeLinear.

    Weights are signed and symmetric, activations signed and asymmetric, their ranges the least and the most that the
    batches gave (ONNX Runtime's static quantisation, MinMax). What stands before the first and behind the last
    convolution, such as decoding, stays as it is.

    Args:
        batches: inputs of the graph, one by one. scheme: one scale per filter, or per weight tensor.
        ranges: see ``OnnxGraph``; the others are measured.

    Raises:
        WorkError: when ONNX Runtime cannot do it.
    """
    model = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(data))
    metadata = [(entry.key, entry.value) for entry in model.metadata_props]
    known = {name: [{"rmin": np.float32(low), "rmax": np.float32(high)}] for name, (low, high) in ranges.items()}
    with tempfile.TemporaryDirectory(prefix="synthkit-quantise-") as folder, _quiet():
        path = Path(folder) / "quantised.onnx"
        try:
            quantize_static(
                model, path, _Batches(input_name, batches), quant_format=QuantFormat.QDQ,
                nodes_to_quantize=network_layers(model), per_channel=scheme == "per-channel",
                activation_type=QuantType.QInt8, weight_type=QuantType.QInt8,
                extra_options={"TensorQuantOverrides": known},
            )  # fmt: skip
        except (RuntimeError, ValueError) as error:
            raise WorkError(f"quantisation: ONNX Runtime cannot do it: {' '.join(str(error).split())[:300]}") from None
        result = onnx.load(path)
    result.ir_version = IR_VERSION
    del result.metadata_props[:]
    for key, value in metadata:
        result.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(result, full_check=True)
    return bytes(result.SerializeToString(deterministic=True))


def network_layers(model: Any) -> list[str]:
    """Return the names of convolutions, of the layers between them, and of activations right behind them."""
    makers = {name: node for node in model.graph.node for name in node.output}
    chosen: dict[str, None] = {}
    waiting = [node for node in model.graph.node if node.op_type == "Conv"]
    before_conv = set()
    while waiting:
        node = waiting.pop()
        if node.name in before_conv or node.op_type not in _LAYERS:
            continue
        before_conv.add(node.name)
        waiting += [makers[name] for name in node.input if name in makers]
    for node in model.graph.node:
        source = makers.get(node.input[0]) if node.input else None
        behind = node.op_type in ("Relu", "Sigmoid") and source is not None and source.op_type == "Conv"
        if node.name in before_conv or behind:
            chosen[node.name] = None
    return list(chosen)


class _Batches(CalibrationDataReader):  # type: ignore[misc]
    """Inputs one by one, as ONNX Runtime asks for them."""

    def __init__(self, name: str, batches: Iterable[npt.NDArray[Any]]) -> None:
        self._name, self._batches = name, iter(batches)

    def get_next(self) -> dict[str, npt.NDArray[Any]] | None:
        """Return the next, or None."""
        batch = next(self._batches, None)
        return None if batch is None else {self._name: batch}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep ONNX Runtime's advice from the user, who has no part in these steps."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
