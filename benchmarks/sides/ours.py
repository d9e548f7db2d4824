# SPDX-License-Identifier: Apache-2.0
"""Our data sets."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np

from sides.common import RANDOM_READS, SHARD_SAMPLES, Measured, samples, size_of, timed, without_sync


def without_hashing() -> None:
    from synthkit.dataset.hashing import HashAside

    HashAside.update = lambda self, data: None  # type: ignore[method-assign]


def encoded_samples(source: Path) -> list[Any]:
    from synthkit.dataset.codec import Encoded

    return [
        Encoded(key, (("jpg", image), ("json", text)), hashlib.sha256(key.encode()).digest())
        for key, image, text in samples(source)
    ]


def write_spooled(source: Path, out: Path) -> Measured:
    from synthkit.dataset import DatasetWriter

    scenes = encoded_samples(source)
    started = time.perf_counter()
    with DatasetWriter(out, identity={}, scenes=len(scenes), scenes_per_shard=SHARD_SAMPLES) as writer:
        for n, encoded in enumerate(scenes):
            writer.spool.put(n, [encoded])
            writer.finished(n)
        writer.finalise()
    return {"seconds": time.perf_counter() - started, "samples": len(scenes)}


def write_direct(source: Path, out: Path) -> Measured:
    from synthkit.dataset import CodecConfig, shards, stores
    from synthkit.dataset.spool import packed_scene

    scenes = encoded_samples(source)
    store = stores.at(out)
    started = time.perf_counter()
    for first in range(0, len(scenes), SHARD_SAMPLES):
        part = range(first, min(first + SHARD_SAMPLES, len(scenes)))
        packed = (packed_scene(n, [scenes[n]], CodecConfig()) for n in part)
        shards.publish(store, first // SHARD_SAMPLES, first, packed, {})
    return {"seconds": time.perf_counter() - started, "samples": len(scenes)}


def write_many(source: Path, out: Path) -> Measured:
    """Write shards of four samples: as many as a large set has."""
    from synthkit.dataset import DatasetWriter

    scenes = encoded_samples(source)
    without_sync()
    started = time.perf_counter()
    with DatasetWriter(out, identity={}, scenes=len(scenes), scenes_per_shard=4) as writer:
        for n, encoded in enumerate(scenes):
            writer.spool.put(n, [encoded])
            writer.finished(n)
        writer.finalise()
    return {"seconds": time.perf_counter() - started, "samples": len(scenes)}


def read(source: Path, out: Path) -> Measured:
    from synthkit.dataset import Dataset

    return timed(size_of(members) for _, members in Dataset.open(out).raw())


def decode(source: Path, out: Path, workers: int) -> Measured:
    from synthkit.dataset import Dataset
    from synthkit.dataset.torch_view import Loader

    loader = Loader(Dataset.open(out, layers=()), batch_size=32, transform=pixels_of, workers=workers)
    return timed((len(batch) for batch in loader), lambda total: total)


def pixels_of(sample: Any) -> Any:
    return np.asarray(sample.image)


def random(source: Path, out: Path) -> Measured:
    from synthkit.dataset import Dataset

    data = Dataset.open(out)
    places = np.random.default_rng(1).integers(0, len(data), RANDOM_READS).tolist()
    return timed(size_of(data.members(place)[1]) for place in places)


def random_many(source: Path, out: Path) -> Measured:
    return random(source, out)


def resume(source: Path, out: Path) -> Measured:
    from synthkit.dataset import Dataset

    data = Dataset.open(out)
    stream = data.stream(seed=3)
    for _ in range(len(data) * 3 // 4):
        stream.next_position()
    state = stream.state_dict()
    started = time.perf_counter()
    again = Dataset.open(out).stream(seed=3)
    again.load_state_dict(state)
    next(again)
    return {"seconds": time.perf_counter() - started, "samples": 1}
