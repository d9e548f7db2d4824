# SPDX-License-Identifier: Apache-2.0
"""The benchmark of refinement (benchmarks/refinement.py): its measures by hand, and all of it in little."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from synthkit import weights
from synthkit.checkpoint import Checkpoint
from synthkit.drift.guard import META
from synthkit.errors import ConfigError
from synthkit.sample import Sample

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def refinement():
    sys.path.insert(0, str(BENCHMARKS))
    import refinement

    yield refinement
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture
def _extractor(monkeypatch):
    monkeypatch.setenv(weights.OFFLINE_VARIABLE, "1")
    if "mobilenet_v2" not in weights.available():
        pytest.skip("the MobileNetV2 weights are not on this machine")


def sample(image, **more):
    return Sample(key="0", image=image, **more)


def guarded(drifted, new):
    record = {"people": [{"drifted": each} for each in drifted], "image": new}
    return sample(np.zeros((4, 4, 3), np.uint8), meta={META: [{"people": [], "image": True}, record]})


def test_who_is_kept_neither_drifted_nor_has_somebody_new_beside(refinement):
    refined = [guarded([False, True, False], new=False), guarded([False], new=True)]
    assert refinement.kept(refined) == 2 / 4


def test_rooms_are_grey_where_people_are_alone(refinement):
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    instances = np.zeros((4, 4), np.uint8)
    instances[1, 2] = 1
    alone = refinement.people_alone(sample(image, layers={"instances": instances})).image
    assert (alone[1, 2] == image[1, 2]).all()
    assert (np.delete(alone.reshape(-1, 3), 6, axis=0) == refinement.GREY).all()


def finished(refinement, capsys, *arguments):
    refinement.main(["--quick", "--refiners", "cyclegan-cp", "--threads", "1", *arguments])
    return {found["name"]: found for found in json.loads(capsys.readouterr().out.splitlines()[-1])["results"]}


@pytest.mark.usefixtures("_extractor")
def test_circles_are_measured_and_a_second_run_makes_nothing_anew(refinement, capsys, tmp_path, monkeypatch):
    arguments = ("--domains", "circles-1", "--work", str(tmp_path / "work"), "--pictures", str(tmp_path / "pictures"))
    arguments += ("--set", "antialias=true")
    first = finished(refinement, capsys, *arguments)
    left = first["circles-1, cyclegan-cp: feature distance left"]
    assert left["low"] == left["ours"] == left["high"] > 0
    assert first["circles-1, cyclegan-cp: circle"]["ours"] > 20, "three steps make no circle white"
    assert (tmp_path / "pictures" / "circles-1-cyclegan-cp-0.png").is_file()
    (checkpoint,) = (tmp_path / "work").rglob("checkpoint.safetensors")
    assert checkpoint.parts[-3] == "cyclegan-cp-2-3-4-0-antialias=true"
    assert Checkpoint.open(checkpoint).card["architecture"]["generator"]["antialias"]
    for work in ("pipeline._fitted", "jobs.RenderJob.results", "jobs.RefineJob.results"):
        monkeypatch.setattr(f"synthkit.{work}", None)
    assert finished(refinement, capsys, *arguments) == first


@pytest.mark.usefixtures("_extractor")
def test_a_setting_that_no_refiner_has_is_refused(refinement, tmp_path):
    with pytest.raises(ConfigError, match="anti_alias"):
        refinement.main(["--quick", "--domains", "circles-1", "--work", str(tmp_path), "--set", "anti_alias=true"])


@pytest.mark.slow
@pytest.mark.blender
@pytest.mark.usefixtures("_extractor")
def test_rooms_are_measured(refinement, capsys):
    found = finished(refinement, capsys, "--domains", "rendered")
    left = [each for name, each in found.items() if "cyclegan-cp: feature distance left" in name]
    assert len(left) == 2
    assert all(each["ours"] > 0 and each["goal"] == 2 / 3 for each in left)
    assert 0 <= found["rendered, cyclegan-cp: people kept"]["ours"] <= 1
