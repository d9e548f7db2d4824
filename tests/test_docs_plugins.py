# SPDX-License-Identifier: Apache-2.0
"""The plugin of docs/plugins.md, written to files as it stands there, found by its entry point, and used."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synthkit import evaluation, pipeline
from synthkit.dataset import Dataset
from synthkit.interfaces import ComponentSpec
from synthkit.plugins import discover
from synthkit.session import Session
from synthkit.settings import RunSettings

PAGE = (Path(__file__).parents[1] / "docs" / "plugins.md").read_text()
FILES = dict(re.findall(r"```python (\S+)\n(.*?)```", PAGE, re.DOTALL))
PROJECT = tomllib.loads(re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)[1])
LEARNING = {"steps": 60, "crop_px": 32, "batch": 4, "picture_every": 30}
DISCS = {"size_px": 96, "samples_per_scene": 2}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The distribution, as an installer would have put it there, for this process and for workers."""
    folder = tmp_path / "site"
    for name, code in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(code)
    (folder / "palette" / "__init__.py").touch()
    project = PROJECT["project"]
    information = folder / f"{project['name']}-{project['version']}.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    ((group, points),) = project["entry-points"].items()
    lines = [f"{name} = {value}" for name, value in points.items()]
    (information / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines]))
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=":")
    return folder


@pytest.fixture
def session(site: Path) -> Session:
    session = Session(discover(), RunSettings(seed=3, device="cpu", threads=1))
    assert not [one for one in session.registry.broken if one.origin.distribution == "palette"]
    return session


@pytest.fixture
def rendered(session: Session, tmp_path: Path) -> Callable[..., Dataset]:
    def render(name: str, renderer: str, count: int, **options: Any) -> Dataset:
        spec = ComponentSpec("renderer", renderer, {**DISCS, **options})
        return pipeline.render(session, spec, tmp_path / name, count).dataset

    return render


def test_the_refiner_has_less_than_a_hundred_lines() -> None:
    assert set(FILES) == {f"palette/{name}.py" for name in ("plugin", "refiner", "detector", "metric")}
    assert len(FILES["palette/refiner.py"].splitlines()) < 100


def test_the_refiner_learns_and_brings_colours_closer(session, rendered, tmp_path) -> None:
    source, real = rendered("source", "discs", 8), rendered("real", "discs-dim", 8)
    palette = ComponentSpec("refiner", "palette", LEARNING)
    fitted = pipeline.fit(session, palette, {"source": source, "target": real}, tmp_path / "fitted")
    curve = [json.loads(line) for line in (tmp_path / "fitted" / "curves.jsonl").read_text().splitlines()]
    assert curve[-1]["mean"] < 0.5 * curve[0]["mean"]
    assert (tmp_path / "fitted" / "samples" / "step-0000060.png").exists()

    spec = ComponentSpec("refiner", "palette", LEARNING, str(fitted.path), fitted.sha256)
    refined = pipeline.refine(session, spec, source.location, tmp_path / "refined").dataset
    before, after = (
        evaluation.evaluate(session, ComponentSpec("metric", "colours"), data, real)[0] for data in (source, refined)
    )
    assert after.value < 0.67 * before.value
    assert (after.name, after.count) == ("colours", 8)
    people = refined[0].layers["instances"] > 0
    assert (refined[0].image[~people] == source[0].image[~people]).mean() > 0.95


def test_the_refiner_goes_on_to_the_same_bytes(session, rendered, tmp_path, monkeypatch) -> None:
    data = {"source": rendered("source", "discs", 4), "target": rendered("real", "discs-dim", 4)}
    spec = ComponentSpec("refiner", "palette", {**LEARNING, "steps": 6, "checkpoint_every": 2})
    whole = pipeline.fit(session, spec, data, tmp_path / "whole")
    from palette.refiner import PaletteLearner  # type: ignore[import-not-found]

    advance = PaletteLearner.advance
    with monkeypatch.context() as patch:
        patch.setattr(PaletteLearner, "advance", lambda self: 1 / (self.step < 5) and advance(self))
        with pytest.raises(ZeroDivisionError):
            pipeline.fit(session, spec, data, tmp_path / "parts")
    assert pipeline.fit(session, spec, data, tmp_path / "parts").sha256 == whole.sha256


def test_the_detector_finds_people_in_its_room(session, rendered, tmp_path) -> None:
    room = rendered("room", "discs", 24, samples_per_scene=24, people=[1, 2], light=0.8)
    fitted = pipeline.fit(session, ComponentSpec("detector", "room"), {"train": room}, tmp_path / "detector")
    metric = ComponentSpec("metric", "detection", {"target": "person"})
    scores = {one.name: one.value for one in evaluation.evaluate(session, metric, room, checkpoint=fitted.path)}
    assert max(value for name, value in scores.items() if "f1" in name) > 0.5, scores
