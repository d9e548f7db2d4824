# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime on the CPU, with what goes wrong in it told in one line."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from synthkit.deployment.cards import InputCard
from synthkit.errors import WeightsError

MOST_TENSOR_BYTES = 1 << 32
"""Of all tensors that are alive while networks run; what needs more is refused."""

_SILENT = 4  # of ONNX Runtime's log levels: errors come as exceptions too
_DTYPES = {"uint8": "tensor(uint8)", "float32": "tensor(float)"}


def open_session(data: bytes, origin: str, threads: int = 1) -> Any:
    """Return what runs a model's bytes, which have been looked at (``OnnxFile``).

    Raises:
        WeightsError: when ONNX Runtime refuses them; ``origin`` says where they are from.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _SILENT
    options.add_session_config_entry("session.use_env_allocators", "1")
    _limit_memory()
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has an exception for each of its codes
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(f"{origin}: ONNX Runtime refuses it: {reason}") from None


def run_session(session: Any, name: str, batch: npt.NDArray[Any], origin: str) -> dict[str, npt.NDArray[Any]]:
    """Return all outputs by name, for an input of a name.

    Raises:
        WeightsError: when ONNX Runtime fails.
    """
    names = [output.name for output in session.get_outputs()]
    try:
        return dict(zip(names, session.run(names, {name: batch}), strict=True))
    except Exception as error:  # as above
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(f"{origin}: ONNX Runtime cannot run it: {reason}") from None


def as_input(card: InputCard, image: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    """Return a fitted image (height, width, 3) sRGB as a batch of one, as a card tells it."""
    values: npt.NDArray[Any] = image[..., ::-1] if card.colour == "BGR" else image
    if card.dtype == "float32":
        mean, deviation = np.array(card.mean, np.float32), np.array(card.deviation, np.float32)
        values = (values.astype(np.float32) - mean) / deviation
    if card.layout == "NCHW":
        values = values.transpose(2, 0, 1)
    return np.ascontiguousarray(values[np.newaxis])


def check_input(card: InputCard, session: Any, origin: str) -> None:
    """Compare a card's input with the graph's.

    Raises:
        WeightsError: when they differ.
    """
    inputs = {item.name: item for item in session.get_inputs()}
    if set(inputs) != {card.name}:
        raise WeightsError(f"{origin}: its inputs are {', '.join(sorted(inputs))}, the card tells {card.name!r} alone")
    item = inputs[card.name]
    width, height = card.size_px
    wanted = [1, 3, height, width] if card.layout == "NCHW" else [1, height, width, 3]
    fits = len(item.shape) == 4 and all(
        type(side) is not int or side == want for side, want in zip(item.shape, wanted, strict=True)
    )
    if not fits or item.type != _DTYPES[card.dtype]:
        raise WeightsError(
            f"{origin}: its input {card.name!r} is {item.type} {item.shape}, the card tells {card.dtype} {wanted}"
        )


@functools.cache
def _limit_memory() -> None:
    """Make the allocator of this process's sessions, once: a few bytes of a graph may ask for any size."""
    place = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    onnxruntime.create_and_register_allocator(place, onnxruntime.OrtArenaCfg({"max_mem": MOST_TENSOR_BYTES}))
