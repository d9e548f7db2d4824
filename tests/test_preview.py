# SPDX-License-Identifier: Apache-2.0
"""One scene as one picture: what the run would render, with every layer."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from synthkit import pipeline, settings
from synthkit.cli.app import app
from synthkit.dataset import Dataset
from synthkit.errors import ConfigError
from synthkit.plugins import discover
from synthkit.preview import preview, sheet
from synthkit.report.layers import picture
from synthkit.sample import Sample
from synthkit.session import Session

SIZE = 64


def planned(**options) -> tuple[Session, settings.Plan]:
    given = {"seed": 3, "renderer": {"size_px": SIZE, **options}}
    plan = settings.plan(discover(), given, {"renderer": "discs"})
    return Session(plan.registry, plan.run), plan


def cell(page: np.ndarray, row: int, column: int) -> np.ndarray:
    """Return what lies under the caption of one panel."""
    height, width = SIZE + 20 + 4, SIZE + 4
    return page[row * height + 20 : row * height + 20 + SIZE, column * width : column * width + SIZE]


def test_the_preview_is_the_scene_that_a_run_renders(tmp_path: Path) -> None:
    session, plan = planned()
    spec = plan.components["renderer"]
    shown = preview(session, spec, 2, tmp_path / "new" / "scene.png")
    pipeline.render(session, spec, tmp_path / "data", 6)  # two to a scene
    sample = Dataset.open(tmp_path / "data").by_key(shown.key)
    page = np.asarray(Image.open(shown.path))
    assert np.array_equal(cell(page, 0, 0), sample.image)
    assert np.array_equal(page, sheet(sample))
    assert np.array_equal(cell(page, 0, 2), sample.layers["background"]), "layers come in the order of their names"
    assert shown.people == sum(person.instance is not None for person in sample.people)
    assert preview(session, spec, 2, shown.path).path == shown.path, "its own picture may be written anew"


def test_a_picture_of_somebody_else_stays(tmp_path: Path) -> None:
    session, plan = planned()
    theirs = tmp_path / "theirs.png"
    Image.new("RGB", (4, 4)).save(theirs)
    for out, reason in ((theirs, "was not written by this command"), (tmp_path / "scene.jpg", "ends in .png")):
        with pytest.raises(ConfigError, match=reason):
            preview(session, plan.components["renderer"], 0, out)
    assert Image.open(theirs).size == (4, 4)


def test_a_place_where_nothing_can_be_written_is_told_before_rendering(tmp_path: Path) -> None:
    session, plan = planned()
    stages: list[str] = []
    session = attrs.evolve(session, progress=lambda stage, *_: stages.append(stage))
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ConfigError, match=rf"--out {file}/new/a\.png: nothing can be written in {file}"):
        preview(session, plan.components["renderer"], 0, file / "new" / "a.png")
    assert not stages


def test_the_name_of_the_picture_is_told_with_wrong_settings(tmp_path: Path) -> None:
    for suffix in ("jpg", "webp", "PNG.gz"):
        out = str(tmp_path / f"a.{suffix}")
        told = CliRunner().invoke(app, ["preview", "--renderer", "discs", "--set", "renderer.szie_px=9", "--out", out])
        assert isinstance(told.exception, ConfigError)
        first, second = told.exception.problems
        assert "renderer.szie_px: unknown setting" in first
        assert f"--out {out}: expected a name that ends in .png" in second


def a_sample(**layers) -> Sample:
    return Sample(key="a", image=np.full((2, 3, 3), 100, np.uint8), layers=layers)


def test_people_have_colours_and_whole_ones_mix() -> None:
    numbers = np.array([[0, 1, 1], [2, 2, 0]], np.uint8)
    shown = picture(a_sample(instances=numbers), "instances").astype(int)
    assert (shown[0, 0] == 100).all()
    assert (shown[0, 1] == shown[0, 2]).all()
    assert np.abs(shown[0, 1] - shown[1, 0]).max() > 50
    planes = np.array([[0, 1, 3], [2, 2, 0]], np.uint8)
    whole = picture(a_sample(instances=numbers, amodal=planes), "amodal").astype(int)
    assert (whole[0, 1] == shown[0, 1]).all()
    assert (whole[0, 2] != shown[0, 1]).any(), "there are two people"
    assert (whole[0, 2] != shown[1, 0]).any()


def test_numbers_are_coloured_from_least_to_most() -> None:
    depth = np.array([[0, 1, 2], [3, 4, 5]], np.float32)
    shown = picture(a_sample(depth=depth), "depth")
    assert (shown[0, 0] == 24).all(), "there is none"
    assert shown[0, 1, 2] > shown[0, 1, 0], "near is blue"
    assert shown[1, 2, 0] > shown[1, 2, 2], "far is red"
    flat = picture(a_sample(surface=np.zeros((2, 3), np.uint16)), "surface")
    assert (flat == 24).all()
    grey = picture(a_sample(alpha=np.full((2, 3), 7, np.uint8)), "alpha")
    assert (grey == 7).all()
