# SPDX-License-Identifier: Apache-2.0
"""Networks as ONNX files: one file, the same bytes on every machine, with a card inside."""

from __future__ import annotations

import hashlib
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import torch

from synthkit.deployment.files import with_card as with_card
from synthkit.training.checkpoints import write_atomic

OPSET = 20


def converted(
    network: torch.nn.Module, example: torch.Tensor | tuple[torch.Tensor, ...], inputs: Sequence[str],
    outputs: Sequence[str],
    sizes: Mapping[int, Any] | None = None, opset: int = OPSET,
) -> onnx.ModelProto:  # fmt: skip
    """Return a network as an ONNX model, without what the exporter notes of this machine.

    Args:
        example: what it takes, one for each input. sizes: by axis, ``torch.export.Dim`` of those that may be others,
            in all inputs.
        opset: at least 18; ``synthkit.deployment.passes.lower`` states older ones.
    """
    taken = (example,) if isinstance(example, torch.Tensor) else example
    with tempfile.TemporaryDirectory(prefix="synthkit-export-") as folder, _quiet_exporter():
        raw = Path(folder) / "raw.onnx"
        torch.onnx.export(
            network, taken, raw, input_names=list(inputs), output_names=list(outputs), opset_version=opset,
            dynamo=True, external_data=False, verbose=False,
            dynamic_shapes=tuple(dict(sizes) for _ in taken) if sizes else None,
        )  # fmt: skip
        model = onnx.load(raw)
    _strip(model)
    return model


def session_of(data: bytes) -> onnxruntime.InferenceSession:
    """Return what runs a model on as many threads as torch."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def write(path: Path, data: bytes) -> dict[str, Any]:
    """Write a model, whole or not at all; return what its card says of the file."""
    write_atomic(path, data)
    return {"file": path.name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keep the exporter's advice to its own developers from the user."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _strip(model: onnx.ModelProto) -> None:
    """Remove what the exporter notes of this machine: source paths, stack traces."""
    del model.metadata_props[:]
    for node in [*model.graph.node, *(node for function in model.functions for node in function.node)]:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in [*model.graph.value_info, *model.graph.input, *model.graph.output]:
        del value.metadata_props[:]
        value.doc_string = ""
    del model.graph.metadata_props[:]
