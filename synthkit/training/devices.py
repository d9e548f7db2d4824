# SPDX-License-Identifier: Apache-2.0
"""Choosing a device, and making torch repeat itself on it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

from synthkit.errors import ConfigError
from synthkit.interfaces import Runtime
from synthkit.seeds import Seeds
from synthkit.training import distributed

Precision = Literal["float32", "tfloat32", "bfloat16"]
"""Of convolutions and matrix products; ``tfloat32`` is float32 with 10 bits of fraction in products, on GPUs."""


def set_up(runtime: Runtime) -> torch.device:
    """Return the runtime's device, with its threads set and, on a CPU, determinism demanded.

    On GPUs some backward passes have no deterministic kernel; there results are not promised to repeat.

    Raises:
        ConfigError: when the device is unknown or not there.
    """
    device = _device(distributed.device_name(_best() if runtime.device == "auto" else runtime.device))
    use(device, "float32")
    torch.set_num_threads(runtime.threads)
    torch.use_deterministic_algorithms(device.type == "cpu")
    # Otherwise each fresh tensor is filled first, a seventh of the time of small networks, only so that
    # code which reads what nobody wrote would repeat itself.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return device


def generator(seeds: Seeds, name: str, *index: int) -> torch.Generator:
    """Return a CPU generator for initial weights and the like, seeded from a named stream."""
    result = torch.Generator(device="cpu")
    result.manual_seed(seeds.integer(name, *index))
    return result


def use(device: torch.device, precision: Precision) -> None:
    """Let a GPU take the short cut of ``tfloat32`` or not: torch, left alone, takes it for convolutions.

    Raises:
        ConfigError: when ``tfloat32`` is wanted where no NVIDIA GPU is.
    """
    short_cut = precision == "tfloat32"
    if short_cut and device.type != "cuda":
        raise ConfigError([f"precision: tfloat32 is of NVIDIA GPUs; on {device.type} use float32 or bfloat16"])
    torch.backends.cudnn.allow_tf32 = short_cut
    torch.backends.cuda.matmul.allow_tf32 = short_cut


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """Return the context in which forward passes run at a precision; weights stay float32."""
    if precision != "bfloat16":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError([f"device {name!r} cannot be used: {reason}; 'cpu' always can"]) from None
    return device


def _best() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
