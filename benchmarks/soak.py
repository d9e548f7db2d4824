# SPDX-License-Identifier: Apache-2.0
"""Many scenes of the Blender renderer: how deep anything reaches into anything else, and whether all truth is valid.

    python benchmarks/soak.py                                  1,000 scenes drawn, 1,000 rendered small; hours
    python benchmarks/soak.py --quick                          a few of each, within a minute or two
    python benchmarks/soak.py --scenes 300 --renders 0         geometry alone, no Blender
    python benchmarks/soak.py --out soak --seed 3              keeps the data sets and the plots of their statistics

Scenes are drawn as ``synthkit render --seed`` draws them, every fourth over a plate with tables, seats and a corner,
and measured on the meshes that would be rendered (see ``penetration.py``), at the middle of the exposure, in
millimetres: the worst of all scenes, and by posture and by layout. ``cushion`` is how far a sitter presses a seat down,
``hovers`` how far above it they sit; ``wall`` is of whoever reaches beyond the floor. Then other scenes are rendered at
low quality by the command line, in rooms and over the plate, and go through ``synthkit verify`` and ``synthkit stats``.
The exit status is 1 where a tolerance is exceeded or truth is not valid.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import attrs
import numpy as np
from penetration import Body, Floats, hulls_apart_m
from PIL import Image
from reporting import Result, report

from synthkit.cache import cache_dir
from synthkit.config import structure
from synthkit.seeds import Seeds
from synthkit_blender.casting import Casting
from synthkit_blender.config import BlenderConfig
from synthkit_blender.crowd import Figure
from synthkit_blender.optics import ceiling_camera
from synthkit_blender.people import BodyLibrary
from synthkit_blender.placement import hull
from synthkit_blender.plates import Plates
from synthkit_blender.polygons import hull_and_pockets
from synthkit_blender.scene import Scene, plate_camera, plate_space, sample_scene
from synthkit_blender.things import Thing

TOLERANCE_MM = {
    "person into person": 0.0,
    "person into furniture": 5.0,
    "person into own chair": 5.0,  # its back, arms and legs
    "person into cushion": 70.0,  # it gives way
    "person through wall": 0.0,
    "furniture into furniture": 5.0,  # papers on a wall lie over each other
    "feet sink": 10.0,
    "feet hover": 10.0,
    "seat hovers": 10.0,
}
PLATE_EVERY = 4
PLATE_PX = 448
WORST = 12
SMALL = ("width_px=112", "height_px=84", "samples=1", "denoise=false")
PELVIS_M = 0.16  # around the pelvis: what of a sitter is on the seat
CUSHIONS_M = 0.02  # as high as the seat: what is pressed down as well


@attrs.frozen
class Finding:
    """One measured distance: its kind, of whom (posture) or of what, where (layout), in which scene."""

    kind: str
    whose: str
    layout: str
    scene: int
    mm: float


def main() -> int:
    """Measure, print, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few of each, within a minute or two")
    parser.add_argument("--scenes", type=int, default=1000, help="scenes drawn and measured")
    parser.add_argument("--renders", type=int, default=1000, help="samples rendered and verified")
    parser.add_argument("--first", type=int, default=0, help="index of the first scene measured")
    parser.add_argument("--seed", type=int, default=0, help="the run's seed, as of synthkit render")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", type=Path, help="folder to keep plate, data sets and plots in")
    args = parser.parse_args()
    scenes, renders = (8, 8) if args.quick else (args.scenes, args.renders)
    with tempfile.TemporaryDirectory() as scratch:
        out = args.out or Path(scratch)
        plate = make_plate(out / "plate")
        findings = list(_measured(range(args.first, args.first + scenes), args.seed, plate, args.processes))
        results = _results(findings)
        _print_worst(findings)
        for column in ("layout", "whose"):
            _print_table(findings, column)
        broken = [] if renders == 0 else _rendered(renders, args.seed, plate, out, args.processes)
    report(f"{scenes} scenes drawn, {renders} rendered, seed {args.seed}", results)
    for line in broken:
        print(line, file=sys.stderr)
    exceeded = any(result.goal is not None and result.ours > result.goal for result in results)
    return 1 if exceeded or broken else 0


def make_plate(folder: Path) -> Path:
    """Write a plate of a grey room with a corner, two tables, a cupboard and seats, and what is known of it."""
    camera = ceiling_camera(PLATE_PX, PLATE_PX, 180.0, 0.2, 2.8, 0.0)

    def pixels(points_m: Iterable[tuple[float, float]], z_m: float) -> str:
        points = np.array([(x, y, z_m) for x, y in points_m])
        return str(np.round(camera.project(points)[0], 2).tolist())

    def thing(kind: str, x0: float, y0: float, x1: float, y1: float, z_m: float, facing: str = "") -> str:
        corners = pixels([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], z_m)
        return f'[[furniture]]\nkind = "{kind}"\nheight_m = {z_m}\noutline_px = {corners}\n{facing}\n'

    def seat(x: float, y: float, ahead_y: float) -> str:
        facing = f"facing_px = {pixels([(x, ahead_y)], 0.45)[1:-1]}"
        return thing("seat", x - 0.23, y - 0.23, x + 0.23, y + 0.23, 0.45, facing)

    floor = [(-3.2, -2.6), (3.2, -2.6), (3.2, 1.0), (1.6, 1.0), (1.6, 2.6), (-3.2, 2.6)]
    notes = [
        f"size_px = [{PLATE_PX}, {PLATE_PX}]\nfloor_px = {pixels(floor, 0.0)}\n[camera]\nheight_m = 2.8\n"
        f"fov_degrees = 180.0\nequisolid = 0.2\ncircle_px = [{PLATE_PX / 2}, {PLATE_PX / 2}, {PLATE_PX / 2}]\n",
        thing("table", -1.9, -0.4, -0.1, 0.4, 0.74),
        thing("table", 0.9, -2.2, 2.5, -1.4, 0.74),
        thing("occluder", -3.2, 2.1, -1.8, 2.6, 1.2),
        *(seat(x, y, 0.0) for x in (-1.5, -0.5) for y in (-0.7, 0.7)),
        seat(1.7, -1.05, -1.8),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plates.toml").write_text("\n".join(notes))
    Image.fromarray(np.full((PLATE_PX, PLATE_PX, 3), 150, np.uint8)).save(folder / "room.png")
    return folder


def _measured(scenes: range, seed: int, plate: Path, processes: int) -> Iterator[Finding]:
    began = time.monotonic()
    with ProcessPoolExecutor(processes, initializer=_start, initargs=(seed, plate)) as pool:
        for done, found in enumerate(pool.map(_measure, scenes), 1):
            yield from found
            if done % 25 == 0:
                print(f"{done} scenes, {(time.monotonic() - began) / done:.1f} s each", file=sys.stderr, flush=True)


_seeds: Seeds
_room: BlenderConfig
_over_plate: BlenderConfig
_plates: Plates
_casting: Casting


def _start(seed: int, plate: Path) -> None:
    """Load a process's body library and plates."""
    global _seeds, _room, _over_plate, _plates, _casting
    _seeds = Seeds(seed).child("renderer")
    _room = BlenderConfig()
    _over_plate = structure(BlenderConfig, {"backgrounds": str(plate), "width_px": PLATE_PX, "height_px": PLATE_PX})
    _plates = Plates.open(plate, PLATE_PX, PLATE_PX, _over_plate.camera)
    _casting = Casting(BodyLibrary(cache_dir() / "blender-people"), _room.people, _seeds)


def _measure(number: int) -> list[Finding]:
    """Draw a scene and return what was measured in it."""
    seeds = _seeds.child("scene", number)
    if number % PLATE_EVERY:
        scene = sample_scene(_room, _casting, seeds)
        (floor, _), *_ = scene.things[0].parts
        corners = np.asarray(floor.vertices_m[:-1, :2], np.float64)
        return list(_findings(scene, number, str(scene.meta["room_layout"]), corners, scene.things))
    plate = _plates[0]
    scene = sample_scene(_over_plate, _casting, seeds, plate)
    space = plate_space(_over_plate, plate, plate_camera(_over_plate, plate, seeds))
    surface = scene.things[0].parts[0][1]
    solids = [Thing(((solid.mesh, surface),), np.eye(4), "furniture") for solid in space.solids]
    return list(_findings(scene, number, "plate", space.floor_m, (*scene.things[1:], *solids)))


def _findings(
    scene: Scene, number: int, layout: str, floor_m: Floats, things: tuple[Thing, ...]
) -> Iterator[Finding]:  # fmt: skip
    bodies = [Body(thing) for thing in things if thing.owner is None and not thing.only_seen]
    surfaces = [np.asarray(f.world(f.body.surface_vertices_m), np.float64) for f in scene.figures]
    for a, b in itertools.combinations(range(len(surfaces)), 2):
        apart_m = hulls_apart_m(surfaces[a], surfaces[b])
        postures = " and ".join(sorted(scene.figures[n].body.posture for n in (a, b)))
        yield Finding("person into person", postures, layout, number, max(0.0, -1000 * apart_m))
    for figure, points in zip(scene.figures, surfaces, strict=True):
        for kind, metres in _of_person(figure, points, bodies, floor_m):
            yield Finding(kind, figure.body.posture, layout, number, 1000 * metres)
    pieces = [body for body in bodies if body.thing.group != "room"]
    for one, other in itertools.combinations(pieces, 2):
        groups = " and ".join(sorted((one.thing.group, other.thing.group)))
        yield Finding("furniture into furniture", groups, layout, number, 1000 * one.overlap(other))


def _of_person(figure: Figure, points_m: Floats, bodies: list[Body], floor_m: Floats) -> Iterator[tuple[str, float]]:
    lowest = float(points_m[:, 2].min())
    yield "feet sink", max(0.0, -lowest)
    yield "feet hover", max(0.0, lowest)
    yield "person through wall", _beyond_m(points_m, floor_m)
    x, y, z = (float(v) for v in figure.world(figure.body.joints_m["pelvis"]))
    own, height = None, 0.0
    if figure.body.posture == "sitting":
        seats = {body: body.seat_m(x, y, z) for body in bodies if _may_be_seat(body)}
        found = [(height, body) for body, height in seats.items() if height is not None]
        height, own = max(found, key=lambda pair: pair[0], default=(0.0, None))
        on_seat = np.hypot(points_m[:, 0] - x, points_m[:, 1] - y) < PELVIS_M
        yield "seat hovers", max(0.0, float(points_m[on_seat, 2].min()) - height)
    box_m = points_m.min(axis=0), points_m.max(axis=0)
    for body in bodies:
        for solid in body.near(box_m):
            if body is own and abs(solid.top_m - height) < CUSHIONS_M:
                yield "person into cushion", solid.sunk(points_m)
            else:
                yield "person into own chair" if body is own else "person into furniture", solid.depth(points_m)


def _may_be_seat(body: Body) -> bool:
    return body.thing.group in ("chairs", "furniture")


def _beyond_m(points_m: Floats, floor_m: Floats) -> float:
    """Return how far points (N, 3) reach beyond a floor's outline: into the pockets of its hull, or out of that."""
    outer, pockets = hull_and_pockets(floor_m)
    edges = np.roll(outer, -1, axis=0) - outer
    normals = np.column_stack([edges[:, 1], -edges[:, 0]]) / np.hypot(*edges.T)[:, None]
    beyond = float((hull(points_m) @ normals.T - (outer * normals).sum(axis=1)).max())
    in_pockets = [-hulls_apart_m(points_m, pocket) for pocket in pockets]
    return max(0.0, beyond, *in_pockets)


def _results(findings: list[Finding]) -> list[Result]:
    """Return the worst of each kind."""
    worst = {kind: max((f.mm for f in findings if f.kind == kind), default=0.0) for kind in TOLERANCE_MM}
    return [Result(kind, "mm", mm, goal=TOLERANCE_MM[kind]) for kind, mm in worst.items()]


def _print_table(findings: list[Finding], column: str) -> None:
    """Print the worst of each kind by posture or layout."""
    worst: dict[tuple[str, str], float] = defaultdict(float)
    for finding in findings:
        key = finding.kind, getattr(finding, column)
        worst[key] = max(worst[key], finding.mm)
    for kind in TOLERANCE_MM:
        cells = [f"{of} {mm:.1f}" for (name, of), mm in sorted(worst.items()) if name == kind]
        print(f"{kind + ', mm':<28} {', '.join(cells)}")


def _print_worst(findings: list[Finding]) -> None:
    for kind, tolerance in TOLERANCE_MM.items():
        own = [finding for finding in findings if finding.kind == kind]
        over = sorted((f for f in own if f.mm > tolerance), key=lambda f: -f.mm)
        print(f"{kind}: {len(own)} looked at, {len(over)} beyond {tolerance:g} mm")
        for finding in over[:WORST]:
            print(f"    {finding.mm:6.1f} mm  scene {finding.scene} ({finding.layout}), {finding.whose}")


def _rendered(count: int, seed: int, plate: Path, out: Path, workers: int) -> list[str]:
    """Render by the command line in rooms and over the plate, verify and plot, and return what was wrong."""
    broken = []
    over_plate = count // PLATE_EVERY
    for name, samples, more in (("rooms", count - over_plate, ()), ("plates", over_plate, ("--backgrounds", plate))):
        sets = [word for setting in SMALL for word in ("--set", f"renderer.{setting}")]
        data = out / name
        commands = (
            ["render", "--renderer", "blender", "--count", samples, "--seed", seed + 1, "--workers", workers,
             "--set", 'renderer.layers=["depth","normals","surface","amodal","alpha"]', *sets, *more, "--out", data],
            ["verify", data],
            ["stats", data, "--plots", out / f"{name}-plots"],
        )  # fmt: skip
        for command in commands:
            done = subprocess.run(["synthkit", *map(str, command)], capture_output=True, text=True, check=False)
            print(f"synthkit {command[0]} ({name}): exit status {done.returncode}", done.stdout, sep="\n")
            if done.returncode != 0:
                broken.append(f"synthkit {command[0]} ({name}) failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return broken


if __name__ == "__main__":
    sys.exit(main())
