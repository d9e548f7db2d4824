# SPDX-License-Identifier: Apache-2.0
"""Work done by two processes together, as torchrun would start them."""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Callable
from typing import Any

from synthkit.training import distributed


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


def _process(rank: int, port: int, work: Callable[[int], Any], results: Any) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    try:
        with distributed.joined():
            results.put((rank, work(rank)))
    except BaseException as error:
        results.put((rank, error))
