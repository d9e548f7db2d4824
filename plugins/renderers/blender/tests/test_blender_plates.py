# SPDX-License-Identifier: Apache-2.0
"""Plates: listed, checked, fitted; their image circles; what is noted about them, and the room that makes."""

from __future__ import annotations

import io
import logging
import math
import tomllib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from synthkit.config import structure
from synthkit.errors import ConfigError, SynthkitError
from synthkit.seeds import Seeds
from synthkit_blender import polygons
from synthkit_blender.config import BlenderConfig
from synthkit_blender.optics import ceiling_camera
from synthkit_blender.placement import hull
from synthkit_blender.plates import Plates
from synthkit_blender.plates.circle import find_circle
from synthkit_blender.plates.notes import FolderNotes, as_toml, structured
from synthkit_blender.plates.photos import Framing
from synthkit_blender.plates.space import space_of
from synthkit_blender.scene import sample_scene


def save(path, width, height, value=200):
    Image.fromarray(np.full((height, width, 3), value, np.uint8)).save(path)


def test_a_file_that_is_no_image_is_named(tmp_path):
    save(tmp_path / "a.png", 20, 20)
    (tmp_path / "b.jpg").write_bytes(b"this is text")
    with pytest.raises(SynthkitError, match=r"b\.jpg.*not an image"):
        Plates.open(tmp_path, 32, 32)


def test_photos_are_decoded_once_for_all_processes(tmp_path, monkeypatch):
    photos, cache = tmp_path / "photos", tmp_path / "cache"
    photos.mkdir()
    save(photos / "a.png", 40, 30)
    y, x = np.mgrid[0:300, 0:300]
    disc = np.where(np.hypot(x - 140, y - 150) < 120, 200, 0).astype(np.uint8)
    Image.fromarray(np.repeat(disc[..., None], 3, axis=2)).save(photos / "b.png")
    (photos / "c.png").write_bytes(b"text")
    for _ in range(2):
        with pytest.raises(SynthkitError, match=r"c\.png.*not an image"):
            Plates.open(photos, 40, 30, None, cache)
    (photos / "c.png").unlink()
    first = Plates.open(photos, 40, 30, None, cache)
    decoded = []
    monkeypatch.setattr(
        "synthkit_blender.plates.photo.Image.open", lambda path: decoded.append(path) or Image.new("RGB", (40, 30))
    )
    assert Plates.open(photos, 40, 30, None, cache) == first
    assert first[1].circle_px == pytest.approx((140, 150, 120), abs=1.5)
    assert not decoded
    (photos / "a.png").write_bytes(b"another content")
    Plates.open(photos, 40, 30, None, cache)
    assert set(decoded) == {photos / "a.png"}


def test_missing_and_empty_folders_are_told_apart(tmp_path):
    with pytest.raises(SynthkitError, match="not a folder"):
        Plates.open(tmp_path / "none", 32, 32)
    with pytest.raises(SynthkitError, match="holds no image"):
        Plates.open(tmp_path, 32, 32)


def test_a_truncated_plate_is_told_when_read(tmp_path):
    save(tmp_path / "a.bmp", 64, 64)
    plates = Plates.open(tmp_path, 32, 32)
    (tmp_path / "a.bmp").write_bytes((tmp_path / "a.bmp").read_bytes()[:200])
    with pytest.raises(SynthkitError, match=r"a\.bmp"):
        plates[0].read()


def test_plates_go_round_in_the_order_of_their_names(tmp_path):
    for value, name in ((10, "b.png"), (20, "a.png")):
        save(tmp_path / name, 32, 24, value)
    plates = Plates.open(tmp_path, 32, 24)
    assert [int(plates[n].read()[0, 0, 0]) for n in range(4)] == [20, 10, 20, 10]


def test_another_size_is_fitted_whole(tmp_path):
    save(tmp_path / "a.png", 100, 100, 255)
    image = Plates.open(tmp_path, 64, 48)[0].read()
    assert image.shape == (48, 64, 3)
    assert (image[:, 8:56] == 255).all()
    assert not image[:, :8].any()


def oversized_text() -> bytes:
    info, stream = PngImagePlugin.PngInfo(), io.BytesIO()
    info.add_text("Comment", "x" * (PngImagePlugin.MAX_TEXT_CHUNK + 1), zip=True)
    Image.new("RGB", (32, 32)).save(stream, "PNG", pnginfo=info)
    return stream.getvalue()


def half_a_jpeg() -> bytes:
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    Image.fromarray(noise).save(stream, "JPEG")
    return stream.getvalue()[: len(stream.getvalue()) // 2]


def test_all_damaged_plates_are_told_before_any_work(tmp_path):
    (tmp_path / "a.png").write_bytes(oversized_text())
    (tmp_path / "b.jpg").write_bytes(half_a_jpeg())
    Image.fromarray(np.full((32, 32), 40_000, np.uint16)).save(tmp_path / "c.png")
    save(tmp_path / "d.png", 32, 32)
    with pytest.raises(SynthkitError) as caught:
        Plates.open(tmp_path, 32, 32)
    lines = str(caught.value).splitlines()
    assert ["a.png" in lines[0], "b.jpg" in lines[1], "c.png" in lines[2], len(lines)] == [True, True, True, 3]
    assert "8 bits" in lines[2]


@pytest.mark.parametrize("size", [(1, 1), (1, 100), (4000, 1), (15, 64)])
def test_specks_are_no_plates(tmp_path, size):
    save(tmp_path / "a.png", *size)
    with pytest.raises(SynthkitError, match=rf"a\.png: has {size[0]}x{size[1]} pixels; at least 16"):
        Plates.open(tmp_path, 32, 32)


@pytest.mark.parametrize("size", [(16, 16), (2000, 16), (63, 17)])
def test_small_and_narrow_plates_can_be_used(tmp_path, size):
    save(tmp_path / "a.png", *size, 90)
    opened = Plates.open(tmp_path, 32, 32)[0]
    assert opened.read()[16, 16].tolist() == [90, 90, 90]
    assert opened.seen.camera.circle_px[2] > 0


def test_a_circle_beside_the_photo_is_told(tmp_path):
    save(tmp_path / "a.png", 64, 64)
    (tmp_path / "plates.toml").write_text("camera.circle_px = [3200, 32, 20]")
    with pytest.raises(SynthkitError, match=r"a\.png: shows nothing of its image circle \[3200\.0, 32\.0, 20\.0\]"):
        Plates.open(tmp_path, 32, 32)


def test_a_plate_taken_sideways_is_turned_upright(tmp_path):
    turned = np.zeros((32, 16, 3), np.uint8)
    turned[:, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(turned).save(tmp_path / "a.png", exif=exif)
    upright = Plates.open(tmp_path, 32, 16)[0].read()
    assert upright[:8].min() == 255
    assert upright[8:].max() == 0


def test_a_plate_that_cuts_its_circle_is_refused_with_a_size_that_fits(tmp_path):
    save(tmp_path / "a.png", 160, 90)
    (tmp_path / "plates.toml").write_text("camera.circle_px = [80.0, 45.0, 80.0]")
    with pytest.raises(SynthkitError, match=r"a\.png: its 160x90 .* set width_px=") as caught:
        Plates.open(tmp_path, 64, 48)
    words = str(caught.value).replace(",", "").split()
    sizes = [int(word.split("=")[1]) for word in words if word.startswith(("width_px=", "height_px="))]
    assert sizes == [64, 36]
    Plates.open(tmp_path, *sizes)


@pytest.mark.parametrize(("plate", "image"), [((160, 90), (64, 48)), ((48, 64), (64, 48)), ((449, 336), (448, 336))])
def test_the_circles_of_plate_and_image_meet(tmp_path, plate, image):
    save(tmp_path / "a.png", *plate)
    opened = Plates.open(tmp_path, *image)[0]
    assert opened.read().shape == (image[1], image[0], 3)
    assert np.allclose(opened.seen.camera.circle_px, (image[0] / 2, image[1] / 2, min(image) / 2))


def fisheye_photo(width: int, height: int, circle: tuple[float, float, float]) -> np.ndarray:
    """Return a room within a circle: a gradient with dark furniture at the rim, a little light and noise outside."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[0:height, 0:width] + 0.5
    inside = np.hypot(x - circle[0], y - circle[1]) <= circle[2]
    light = 90 + 80 * x / width + rng.normal(0, 6, x.shape)
    light[(y > 0.4 * height) & (y < 0.55 * height) & (x > 0.7 * width)] = 4
    image = np.where(inside, light, 5 + rng.normal(0, 2, x.shape))
    image[8:20, 5:60] = 250  # a time stamp
    return np.repeat(np.clip(image, 0, 255)[..., None], 3, axis=2).astype(np.uint8)


@pytest.mark.parametrize(
    ("size", "circle"),
    [((320, 240), (160.0, 120.0, 115.0)), ((320, 240), (171.3, 110.6, 140.2)), ((240, 240), (120.0, 120.0, 120.5))],
)
def test_the_image_circle_is_found(size, circle):
    assert np.allclose(find_circle(fisheye_photo(*size, circle)), circle, atol=0.7)


def test_no_circle_is_made_up():
    assert find_circle(np.full((90, 120, 3), 170, np.uint8)) is None
    assert find_circle(np.zeros((90, 120, 3), np.uint8)) is None
    rectangle = np.zeros((240, 320, 3), np.uint8)
    rectangle[40:200, 50:270] = 180
    assert find_circle(rectangle) is None


@settings(deadline=None)
@given(st.floats(0.3, 3), st.floats(-20, 20), st.floats(-20, 20))
def test_a_warped_photo_lies_where_its_points_do(scale, left, top):
    y, x = np.mgrid[0:60, 0:80] + 0.5
    blob = 220 * np.exp(-(((x - 45.3) / 5) ** 2 + ((y - 30.6) / 5) ** 2) / 2)
    photo = np.repeat(np.rint(blob)[..., None], 3, axis=2).astype(np.uint8)
    framing = Framing(scale, left, top)
    image = framing.warped(photo, (240, 200))[..., 0].astype(float)
    cx, cy = framing.point((45.3, 30.6))
    if min(cx, cy) < 18 * scale or cx > 240 - 18 * scale or cy > 200 - 18 * scale:
        return
    y, x = np.mgrid[0:200, 0:240] + 0.5
    assert abs((image * x).sum() / image.sum() - cx) < 0.06 * max(1, scale)  # OpenCV moves by steps of 1/32 px
    assert abs((image * y).sum() / image.sum() - cy) < 0.06 * max(1, scale)  # OpenCV moves by steps of 1/32 px
    assert abs(image.sum() / blob.sum() / scale**2 - 1) < 0.05


def test_what_is_only_guessed_is_told_once_a_folder(tmp_path, caplog):
    for name in ("a.png", "b.png"):
        save(tmp_path / name, 64, 64)
    with caplog.at_level(logging.WARNING, "synthkit"):
        Plates.open(tmp_path, 32, 32)
    assert len(caplog.messages) == 1
    assert "2 of 2 photos" in caplog.messages[0]
    assert f"synthkit plates annotate {tmp_path}" in caplog.messages[0]
    caplog.clear()
    floor = "floor_px = [[10, 10], [50, 10], [50, 50]]\n[camera]\nheight_m = 2.6\nfov_degrees = 180"
    (tmp_path / "plates.toml").write_text(floor)
    Plates.open(tmp_path, 32, 32)
    assert not caplog.messages


NOTES = """
floor_px = [[20, 20], [180, 20], [180, 180], [20, 180]]
[camera]
height_m = 2.5
[[furniture]]
kind = "table"
height_m = 0.74
outline_px = [[60, 60], [100, 60], [100, 90], [60, 90]]
[photos."b.png".camera]
height_m = 3.0
[photos."c.png"]
furniture = []
"""


def test_notes_of_a_photo_go_before_those_of_all():
    notes = FolderNotes.of(tomllib.loads(NOTES), ["a.png", "b.png", "c.png"], problems := [])
    assert not problems
    a, b, c = (notes.of_photo(name, (200, 200)) for name in ("a.png", "b.png", "c.png"))
    assert (a.camera.height_m, b.camera.height_m, c.camera.height_m) == (2.5, 3.0, 2.5)
    assert (len(a.furniture), len(b.furniture), len(c.furniture)) == (1, 1, 0)
    assert a.floor_px == b.floor_px == c.floor_px


def test_all_that_is_wrong_with_notes_is_told_at_once(tmp_path):
    (tmp_path / "plates.toml").write_text("""
        florr_px = []
        floor_px = [[0, 0], [100, 100], [100, 0], [0, 100]]
        [camera]
        fov_degrees = 500
        [[furniture]]
        kind = "sofa"
        height_m = 0.5
        outline_px = [[0, 0], [1, 0], [1, 1]]
        [[furniture]]
        kind = "seat"
        height_m = 0.5
        outline_px = [[0, 0], [10, 0], [10, 10]]
        [photos."romo.png"]
        """)
    with pytest.raises(ConfigError) as caught:
        FolderNotes.read(tmp_path, ["room.png"])
    text = "\n".join(caught.value.problems)
    for part in ("florr_px: unknown setting; did you mean 'floor_px'", "floor_px: its edges", "camera.fov_degrees",
                 "furniture[0].kind", "furniture[1]: a seat needs facing_px", "did you mean 'room.png'"):  # fmt: skip
        assert part in text
    assert len(caught.value.problems) == 6
    assert all(str(tmp_path / "plates.toml") in problem for problem in caught.value.problems)


def test_notes_drawn_on_a_smaller_copy_are_scaled_and_on_another_shape_refused():
    notes = FolderNotes.of({"size_px": [100, 80], "floor_px": [[10, 10], [90, 10], [90, 70]]}, [], [])
    assert notes.of_photo("a.png", (200, 160)).floor_px == ((20, 20), (180, 20), (180, 140))
    with pytest.raises(ConfigError, match=r"100x80, and a\.png is 100x100"):
        notes.of_photo("a.png", (100, 100))


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@given(names, names, st.lists(st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4)), min_size=1, max_size=4))
def test_written_notes_are_read_again(photo, label, points):
    common = {"walls": False, "camera": {"height_m": 2.5}, "furniture": [{"name": label, "outline_px": points}]}
    notes = FolderNotes(common, {photo: {"floor_px": points, "furniture": [{"name": label}, {"name": "x"}]}})
    plain = tomllib.loads(as_toml(notes))
    points = [list(point) for point in points]
    assert plain["furniture"] == [{"name": label, "outline_px": points}]
    assert plain["photos"] == {photo: {"floor_px": points, "furniture": [{"name": label}, {"name": "x"}]}}
    assert (plain["walls"], plain["camera"]) == (False, {"height_m": 2.5})


@st.composite
def outlines(draw):
    """Draw a simple outline, convex or not: corners at rising angles around the origin, at any distance."""
    count = draw(st.integers(3, 12))
    turns = np.cumsum([draw(st.floats(0.2, 1.0)) for _ in range(count)])
    radii = np.array([draw(st.floats(0.3, 3.0)) for _ in range(count)])
    angles = turns * (2 * math.pi / (turns[-1] + 0.2))
    return np.column_stack([np.cos(angles), np.sin(angles)]) * radii[:, None]


@settings(deadline=None)
@given(outlines(), st.booleans())
def test_outlines_are_cut_into_pieces_that_fill_them(outline, clockwise):
    if polygons.crossing(outline) is not None:
        return
    area = abs(polygons.signed_area(outline))
    given_outline = outline[::-1] if clockwise else outline
    pieces = polygons.convex_pieces(given_outline)
    assert all(polygons.is_convex(piece) and polygons.signed_area(piece) > 0 for piece in pieces)
    assert sum(polygons.signed_area(piece) for piece in pieces) == pytest.approx(area)
    hull_m, pockets = polygons.hull_and_pockets(given_outline)
    assert polygons.signed_area(hull_m) - sum(map(polygons.signed_area, pockets)) == pytest.approx(area, abs=1e-5)
    points = np.random.default_rng(0).uniform(-3, 3, (200, 2))
    within = polygons.holds(outline, points)
    contour = outline.astype(np.float32)
    expected = [cv2.pointPolygonTest(contour, (float(x), float(y)), True) for x, y in points]
    assert all(a == (b > 0) for a, b in zip(within, expected, strict=True) if abs(b) > 1e-4)
    assert (np.sum([polygons.holds(piece, points) for piece in pieces], axis=0) >= 1).tolist() == within.tolist()


@pytest.mark.parametrize(
    "outline",
    [
        [[0, 0], [2, 2], [2, 0], [0, 2]],
        [[math.cos(0.8 * math.pi * n), math.sin(0.8 * math.pi * n)] for n in range(5)],
        [[0, 0], [4, 0], [2, 0], [2, 2]],
        [[0, 0], [4, 0], [4, 4], [2, 0], [0, 4]],
    ],
)
def test_outlines_that_cross_themselves_are_told(outline):
    assert polygons.crossing(outline) is not None
    assert polygons.crossing([[0, 0], [4, 0], [4, 4], [2, 1], [0, 4]]) is None


def test_edges_are_told_by_their_numbers():
    assert polygons.crossing([[0, 0], [2, 2], [2, 0], [0, 2]]) == (0, 2)
    assert polygons.crossing([[0, 0], [4, 0], [4, 4], [2, 0], [0, 4]]) == (0, 2)
    assert polygons.crossing([[0, 0], [4, 0], [4, 4], [2, 3], [3, 1], [1, 3], [3, 3]]) == (2, 5)


def test_outlines_of_too_many_corners_are_refused(tmp_path):
    save(tmp_path / "a.png", 64, 64)
    angles = np.arange(201) * (2 * math.pi / 201)
    corners = (np.column_stack([np.cos(angles), np.sin(angles)]) * 20 + 32).tolist()
    (tmp_path / "plates.toml").write_text(f"floor_px = {corners}")
    with pytest.raises(SynthkitError, match="floor_px: must have at most 200 corners, got 201"):
        Plates.open(tmp_path, 32, 32)


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


def rectangle(width: float, height: float, turn: float) -> np.ndarray:
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]])
    return corners @ np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])


@pytest.mark.parametrize(
    ("outline", "width"),
    [
        (rectangle(4, 3, 0), 3),
        (rectangle(8, 0.5, 0.7), 0.5),
        ([[0, 0], [3, 0], [0, 4]], 2),
        ([[0, 0], [9, 0], [9, 1], [1, 1], [1, 7], [0, 7]], 2 * (2 - math.sqrt(2))),  # in the corner of the L
    ],
)
def test_how_wide_an_outline_is(outline, width):
    extent = float(np.ptp(np.array(outline), axis=0).max())
    assert polygons.widest(outline) == pytest.approx(width, abs=extent / 200)


def test_a_floor_too_small_for_anybody_is_told(tmp_path, tiny_renderer):
    for name in ("a.png", "b.png"):
        save(tmp_path / name, 400, 400)
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
    save(tmp_path / "room.png", 400, 400)
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
