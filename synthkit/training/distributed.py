# SPDX-License-Identifier: Apache-2.0
"""Training in several processes that torchrun started: each learns from its part of every batch.

The batch of the settings is that of all processes together. Data and random draws are addressed by the step
and the place in this whole batch, gradients are averaged over the processes, and so N processes learn what
one alone would, up to the order in which sums are taken. In a single process every function here does nothing. What
waits for a process that has ended raises WorkError.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.distributed as dist

from synthkit.errors import ConfigError, WorkError
from synthkit.training import ranks

T = TypeVar("T")

_PATIENCE = datetime.timedelta(days=1)
"""How long one waits for another, which may be cutting the crops of all; torchrun ends all when one fails."""


@contextmanager
def joined() -> Iterator[None]:
    """Be one of the processes of torchrun meanwhile, over gloo between CPUs and NCCL between GPUs."""
    if ranks.size() == 1 or dist.is_initialized():
        yield
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
    with _others_there():
        dist.init_process_group(backend, timeout=_PATIENCE)
    try:
        yield
    finally:
        dist.destroy_process_group()


def size() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Return which one this is."""
    return dist.get_rank() if dist.is_initialized() else 0


def check_batch(batch: int, name: str = "batch") -> None:
    """Check that a batch can be shared.

    Raises:
        ConfigError: when it is no multiple of the number of processes.
    """
    if batch % size():
        advice = "choose a multiple, or start as many processes as divide it"
        raise ConfigError([f"{name}: {batch} cannot be shared by {size()} processes: {advice}"])


def share(items: T) -> T:
    """Return this process's part of something (sequence, array or tensor) that belongs to a whole batch."""
    each = len(items) // size()  # type: ignore[arg-type]
    return items[rank() * each : (rank() + 1) * each]  # type: ignore[index, no-any-return]


def gathered(part: torch.Tensor) -> torch.Tensor:
    """Return what all processes have, one after another along the first axis; ``share`` is the way back."""
    if size() == 1:
        return part
    parts = [torch.empty_like(part, memory_format=torch.contiguous_format) for _ in range(size())]
    with _others_there():
        dist.all_gather(parts, part.detach().contiguous())
    return torch.cat(parts)


def mean(value: torch.Tensor) -> torch.Tensor:
    """Return the mean over the processes, without gradient."""
    if size() == 1:
        return value.detach()
    result = value.detach().clone()
    with _others_there():
        dist.all_reduce(result)
    return result / size()


def total(count: int) -> int:
    """Return the sum over the processes."""
    if size() == 1:
        return count
    number = torch.tensor(count)  # on the CPU, whatever the device: both have a backend
    with _others_there():
        dist.all_reduce(number)
    return int(number)


def average_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Give the parameters the mean of all processes' gradients: between ``backward`` and the optimizer's step."""
    if size() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return
    flat = mean(torch.cat([gradient.reshape(-1) for gradient in gradients]))
    for gradient, part in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def any_of(flag: bool) -> bool:
    """Tell whether it is so in any process."""
    return total(int(flag)) > 0


@contextmanager
def in_turn() -> Iterator[None]:
    """Let the first process go through before the others: it makes files that they then find."""
    if rank() > 0:
        wait_for_all()
    yield
    if rank() == 0:
        wait_for_all()


def wait_for_all() -> None:
    """Go on when all processes have come here."""
    if size() > 1:
        with _others_there():
            dist.barrier()


@contextmanager
def _others_there() -> Iterator[None]:
    """Say in one line what the libraries underneath tell in fifty: that another process has ended.

    Raises:
        WorkError: when it has.
    """
    try:
        yield
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise WorkError(f"another process of this training has ended, and should have said why ({reason})") from None


def device_name(name: str) -> str:
    """Return the device of this process: of ``cuda``, the GPU that is its own.

    Raises:
        ConfigError: when there are fewer GPUs than processes on this machine.
    """
    if name != "cuda" or size() == 1:
        return name
    count = torch.cuda.device_count()
    if ranks.local_rank() >= count:
        raise ConfigError([f"device: this machine has {count} GPUs: start at most as many processes on it"])
    torch.cuda.set_device(ranks.local_rank())
    return f"cuda:{ranks.local_rank()}"
