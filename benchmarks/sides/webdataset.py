# SPDX-License-Identifier: Apache-2.0
"""WebDataset: ShardWriter and the plain pipeline."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from sides.common import SHARD_SAMPLES, Measured, samples, synced, timed


def write(source: Path, out: Path) -> Measured:
    import webdataset

    items = [{"__key__": key, "jpg": image, "json": text} for key, image, text in samples(source)]
    out.mkdir()
    started = time.perf_counter()
    pattern = str(out / "%06d.tar")
    with webdataset.ShardWriter(
        pattern, maxcount=SHARD_SAMPLES, verbose=0, post=lambda name: synced(Path(name))
    ) as sink:
        for item in items:
            sink.write(item)
    return {"seconds": time.perf_counter() - started, "samples": len(items)}


def opened(out: Path) -> Any:
    os.environ["WDS_SECURE"] = "1"
    import webdataset

    return webdataset.WebDataset([str(path) for path in sorted(out.rglob("*.tar"))], shardshuffle=False)


def read(source: Path, out: Path) -> Measured:
    return timed(len(item["jpg"]) + len(item["json"]) for item in opened(out))


def decode(source: Path, out: Path, workers: int) -> Measured:
    import torch
    import webdataset

    data = opened(out).decode("rgb8", only=["jpg"]).to_tuple("jpg").batched(32)
    loader = webdataset.WebLoader(data, batch_size=None, num_workers=workers)
    assert torch
    return timed((len(batch[0]) for batch in loader), lambda total: total)


def resume(source: Path, out: Path) -> Measured:
    """There is no position to go on from: what was seen is read again and left out."""
    count = len(list(source.glob("*.jpg"))) * 3 // 4
    started = time.perf_counter()
    for n, _ in enumerate(opened(out)):
        if n == count:
            break
    return {"seconds": time.perf_counter() - started, "samples": 1}
