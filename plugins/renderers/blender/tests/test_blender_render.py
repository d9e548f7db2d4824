# SPDX-License-Identifier: Apache-2.0
"""Real Blender at a tiny size: truth sits on people, bytes repeat, and a dead worker is replaced."""

from __future__ import annotations

import importlib.util
import math
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import venv
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from synthkit.dataset.tools.truth import examine
from synthkit.errors import WorkError
from synthkit.sample import Sample, Skipped
from synthkit.seeds import Seeds
from synthkit_blender.boxes import upright_box
from synthkit_blender.casting import Casting
from synthkit_blender.client import WorkerClient
from synthkit_blender.config import PeopleConfig, WorkerConfig
from synthkit_blender.crowd import Figure
from synthkit_blender.cryptomatte import asset_coverage
from synthkit_blender.geometry import box, polygon, prism
from synthkit_blender.optics import ceiling_camera
from synthkit_blender.people import PersonRanges
from synthkit_blender.placement import Pose2D
from synthkit_blender.raster import Footprint
from synthkit_blender.request import PEOPLE, ROOM, SHADED, UNSHADED, Pass, Quality, render_request
from synthkit_blender.scene import Scene, Sky, sample_scene
from synthkit_blender.surfaces import Surface
from synthkit_blender.things import Thing, people_things
from synthkit_blender.truth import Truth, annotate

pytestmark = pytest.mark.blender


def render(renderer, scene: int) -> Sample | Skipped:
    (sample,) = renderer.render(scene, Seeds(11).child("scene", scene))
    return sample


def seen(sample: Sample):
    return [person for person in sample.people if person.instance is not None]


@pytest.fixture(scope="module")
def client():
    with WorkerClient(WorkerConfig(timeout_s=120)) as client:
        yield client


def test_truth_sits_on_people(tiny_renderer):
    with tiny_renderer(width_px=160, height_px=120, layers=["depth", "alpha", "background"]) as renderer:
        sample = render(renderer, 1)
        assert set(renderer.timings) >= {"people", "scene", "worker", "worker.render_room", "truth", "develop"}
    instances = sample.layers["instances"]
    people = seen(sample)
    assert people
    assert sorted(np.unique(instances[instances > 0])) == [person.instance for person in people]
    differs = np.abs(sample.image.astype(int) - sample.layers["background"].astype(int)).max(axis=-1) > 20
    for person in people:
        mask = instances == person.instance
        y, x = np.nonzero(mask)
        assert person.box_xyxy_px == (x.min(), y.min(), x.max() + 1, y.max() + 1)
        polygon = np.zeros(mask.shape, np.uint8)
        cv2.fillConvexPoly(polygon, np.round(person.rotated_box.corners_px()).astype(np.int32), 1)
        assert polygon[mask].mean() > 0.9
        assert 0 < person.visible_fraction <= 1
        assert 0 < sample.layers["depth"][mask].min() < 8
        left, top, right, bottom = person.head_box_xyxy_px
        assert left < person.head_px[0] < right
        assert top < person.head_px[1] < bottom
        if person.visible_fraction > 0.9:
            assert mask[int(top) : math.ceil(bottom), int(left) : math.ceil(right)].any()
    assert differs[instances > 0].mean() > 0.5
    assert (sample.layers["alpha"][instances > 0] >= 127).all()
    assert not sample.image[0, 0].any()


def test_surfaces_of_one_make_have_values_of_their_own(client):
    camera = ceiling_camera(96, 72, 180, 0.3, 2.7, 0.0)
    shades = {-1.0: (0.8, 0.1, 0.1), 0.0: (0.1, 0.7, 0.2), 1.0: (0.1, 0.2, 0.9)}
    squares = {x: polygon([(x - 0.4, -0.4), (x + 0.4, -0.4), (x + 0.4, 0.4), (x - 0.4, 0.4)]) for x in shades}
    things = [Thing(((squares[x], Surface(shade, emission=1.0)),), np.eye(4), "room") for x, shade in shades.items()]
    scene = Scene(camera, tuple(things), (), Sky((1.0, 1.0, 1.0), 0.0), (), {})
    color = client.render(*render_request(scene, (ROOM,), Quality(4, False, 1, 3))).passes["room"]["color"]
    for x, shade in shades.items():
        column, row = np.floor(camera.project((x, 0.0, 0.0))[0]).astype(int)
        assert color[row, column, :3] == pytest.approx(shade, abs=0.02)


def truth_of(client, figure: Figure, *things: Thing) -> Truth:
    camera = ceiling_camera(240, 180, 180, 0.3, 2.7, 0.0)
    scene = Scene(camera, (*things, *people_things((figure,))), (), Sky((1.0, 1.0, 1.0), 1.0), (figure,), {})
    main = client.render(*render_request(scene, (ROOM,), Quality(32, False, 1, 3))).passes["room"]
    return annotate((figure,), camera, main["ids"], main["coverage"], 3)


def test_masks_boxes_and_depth_agree_with_a_flat_render(client, library):
    """One ray through each pixel's centre says who is there, how far off, and how the surface lies."""
    camera = ceiling_camera(240, 180, 180, 0.4, 2.7, 20.0)
    casting = Casting(library, PeopleConfig(), Seeds(0))
    bodies = [casting.person(Seeds(n), f"{n}", posture, PersonRanges(), table=False)
              for n, posture in enumerate(("standing", "sitting", "walking"))]  # fmt: skip
    places = (Pose2D(1.2, 0.2), Pose2D(-0.9, -0.7, 2.0), Pose2D(1.7, 0.5, 1.0))
    figures = tuple(
        Figure(n, f"{n}", *pair, (0.05, 0, 0)) for n, pair in enumerate(zip(bodies, places, strict=True), 1)
    )
    table = Thing(((box(0.8, 0.8, 0.75).at(-0.6, -0.2), Surface((0.5, 0.5, 0.5))),), np.eye(4), "room")
    floor = Thing(((polygon([(-4, -4), (4, -4), (4, 4), (-4, 4)]), Surface((0.5, 0.5, 0.5))),), np.eye(4), "room")
    things = (table, floor, *people_things(figures))
    scene = Scene(camera, things, (), Sky((1.0, 1.0, 1.0), 1.0), figures, {})
    flat = Pass("flat", flat=True, truth=("people", "depth", "normals"))
    reply = client.render(*render_request(scene, (ROOM, flat), Quality(24, True, 1, 3)))
    main, exact = reply.passes["room"], reply.passes["flat"]
    truth = annotate(figures, camera, main["ids"], main["coverage"], 3)
    owners = asset_coverage([figure.name for figure in figures], exact["ids"], exact["coverage"])
    assert set(np.unique(owners)) == {0.0, 1.0}, "a ray meets one thing"
    hidden = 0
    for number, (person, footprint) in enumerate(zip(truth.people, truth.footprints, strict=True)):
        mine, theirs = truth.instances == person.instance, owners[number] > 0
        edge = cv2.morphologyEx(theirs.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
        assert not (mine ^ theirs)[~edge].any(), "within a pixel of the outline"
        assert np.abs(np.subtract(person.box_xyxy_px, upright_box(theirs))).max() <= 1
        whole = footprint.laid(footprint.covered, 240, 180)
        assert not (theirs & ~whole)[~edge].any()
        hidden += (whole & ~theirs).sum() > 20
        depth_m = footprint.laid(footprint.depth_m, 240, 180)
        gaps_m = np.abs(depth_m - exact["depth"])[theirs & whole]
        assert np.percentile(gaps_m, 95) < 0.003
    assert hidden >= 2, "somebody stands before somebody, and a table before somebody"
    ground = exact["normals"][(exact["depth"] > 0) & (exact["depth"] < 100) & (owners.sum(axis=0) == 0)]
    assert np.allclose(np.linalg.norm(ground, axis=1), 1, atol=1e-3)
    assert (ground[:, 2] > 0.99).mean() > 0.9, "the floor and the table's top face up"


def test_layers_cost_nothing_unless_asked_for(tiny_renderer):
    with tiny_renderer() as renderer:
        sample = render(renderer, 1)
        assert set(sample.layers) == {"instances", "alpha"}
        assert [name for name in renderer.timings if name.startswith("worker.render")] == ["worker.render_room"]
    wanted = ["depth", "normals", "surface", "amodal"]
    with tiny_renderer(layers=wanted) as renderer:
        further = render(renderer, 1)
        assert "worker.render_flat" in renderer.timings
    assert set(further.layers) == {"instances", *wanted}
    assert np.array_equal(sample.image, further.image), "other layers, the same picture"
    assert sample.people == further.people
    assert not list(examine(further))
    circle = np.hypot(*(np.mgrid[0:72, 0:96] + 0.5 - np.array([36, 48])[:, None, None])) <= 35
    assert further.layers["normals"].any(axis=2)[circle].all(), "rooms are closed, but for the sky"
    assert (further.layers["depth"] > 0)[circle].all()


def test_the_visible_fraction_is_what_nothing_hides(client, mannequins):
    figure = Figure(1, "00", mannequins.person(Seeds(1), "00", "standing", None, table=None), Pose2D(1.5, 0.0))
    (free,) = truth_of(client, figure).people
    assert free.visible_fraction > 0.97
    # A wall whose end is right under the line of sight hides one side of the body.
    wall = Thing(((box(0.1, 1.5, 2.6).at(0.9, 0.75), Surface((0.5, 0.5, 0.5))),), np.eye(4), "room")
    truth = truth_of(client, figure, wall)
    assert 0.4 < truth.people[0].visible_fraction < 0.6
    y, _ = np.nonzero(truth.instances)
    assert y.min() >= 89, "the half below the middle of the image is left"
    assert free.box_xyxy_px[1] < 88


def test_moving_people_are_annotated_where_they_are_half_way(client, mannequins):
    body = mannequins.person(Seeds(1), "00", "walking", None, table=None)
    still, moving = (Figure(1, "00", body, Pose2D(1.0, 0.0), motion) for motion in ((0, 0, 0), (0, 0.6, 0)))
    truths = [truth_of(client, figure) for figure in (still, moving)]
    y = np.arange(180) + 0.5
    means, spreads = [], []
    for truth in truths:
        weight = truth.coverage.sum(axis=1)
        means.append((weight * y).sum() / weight.sum())
        spreads.append(np.sqrt((weight * (y - means[-1]) ** 2).sum() / weight.sum()))
    assert spreads[1] > spreads[0] + 0.5, "the body is smeared"
    assert abs(means[1] - means[0]) < 0.15
    assert truths[0].people[0].head_px == truths[1].people[0].head_px


def in_fresh_process(folder) -> bytes:
    code = f"""
        import sys
        from pathlib import Path
        from synthkit.config import structure
        from synthkit.interfaces import Runtime
        from synthkit.seeds import Seeds
        from synthkit_blender.config import BlenderConfig
        from synthkit_blender.renderer import BlenderRenderer
        config = structure(BlenderConfig, {{"width_px": 96, "height_px": 72, "samples": 2}})
        with BlenderRenderer(config, None, Runtime(Seeds(1), Path({str(folder)!r}), threads=1)) as renderer:
            (sample,) = renderer.render(2, Seeds(11).child("scene", 2))
        sys.stdout.buffer.write(sample.image.tobytes() + sample.layers["instances"].tobytes())
        sys.stdout.buffer.write(repr(sample.people).encode())
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, check=True, timeout=200)
    return done.stdout


def test_real_people_give_the_same_bytes_in_fresh_processes(tmp_path):
    first, second = in_fresh_process(tmp_path), in_fresh_process(tmp_path)
    assert len(first) > 96 * 72 * 4
    assert first == second


@pytest.fixture
def other_python(tmp_path):
    """Return another virtual environment's Python: it has bpy and the worker, and nothing of synthkit."""
    bpy, worker = (Path(importlib.util.find_spec(name).origin) for name in ("bpy", "synthkit_blender_worker"))
    venv.create(tmp_path / "other", symlinks=True)
    (site,) = (tmp_path / "other").glob("lib/python*/site-packages")
    for folder in (bpy.parent, bpy.parent.parent / "numpy", bpy.parent.parent / "numpy.libs"):
        if folder.exists():
            (site / folder.name).symlink_to(folder)
    (site / worker.parent.name).symlink_to(worker.parent)
    return tmp_path / "other" / "bin" / "python"


def test_a_worker_of_another_environment_gives_the_same_image(tiny_renderer, other_python, tmp_path, monkeypatch):
    lacking = subprocess.run([other_python, "-I", "-c", "import synthkit"], capture_output=True, check=False)
    assert b"No module named 'synthkit'" in lacking.stderr
    # Worker processes of the core are told where its modules are, those of another Python's library among them.
    (tmp_path / "re.py").write_text("raise AssertionError('SRE module mismatch')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with tiny_renderer(worker={"python": str(other_python)}) as there:
        theirs = render(there, 3)
    monkeypatch.undo()
    with tiny_renderer() as here:
        ours = render(here, 3)
    assert np.array_equal(ours.image, theirs.image)
    assert ours.people == theirs.people


@pytest.mark.skipif(Path("/dev/nvidia0").exists() or Path("/dev/kfd").exists(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_told(tiny_renderer):
    with tiny_renderer(device="gpu") as renderer, pytest.raises(WorkError, match=r"no GPU.*renderer\.device=cpu"):
        render(renderer, 3)


def kill_while_rendering(pid: int, folder) -> None:
    """Kill a process once its frame's own folder is there, which is as long as it renders."""
    deadline = time.monotonic() + 60
    while not list(folder.glob("*/frame-*")) and time.monotonic() < deadline:
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)


def test_history_does_not_matter_and_a_killed_worker_is_replaced(tiny_renderer, tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with tiny_renderer(worker={"recycle_after": 2}, samples=8) as renderer:
        before = render(renderer, 3)
        render(renderer, 4)
        first_pid = renderer.client.pid
        render(renderer, 5)
        assert renderer.client.pid != first_pid, "the worker is recycled"
        victim = renderer.client.pid
        killer = threading.Thread(target=kill_while_rendering, args=(victim, folder))
        killer.start()
        after = render(renderer, 3)
        killer.join()
        assert renderer.client.pid != victim, "it was killed in the middle of a frame"
        victim = renderer.client.pid
        os.kill(renderer.client.pid, signal.SIGKILL)
        again = render(renderer, 3)
        assert renderer.client.pid != victim
    for other in (after, again):
        assert np.array_equal(before.image, other.image)
        assert before.people == other.people
    assert not list(folder.iterdir()), "no temporary file is left"


def test_a_frame_that_takes_too_long_is_skipped(tiny_renderer):
    with tiny_renderer(worker={"timeout_s": 0.05}) as renderer:
        skipped = render(renderer, 0)
    assert isinstance(skipped, Skipped)
    assert "timeout_s" in skipped.reason


def test_people_stand_on_a_plate(tiny_renderer, tmp_path):
    plates = tmp_path / "plates"
    plates.mkdir()
    Image.fromarray(np.full((90, 120, 3), 170, np.uint8)).save(plates / "room.png")
    settings = {"backgrounds": str(plates), "layers": ["background", "alpha", "depth"], "samples": 8}
    with tiny_renderer(width_px=120, height_px=90, **settings) as renderer:
        sample = render(renderer, 6)
    assert sample.meta["background"] == "room.png"
    instances = sample.layers["instances"]
    assert seen(sample)
    y, x = np.mgrid[0:90, 0:120] + 0.5
    # The denoiser lets colours bleed over a pixel or two.
    nobody = cv2.dilate(sample.layers["alpha"], np.ones((5, 5))) == 0
    radius = np.hypot(x - 60, y - 45)
    near_rim = (radius < 44) & (radius > 42) & nobody
    assert np.abs(sample.image[near_rim].astype(int) - 170).max() <= 1, "the plate shows beyond the floor"
    assert (sample.image[instances > 0].astype(int) != 170).any(axis=-1).mean() > 0.8
    free = nobody & (radius < 30)
    assert sample.image[free].min() < 165, "shadows fall on the floor"
    depth_m = sample.layers["depth"]
    assert (depth_m[instances > 0] > 0).mean() > 0.95, "where a mask is, the ray through the centre mostly meets it"
    assert not depth_m[near_rim].any(), "how far off the plate is is not known"


def test_a_plate_is_measured_within_each_scenes_own_circle(tiny_renderer, tmp_path):
    plates = tmp_path / "plates"
    plates.mkdir()
    y, x = np.mgrid[0:90, 0:120] + 0.5
    bright_at_the_rim = np.where(np.hypot(x - 60, y - 45) < 30, 60, 220).astype(np.uint8)
    Image.fromarray(np.repeat(bright_at_the_rim[..., None], 3, axis=-1)).save(plates / "room.png")
    lens = tmp_path / "lens.json"
    lens.write_text('{"K": [[29, 0, 59.5], [0, 29, 44.5], [0, 0, 1]], "D": [0, 0, 0, 0], "image_size": [120, 90]}')
    settings = {"backgrounds": str(plates), "camera": {"calibration": str(lens), "fov_degrees": [100, 170]}}
    with tiny_renderer(width_px=120, height_px=90, **settings) as renderer:
        narrow = render(renderer, 5)
        after_another = render(renderer, 6)
    with tiny_renderer(width_px=120, height_px=90, **settings) as renderer:
        alone = render(renderer, 6)
    assert narrow.camera.max_radius_px < 30 < 40 < alone.camera.max_radius_px
    assert seen(alone)
    assert np.array_equal(alone.image, after_another.image)


def box_in_sight(camera, low, high) -> np.ndarray:
    """Return (H, W) which pixels' rays meet an upright box from below the camera: ray against slabs, no mesh."""
    y, x = np.mgrid[0 : camera.height_px, 0 : camera.width_px] + 0.5
    rays, valid = camera.unproject(np.stack([x, y], axis=-1))
    with np.errstate(divide="ignore", invalid="ignore"):
        to_low, to_high = ((np.array(face) - camera.world_from_camera[:3, 3]) / rays for face in (low, high))
    enter, leave = np.minimum(to_low, to_high).max(axis=-1), np.maximum(to_low, to_high).min(axis=-1)
    return valid & (enter < leave) & (leave > 0)


def test_furniture_of_a_plate_hides_exactly_what_is_behind_it(client, mannequins):
    camera = ceiling_camera(240, 180, 180, 0.3, 2.7, 0.0)
    figure = Figure(1, "00", mannequins.person(Seeds(1), "00", "standing", None, table=None), Pose2D(2.0, 0.3))
    low, high = (1.2, -0.5, 0.0), (1.5, 0.35, 1.05)
    box_m = prism([(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])], low[2], high[2])
    things = (Thing(((box_m, Surface((0.5, 0.5, 0.5))),), np.eye(4), "plate"), *people_things((figure,)))
    scene = Scene(camera, things, (), Sky((1.0, 1.0, 1.0), 1.0), (figure,), {})
    main = client.render(*render_request(scene, (PEOPLE,), Quality(64, False, 1, 3))).passes["people"]
    truth = annotate((figure,), camera, main["ids"], main["coverage"], 3)
    footprint = Footprint.of(figure, camera)
    whole, hidden = footprint.laid(footprint.covered, 240, 180), box_in_sight(camera, low, high)
    expected, found = whole & ~hidden, truth.instances > 0
    assert 0.15 < (whole & hidden).sum() / whole.sum() < 0.8
    edge = cv2.morphologyEx(expected.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    assert (expected != found)[~edge].sum() == 0
    assert abs(int(expected.sum()) - int(found.sum())) < 0.03 * expected.sum()
    assert truth.people[0].visible_fraction == pytest.approx(expected.sum() / whole.sum(), abs=0.03)
    assert truth.people[0].occluder == "furniture"
    # Where the box hides the person, and where nobody is, the photo shows.
    assert not main["color"][..., 3][hidden & ~edge].any()


def test_shadows_end_at_the_walls_of_a_plate(tiny_renderer, mannequins, tmp_path):
    shades = {}
    for walls in (True, False):
        plates = tmp_path / str(walls)
        plates.mkdir()
        Image.fromarray(np.full((120, 120, 3), 170, np.uint8)).save(plates / "room.png")
        (plates / "plates.toml").write_text(f"""
            floor_px = [[36, 36], [84, 36], [84, 84], [36, 84]]
            walls = {str(walls).lower()}
            camera = {{fov_degrees = 180, height_m = 2.7, equisolid = 0}}
            """)
        with tiny_renderer(width_px=120, height_px=120, backgrounds=str(plates), samples=16) as renderer:
            drawn = sample_scene(renderer._config, mannequins, Seeds(4), renderer._inputs.plates[0])
            passes = (PEOPLE, SHADED, UNSHADED)
            reply = renderer.client.render(*render_request(drawn, passes, Quality(16, True, 1, 3)))
        light = reply.passes["unshaded"]["color"][..., :3].max(axis=-1)
        shades[walls] = light
        assert light[30, 30] > 0.01, "the floor is lit"
    # Ten pixels of the half-size image beyond the floor's edge: a wall catches shadows there, or nothing is known.
    assert shades[True][30, 8] > 0.01
    assert shades[False][30, 8] == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_no_worker_survives_its_parent():
    code = """
        import os, sys
        from synthkit_blender.client import WorkerClient
        from synthkit_blender.config import WorkerConfig
        client = WorkerClient(WorkerConfig())
        client._running()
        print(client.pid, flush=True)
        sys.stdin.read()
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    for _ in range(100):
        try:
            state = open(f"/proc/{worker}/stat").read().rsplit(")", 1)[1].split()[0]  # noqa: SIM115, PTH123
        except FileNotFoundError:
            return
        if state == "Z":
            return
        time.sleep(0.1)
    pytest.fail("the worker outlived its parent")
