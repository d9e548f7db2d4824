# SPDX-License-Identifier: Apache-2.0
"""``synthkit tune`` from images to settings: known shifts are found again, and nothing is lost or made worse."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import synthkit
from synthkit import pipeline, settings
from synthkit.cli.app import app
from synthkit.dataset import Dataset
from synthkit.errors import ConfigError, DatasetError, PluginError
from synthkit.execution import Local
from synthkit.plugins import discover
from synthkit.session import Session
from synthkit.tuning import run as tuning
from synthkit.tuning import trials

SMALL = {"size_px": 64, "samples_per_scene": 1}
LAMP = """
import attrs
import numpy as np
from synthkit.config import setting
from synthkit.hookspecs import hookimpl
from synthkit.interfaces import Component, Tunable, sample_key
from synthkit.sample import Sample, evolve

@attrs.frozen
class Config:
    gain: tuple[float, float] = setting((0.9, 1.1), help="brightness")
    noise: float = setting(1.0, help="grain")
    warm: float = setting(0.0, help="cast")
    keep: bool = setting(False, help="keep the light")

class Lamp:
    samples_per_scene = 1

    def __init__(self, config, checkpoint, runtime):
        self.config = config

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def render(self, scene, seeds):
        y, x = np.mgrid[:64, :64] / 64
        phase, shade = seeds.stream("scene").uniform(0, 6), seeds.stream("shade").uniform(60, 100)
        light = shade + 20 * np.sin(9 * x + phase)[..., None] * np.cos(7 * y)[..., None]
        light = (light + np.array([1.0, 0.0, -1.0]) * self.config.warm).astype(np.float32)
        image = np.zeros((64, 64, 3), np.uint8)
        bare = Sample(sample_key(scene), image, people=(), layers={"light": light})
        done = self.finish(bare, seeds)
        yield done if self.config.keep else evolve(done, layers={})

    def finish(self, sample, seeds):
        gain = seeds.stream("gain").uniform(*self.config.gain)
        grain = self.config.noise * seeds.stream("noise").normal(size=sample.image.shape)
        image = np.clip(sample.layers["light"] * gain + grain, 0, 255).astype(np.uint8)
        return evolve(sample, image=image)

@hookimpl
def synthkit_components():
    return [Component(
        kind="renderer", name="lamp", summary="a lamp", config=Config, target=__name__ + ":Lamp",
        finish_keeps={"keep": True},
        tunable=(
            Tunable("gain", 0.3, 2.5, fits="range", finishing=True),
            Tunable("noise", 0.1, 20.0, fits="value", log=True, finishing=True),
            Tunable("warm", -40.0, 40.0, fits="value"),
        ),
    )]
"""


@pytest.fixture
def lamp(tmp_path: Path, monkeypatch) -> None:
    """Install a renderer that can finish what it rendered again."""
    place = tmp_path / "site"
    (place / "lamp-1.0.dist-info").mkdir(parents=True)
    (place / "strange_lamp.py").write_text(LAMP)
    (place / "lamp-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: lamp\nVersion: 1.0\n")
    (place / "lamp-1.0.dist-info" / "entry_points.txt").write_text("[synthkit.v1]\nlamp = strange_lamp\n")
    monkeypatch.syspath_prepend(place)
    monkeypatch.delitem(sys.modules, "strange_lamp", raising=False)


def planned(name: str, options=None, **more) -> tuple[Session, settings.Plan]:
    given = {"seed": 3, "renderer": options or {}}
    plan = settings.plan(discover(), given, {"renderer": name})
    return Session(plan.registry, plan.run, Local(workers=0), **more), plan


def rendered(out: Path, name: str, count: int, **options) -> Path:
    session, plan = planned(name, options)
    pipeline.render(session.reseeded(99), plan.components["renderer"], out, count)
    return out


def tune(out: Path, real: Path, name: str, renders: int = 48, extractor: str = "none", given=None, **more):
    session, plan = planned(name, given, **more)
    return tuning.tune(session, plan.components["renderer"], str(real), out, renders, extractor=extractor)


def images_below(folder: Path) -> int:
    places = [path.parent for path in folder.rglob("dataset.json")]
    return sum(len(Dataset.open(place)) for place in places)


def test_light_people_and_height_of_discs_are_found_again(tmp_path: Path) -> None:
    real = rendered(tmp_path / "real", "discs", 40, **SMALL, light=0.4, people=[5, 7], camera_height_m=4.2)
    tuned = tune(tmp_path / "tuned.toml", real, "discs", 90, given=SMALL)
    found = tomllib.loads(tuned.settings.read_text())["renderer"]
    assert found["name"] == "discs"
    assert found["people"] == [5, 7]
    assert found["camera_height_m"] == pytest.approx(4.2, rel=0.12)
    assert found["light"] == pytest.approx(0.4, rel=0.25)
    change = tuned.story.verified.changes["statistics"]
    assert change.after.value < 0.3 * change.before.value
    assert change.gain.interval[0] > 0
    assert tuned.story.verified.sure
    assert images_below(tmp_path / "tuned") <= 90
    plan = settings.plan(discover(), settings.read(tuned.settings, (), {}), {"renderer": None})
    assert plan.components["renderer"].options["light"] == found["light"], "--config takes the file"


def test_what_acts_after_rendering_is_fitted_upon_few_renders(tmp_path: Path, lamp) -> None:
    real = rendered(tmp_path / "real", "lamp", 40, gain=[1.5, 1.7], noise=6.0, warm=20.0)
    tuned = tune(tmp_path / "tuned.toml", real, "lamp", 50)
    found = tomllib.loads(tuned.settings.read_text())["renderer"]
    low, high = found["gain"]
    assert (low + high) / 2 == pytest.approx(1.6, rel=0.08)
    assert found["noise"] == pytest.approx(6.0, rel=0.25)
    assert found["warm"] > 0, "of few candidates the better are on the right side"
    assert "keep" not in found, "what only the search needs is no setting of the user's"
    assert tuned.story.verified.sure
    assert images_below(tmp_path / "tuned") <= 50


class Stop(Exception):
    pass


def test_interrupted_and_resumed_it_is_the_same(tmp_path: Path, lamp, monkeypatch) -> None:
    monkeypatch.setattr(trials, "WIDE", 8)
    monkeypatch.setattr(trials, "NARROW", 4)
    real = rendered(tmp_path / "real", "lamp", 12, gain=[0.5, 0.6])
    known = {"noise": 1.0}
    whole = tune(tmp_path / "whole" / "tuned.toml", real, "lamp", 26, given=known)
    out = tmp_path / "torn" / "tuned.toml"
    for stage, when in (("fit the finish", 20), ("candidates", 3)):
        heard = []

        def stop(name, done, total, note="", stage=stage, when=when, heard=heard):
            heard.append(name == stage)
            if sum(heard) == when:
                raise Stop

        with pytest.raises(Stop):
            tune(out, real, "lamp", 26, given=known, progress=stop)
        assert not out.exists()
    noted = json.loads((out.with_suffix("") / "tune.json").read_bytes())
    assert (noted["environment"]["synthkit"], noted["environment"]["tuning"]) == (synthkit.__version__, tuning.REVISION)
    monkeypatch.setattr(tuning, "REVISION", tuning.REVISION + 1)
    told = []
    again = tune(out, real, "lamp", 26, given=known, tell=told.append)
    (line,) = [line for line in told if "another environment" in line]
    assert f"tuning: {tuning.REVISION - 1} there, {tuning.REVISION} now" in line
    assert again.settings.read_bytes() == whole.settings.read_bytes()
    assert again.report.read_bytes().replace(b"torn", b"whole") == whole.report.read_bytes()


def test_a_look_that_is_worse_on_fresh_scenes_is_not_kept(tmp_path: Path, monkeypatch) -> None:
    real = rendered(tmp_path / "real", "discs", 12, **SMALL)
    monkeypatch.setattr(tuning, "search", lambda tries, space, count: tries.evaluate({"light": 0.2}, 0.0))
    tuned = tune(tmp_path / "tuned.toml", real, "discs", 24, given=SMALL)
    assert not tuned.story.verified.improved
    assert "light" not in tomllib.loads(tuned.settings.read_text())["renderer"]
    assert "it stays as it was" in tuned.settings.read_text()
    assert "it stays as it was" in tuned.report.read_text()


def test_images_without_labels_change_no_people(tmp_path: Path) -> None:
    data = Dataset.open(rendered(tmp_path / "real", "discs", 8, **SMALL))
    bare = tmp_path / "bare"
    from PIL import Image

    bare.mkdir()
    for sample in data:
        Image.fromarray(np.asarray(sample.image)).save(bare / f"{sample.key}.png")
    tuned = tune(tmp_path / "tuned.toml", bare, "discs", 24, given={**SMALL, "light": 0.7})
    assert "light" not in {row.setting for row in tuned.story.fitted}, "what is given is known"
    assert not {"people", "camera_height_m"} & {row.setting for row in tuned.story.fitted}
    assert any("no labels" in note for note in tuned.story.notes)
    assert (tmp_path / "tuned" / "real").is_dir(), "a folder of another format is converted"
    with pytest.raises(DatasetError, match="another renders"):
        tune(tmp_path / "tuned.toml", bare, "discs", 100, given={**SMALL, "light": 0.7})


def test_mistakes_are_told_before_any_work(tmp_path: Path) -> None:
    real = rendered(tmp_path / "real", "discs", 3, **SMALL)
    (tmp_path / "theirs.toml").write_text("[renderer]\n")
    with pytest.raises(ConfigError, match=r"ends in \.toml") as told:
        tune(tmp_path / "out.json", real, "discs", extractor="mobilnet_v2", given=dict.fromkeys(("light",), 1.0))
    assert "did you mean 'mobilenet_v2'" in str(told.value)
    with pytest.raises(ConfigError, match="was not written by this command"):
        tune(tmp_path / "theirs.toml", real, "discs")
    with pytest.raises(ConfigError, match="at least 48 are needed"):
        tune(tmp_path / "out.toml", real, "discs", renders=47)
    everything = {"light": 1.0, "people": [1, 2], "camera_height_m": 3.0}
    with pytest.raises(ConfigError, match="all that can be tuned is set already"):
        tune(tmp_path / "out.toml", real, "discs", given=everything)
    with pytest.raises(ConfigError, match="has 3 images; at least 4"):
        tune(tmp_path / "out.toml", real, "discs")
    with pytest.raises(ConfigError) as told:
        tune(tmp_path / "theirs.toml", real, "discs", renders=2, extractor="mobilnet_v2", given=everything)
    starts = ["renderer 'discs': all that", "--out", "--renders 2: at least 48", "--extractor", str(real)]
    assert [line.startswith(start) for line, start in zip(told.value.problems, starts, strict=True)] == [True] * 5
    assert not (tmp_path / "out").exists(), "what is refused leaves the place free"


def test_options_are_told_with_wrong_settings(tmp_path: Path) -> None:
    wrong = ["--set", "renderer.lihgt=1", "--renders", "2", "--extractor", "resnet", "--out", str(tmp_path / "a.json")]
    told = CliRunner().invoke(app, ["tune", "nowhere", "--renderer", "discs", *wrong]).exception
    assert isinstance(told, ConfigError)
    starts = ["renderer.lihgt: unknown", "--out", "--renders 2: at least 24", "--extractor resnet: unknown"]
    assert [line.startswith(start) for line, start in zip(told.problems, starts, strict=True)] == [True] * 4


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"warm", -40.0', '"wram", -40.0', "wram: no such setting; did you mean 'warm'?"),
        ('"gain", 0.3', '"noise", 0.3', "noise: a number is not fitted as a range"),
        ('help="cast")', 'help="cast", validator=between(-9, 9))', "must lie between -9 and 9"),
    ],
)
def test_a_plugin_that_declares_what_cannot_be_is_broken(lamp, tmp_path: Path, old, new, told) -> None:
    source = LAMP.replace("import setting", "import between, setting")
    assert old in source
    (tmp_path / "site" / "strange_lamp.py").write_text(source.replace(old, new))
    registry = discover()
    reasons = [item.reason for item in registry.broken if item.origin.distribution == "lamp"]
    assert reasons, registry.all("renderer")
    assert told in reasons[0]
    with pytest.raises(PluginError):
        registry.get("renderer", "lamp")
