# SPDX-License-Identifier: Apache-2.0
"""The samples of the benchmark, as plain files, and what every side is measured with."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SHARD_SAMPLES = 200
WIDTH_PX, HEIGHT_PX = 448, 336
RANDOM_READS = 2000
Measured = dict[str, float]


def make_samples(folder: Path, count: int) -> None:
    """Write ``count`` JPEGs of some fifty different pictures, and JSON, as plain files."""
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(50):
        small = Image.fromarray(rng.integers(0, 255, (HEIGHT_PX // 16, WIDTH_PX // 16, 3), dtype=np.uint8))
        pixels = np.asarray(small.resize((WIDTH_PX, HEIGHT_PX), Image.Resampling.BICUBIC), np.int16)
        noisy = (pixels + rng.normal(0, 6, pixels.shape)).clip(0, 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(noisy).save(buffer, "JPEG", quality=90)
        pictures.append(buffer.getvalue())
    people = [{"identity": f"p{n}", "rotated_box": [100.5, 90.25, 40.0, 80.0, 12.5]} for n in range(4)]
    for n in range(count):
        (folder / f"{n:08d}.jpg").write_bytes(pictures[n % len(pictures)])
        (folder / f"{n:08d}.json").write_text(json.dumps({"schema": 1, "people": people, "frame": n}))


def samples(folder: Path) -> Iterator[tuple[str, bytes, bytes]]:
    for path in sorted(folder.glob("*.jpg")):
        yield path.stem, path.read_bytes(), path.with_suffix(".json").read_bytes()


def synced(path: Path) -> None:
    for place in (path, path.parent):
        descriptor = os.open(place, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def without_sync() -> None:
    os.fsync = lambda descriptor: None


def pillow_batch(items: list[Any]) -> Any:
    import torch

    pictures = [np.asarray(Image.open(io.BytesIO(item["jpg"])).convert("RGB")) for item in items]
    return torch.from_numpy(np.stack(pictures))


def size_of(members: dict[str, Any]) -> int:
    return len(members["jpg"]) + len(members["json"])


def timed(counts: Iterator[int], samples_of: Callable[[int], int] | None = None) -> Measured:
    """Run through; each count is a sample's bytes, or, with ``samples_of``, a batch's samples."""
    started = time.perf_counter()
    number = total = 0
    for count in counts:
        number += 1
        total += count
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "samples": number if samples_of is None else samples_of(total)}
