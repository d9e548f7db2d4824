# SPDX-License-Identifier: Apache-2.0
"""Writing checkpoints and resumable states: safetensors with JSON in the header, atomic and reproducible."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save

from synthkit.checkpoint import CARD_KEY, Checkpoint
from synthkit.dataset import storage
from synthkit.errors import WeightsError

_STATE_KEY = "synthkit.state"

Tensors = Mapping[str, torch.Tensor]


def save_checkpoint(path: Path, tensors: Tensors, card: Mapping[str, Any]) -> Checkpoint:
    """Write weights and their card, and return the checkpoint.

    The same tensors and card give the same bytes. The file appears whole or not at all.

    Args:
        path: where to; its folder is made.
        tensors: by name, on any device.
        card: plain JSON; must hold ``kind`` and ``name`` of the component.
    """
    _write(path, tensors, {CARD_KEY: _canonical(card)})
    return Checkpoint.open(path)


def load_tensors(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    """Return a checkpoint's tensors, on the CPU.

    Raises:
        WeightsError: when the file is damaged.
    """
    return _read(checkpoint.path)


def load_into(module: torch.nn.Module, tensors: Tensors, origin: Path) -> None:
    """Put tensors into a network, which must have exactly those names and shapes; none may be NaN or infinite.

    Raises:
        WeightsError: naming the file and the first difference.
    """
    try:
        module.load_state_dict(dict(tensors), strict=True)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise WeightsError(f"checkpoint {origin}: does not fit its network: {' '.join(lines[:2])}") from None
    for name, tensor in module.state_dict().items():
        if not bool(torch.isfinite(tensor).all()):  # people refined with it would be black, without a word
            raise WeightsError(f"checkpoint {origin}: {name} holds values that are not finite")


def save_state(path: Path, tensors: Tensors, state: Mapping[str, Any]) -> None:
    """Write what an interrupted training needs to go on: tensors, and plain JSON beside them."""
    _write(path, tensors, {_STATE_KEY: _canonical(state)})


def load_state(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """Return what ``save_state`` wrote, or None when there is nothing.

    Raises:
        WeightsError: when the file is damaged or is something else.
    """
    state = peek_state(path)
    return None if state is None else (_read(path), state)


def peek_state(path: Path) -> dict[str, Any] | None:
    """Return the plain JSON of a state without reading its tensors, or None when there is none.

    Raises:
        WeightsError: when the file is damaged or is something else.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from None
    try:
        return dict(json.loads(metadata[_STATE_KEY]))
    except (KeyError, ValueError, TypeError, RecursionError):
        raise WeightsError(f"{path}: is not a state of training; remove it to begin anew") from None


def _write(path: Path, tensors: Tensors, metadata: dict[str, str]) -> None:
    # safetensors orders tensors itself, but writes metadata from an unordered map: one key only.
    assert len(metadata) == 1
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(tensors.items())}
    write_atomic(path, save(plain, metadata))


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all; its folder is made."""
    with storage.disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    storage.write_atomically(path, (data,))


def _read(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> WeightsError:
    return WeightsError(f"{path}: cannot be read as safetensors: {error}")


def _canonical(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), sort_keys=True, separators=(",", ":"), allow_nan=False)
