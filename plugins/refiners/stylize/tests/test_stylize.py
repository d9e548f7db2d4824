# SPDX-License-Identifier: Apache-2.0
"""Blending people with pictures: who gets what, what may change, how it looks, and pictures that cannot be used."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import attrs
import numpy as np
import pytest
from PIL import Image

from synthkit.errors import ConfigError, DatasetError
from synthkit.interfaces import ComponentSpec, Refiner, Runtime
from synthkit.plugins import discover
from synthkit.sample import Person, RotatedBox, Sample
from synthkit.seeds import Seeds
from synthkit_stylize.blending import blend, window
from synthkit_stylize.config import StylizeConfig
from synthkit_stylize.refiner import StylizeRefiner

SIZE = 96
TURNED = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"


def sample_of(key: str = "s", *, instances: tuple[int, int] = (1, 2), sequence: str | None = None) -> Sample:
    """Return a grey image with two upright grey people, "ann" and "ben"."""
    stream = Seeds(1).stream("noise")
    image = stream.integers(90, 110, (SIZE, SIZE, 3), dtype=np.uint8)
    layer = np.zeros((SIZE, SIZE), np.uint8)
    people = []
    for number, name, cx in zip(instances, ("ann", "ben"), (26, 70), strict=True):
        layer[20:60, cx - 10 : cx + 10] = number
        people.append(Person(instance=number, identity=name, rotated_box=RotatedBox(cx, 40, 20, 40, 0)))
    return Sample(key=key, image=image, people=people, layers={"instances": layer}, sequence=sequence)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four pictures, each of one colour and its noise, one of them in a folder of its own."""
    names = ("a.png", "b.jpg", "c.JPEG", "more/d.png")
    for n, name in enumerate(names):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = Seeds(n).stream("noise").integers(-20, 21, (40 + n, 64, 3))
        colour = np.array([200 if n in (0, 3) else 40, 200 if n == 1 else 60, 200 if n in (2, 3) else 50])
        Image.fromarray((colour + noise).astype(np.uint8)).save(path, quality=90)
    return tmp_path / "pictures"


@pytest.fixture
def stylize(folder: Path, tmp_path: Path) -> Callable[..., list[Sample]]:
    def run(*samples: Sample, seed: int = 0, **options: object) -> list[Sample]:
        config = StylizeConfig(**{"textures": folder, **options})
        with StylizeRefiner(config, None, Runtime(Seeds(seed), tmp_path)) as refiner:
            return list(refiner.refine(samples))

    return run


def chosen(sample: Sample) -> list[tuple[str, float]]:
    return [(one["texture"], one["strength"]) for one in sample.meta["refined_by"][-1]["people"]]


def test_only_people_change_and_the_truth_is_kept(stylize):
    before = sample_of()
    (after,) = stylize(before, strength=(0.8, 0.8))
    mask = before.layers["instances"] > 0
    assert (after.image[~mask] == before.image[~mask]).all()
    changed = np.abs(after.image.astype(int) - before.image).max(axis=2) > 3
    assert changed[mask].mean() > 0.9
    assert (after.key, after.people, after.camera) == (before.key, before.people, before.camera)
    assert (after.layers["instances"] == before.layers["instances"]).all()


def test_each_output_depends_on_its_own_sample_alone(stylize):
    first, second = sample_of("one"), sample_of("two")
    together, again = stylize(first, second), stylize(second, first)
    assert (together[0].image == again[1].image).all()
    assert (together[1].image == again[0].image).all()
    assert (together[0].image != together[1].image).any()  # the same people under another key
    assert (stylize(first, seed=1)[0].image != together[0].image).any()


def test_textures_and_strengths_are_spread_over_people(stylize):
    found = [pair for sample in stylize(*(sample_of(f"s{n}") for n in range(40))) for pair in chosen(sample)]
    counts = [sum(name == one for one, _ in found) for name in ("a.png", "b.jpg", "c.JPEG", "more/d.png")]
    assert sum(counts) == 80
    assert min(counts) >= 8
    strengths = [strength for _, strength in found]
    assert 0.4 <= min(strengths) < 0.45
    assert 0.75 < max(strengths) <= 0.8


def test_in_a_clip_a_texture_stays_on_its_person(stylize):
    frames = [sample_of("f0", sequence="clip"), sample_of("f1", sequence="clip", instances=(2, 1))]
    first, second = stylize(*frames)
    assert chosen(first) == chosen(second)
    people = frames[0].layers["instances"] > 0
    assert (first.image[people] == second.image[people]).all()
    assert chosen(stylize(sample_of("f0", sequence="other"))[0]) != chosen(first)


def test_without_strength_nothing_changes(stylize):
    before = sample_of()
    assert (stylize(before, strength=(0.0, 0.0))[0].image == before.image).all()


def test_at_full_strength_and_flat_people_are_the_picture(stylize, tmp_path):
    (tmp_path / "red").mkdir()
    Image.new("RGB", (30, 20), (220, 30, 40)).save(tmp_path / "red" / "red.png")
    before = sample_of()
    (after,) = stylize(before, textures=tmp_path / "red", strength=(1.0, 1.0), shading=0.0, feather_px=0.0)
    inner = np.zeros((SIZE, SIZE), bool)
    inner[24:56, 20:32] = True
    off = after.image[inner].astype(float) - (220, 30, 40)
    assert np.abs(off.mean(axis=0)).max() < 1
    assert off.std() < 6  # finer than the crop's grid, some of the sensor's own grain stays


def test_with_shading_a_texture_is_lit_as_its_person():
    crop = np.full((64, 64, 3), 60, np.uint8)
    crop[:, 32:] = 120
    inside = np.zeros((64, 64), bool)
    inside[8:56, 8:56] = True
    crop[~inside] = 255  # what is around must not light the edge
    flat = np.full((64, 64, 3), 100, np.uint8)
    lit, unlit = blend(crop, flat, inside, 1.0, 1.0), blend(crop, flat, inside, 1.0, 0.0)
    assert np.abs(lit[9:55, 9:24] - 100 * 60 / 90).max() < 1
    assert np.abs(lit[9:55, 40:55] - 100 * 120 / 90).max() < 1
    assert np.abs(unlit - 100).max() == 0


def test_fine_patterns_do_not_alias():
    fine = np.indices((512, 512)).sum(axis=0) % 2 * np.uint8(255)
    shown = window(np.repeat(fine[..., None], 3, axis=2).astype(np.uint8), (50, 50), 1.0, Seeds(0).stream("w"))
    assert np.abs(shown.astype(int) - 127).max() < 8


def test_a_window_shows_the_share_that_was_asked_for_and_nothing_twice():
    ramp = np.repeat(np.arange(200, dtype=np.uint8)[None, :, None], 100, axis=0).repeat(3, axis=2)
    for n in range(20):
        shown = window(ramp, (50, 50), 0.5, Seeds(n).stream("w"))[..., 0].astype(int)
        across = shown if np.ptp(shown[0]) > np.ptp(shown[:, 0]) else shown.T
        steps = np.diff(across, axis=1)
        assert (steps == steps[0, 0]).all()
        assert abs(int(np.ptp(across[0])) - 49) <= 1


def test_an_exif_orientation_changes_nothing(stylize, tmp_path):
    picture = Image.fromarray(Seeds(3).stream("p").integers(0, 255, (40, 60, 3), dtype=np.uint8))
    results = []
    for name, exif in (("plain", b""), ("turned", TURNED)):
        (tmp_path / name).mkdir()
        picture.save(tmp_path / name / "x.jpg", exif=exif)
        results.append(stylize(sample_of(), textures=tmp_path / name)[0].image)
    assert (results[0] == results[1]).all()


def test_what_went_in_is_noted(stylize, folder):
    before = attrs.evolve(sample_of(), meta={"licences": {"bodies": "CC0-1.0"}})
    (after,) = stylize(before, licence="CC-BY-4.0")
    assert after.meta["licences"] == {"bodies": "CC0-1.0", "textures": "CC-BY-4.0"}
    (note,) = after.meta["refined_by"]
    assert note["name"] == "stylize"
    assert [one["instance"] for one in note["people"]] == [1, 2]
    assert all((folder / name).is_file() for name, _ in chosen(after))
    (folder / "a.png").write_bytes((folder / "more/d.png").read_bytes())
    (other,) = stylize(before)
    assert len(note["textures_sha256"]) == 64
    assert other.meta["refined_by"][0]["textures_sha256"] != note["textures_sha256"]


def test_nobody_there_is_no_problem(stylize):
    empty = attrs.evolve(sample_of(), people=(), layers={})
    (after,) = stylize(empty)
    assert (after.image == empty.image).all()
    assert "licences" not in after.meta


def png_of(width: int, height: int) -> bytes:
    """Return a small PNG whose header states another size."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    data = bytearray(buffer.getvalue())
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return bytes(data)


def test_every_picture_that_cannot_be_used_is_told_before_work_starts(stylize, folder):
    (folder / "bomb.png").write_bytes(png_of(60_000, 60_000))
    (folder / "cut.jpg").write_bytes((folder / "b.jpg").read_bytes()[:500])
    (folder / "text.png").write_text("not a picture")
    (folder / "more" / "empty.jpg").touch()
    (folder / "._a.png").write_text("what a file manager leaves behind")
    with pytest.raises(DatasetError) as caught:
        stylize()
    lines = str(caught.value).splitlines()
    assert [Path(line.split(":")[0].removeprefix("texture ")).name for line in lines] == [
        "bomb.png", "cut.jpg", "empty.jpg", "text.png"
    ]  # fmt: skip
    assert "60000x60000 pixels is refused" in lines[0]
    for n in range(4):
        (folder / f"z{n}.png").touch()
    with pytest.raises(DatasetError, match="and 3 more of the 12 pictures in"):
        stylize()


def test_a_folder_without_pictures_is_told(stylize, tmp_path):
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "readme.txt").write_text("none here")
    with pytest.raises(DatasetError, match=r"holds no picture; expected \.jpeg, \.jpg, \.png files"):
        stylize(textures=tmp_path / "none")
    with pytest.raises(DatasetError, match="is not a folder"):
        stylize(textures=tmp_path / "none" / "readme.txt")


def test_a_picture_that_changes_meanwhile_is_told(folder, tmp_path):
    with StylizeRefiner(StylizeConfig(textures=folder), None, Runtime(Seeds(0), tmp_path)) as refiner:
        for path in [path for path in folder.rglob("*") if path.is_file()]:
            path.write_bytes(path.read_bytes() + b"\0")
        with pytest.raises(DatasetError, match="was changed while people were being stylized"):
            list(refiner.refine([sample_of()]))


def test_the_plugin_is_light_and_built_like_any_other(folder, tmp_path, monkeypatch):
    code = (
        "import sys, synthkit_stylize.plugin as p; assert p.synthkit_components()[0].name == 'stylize';"
        " assert not {'torch', 'cv2', 'PIL'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    monkeypatch.setenv("SYNTHKIT_PLUGINS", "synthkit-stylize")
    registry = discover()
    spec = ComponentSpec("refiner", "stylize", {"textures": str(folder)})
    assert isinstance(registry.build(spec, Runtime(Seeds(0), tmp_path)), Refiner)
    assert not registry.get("refiner", "stylize").component.keeps_people  # else the drift guard takes textures back
    before = registry.identity(spec)
    (folder / "new.png").write_bytes((folder / "a.png").read_bytes())
    assert registry.identity(spec) != before
    with pytest.raises(ConfigError, match="textures: is required"):
        registry.configure(ComponentSpec("refiner", "stylize"))
