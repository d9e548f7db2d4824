# SPDX-License-Identifier: Apache-2.0
"""The Blender renderer in steady state: seconds of each stage, memory, and the same scene through BlenderProc.

    python benchmarks/rendering.py                        about twenty minutes
    python benchmarks/rendering.py --quick                one small size, within a minute or two
    python benchmarks/rendering.py --only plate --frames 500
    python benchmarks/rendering.py --blenderproc PYTHON   see rendering_blenderproc.py

Five people are in each frame: three sit, two stand or walk. The goals are seconds per frame, everything included,
over a plate, and megabytes of the worker's memory when it answers. ``cpu`` is what both processes compute for a frame,
which tells more than its time on a busy machine. ``overhead`` is what a frame takes beyond Blender's own render calls,
in percent of these. The variants take turns, frame by frame, so that a busy machine slows all alike; the first frame of
each (start-up, caches) is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
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
from synthkit.config import structure
from synthkit.interfaces import ComponentSpec, Runtime
from synthkit.plugins import discover
from synthkit.sample import Sample
from synthkit.seeds import Seeds

GOALS_S = {(448, 336): 3.5, (640, 480): 5.0, (1024, 1024): 13.0}  # over a plate
MEMORY_GOAL_MB = 800.0
OVERHEAD_GOAL_PERCENT = 15.0
PEOPLE = {"sitting": [3, 3], "standing": [2, 2]}
STAGES = ("cpu", "people", "scene", "worker", "worker.build", "worker.read", "worker.other", "truth", "develop")
FEW = 50  # frames at the start and at the end whose medians tell whether a long run slows down

Variants = dict[str, dict[str, Any]]
Timings = dict[str, list[dict[str, float]]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one small size, within a minute or two")
    parser.add_argument("--frames", type=int, default=7, help="frames of each variant that count")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="threads of the worker")
    parser.add_argument("--only", default="", help="variants whose name holds this")
    parser.add_argument("--blenderproc", type=Path, metavar="PYTHON", help="a Python that has BlenderProc and bpy")
    args = parser.parse_args()
    sizes = [(448, 336)] if args.quick else list(GOALS_S)
    frames = 2 if args.quick else args.frames
    with tempfile.TemporaryDirectory() as folder:
        chosen = {name: options for name, options in _variants(sizes, Path(folder)).items() if args.only in name}
        results = _results(_measure(chosen, frames, args.threads))
        if args.blenderproc is not None:
            results += _beside_blenderproc(args.blenderproc, Path(folder), frames, args.threads)
    report(f"Blender renderer, {frames} frames a variant, {args.threads} threads", results)


def _variants(sizes: list[tuple[int, int]], folder: Path) -> Variants:
    """Return the settings of each variant: plates of a grey room, procedural rooms, and these with all layers."""
    found: Variants = {}
    for width, height in sizes:
        plates = folder / f"{width}x{height}"
        plates.mkdir()
        Image.fromarray(np.full((height, width, 3), 150, np.uint8)).save(plates / "plate.png")
        (plates / "plates.toml").write_text(_notes(width, height))
        size = {"width_px": width, "height_px": height, "people": PEOPLE}
        found[f"{width}x{height} plate"] = {**size, "backgrounds": str(plates)}
        found[f"{width}x{height} room"] = size
    everything = discover().get("renderer", "blender").component.preview
    found["448x336 room, all layers"] = {**found["448x336 room"], **everything}
    return found


def _notes(width: int, height: int) -> str:
    """Return the notes of a plate whose room is a round floor of 2.7 m without walls, under an equidistant lens."""
    radius = min(width, height) / 2
    angles = np.arange(32) * (2 * np.pi / 32)
    floor = np.column_stack([width / 2 + radius / 2 * np.cos(angles), height / 2 + radius / 2 * np.sin(angles)])
    return f"""size_px = [{width}, {height}]
walls = false
floor_px = {floor.round(2).tolist()}

[camera]
circle_px = [{width / 2}, {height / 2}, {radius}]
fov_degrees = 180.0
equisolid = 0.0
height_m = 2.7
"""


def _measure(variants: Variants, frames: int, threads: int) -> Timings:
    """Return the timings of each variant's frames, the variants taking turns."""
    registry = discover()
    seeds = Seeds(0)
    measured: Timings = {name: [] for name in variants}
    with ExitStack() as stack:
        renderers = {}
        for name, options in variants.items():
            runtime = Runtime(seeds, cache_dir(), threads=threads)
            renderer = registry.build(ComponentSpec("renderer", "blender", options), runtime)
            renderers[name] = stack.enter_context(renderer)
        for scene in range(frames + 1):
            for name, renderer in renderers.items():
                began, busy = time.perf_counter(), time.process_time()
                result = next(iter(renderer.render(scene, seeds.child("scene", scene))))
                seconds = time.perf_counter() - began
                if not isinstance(result, Sample):
                    raise SystemExit(f"scene {scene} of {name} was skipped: {result.reason}")
                if scene > 0:
                    cpu = time.process_time() - busy + renderer.timings["worker.cpu"]
                    measured[name].append({**_stages(renderer.timings), "frame": seconds, "cpu": cpu})
    return measured


def _stages(timings: dict[str, float]) -> dict[str, float]:
    """Return a frame's stages with what the worker takes beside its own: packing, the pipe, an empty file."""
    own = sum(seconds for name, seconds in timings.items() if name.startswith("worker.") and name != "worker.cpu")
    return {**timings, "worker.other": timings["worker"] - own}


def _results(measured: Timings) -> list[Result]:
    results = []
    for name, frames in measured.items():
        keys = sorted({key for frame in frames for key in frame})
        middle = {key: median(frame.get(key, 0.0) for frame in frames) for key in keys}
        goal = next((seconds for (w, h), seconds in GOALS_S.items() if name == f"{w}x{h} plate"), None)
        results.append(Result(f"{name}: frame", "s", middle["frame"], goal=goal))
        renders = [key for key in middle if key.startswith("worker.render")]
        results += [Result(f"{name}: {key}", "s", middle[key]) for key in (*STAGES, *renders) if key in middle]
        beyond = median(frame["frame"] / sum(frame.get(key, 0.0) for key in renders) - 1 for frame in frames)
        results.append(Result(f"{name}: overhead", "%", 100 * beyond, goal=OVERHEAD_GOAL_PERCENT))
        results.append(Result(f"{name}: memory", "MB", max(f["resident_mb"] for f in frames), goal=MEMORY_GOAL_MB))
        if len(frames) >= 2 * FEW:
            first, last = (median(frame["frame"] for frame in part) for part in (frames[:FEW], frames[-FEW:]))
            results.append(Result(f"{name}: the last {FEW} frames", "s", last, first, f"the first {FEW}"))
    return results


def _beside_blenderproc(python: Path, folder: Path, frames: int, threads: int) -> list[Result]:
    """Render one and the same room here and through BlenderProc, both with depth and instances."""
    from synthkit_blender.casting import Casting
    from synthkit_blender.client import WorkerClient
    from synthkit_blender.config import BlenderConfig
    from synthkit_blender.people import BodyLibrary
    from synthkit_blender.request import ROOM, Quality, render_request
    from synthkit_blender.scene import sample_scene

    config = structure(BlenderConfig, {"people": PEOPLE})
    casting = Casting(BodyLibrary(cache_dir() / "blender-people"), config.people, Seeds(0))
    scene = sample_scene(config, casting, Seeds(0).child("scene", 1))
    header, arrays = render_request(scene, (ROOM,), Quality(config.light_paths, True, threads, 0))
    stored = {f"array_{n}": array for n, array in enumerate(arrays)}
    np.savez(folder / "scene.npz", header=np.frombuffer(json.dumps(header).encode(), np.uint8), **stored)
    command = [python, Path(__file__).with_name("rendering_blenderproc.py"), folder / "scene.npz", str(frames)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"BlenderProc did not render:\n{done.stderr[-2000:]}")
    peer = json.loads(done.stdout.splitlines()[-1])
    seconds, memory_mb = [], []
    with WorkerClient(config.worker) as client:
        for _ in range(frames + 1):
            began = time.perf_counter()
            reply = client.render(header, arrays)
            seconds.append(time.perf_counter() - began)
            memory_mb.append(reply.resident_mb)
    same = "the same room, built and rendered"
    return [
        Result(same, "s", median(seconds[1:]), median(peer["seconds"]), "BlenderProc"),
        Result(f"{same}: memory after the last", "MB", memory_mb[-1], peer["memory_mb"][-1], "BlenderProc"),
    ]


if __name__ == "__main__":
    main()
