# SPDX-License-Identifier: Apache-2.0
"""MosaicML Streaming: its writer and its streaming set."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from sides.common import RANDOM_READS, SHARD_SAMPLES, Measured, pillow_batch, samples, size_of, synced, timed


def write(source: Path, out: Path) -> Measured:
    from streaming import MDSWriter

    items = [{"jpg": image, "json": text} for _, image, text in samples(source)]
    started = time.perf_counter()
    limit = SHARD_SAMPLES * (len(items[0]["jpg"]) + len(items[0]["json"]))
    with MDSWriter(out=str(out), columns={"jpg": "bytes", "json": "bytes"}, size_limit=limit) as sink:
        for item in items:
            sink.write(item)
    for path in out.glob("*.mds"):
        synced(path)
    return {"seconds": time.perf_counter() - started, "samples": len(items)}


def opened(out: Path) -> Any:
    from streaming import StreamingDataset

    return StreamingDataset(local=str(out), shuffle=False, batch_size=1)


def read(source: Path, out: Path) -> Measured:
    return timed(size_of(item) for item in opened(out))


def random(source: Path, out: Path) -> Measured:
    data = opened(out)
    places = np.random.default_rng(1).integers(0, len(data), RANDOM_READS).tolist()
    return timed(size_of(data[place]) for place in places)


def resume(source: Path, out: Path) -> Measured:
    data = opened(out)
    state = data.state_dict(len(data) * 3 // 4, from_beginning=True)
    started = time.perf_counter()
    again = opened(out)
    again.load_state_dict(state)
    next(iter(again))
    return {"seconds": time.perf_counter() - started, "samples": 1}


def decode(source: Path, out: Path, workers: int) -> Measured:
    from torch.utils.data import DataLoader

    loader = DataLoader(opened(out), batch_size=32, num_workers=workers, collate_fn=pillow_batch)
    return timed((len(batch) for batch in loader), lambda total: total)
