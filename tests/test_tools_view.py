# SPDX-License-Identifier: Apache-2.0
"""The gallery: self-contained, all overlays in it, hostile text harmless; the statistics and their plots."""

from __future__ import annotations

import base64
import html
import io
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from synthkit.camera import FisheyeCamera, looking_down
from synthkit.cli.app import app
from synthkit.dataset import Dataset, DatasetWriter
from synthkit.dataset.tools import plots
from synthkit.dataset.tools.plots import write_plots
from synthkit.dataset.tools.stats import rows, stats
from synthkit.dataset.tools.view import Shown, outline, view
from synthkit.errors import ConfigError, DatasetError
from synthkit.sample import Keypoint, Person, RotatedBox, Sample, Sidecar, Skipped, evolve

COMMAND = [sys.executable, "-c", "from synthkit.cli import main; main()"]
EVIL = "</script><script>document.title='taken'</script><img src=x onerror=alert(1)>"
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def write(folder, results):
    with DatasetWriter(folder, identity={"what": "view"}, scenes=len(results)) as writer:
        for scene, result in enumerate(results):
            writer.spool.put(scene, [result])
            writer.finished(scene)
        writer.finalise()
    return folder


def full(key="full", identity="me"):
    instances = np.zeros((60, 80), np.uint8)
    instances[10:30, 20:40] = 1
    amodal = instances.copy()
    amodal[30:36, 20:40] = 1
    person = Person(
        instance=1, identity=identity, box_xyxy_px=(20, 10, 40, 30), rotated_box=RotatedBox(30, 20, 20, 20, 0),
        radial_box=RotatedBox(30, 20, 20, 28, 45), full_box_xyxy_px=(20, 10, 40, 36), floor_m=(-0.5, 1.25, 0),
        occluder="furniture", head_px=(30, 14), head_box_xyxy_px=(26, 10, 34, 18), visible_fraction=0.75,
        keypoints={"nose": Keypoint(30, 13, True), "left_eye": Keypoint(31, 12, False)},
        attributes={"posture": "sitting", "clothes": ["hat", "coat"]},
    )  # fmt: skip
    camera = FisheyeCamera.equidistant(80, 60, world_from_camera=looking_down(2.5))
    image = np.full((60, 80, 3), 90, np.uint8)
    return Sample(key=key, image=image, people=[person, Person()], camera=camera,
                  layers={"instances": instances, "amodal": amodal}, sequence="clip",
                  meta={"background": "hall.jpg"})  # fmt: skip


def empty(key="empty"):
    return Sample(key=key, image=np.zeros((60, 80, 3), np.uint8), people=[])


def stranger(key="stranger"):
    return Sample(key=key, image=np.zeros((40, 40, 3), np.uint8))


def page(tmp_path, results, **shown):
    out = tmp_path / "page.html"
    view(write(tmp_path / "set", results), out, Shown(**shown))
    text = out.read_text(encoding="utf-8")
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert data is not None
    return text, json.loads(data[1])


def test_everything_known_is_in_the_page(tmp_path):
    _, data = page(tmp_path, [full(), empty(), stranger()])
    person, other = data["samples"][0]["people"]
    assert person["box"] == [20, 10, 40, 30]
    assert sorted(zip(person["rotated"][::2], person["rotated"][1::2], strict=True)) == [
        (20, 10),
        (20, 30),
        (40, 10),
        (40, 30),
    ]
    assert (person["full"], person["floor"], person["hider"]) == ([20, 10, 40, 36], [-0.5, 1.25, 0], "furniture")
    assert len(person["radial"]) == 8
    assert person["whole"].startswith("M")
    assert person["head"] == [30, 14]
    assert person["headBox"] == [26, 10, 34, 18]
    assert person["points"] == {"nose": [30, 13, True], "left_eye": [31, 12, False]}
    assert person["attributes"] == {"posture": "sitting", "clothes": "hat, coat"}
    assert other == {}
    assert [sample["people"] for sample in data["samples"][1:]] == [[], None]
    assert ["left_shoulder", "left_elbow"] in data["skeleton"]
    assert all(sample["source"].startswith("data:image/webp;base64,") for sample in data["samples"])


def test_the_page_needs_nothing_else(tmp_path):
    text, _ = page(tmp_path, [full()])
    outside = re.findall(r"""(?:src|href|action|url\()\s*=?\s*["']?\s*(?:https?:)?//""", text)
    assert outside == []
    policy = html.unescape(re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)[1])
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy


def test_some_of_many_are_drawn_by_seed(tmp_path):
    folder = write(tmp_path / "set", [empty(f"k{n}") for n in range(30)])

    def keys(**shown):
        view(folder, tmp_path / "page.html", Shown(**shown))
        return re.findall(r'"key":\s*"(k\d+)"', (tmp_path / "page.html").read_text())

    first = keys(count=5)
    assert len(first) == 5
    assert first == sorted(first, key=lambda key: int(key[1:]))
    assert keys(count=5) == first
    assert keys(count=5, seed=1) != first
    assert len(keys(count=99)) == 30


def decoded(url):
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))


def test_pictures_are_as_large_as_asked_for(tmp_path):
    _, data = page(tmp_path, [full()], size_px=40)
    assert data["samples"][0]["size"] == [80, 60], "overlays count in the sample's own pixels"
    assert decoded(data["samples"][0]["source"]).size == (40, 30)


def layered():
    depth = np.zeros((60, 80), np.float32)
    depth[:, 40:] = 4.25
    depth[:30, 40:] = 1.5
    light = np.full((60, 80, 3), 7.0, np.float32)
    light[30:] = np.nan
    alpha = np.zeros((60, 80), np.uint8)
    alpha[:, :40] = 255
    layers = {"depth": depth, "light": light, "alpha": alpha, "own": np.zeros((60, 80, 0), np.int16)}
    return evolve(full("layered"), layers={**full().layers, **layers})


def test_layers_are_pictures_beside_the_image(tmp_path):
    _, data = page(tmp_path, [full(), layered()])
    assert data["samples"][0]["layers"] == {}, "masks are overlays"
    shown = data["samples"][1]["layers"]
    assert sorted(shown) == ["alpha", "depth", "light"]
    assert shown["depth"]["span"] == [1.5, 4.25]
    assert shown["alpha"]["span"] is shown["light"]["span"] is None
    near, far, nothing = (decoded(shown["depth"]["source"]).getpixel(at) for at in ((60, 10), (60, 50), (10, 10)))
    assert near[2] > near[0]
    assert far[0] > far[2]
    assert max(nothing) < 40
    assert decoded(shown["alpha"]["source"]).getpixel((10, 10)) == (255, 255, 255)
    lit, dark = (decoded(shown["light"]["source"]).getpixel(at)[1] for at in ((10, 10), (10, 50)))
    assert (lit > 250, dark < 5) == (True, True)


def test_layers_can_be_left_out(tmp_path):
    _, data = page(tmp_path, [layered()], layers=False)
    assert data["samples"][0]["layers"] == {}
    assert data["samples"][0]["people"][0]["mask"]


def hostile():
    sample = full(key="<script>alert(1)", identity=EVIL)
    person = sample.people[0]
    attributes = {EVIL: EVIL, "</script>": ["<!--", "<script>"]}
    points = {"__proto__": Keypoint(1, 1), "constructor": Keypoint(2, 2), EVIL: Keypoint(3, 3)}
    changed = Person(instance=1, identity=EVIL, box_xyxy_px=person.box_xyxy_px, attributes=attributes, keypoints=points)
    return Sample(key=sample.key, image=sample.image, people=[changed], layers=dict(sample.layers), sequence=EVIL,
                  meta={EVIL: EVIL})  # fmt: skip


def test_hostile_text_is_text(tmp_path):
    text, data = page(tmp_path, [hostile()])
    assert data["samples"][0]["people"][0]["identity"] == EVIL
    assert len(re.findall(r"<script", text)) == 2, "the data and the page's own script"
    assert "<img src=x" not in text
    assert "<!--" not in text


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_a_browser_shows_it(tmp_path):
    page(tmp_path, [hostile(), layered(), empty(), stranger()])
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
               "--virtual-time-budget=2000", "--dump-dom", (tmp_path / "page.html").as_uri()]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "</html>" not in done.stdout:
        pytest.skip("Chromium does not start here")
    assert "<title>set – synthkit</title>" in done.stdout
    assert "onerror=alert" in html.unescape(done.stdout)
    assert re.search(r'<img [^>]*src="data:', done.stdout)
    assert not re.search(r"<img[^>]*onerror", done.stdout)
    assert done.stdout.count('class="card"') == 4
    assert "4 shown" in done.stdout
    assert '<option value="">image</option><option value="alpha">alpha</option>' in done.stdout
    for part in ("o-box", "o-full", "o-rotated", "o-radial", "o-head", "o-points", "o-mask t0", "o-whole t0"):
        assert f'class="{part}"' in done.stdout
    for label in (
        "Masks",
        "Whole masks",
        "Boxes",
        "Full boxes",
        "Rotated boxes",
        "Radial boxes",
        "Heads",
        "Key points",
    ):
        assert f"</i>{label}</label>" in done.stdout


def test_outlines_run_along_the_pixels_edges():
    layer = np.zeros((60, 80), np.uint8)
    layer[10:30, 20:40] = 3
    layer[15:20, 25:30] = 0
    layer[50, 70] = 3
    path = outline(layer == 3)
    drawn = np.zeros((600, 800), bool)
    for part in path.split("Z")[:-1]:
        corners = [tuple(10 * float(v) for v in place.split(",")) for place in part[1:].split(" ")]
        canvas = Image.new("1", (800, 600))
        ImageDraw.Draw(canvas).polygon(corners, fill=1)
        drawn ^= np.asarray(canvas)
    expected = (layer == 3).repeat(10, axis=0).repeat(10, axis=1)
    assert (drawn != expected).sum() < 0.12 * expected.sum()
    assert outline(layer == 9) == ""


def test_only_html_is_written(tmp_path):
    with pytest.raises(ConfigError, match=r"ends in \.html"):
        view(write(tmp_path / "set", [empty()]), tmp_path / "thesis.txt")


def test_a_page_of_somebody_else_and_a_data_set_are_left_alone(tmp_path):
    folder = write(tmp_path / "set", [empty()])
    out = tmp_path / "mine.html"
    out.write_text("<title>synthkit view</title>")
    with pytest.raises(ConfigError, match="was not written by this command"):
        view(folder, out)
    assert out.read_text() == "<title>synthkit view</title>"
    for inside in (folder / "page.html", folder / "shards" / "page.html", folder / "new" / "page.html"):
        with pytest.raises(ConfigError, match="is in the data set"):
            view(folder, inside)
    for place in (folder, folder / "plots"):
        with pytest.raises(ConfigError, match=r"--plots .* is in the data set"):
            write_plots(stats(folder), place)
    assert sorted(path.name for path in folder.iterdir()) == ["dataset.json", "shards", "shards.npz"]
    view(folder, tmp_path / "ours.html")
    before = (tmp_path / "ours.html").read_bytes()
    view(folder, tmp_path / "ours.html")
    assert (tmp_path / "ours.html").read_bytes() == before


def test_a_set_of_sidecars_is_a_line(tmp_path):
    folder = write(tmp_path / "found", [Sidecar(key="k", people=[], layers={"instances": np.zeros((8, 8), np.uint8)})])
    with pytest.raises(DatasetError, match="has no images to show: it is a set of sidecars"):
        view(folder, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_the_numbers(tmp_path):
    folder = write(tmp_path / "set", [full("a"), full("b"), empty(), stranger(), Skipped("x", "dark")])
    found = stats(folder)
    assert (found.samples, found.skipped, found.reasons) == (4, 1, {"dark": 1})
    assert (found.people, found.people_per_image, found.unknown_people) == (4, {0: 1, 2: 2}, 1)
    assert (found.box_width_px.median, found.long_side_px.high) == (20, 20)
    assert (found.heads, found.keypoints, found.masks) == (2, 2, 2)
    assert (found.identities, found.images_per_identity.high, found.unnamed) == (1, 2, 2)
    assert found.image_sizes_px == {"80x60": 3, "40x40": 1}
    assert found.layers == {"instances": 2, "amodal": 2}
    assert (found.sequences, found.backgrounds, found.cameras, found.unknown_camera) == (1, 1, 1, 2)
    assert found.camera_height_m.median == 2.5
    # The box's middle (30, 20) lies 10 px left of and 10 px above the centre: up-left, sector 7 of 30 degrees.
    assert found.centre_distance.median == pytest.approx(np.hypot(10, 10) / 30, abs=1e-3)
    assert found.sectors == [0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]
    assert found.visible_fraction[7] == 2
    assert found.unknown_visible == 2
    assert json.loads(json.dumps(found.to_plain()))["people"] == 4
    assert dict(rows(found))["people per image"] == "0: 1, 2: 2"


def test_drift_is_counted_where_a_guard_looked(tmp_path):
    limits = {"moved": 0.04, "lost": 0.45, "new": 0.3}
    people = [{"instance": 1, "moved": 0.2, "lost": 0.1, "drifted": True}, {"instance": 2, "moved": 0, "lost": 0}]
    record = {"people": people, "image": False, "rolled_back": True, "limits": limits}
    checked = evolve(full("a"), meta={"drift": [record]})
    odd = evolve(full("b"), meta={"drift": "of snow"})
    found = stats(write(tmp_path / "set", [checked, odd, empty()]))
    assert dict(rows(found))["drift in refinement"] == "1 of 2 people drifted (1 moved, 0 lost; 1 rolled back)"
    assert found.to_plain()["drift"]["rolled_back"] == 1
    unchecked = stats(write(tmp_path / "other", [odd, full("c")]))
    assert unchecked.drift is None
    assert "drift in refinement" not in dict(rows(unchecked))


def test_no_pixel_is_decoded_for_the_numbers(tmp_path, monkeypatch):
    folder = write(tmp_path / "set", [full()])

    def refuse(*_, **__):
        raise AssertionError("decoded")

    monkeypatch.setattr(Image.Image, "load", refuse)
    monkeypatch.setattr("synthkit.dataset.codec.decode", refuse)
    assert stats(folder).people == 2


def test_plots_are_pictures_and_the_same_each_time(tmp_path):
    found = stats(write(tmp_path / "set", [full("a"), full("b"), empty()]))
    paths = write_plots(found, tmp_path / "plots")
    assert [path.name for path in paths] == [
        "people_per_image.png", "sizes.png", "places.png", "directions.png", "visible_fraction.png",
    ]  # fmt: skip
    before = [path.read_bytes() for path in paths]
    for path in paths:
        with Image.open(path) as picture:
            assert picture.size > (300, 200)
            assert len(np.unique(np.asarray(picture.convert("L")))) > 10
    assert [path.read_bytes() for path in write_plots(found, tmp_path / "plots")] == before
    nobody = stats(write(tmp_path / "nobody", [stranger()]))
    assert write_plots(nobody, tmp_path / "none") == []


def test_the_commands(tmp_path):
    folder = write(tmp_path / "set", [full("a"), full("b"), Skipped("x", "dark")])
    done = subprocess.run([*COMMAND, "stats", str(folder), "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["samples"] == 2
    arguments = ["view", str(folder), "--out", str(tmp_path / "page.html"), "--count", "1"]
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "(1 samples, " in done.stdout
    done = subprocess.run(
        [*COMMAND, "view", str(folder), "--out", "x.png"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: --out x.png: ")


def test_the_command_verify(tmp_path):
    folder = write(tmp_path / "set", [full("a"), full("b")])
    done = subprocess.run([*COMMAND, "verify", str(folder), "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["problems"] == []
    tar = next(folder.rglob("*.tar"))
    png = Dataset.open(folder).members(0)[1]["png"]
    tar.write_bytes(tar.read_bytes().replace(png, bytes(len(png)), 1))
    done = subprocess.run([*COMMAND, "verify", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "problem: " in done.stderr
    arguments = ["verify", str(folder), "--repair", str(tmp_path / "good")]
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "(1 copied, 0 mended, 1 dropped" in done.stdout
    assert (
        subprocess.run([*COMMAND, "verify", str(tmp_path / "good")], capture_output=True, check=False).returncode == 0
    )


def test_what_is_counted_has_whole_numbers_at_its_axes(tmp_path):
    """Also where all images hold as many people, or few people are in all."""
    found = stats(write(tmp_path / "set", [full("a"), full("b"), full("c")]))
    for draw in plots._PLOTS.values():
        figure = draw(found)
        figure.draw_without_rendering()
        for axes in figure.axes:
            axis = axes.xaxis if axes.get_xlabel() in ("people", "images") else axes.yaxis
            if axes.get_ylabel() in ("people", "images") or axis is axes.xaxis or axes.name == "polar":
                low, high = sorted(axis.get_view_interval())
                ticks = [tick for tick in axis.get_ticklocs() if low <= tick <= high]
                assert ticks, axes.get_title()
                assert all(tick == int(tick) for tick in ticks), ticks


def test_what_nobody_knows_is_told_as_unknown_and_not_drawn(tmp_path):
    folder = write(tmp_path / "nobody", [stranger()])
    told = dict(rows(stats(folder)))
    assert (told["by direction"], told["visible, by tenths"]) == ("unknown", "unknown")
    command = ["stats", str(folder), "--plots", str(tmp_path / "plots")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0
    assert f"no plots: nothing is known of the people in {folder}" in done.output
