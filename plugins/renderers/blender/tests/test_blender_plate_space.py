# SPDX-License-Identifier: Apache-2.0
"""The room that a plate's notes make, and who is in it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from synthkit.config import structure
from synthkit.errors import SynthkitError
from synthkit.seeds import Seeds
from synthkit_blender import polygons
from synthkit_blender.config import BlenderConfig
from synthkit_blender.optics import ceiling_camera
from synthkit_blender.placement import hull
from synthkit_blender.plates import Plates
from synthkit_blender.plates.notes import structured
from synthkit_blender.plates.space import space_of
from synthkit_blender.scene import sample_scene


def in_room(**more):
    """Return the room of notes on a 1000 px photo: equidistant, 180 degrees, 2.5 m high; 250 px are 45 degrees."""
    camera = ceiling_camera(1000, 1000, 180, 0.0, 2.5, 0.0)
    return space_of(structured(more), camera, 2.0)


def test_pixels_become_metres():
    space = in_room(floor_px=[[250, 500], [500, 750], [750, 500], [500, 250]])
    # Down the image is -y: the corners in the order drawn, which runs counter-clockwise seen from above.
    assert np.allclose(space.floor_m, [[-2.5, 0], [0, -2.5], [2.5, 0], [0, 2.5]])
    assert len(space.walls_m) == 4
    assert space.ceiling_m == 2.5
    half = math.tan(math.pi / 8) * 2.5
    clockwise = in_room(floor_px=[[500, 250], [750, 500], [625, 500]], walls=False)
    assert np.allclose(clockwise.floor_m, [[0, 2.5], [half, 0], [2.5, 0]])
    assert not clockwise.walls_m


def test_a_floor_too_small_for_anybody_is_told(tmp_path, tiny_renderer):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (400, 400), "grey").save(tmp_path / name)
    small = "[[200, 200], [209, 200], [209, 260], [200, 260]]"
    (tmp_path / "plates.toml").write_text(f'[photos."b.png"]\nfloor_px = {small}')
    with pytest.raises(SynthkitError) as told, tiny_renderer(backgrounds=str(tmp_path)):
        pass
    (line,) = str(told.value).splitlines()
    assert line.startswith(f"background {tmp_path / 'b.png'}: floor_px: is nowhere 0.4 m wide")
    assert "plates.toml" in line
    seat = {
        "kind": "seat",
        "height_m": 0.5,
        "outline_px": [[502, 500], [504, 500], [504, 502]],
        "facing_px": [500, 600],
    }
    strip = [[500, 500], [509, 500], [509, 560]]
    assert in_room(floor_px=strip, furniture=[seat]).seats, "who sits has a place"
    with pytest.raises(ValueError, match="floor_px: is nowhere"):
        in_room(floor_px=strip)
    in_room(floor_px=[[500, 500], [560, 500], [560, 560], [500, 560]])


def test_furniture_is_measured_at_its_upper_face():
    table = {"kind": "table", "height_m": 1.25, "outline_px": [[250, 500], [500, 750], [750, 500], [500, 250]]}
    (solid,) = in_room(furniture=[table]).solids
    assert np.allclose(solid.outline_m, [[-1.25, 0], [0, -1.25], [1.25, 0], [0, 1.25]])
    assert (round(solid.low_m, 6), solid.high_m) == (1.21, 1.25)
    (block,) = in_room(furniture=[{**table, "kind": "occluder"}]).solids
    assert block.low_m == 0
    points = np.array([[0, 0, 1.0], [0, 0, 1.23], [1, 1, 1.23], [0, 0, 1.3]])
    assert block.holds(points).tolist() == [True, True, False, False]
    assert solid.holds(points).tolist() == [False, True, False, False]
    mesh = block.mesh
    a, b, c, d = (mesh.vertices_m[mesh.faces[:, n]].astype(float) for n in range(4))
    volume = (np.cross(a, b) * c).sum() / 6 + (np.cross(a, c) * d).sum() / 6
    assert volume == pytest.approx(2 * 1.25**2 * 1.25), "closed, its faces turned outwards"


def test_seats_face_what_was_pointed_at():
    # The seat's middle lies 45 degrees to the right, 2 m away at its height of 0.5 m; its sitter looks up the image.
    seat = {"kind": "seat", "height_m": 0.5, "outline_px": [[740, 490], [760, 490], [760, 510], [740, 510]]}
    (place,) = in_room(furniture=[{**seat, "facing_px": [750, 400]}]).seats
    assert place.height_m == 0.5
    forward = place.pose.points(np.array([[0.0, -1.0, 0.0]]))[0] - (place.pose.x_m, place.pose.y_m, 0)
    assert forward[1] > 0.9
    assert (place.pose.x_m, place.pose.y_m) == pytest.approx((2.0, -0.04), abs=0.03)


def test_walls_that_the_camera_sees_from_behind_are_left_out():
    away = in_room(floor_px=[[600, 450], [800, 450], [800, 550], [600, 550]])
    # It hangs left of the floor: the near edge is open.
    assert len(away.walls_m) == 3
    drawn = in_room(floor_px=[[250, 500], [500, 750], [750, 500]], walls_px=[[[250, 500], [500, 750], [600, 700]]])
    assert len(drawn.walls_m) == 2


@pytest.mark.parametrize(
    ("notes", "message"),
    [
        ({"floor_px": [[0, 0], [500, 500], [500, 600]]}, "floor_px: corner 0 lies outside"),
        ({"floor_px": [[500, 500], [999, 500], [500, 600]]}, "floor_px: corner 1 is at the horizon"),
        (
            {"furniture": [{"height_m": 2.6, "outline_px": [[500, 500], [510, 500], [510, 510]]}]},
            "not below the camera",
        ),
    ],
)
def test_what_cannot_be_through_the_camera_is_told(notes, message):
    with pytest.raises(ValueError, match=message):
        in_room(**notes)


# An L: all of a square but for a quarter. A table in it, and two seats.
L_SHAPED = """
floor_px = [[90, 90], [200, 90], [200, 170], [310, 170], [310, 310], [90, 310]]
[camera]
height_m = 2.6
fov_degrees = 180
equisolid = 0.2
[[furniture]]
kind = "table"
height_m = 0.74
outline_px = [[130, 230], [180, 230], [180, 250], [130, 250]]
[[furniture]]
kind = "seat"
height_m = 0.45
outline_px = [[140, 130], [150, 130], [150, 140], [140, 140]]
facing_px = [145, 200]
[[furniture]]
kind = "seat"
height_m = 0.47
outline_px = [[260, 210], [270, 210], [270, 220], [260, 220]]
facing_px = [200, 215]
"""


@pytest.fixture
def l_shaped(tmp_path):
    Image.new("RGB", (400, 400), "grey").save(tmp_path / "room.png")
    (tmp_path / "plates.toml").write_text(L_SHAPED)
    return Plates.open(tmp_path, 96, 72)[0]


def test_people_keep_to_the_floor_and_off_the_furniture(l_shaped, mannequins):
    config = structure(BlenderConfig, {"people": {"sitting": [0, 0], "standing": [6, 6]}})
    found = 0
    for seed in range(4):
        scene = sample_scene(config, mannequins, Seeds(seed), l_shaped)
        space = space_of(l_shaped.seen, scene.camera, 2.8)
        for figure in scene.figures:
            found += 1
            outline = hull(figure.world(figure.body.surface_vertices_m))
            assert polygons.holds(space.floor_m, outline).all()
            for solid in space.solids:
                assert not polygons.holds(solid.outline_m, outline).any()
                assert not polygons.holds(outline, solid.outline_m).any()
    assert found >= 8


def test_sitters_take_the_seats_that_are_there(l_shaped, mannequins):
    config = structure(BlenderConfig, {"people": {"sitting": [3, 3], "standing": [0, 0]}})
    for seed in range(4):
        scene = sample_scene(config, mannequins, Seeds(seed), l_shaped)
        space = space_of(l_shaped.seen, scene.camera, 2.8)
        seated = [figure for figure in scene.figures if figure.chair is None]
        assert len(seated) == 2, "the third brings a chair"
        for figure in seated:
            (place,) = (
                p for p in space.seats if math.hypot(p.pose.x_m - figure.pose.x_m, p.pose.y_m - figure.pose.y_m) < 0.11
            )
            assert figure.body.seat_height_m == pytest.approx(place.height_m)
            assert figure.pose.yaw_rad == place.pose.yaw_rad


def test_the_camera_that_was_noted_goes_before_the_drawn_one(l_shaped, mannequins):
    for seed in range(2):
        camera = sample_scene(BlenderConfig(), mannequins, Seeds(seed), l_shaped).camera
        assert camera.world_from_camera[2, 3] == 2.6
        assert camera.max_theta_rad == pytest.approx(math.pi / 2)
        assert (camera.cx_px, camera.cy_px, camera.max_radius_px) == pytest.approx((48, 36, 36))
