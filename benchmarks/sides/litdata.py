# SPDX-License-Identifier: Apache-2.0
"""LitData: its writer and its streaming set."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from sides.common import RANDOM_READS, SHARD_SAMPLES, Measured, pillow_batch, samples, size_of, synced, timed


def write(source: Path, out: Path) -> Measured:
    from litdata.streaming.writer import BinaryWriter

    items = [{"jpg": image, "json": text} for _, image, text in samples(source)]
    out.mkdir()
    started = time.perf_counter()
    writer = BinaryWriter(str(out), chunk_size=SHARD_SAMPLES)
    for n, item in enumerate(items):
        chunk = writer.add_item(n, item)
        if chunk:
            synced(Path(chunk))
    writer.done()
    writer.merge()
    for path in out.glob("*.bin"):
        synced(path)
    return {"seconds": time.perf_counter() - started, "samples": len(items)}


def opened(out: Path) -> Any:
    from litdata import StreamingDataset

    return StreamingDataset(str(out), shuffle=False)


def read(source: Path, out: Path) -> Measured:
    return timed(size_of(item) for item in opened(out))


def random(source: Path, out: Path) -> Measured:
    data = opened(out)
    places = np.random.default_rng(1).integers(0, len(data), RANDOM_READS).tolist()
    return timed(size_of(data[place]) for place in places)


def decode(source: Path, out: Path, workers: int) -> Measured:
    from litdata import StreamingDataLoader

    loader = StreamingDataLoader(opened(out), batch_size=32, num_workers=workers, collate_fn=pillow_batch)
    return timed((len(batch) for batch in loader), lambda total: total)


def resume(source: Path, out: Path) -> Measured:
    from litdata import StreamingDataLoader

    def loader() -> Any:
        return StreamingDataLoader(opened(out), batch_size=1, collate_fn=len)

    first = loader()
    for n, _ in enumerate(first):
        if n == len(first) * 3 // 4:
            break
    state = first.state_dict()
    started = time.perf_counter()
    again = loader()
    again.load_state_dict(state)
    next(iter(again))
    return {"seconds": time.perf_counter() - started, "samples": 1}
