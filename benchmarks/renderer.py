# SPDX-License-Identifier: Apache-2.0
"""The stages of the Blender renderer at three sizes, steady state, and the plate mode beside the room mode.

    python benchmarks/renderer.py            about ten minutes
    python benchmarks/renderer.py --quick    one small size, within a minute

The goals are seconds per frame in steady state, everything included, and megabytes of the worker's memory when
it answers. ``cpu`` is what both processes compute for a frame, which tells more than its time on a busy machine.
The sizes take turns, frame by frame, so that a busy machine slows all alike; the first frame of each
(start-up, caches) is left out. Rooms are the peer of plates: what it would cost to render the room too
instead of compositing people over a photo of it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image
from reporting import Result, report

from synthkit.cache import cache_dir
from synthkit.interfaces import ComponentSpec, Runtime
from synthkit.plugins import discover
from synthkit.sample import Sample
from synthkit.seeds import Seeds

GOALS_S = {(448, 336): 3.5, (640, 480): 5.0, (1024, 1024): 13.0}
MEMORY_GOAL_MB = 800.0
STAGES = ("cpu", "people", "scene", "worker", "worker.build", "worker.read", "truth", "develop")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one small size, within a minute")
    parser.add_argument("--frames", type=int, default=7, help="frames of each size that count")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="threads of the worker")
    args = parser.parse_args()
    sizes = [(448, 336)] if args.quick else list(GOALS_S)
    frames = 2 if args.quick else args.frames
    with tempfile.TemporaryDirectory() as folder:
        variants: dict[str, dict[str, Any]] = {
            f"{width}x{height}": {"width_px": width, "height_px": height} for width, height in sizes
        }
        if not args.quick:
            plate = np.full((336, 448, 3), 150, np.uint8)
            Image.fromarray(plate).save(Path(folder) / "plate.png")
            variants["448x336 plate"] = {"width_px": 448, "height_px": 336, "backgrounds": folder}
        measured = _measure(variants, frames, args.threads)
    report(f"Blender renderer, {frames} frames a size, {args.threads} threads", _results(measured))


def _measure(variants: dict[str, dict[str, Any]], frames: int, threads: int) -> dict[str, list[dict[str, float]]]:
    """Return the timings of each variant's frames, the variants taking turns."""
    registry = discover()
    seeds = Seeds(0)
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in variants}
    with ExitStack() as stack:
        renderers = {}
        for name, options in variants.items():
            runtime = Runtime(seeds, cache_dir(), threads=threads)
            renderer = registry.build(ComponentSpec("renderer", "blender", options), runtime)
            renderers[name] = stack.enter_context(renderer)
        for scene in range(frames + 1):
            for name, renderer in renderers.items():
                began, busy = time.perf_counter(), time.process_time()
                (result,) = renderer.render(scene, seeds.child("scene", scene))
                seconds = time.perf_counter() - began
                if not isinstance(result, Sample):
                    raise SystemExit(f"scene {scene} of {name} was skipped: {result.reason}")
                if scene > 0:
                    cpu = time.process_time() - busy + renderer.timings["worker.cpu"]
                    measured[name].append({**renderer.timings, "frame": seconds, "cpu": cpu})
    return measured


def _results(measured: dict[str, list[dict[str, float]]]) -> list[Result]:
    results = []
    rooms_s = median(frame["frame"] for frame in measured["448x336"])
    for name, frames in measured.items():
        middle = {
            key: median(frame.get(key, 0.0) for frame in frames) for key in sorted({k for f in frames for k in f})
        }
        goal = next((seconds for (w, h), seconds in GOALS_S.items() if name == f"{w}x{h}"), None)
        plate = name.endswith("plate")
        results.append(
            Result(f"{name} frame", "s", middle["frame"], rooms_s if plate else None, "room" if plate else None, goal)
        )
        renders = [key for key in middle if key.startswith("worker.render")]
        results += [Result(f"{name} {key}", "s", middle[key]) for key in (*STAGES, *renders) if key in middle]
        results.append(Result(f"{name} memory", "MB", max(f["resident_mb"] for f in frames), goal=MEMORY_GOAL_MB))
    return results


if __name__ == "__main__":
    main()
