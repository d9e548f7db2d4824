# SPDX-License-Identifier: Apache-2.0
"""Work done by two processes together, as torchrun would start them."""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from synthkit.checkpoint import Checkpoint
from synthkit.training import distributed
from synthkit.training.checkpoints import load_tensors


def in_two(work: Callable[[int], Any]) -> list[Any]:
    """Return what ``work(rank)`` gives in each of two processes, or the error that it raises there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    children = [context.Process(target=_process, args=(rank, port, work, results)) for rank in (0, 1)]
    for child in children:
        child.start()
    found = dict(results.get(timeout=200) for _ in children)
    for child in children:
        child.join(60)
    return [found[0], found[1]]


def learn_alike(fit: Callable[[Path], Checkpoint], folder: Path, *, most: float) -> None:
    """Check that two processes learn by ``fit(workdir)`` what one does, up to the order in which sums are taken.

    Args:
        folder: for both. most: difference of a weight. Adam's first steps are as long as the rate, whichever way a
            gradient that is nearly zero points; 95 % of all weights must agree to a tenth of the rate, 2e-4.
    """
    alone = fit(folder / "alone")
    found = in_two(lambda _: fit(folder / "two").sha256)
    together = Checkpoint.open(folder / "two" / "checkpoint.safetensors")
    assert found == [together.sha256] * 2
    assert together.card == alone.card
    wanted, ours = load_tensors(alone), load_tensors(together)
    assert ours.keys() == wanted.keys()
    differences = torch.cat([(ours[name] - tensor).abs().reshape(-1) for name, tensor in wanted.items()])
    assert differences.max() < most
    assert differences.quantile(0.95) < 2e-5


def _process(rank: int, port: int, work: Callable[[int], Any], results: Any) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    try:
        with distributed.joined():
            results.put((rank, work(rank)))
    except BaseException as error:
        results.put((rank, error))
