# SPDX-License-Identifier: Apache-2.0
"""The page that notes are taken on: who may ask its server for what, and what is written."""

from __future__ import annotations

import base64
import http.client
import io
import json
import logging
import re
import shutil
import subprocess
import threading
import tomllib
from importlib import resources
from urllib.parse import quote, urlsplit

import numpy as np
import pytest
from PIL import Image

from synthkit.errors import ConfigError, SynthkitError
from synthkit.seeds import Seeds
from synthkit_blender.config import BlenderConfig
from synthkit_blender.plates import Plates
from synthkit_blender.plates.annotate import desk as page_desk
from synthkit_blender.plates.annotate.desk import Desk
from synthkit_blender.plates.annotate.server import MOST_BYTES, AnnotateServer
from synthkit_blender.plates.notes import PhotoCamera, comments
from synthkit_blender.plates.space import on_plane
from synthkit_blender.scene import plate_camera

NOTES = {
    "size_px": [200, 150],
    "camera": {"circle_px": [100.0, 75.0, 74.0], "calibration": None, "fov_degrees": 180, "equisolid": 0.1,
               "height_m": 2.6, "tilt_degrees": 0, "roll_degrees": 0},
    "floor_px": [[60, 40], [140, 40.04], [140, 110], [60, 110]],
    "walls": True, "walls_px": [], "ceiling_m": None,
    "furniture": [
        {"kind": "table", "height_m": 0.74, "outline_px": [[80, 60], [100, 60], [100, 90]], "facing_px": None,
         "name": ""},
        {"kind": "seat", "height_m": 0.45, "outline_px": [[110, 60], [116, 60], [116, 66]], "facing_px": [90, 63],
         "name": "by the \"window\""},
    ],
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("a room.png", "b.jpg"):
        Image.fromarray(np.full((150, 200, 3), 120, np.uint8)).save(photos / name)
    (tmp_path / "secret.png").write_bytes((photos / "a room.png").read_bytes())
    return photos


@pytest.fixture
def server(folder):
    with AnnotateServer(Desk(folder)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(server, path, body=None, *, secret=None, **headers):
    """Return the status, the headers and the content of an answer."""
    port = urlsplit(server.url).port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    place = f"/{server.secret if secret is None else secret}/{path}"
    given = {key.replace("_", "-"): value for key, value in headers.items()}
    if body is None:
        connection.request("GET", place, headers=given)
    else:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request("POST", place, data, {"Content-Type": "application/json", **given})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, answer.headers, content


def test_the_page_and_its_parts_are_served_with_a_policy(server):
    for path, kind in (("", "text/html"), ("page.js", "text/javascript"), ("page.css", "text/css")):
        status, headers, content = ask(server, path)
        assert (status, headers.get_content_type()) == (200, kind)
        assert content
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
    scripts = {"page.js"}
    for name in list(scripts):
        scripts |= set(re.findall(r'from "\./(\w+\.js)"', ask(server, name)[2].decode()))
    assert len(scripts) > 5
    assert {ask(server, name)[0] for name in scripts} == {200}
    status, _, content = ask(server, "api/folder")
    assert json.loads(content)["photos"] == ["a room.png", "b.jpg"]
    status, _, content = ask(server, f"photo.jpg?name={quote('a room.png')}")
    assert Image.open(io.BytesIO(content)).size == (200, 150)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:80"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ],
)
def test_other_sites_are_refused(server, folder, headers):
    for path, body in (
        ("api/folder", None),
        ("photo.jpg?name=b.jpg", None),
        ("api/save", {"name": "b.jpg", "notes": NOTES}),
    ):
        assert ask(server, path, body, **headers)[0] == 403
    assert not (folder / "plates.toml").exists()


def test_without_the_secret_nothing_is_answered(server):
    for secret in ("", "x", server.secret[:-1], server.secret + "x"):
        assert ask(server, "api/folder", secret=secret)[0] == 403
    own = f"127.0.0.1:{urlsplit(server.url).port}"
    assert ask(server, "api/folder", Host=own, Origin=f"http://{own}")[0] == 200


@pytest.mark.parametrize(
    "name", ["../secret.png", "/etc/passwd", "..%2fsecret.png", "plates.toml", "", "b.jpg/../../secret.png"]
)
def test_only_photos_of_the_folder_are_shown(server, name):
    for path in ("photo.jpg", "api/photo"):
        status, _, content = ask(server, f"{path}?name={quote(name)}")
        assert status == 422
        assert "no such photo" in json.loads(content)["problems"][0]
    assert ask(server, "api/save", {"name": name, "notes": NOTES})[0] == 422
    for path in ("../secret.png", "plates.toml", "desk.py", "__init__.py"):
        assert ask(server, path)[0] == 404


def test_what_makes_no_sense_is_refused(server):
    assert ask(server, "api/save", b"{")[0] == 400
    assert ask(server, "api/save", b"[]")[0] == 400
    assert ask(server, "api/save", {})[0] == 400
    assert ask(server, "api/save", NOTES, Content_Type="text/plain")[0] == 400
    assert ask(server, "api/save", b"", Content_Length=str(MOST_BYTES + 1))[0] == 400
    assert ask(server, "api/camera", {"camera": {}, "size_px": "wide"})[0] == 400
    assert ask(server, "api/nothing", {})[0] == 404
    status, _, content = ask(server, "api/camera", {"camera": {"height_m": "high"}, "size_px": [10, 10]})
    assert (status, "camera.height_m" in content.decode()) == (422, True)


def test_saved_notes_are_read_back_the_same(server, folder):
    status, _, content = ask(server, "api/save", {"name": "b.jpg", "notes": NOTES, "everywhere": True})
    assert status == 200, content
    for name in ("a room.png", "b.jpg"):
        notes = json.loads(ask(server, f"api/photo?name={quote(name)}")[2])["notes"]
        assert notes == {**NOTES, "floor_px": [[60, 40], [140, 40], [140, 110], [60, 110]]}
    text = (folder / "plates.toml").read_text()
    assert tomllib.loads(text)["furniture"][1]["name"] == 'by the "window"'
    assert len(Plates.open(folder, 96, 72)[0].notes.furniture) == 2


def test_a_photo_keeps_what_differs(server, folder):
    ask(server, "api/save", {"name": "b.jpg", "notes": NOTES, "everywhere": True})
    other = {**NOTES, "camera": {**NOTES["camera"], "height_m": 3.1}, "furniture": []}
    ask(server, "api/save", {"name": "b.jpg", "notes": other})
    assert tomllib.loads((folder / "plates.toml").read_text())["photos"] == {
        "b.jpg": {"camera": {"height_m": 3.1}, "furniture": []}
    }
    heights = [plate.notes.camera.height_m for plate in Plates.open(folder, 96, 72).plates]
    assert heights == [2.6, 3.1]
    ask(server, "api/save", {"name": "b.jpg", "notes": NOTES})
    assert "photos" not in tomllib.loads((folder / "plates.toml").read_text())


def test_a_calibration_beside_the_photos_is_the_lens(server, folder, caplog):
    table = {"camera_matrix": [[45, 0, 103], [0, 45, 72], [0, 0, 1]], "distortion_coefficients": [0.01, 0, 0, 0],
             "image_width": 200, "image_height": 150}  # fmt: skip
    (folder / "lens.json").write_text(json.dumps(table))
    assert json.loads(ask(server, "api/folder")[2])["calibrations"] == ["lens.json"]
    known = {**NOTES["camera"], "circle_px": None, "equisolid": None, "fov_degrees": None, "calibration": "lens.json"}
    camera = json.loads(ask(server, "api/camera", {"camera": known, "size_px": [200, 150]})[2])
    assert camera["circle_px"][:2] == [103.5, 72.5]
    notes = {**NOTES, "camera": known}
    # One photo alone: for the other the circle and the lens stay at the top.
    assert ask(server, "api/save", {"name": "b.jpg", "notes": NOTES, "everywhere": True})[0] == 200
    assert ask(server, "api/save", {"name": "b.jpg", "notes": notes})[0] == 200
    with caplog.at_level(logging.WARNING, "synthkit"):
        other, plate = Plates.open(folder, 400, 396).plates
    assert not caplog.messages, "all is known of both"
    assert (other.notes.camera.calibration, other.circle_px) == (None, (100.0, 75.0, 74.0))
    drawn = plate_camera(BlenderConfig(), plate, Seeds(1))
    assert drawn.max_theta_rad == pytest.approx(np.pi / 2)
    seen = plate.framing.point((103.5, 72.5))
    assert (drawn.cx_px, drawn.cy_px) == pytest.approx(seen)
    for wrong, message in (({"calibration": "../lens.json"}, "a file beside"), ({"equisolid": 0.0}, "leave these")):
        status, _, content = ask(
            server, "api/save", {"name": "b.jpg", "notes": {**notes, "camera": {**known, **wrong}}}
        )
        assert (status, message in content.decode()) == (422, True)


def test_wrong_notes_are_told_and_not_written(server, folder):
    wrong = {**NOTES, "floor_px": [[0, 0], [100, 75], [100, 80]],
             "furniture": [{"kind": "table", "height_m": 9, "outline_px": [[1, 1], [2, 2], [3, 1]]}]}  # fmt: skip
    status, _, content = ask(server, "api/save", {"name": "b.jpg", "notes": wrong})
    assert status == 422
    assert "furniture[0].height_m" in json.loads(content)["problems"][0]
    del wrong["furniture"]
    problems = json.loads(ask(server, "api/check", {"notes": wrong})[2])["problems"]
    assert problems == ["floor_px: corner 0 lies outside the image circle"]
    assert not (folder / "plates.toml").exists()


def test_comments_that_saving_drops_are_told_before(folder):
    own = "# mine\nceiling_m = 2.5 # high's\n[camera]\ncalibration = \"a#b.yml\" # 'x\n"
    (folder / "plates.toml").write_text(own)
    desk = Desk(folder)
    assert desk.overview()["comments"] == 3
    assert desk.save({"name": "b.jpg", "notes": NOTES, "everywhere": True})["comments"] == 0
    assert Desk(folder).overview()["comments"] == 0
    assert comments("\n".join(['a = "\\"#"', "b = '#'", "c = '''", "# no", "'''", 'd = """', "#", '"""'])) == []


def test_what_another_program_wrote_is_not_overwritten(folder):
    desk = Desk(folder)
    (folder / "plates.toml").write_text("walls = false\n")
    with pytest.raises(ConfigError, match="was changed by another program"):
        desk.save({"name": "b.jpg", "notes": NOTES})
    assert (folder / "plates.toml").read_text() == "walls = false\n"
    (folder / "plates.toml").write_text("wals = false\n")
    with pytest.raises(ConfigError, match="did you mean 'walls'"):
        Desk(folder)


@pytest.mark.blender
def test_people_are_rendered_into_a_photo_as_it_is_noted(folder, mannequins, monkeypatch):
    monkeypatch.setattr(page_desk, "RENDERED_PX", 120)
    desk = Desk(folder, mannequins)
    answer = desk.render(
        {"name": "b.jpg", "notes": NOTES, "seed": 3, "people": {"sitting": [1, 1], "standing": [1, 1]}}
    )
    picture = Image.open(io.BytesIO(base64.b64decode(answer["png"])))
    assert picture.size == (120, 120)
    assert 1 <= len(answer["visible"]) <= 2
    assert np.asarray(picture.convert("L")).std() > 1
    assert not (folder / "plates.toml").exists()
    with pytest.raises(ConfigError, match="people"):
        desk.render({"name": "b.jpg", "notes": NOTES, "people": {"sitting": [3, 1]}})
    with desk._rendering, pytest.raises(SynthkitError, match="already"):
        desk.render({"name": "b.jpg", "notes": NOTES})


@pytest.mark.skipif(shutil.which("node") is None, reason="the page's own arithmetic is run by node, which is not there")
def test_the_page_projects_as_the_renderer_does(folder):
    known = {"circle_px": [101.0, 73.0, 80.0], "fov_degrees": 190, "equisolid": 0.6, "height_m": 2.8,
             "tilt_degrees": 12, "roll_degrees": -7}  # fmt: skip
    desk = Desk(folder)
    spec = desk.camera({"camera": known, "size_px": [200, 150]})
    rng = np.random.default_rng(1)
    points, pixels = rng.uniform((-4, -4, 0), (4, 4, 2.5), (50, 3)), rng.uniform(20, 130, (50, 2))
    source = resources.files("synthkit_blender.plates.annotate").joinpath("camera.js").read_bytes()
    script = f"""
        const {{ Camera }} = await import("data:text/javascript;base64,{base64.b64encode(source).decode()}");
        const camera = new Camera({json.dumps(spec)});
        const found = {{ places: {json.dumps(points.tolist())}.map((point) => camera.project(point)),
                         floor: {json.dumps(pixels.tolist())}.map((pixel) => camera.onPlane(pixel, 0.7)) }};
        console.log(JSON.stringify(found));
    """
    done = subprocess.run(["node", "--input-type=module", "-e", script], capture_output=True, check=True, timeout=60)
    found = json.loads(done.stdout)
    camera = desk._camera(PhotoCamera(**known), (200, 150))
    expected, valid = camera.project(points)
    assert [place is not None for place in found["places"]] == valid.tolist()
    assert np.abs(np.array([p for p in found["places"] if p]) - expected[valid]).max() < 0.01
    for pixel, place in zip(pixels, found["floor"], strict=True):
        met = on_plane(camera, [tuple(pixel)], 0.7, "", [])
        assert (met is None) == (place is None)
        if met is not None:
            assert np.allclose(met[0], place, rtol=1e-6)
