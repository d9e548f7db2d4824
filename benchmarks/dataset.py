# SPDX-License-Identifier: Apache-2.0
"""Data sets beside those of the peers: writing, reading, decoding, random access and resuming.

    python benchmarks/dataset.py            some ten minutes
    python benchmarks/dataset.py --quick    within a minute

Peers that are not installed are left out and named. Each measurement is a process of its own, which tells
its peak memory; the sides take turns. Samples are photo-like JPEGs of 448x336 with their JSON, encoded
before: what is compared is the containers. Caches are warm for all.

Writing gives each finished shard the same durability on every side (the file and its folder are synced) and
is shown without any too (``nosync``), and without our hashing of the archive (``nohash``); the digest of a
sample's content belongs to encoding. ``spooled`` is how the pipeline writes, scene by scene so that a killed
run loses none; ``direct`` how whole shards are published, as a task on another machine does.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

SHARD_SAMPLES = 200
WIDTH_PX, HEIGHT_PX = 448, 336
RANDOM_READS = 2000
PEERS = {"webdataset": "webdataset", "litdata": "litdata", "mosaic": "streaming"}  # name: module
Measured = dict[str, float]


# --- the samples ------------------------------------------------------------------------------------------


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


def without_hashing() -> None:
    from synthkit.dataset.hashing import HashAside

    HashAside.update = lambda self, data: None  # type: ignore[method-assign]


# --- ours -------------------------------------------------------------------------------------------------


def ours_encoded(source: Path) -> list[Any]:
    from synthkit.dataset.codec import Encoded

    return [
        Encoded(key, (("jpg", image), ("json", text)), hashlib.sha256(key.encode()).digest())
        for key, image, text in samples(source)
    ]


def write_ours_spooled(source: Path, out: Path) -> Measured:
    from synthkit.dataset import DatasetWriter

    scenes = ours_encoded(source)
    started = time.perf_counter()
    with DatasetWriter(out, identity={}, scenes=len(scenes), scenes_per_shard=SHARD_SAMPLES) as writer:
        for n, encoded in enumerate(scenes):
            writer.spool.put_encoded(n, [encoded])
            writer.finished(n)
        writer.finalise()
    return {"seconds": time.perf_counter() - started, "samples": len(scenes)}


def write_ours_direct(source: Path, out: Path) -> Measured:
    from synthkit.dataset import shards, stores
    from synthkit.dataset.spool import packed_scene

    scenes = ours_encoded(source)
    store = stores.at(out)
    started = time.perf_counter()
    for first in range(0, len(scenes), SHARD_SAMPLES):
        part = range(first, min(first + SHARD_SAMPLES, len(scenes)))
        packed = (packed_scene(n, [scenes[n]]) for n in part)
        shards.publish(store, first // SHARD_SAMPLES, first, packed, {})
    return {"seconds": time.perf_counter() - started, "samples": len(scenes)}


def write_ours_many(source: Path, out: Path) -> Measured:
    """Write shards of four samples: as many as a large set has."""
    from synthkit.dataset import DatasetWriter

    scenes = ours_encoded(source)
    without_sync()
    started = time.perf_counter()
    with DatasetWriter(out, identity={}, scenes=len(scenes), scenes_per_shard=4) as writer:
        for n, encoded in enumerate(scenes):
            writer.spool.put_encoded(n, [encoded])
            writer.finished(n)
        writer.finalise()
    return {"seconds": time.perf_counter() - started, "samples": len(scenes)}


def read_ours(source: Path, out: Path) -> Measured:
    from synthkit.dataset import Dataset

    return timed(size_of(members) for _, members in Dataset.open(out).raw())


def decode_ours(source: Path, out: Path, workers: int) -> Measured:
    from synthkit.dataset import Dataset
    from synthkit.dataset.torch_view import Loader

    loader = Loader(Dataset.open(out, layers=()), batch_size=32, transform=pixels_of, workers=workers)
    return timed((len(batch) for batch in loader), lambda total: total)


def pixels_of(sample: Any) -> Any:
    return np.asarray(sample.image)


def random_ours(source: Path, out: Path) -> Measured:
    from synthkit.dataset import Dataset

    data = Dataset.open(out)
    places = np.random.default_rng(1).integers(0, len(data), RANDOM_READS).tolist()
    return timed(size_of(data.members(place)[1]) for place in places)


def random_ours_many(source: Path, out: Path) -> Measured:
    return random_ours(source, out)


def resume_ours(source: Path, out: Path) -> Measured:
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


# --- webdataset -------------------------------------------------------------------------------------------


def write_webdataset(source: Path, out: Path) -> Measured:
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


def wds(out: Path) -> Any:
    os.environ["WDS_SECURE"] = "1"
    import webdataset

    return webdataset.WebDataset([str(path) for path in sorted(out.rglob("*.tar"))], shardshuffle=False)


def read_webdataset(source: Path, out: Path) -> Measured:
    return timed(len(item["jpg"]) + len(item["json"]) for item in wds(out))


def decode_webdataset(source: Path, out: Path, workers: int) -> Measured:
    import torch
    import webdataset

    data = wds(out).decode("rgb8", only=["jpg"]).to_tuple("jpg").batched(32)
    loader = webdataset.WebLoader(data, batch_size=None, num_workers=workers)
    assert torch
    return timed((len(batch[0]) for batch in loader), lambda total: total)


def resume_webdataset(source: Path, out: Path) -> Measured:
    """There is no position to go on from: what was seen is read again and left out."""
    count = len(list(source.glob("*.jpg"))) * 3 // 4
    started = time.perf_counter()
    for n, _ in enumerate(wds(out)):
        if n == count:
            break
    return {"seconds": time.perf_counter() - started, "samples": 1}


# --- litdata ----------------------------------------------------------------------------------------------


def write_litdata(source: Path, out: Path) -> Measured:
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


def litdata_set(out: Path) -> Any:
    from litdata import StreamingDataset

    return StreamingDataset(str(out), shuffle=False)


def read_litdata(source: Path, out: Path) -> Measured:
    return timed(size_of(item) for item in litdata_set(out))


def random_litdata(source: Path, out: Path) -> Measured:
    data = litdata_set(out)
    places = np.random.default_rng(1).integers(0, len(data), RANDOM_READS).tolist()
    return timed(size_of(data[place]) for place in places)


def decode_litdata(source: Path, out: Path, workers: int) -> Measured:
    from litdata import StreamingDataLoader

    loader = StreamingDataLoader(litdata_set(out), batch_size=32, num_workers=workers, collate_fn=pillow_batch)
    return timed((len(batch) for batch in loader), lambda total: total)


def resume_litdata(source: Path, out: Path) -> Measured:
    from litdata import StreamingDataLoader

    def loader() -> Any:
        return StreamingDataLoader(litdata_set(out), batch_size=1, collate_fn=len)

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


# --- mosaicml-streaming -----------------------------------------------------------------------------------


def write_mosaic(source: Path, out: Path) -> Measured:
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


def mosaic_set(out: Path) -> Any:
    from streaming import StreamingDataset

    return StreamingDataset(local=str(out), shuffle=False, batch_size=1)


def read_mosaic(source: Path, out: Path) -> Measured:
    return timed(size_of(item) for item in mosaic_set(out))


def random_mosaic(source: Path, out: Path) -> Measured:
    data = mosaic_set(out)
    places = np.random.default_rng(1).integers(0, len(data), RANDOM_READS).tolist()
    return timed(size_of(data[place]) for place in places)


def resume_mosaic(source: Path, out: Path) -> Measured:
    data = mosaic_set(out)
    state = data.state_dict(len(data) * 3 // 4, from_beginning=True)
    started = time.perf_counter()
    again = mosaic_set(out)
    again.load_state_dict(state)
    next(iter(again))
    return {"seconds": time.perf_counter() - started, "samples": 1}


def decode_mosaic(source: Path, out: Path, workers: int) -> Measured:
    from torch.utils.data import DataLoader

    loader = DataLoader(mosaic_set(out), batch_size=32, num_workers=workers, collate_fn=pillow_batch)
    return timed((len(batch) for batch in loader), lambda total: total)


# --- measuring --------------------------------------------------------------------------------------------


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


def codec_limit(decoder: str, source: Path) -> Measured:
    """Decode the JPEGs alone, from memory, with one decoder in one thread."""
    data = [image for _, image, _ in samples(source)]
    if decoder == "pillow":

        def decode(jpeg: bytes) -> Any:
            return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))
    elif decoder == "opencv":
        import cv2

        cv2.setNumThreads(1)

        def decode(jpeg: bytes) -> Any:
            return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
    else:
        from synthkit.dataset import images

        def decode(jpeg: bytes) -> Any:
            return images.decode(jpeg, rgb=True)

    return timed(decode(jpeg).nbytes for jpeg in data)


def measure(task: str, source: Path, out: Path) -> Measured:
    """Do one thing on one side; ``task`` is such as ``decode ours 2``."""
    kind, side, *rest = task.split()
    if "nosync" in rest:
        without_sync()
    if "nohash" in rest:
        without_hashing()
    if kind == "codec":
        return codec_limit(side, source)
    function = globals()[f"{kind}_{side}"]
    found: Measured = function(source, out, int(rest[0])) if kind == "decode" else function(source, out)
    return found


def run(task: str, source: Path, out: Path, python: str) -> Measured:
    """Measure in a process of its own; return its figures and its peak memory."""
    command = [python, __file__, "--measure", task, "--source", str(source), "--out", str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"{task} failed:\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few samples and rounds, within a minute")
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers-python", default=sys.executable, help="interpreter that has the peers installed")
    parser.add_argument("--folder", type=Path, help="where to work, such as the disk to be measured")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--source", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        figures = measure(args.measure, args.source, args.out)
        print(json.dumps({**figures, "peak_mb": peak_mb(args.measure)}))
        return
    if args.quick:
        args.samples, args.rounds = 500, 1
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        compare(Path(folder), args.samples, args.rounds, args.peers_python)


def peak_mb(task: str) -> float:
    """Return the most memory that this process had, and as much for each worker as the largest of them."""
    kind, _, *rest = task.split()
    workers = int(rest[0]) if kind == "decode" else 0
    own, of_workers = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return (own + workers * of_workers) / 1024


def installed(python: str) -> list[str]:
    """Return the peers that an interpreter has."""
    if python == sys.executable:
        return [name for name, module in PEERS.items() if importlib.util.find_spec(module)]
    code = f"import importlib.util as u; print([n for n, m in {PEERS!r}.items() if u.find_spec(m)])"
    printed = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout
    return [name for name in PEERS if repr(name) in printed]


def compare(folder: Path, count: int, rounds: int, peers_python: str) -> None:
    """Run every task on every side in turn, and report."""
    from reporting import report

    source = folder / "source"
    source.mkdir()
    make_samples(source, count)
    peers = installed(peers_python)
    for name in sorted(set(PEERS) - set(peers)):
        print(f"{name} is not installed and left out")
    have = {side for side in ("webdataset", "litdata", "mosaic") if side in peers}
    tasks = [task for task in TASKS if task.split()[1] in {*OURS, *have, *CODECS}]
    if count < MANY:
        tasks = [task for task in tasks if "ours_many" not in task]
    figures: dict[str, list[Measured]] = {task: [] for task in tasks}
    for number in range(rounds):
        for task in tasks:
            kind, side, *rest = task.split()
            python = peers_python if side in PEERS else sys.executable
            out = folder / ("ours_spooled" if side == "ours" else side)
            if kind == "write":
                out = folder / "_".join([side, str(number), *rest])
            figures[task].append(run(task, source, out, python))
            if kind == "write" and number == 0 and not rest:
                out.rename(folder / side)
    report(f"Data sets, {count} samples, {rounds} rounds", results(figures))


MANY = 2000  # samples from which on the many small shards are measured too
OURS = ("ours", "ours_spooled", "ours_direct", "ours_many")
CODECS = ("pillow", "opencv", "ours_images")
TASKS = [
    *(f"write {side}{how}" for how in ("", " nosync") for side in ("ours_spooled", "ours_direct", *PEERS)),
    "write ours_direct nosync nohash",
    "write ours_many",
    *(f"read {side}" for side in ("ours", *PEERS)),
    *(f"codec {decoder}" for decoder in CODECS),
    *(f"decode {side} {workers}" for workers in (0, 2) for side in ("ours", *PEERS)),
    *(f"random {side}" for side in ("ours", "ours_many", "litdata", "mosaic")),
    *(f"resume {side}" for side in ("ours", *PEERS)),
]
GOALS = {("write ours_direct", "webdataset"): 2.0, ("read ours", "webdataset"): 5.0}


def results(figures: dict[str, list[Measured]]) -> list[Any]:
    """Return a line per task: ours beside each peer, then peak memory of each side."""
    from reporting import Result

    def rate(task: str) -> float:
        return median(found["samples"] / found["seconds"] for found in figures[task])

    listed = []
    for task in figures:
        kind, side, *rest = task.split()
        if kind == "codec" or not side.startswith("ours"):
            continue
        others = [" ".join([kind, peer, *(how for how in rest if how != "nohash")]) for peer in PEERS]
        if side == "ours_many":
            others = []
        found = [other for other in others if other in figures]
        for other in found or [None]:
            peer = other.split()[1] if other else None
            goal = GOALS.get((task, peer or ""))
            if kind == "resume":
                seconds = [median(m["seconds"] for m in figures[name]) for name in (task, other) if name]
                listed.append(Result(f"{task} after 3/4", "s", seconds[0], *seconds[1:], peer_name=peer))
            else:
                their = rate(other) if other else None
                wanted = goal * their if goal and their else None
                listed.append(Result(task, "samples/s", rate(task), their, peer, wanted, smaller_is_better=False))
    ours, pillow = rate("codec ours_images"), rate("codec pillow")
    listed.append(Result("codec alone", "images/s", ours, pillow, "pillow", smaller_is_better=False))
    listed.append(Result("codec alone", "images/s", ours, rate("codec opencv"), "opencv", smaller_is_better=False))
    for task, measured in figures.items():
        listed.append(Result(f"peak memory: {task}", "MB", max(found["peak_mb"] for found in measured)))
    return listed


if __name__ == "__main__":
    main()
