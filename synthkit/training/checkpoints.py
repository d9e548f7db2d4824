# SPDX-License-Identifier: Apache-2.0
"""Writing checkpoints and resumable states: safetensors with JSON in the header, atomic and reproducible."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save

from synthkit.checkpoint import CARD_KEY, Checkpoint
from synthkit.dataset import storage
from synthkit.errors import WeightsError

_STATE_KEY = "synthkit.state"

N = TypeVar("N", bound=torch.nn.Module)
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
    _load(module, tensors, origin, in_place=True)


def network_of(checkpoint: Checkpoint, make: Callable[[], N]) -> N:
    """Return a network with a checkpoint's weights, on the CPU.

    Whatever size a card claims, no more memory is taken than the file's tensors need.

    Args:
        make: builds the network, on the device that is torch's default then; what it puts into it is not used.

    Raises:
        WeightsError: when the file is damaged, does not fit, or holds values that are not finite.
    """
    with torch.device("meta"):
        network = make()
    kinds = {name: tensor.dtype for name, tensor in network.state_dict().items()}
    # Copies, as the file's tensors may lie at places in memory that arithmetic is not made for.
    tensors = {
        name: tensor.to(kinds.get(name, tensor.dtype), copy=True) for name, tensor in load_tensors(checkpoint).items()
    }
    _load(network, tensors, checkpoint.path, in_place=False)
    return network


def _load(module: torch.nn.Module, tensors: Tensors, origin: Path, *, in_place: bool) -> None:
    try:
        module.load_state_dict(dict(tensors), strict=True, assign=not in_place)
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
