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
import importlib
import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from sides.common import Measured, make_samples, without_sync

PEERS = {"webdataset": "webdataset", "litdata": "litdata", "mosaic": "streaming"}  # side: what it needs installed


def measure(task: str, source: Path, out: Path) -> Measured:
    """Do one thing on one side; ``task`` is such as ``decode ours 2``, or ``write ours_direct`` of several ways."""
    kind, side, *rest = task.split()
    if "nosync" in rest:
        without_sync()
    if kind == "codec":
        return dict(importlib.import_module("sides.codecs").limit(side, source))
    name, _, way = side.partition("_")
    module = importlib.import_module(f"sides.{name}")
    if "nohash" in rest:
        module.without_hashing()
    function = getattr(module, f"{kind}_{way}" if way else kind)
    return dict(function(source, out, int(rest[0])) if kind == "decode" else function(source, out))


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
