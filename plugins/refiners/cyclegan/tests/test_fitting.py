# SPDX-License-Identifier: Apache-2.0
"""Training through its public face: what it leaves, and that an interruption changes nothing."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
from pathlib import Path

import attrs
import numpy as np
import pytest
from PIL import Image

from synthkit import weights
from synthkit.checkpoint import Checkpoint
from synthkit.config import identity
from synthkit.errors import DatasetError, WeightsError, WorkError
from synthkit.training import loop
from synthkit_cyclegan import crop_store, perception
from synthkit_cyclegan.crop_training import steps_of
from synthkit_cyclegan.refiner import CycleGANRefiner
from synthkit_cyclegan.training import Training


def curves_of(workdir: Path) -> list[dict]:
    return [json.loads(line) for line in (workdir / "curves.jsonl").read_text().splitlines()]


@pytest.fixture
def whole(tiny, data, runtime, tmp_path):
    with CycleGANRefiner(tiny, None, runtime) as refiner:
        return refiner.fit(data, tmp_path / "whole")


def test_fit_leaves_a_checkpoint_with_its_card(whole, data, tiny):
    card = whole.card
    assert (card["kind"], card["name"]) == ("refiner", "cyclegan")
    assert card["architecture"]["generator"] == {
        "filters": 2, "blocks": 9, "skip": True, "colours": False, "antialias": False,
    }  # fmt: skip
    assert card["data"]["source"]["fingerprint"] == "sha-source"
    assert (card["data"]["source"]["crops"], card["data"]["target"]["crops"]) == (8, 6)
    assert card["steps"] == 7
    assert card["perceptual"]["weights_sha256"] == weights.REGISTRY["mobilenet_v2"].sha256
    assert "the data sets and the perceptual network" in card["licence"]
    assert not (whole.path.parent / "state.safetensors").exists()


def test_curves_have_a_line_per_window_and_one_for_the_rest(whole):
    lines = curves_of(whole.path.parent)
    assert [line["step"] for line in lines] == [2, 4, 6, 7]
    assert set(lines[0]) >= {"adversarial", "discriminator_features", "identity_features", "discriminator_x"}


def test_pictures_show_crops_before_and_after(whole):
    pictures = sorted((whole.path.parent / "samples").iterdir())
    assert [p.name for p in pictures] == ["step-0000004.png", "step-0000007.png"]
    assert Image.open(pictures[0]).size == (8 * 32, 3 * 32)


def test_a_finished_training_is_not_repeated(whole, tiny, data, runtime, monkeypatch):
    monkeypatch.setattr(Training, "advance", lambda self: pytest.fail("trained again"))
    again = CycleGANRefiner(tiny, None, runtime).fit(data, whole.path.parent)
    assert again.sha256 == whole.sha256


class Killed(BaseException):
    """Stands for the process's end."""


@pytest.mark.parametrize("at", [1, 3, 5, 7])
def test_an_interrupted_training_goes_on_to_the_same_bytes(at, whole, tiny, data, runtime, tmp_path, monkeypatch):
    advance = Training.advance

    def dies(self):
        if self.step == at - 1:
            advance(self)
            raise Killed
        return advance(self)

    workdir = tmp_path / "parts"
    with monkeypatch.context() as patch:
        patch.setattr(Training, "advance", dies)
        with pytest.raises(Killed):
            CycleGANRefiner(tiny, None, runtime).fit(data, workdir)
    resumed = CycleGANRefiner(tiny, None, runtime).fit(data, workdir)
    assert resumed.path.read_bytes() == whole.path.read_bytes()
    assert curves_of(workdir) == curves_of(whole.path.parent)


def _fit_and_kill(config, data, runtime, workdir, at):
    def progress(stage, done, total, note=""):
        if stage == "train refiner" and done == at:
            os.kill(os.getpid(), signal.SIGKILL)

    patient = attrs.evolve(runtime, progress=progress)
    loop.Meter = lambda report, stage, start, total: lambda done, note="": report(stage, done, total, note)
    CycleGANRefiner(config, None, patient).fit(data, workdir)


def test_sigkill_loses_nothing_but_time(whole, tiny, data, runtime, tmp_path):
    workdir = tmp_path / "killed"
    child = multiprocessing.get_context("fork").Process(target=_fit_and_kill, args=(tiny, data, runtime, workdir, 5))
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL
    assert (workdir / "state.safetensors").exists()
    resumed = CycleGANRefiner(tiny, None, runtime).fit(data, workdir)
    assert resumed.path.read_bytes() == whole.path.read_bytes()


def test_ctrl_c_keeps_the_step_it_came_in(whole, tiny, data, runtime, tmp_path, monkeypatch):
    advance = Training.advance
    done = []

    def interrupted(self):
        if self.step == 4:
            os.kill(os.getpid(), signal.SIGINT)
        done.append(self.step)
        return advance(self)

    monkeypatch.setattr(Training, "advance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        CycleGANRefiner(tiny, None, runtime).fit(data, tmp_path / "w")
    assert done == [0, 1, 2, 3, 4]
    monkeypatch.setattr(Training, "advance", lambda self: (done.append(self.step), advance(self))[1])
    resumed = CycleGANRefiner(tiny, None, runtime).fit(data, tmp_path / "w")
    assert done == list(range(7))
    assert resumed.path.read_bytes() == whole.path.read_bytes()


def test_a_state_of_other_settings_is_refused_and_left_alone(tiny, data, runtime, tmp_path, monkeypatch):
    advance = Training.advance
    monkeypatch.setattr(Training, "advance", lambda self: 1 / (self.step < 4) and advance(self))
    with pytest.raises(ZeroDivisionError):
        CycleGANRefiner(tiny, None, runtime).fit(data, tmp_path)
    before = (tmp_path / "state.safetensors").read_bytes()
    with pytest.raises(DatasetError, match="other settings or data"):
        CycleGANRefiner(attrs.evolve(tiny, learning_rate=1e-3), None, runtime).fit(data, tmp_path)
    assert (tmp_path / "state.safetensors").read_bytes() == before


def test_how_a_training_is_kept_and_shown_changes_nothing(whole, tiny, data, runtime, tmp_path):
    other = attrs.evolve(tiny, checkpoint_every=2, picture_every=0, log_every=3, feather_px=3.0)
    result = CycleGANRefiner(other, None, runtime).fit(data, tmp_path / "other")
    assert result.path.read_bytes() == whole.path.read_bytes()
    assert identity(other) == {**identity(tiny), "feather_px": 3.0}


def test_a_training_goes_on_with_other_curves(whole, tiny, data, runtime, tmp_path, monkeypatch):
    advance = Training.advance
    with monkeypatch.context() as patch:
        patch.setattr(Training, "advance", lambda self: 1 / (self.step < 4) and advance(self))
        with pytest.raises(ZeroDivisionError):
            CycleGANRefiner(tiny, None, runtime).fit(data, tmp_path)
    result = CycleGANRefiner(attrs.evolve(tiny, log_every=5), None, runtime).fit(data, tmp_path)
    assert result.path.read_bytes() == whole.path.read_bytes()
    assert [line["step"] for line in curves_of(tmp_path)] == [2, 5, 7]


def test_a_full_disk_is_told_while_cutting_crops(tiny, data, runtime, tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "no space left")

    (tmp_path / "crops").mkdir()
    (tmp_path / "crops" / ".source-0.u8.99999.tmp").touch()  # a killed call's
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WorkError, match="no space left"):
        crop_store.load(data["source"], "source", 32, tmp_path / "crops", runtime.progress)
    assert not list((tmp_path / "crops").iterdir())


def test_another_seed_gives_other_weights(whole, tiny, data, runtime, tmp_path):
    other = attrs.evolve(runtime, seeds=runtime.seeds.child("x"))
    assert CycleGANRefiner(tiny, None, other).fit(data, tmp_path / "o").sha256 != whole.sha256


def test_a_set_without_people_is_named(tiny, data, runtime, tmp_path, samples):
    empty = samples([attrs.evolve(s, people=()) for s in data["target"]], "empty")
    with pytest.raises(DatasetError, match=r"target set \(3 images\) has no people to crop"):
        CycleGANRefiner(tiny, None, runtime).fit({**data, "target": empty}, tmp_path)


def test_missing_perceptual_weights_say_what_to_do(tiny, data, runtime, tmp_path):
    with pytest.raises(WeightsError) as caught:
        CycleGANRefiner(attrs.evolve(tiny, perceptual="vgg16"), None, runtime).fit(data, tmp_path)
    message = str(caught.value)
    assert "vgg16-397923af.pth" in message
    assert weights.FOLDER_VARIABLE in message
    assert "mobilenet_v2" in message


def test_auto_takes_what_can_be_had_and_stays_with_it(whole, tiny, data, runtime, tmp_path, monkeypatch):
    reports = []
    told = attrs.evolve(runtime, progress=lambda *report: reports.append(report))
    auto = attrs.evolve(tiny, perceptual="auto")
    chosen = CycleGANRefiner(auto, None, told).fit(data, tmp_path / "auto")
    assert chosen.path.read_bytes() == whole.path.read_bytes()
    note = next(report[3] for report in reports if report[0] == "perceptual network")
    assert note.startswith("mobilenet_v2, because weights vgg16")
    monkeypatch.setattr(perception, "_perceptual", lambda name, *_: pytest.fail(name))
    with pytest.raises(pytest.fail.Exception, match="mobilenet_v2"):
        perception.load_perceptual(auto, tmp_path / "auto", told.progress)


def test_the_budget_is_160_rounds_of_the_smaller_set(tiny):
    free = attrs.evolve(tiny, steps=None)
    assert steps_of(free, 5576, 272) == 160 * 272
    assert steps_of(attrs.evolve(free, batch=4), 10, 272) == 400
    assert steps_of(tiny, 10, 272) == 7


def test_bfloat16_trains_too(tiny, data, runtime, tmp_path):
    result = CycleGANRefiner(attrs.evolve(tiny, precision="bfloat16", steps=2), None, runtime).fit(data, tmp_path)
    assert np.isfinite(curves_of(result.path.parent)[0]["adversarial"])


def test_nan_in_the_data_leaves_the_last_sound_weights_ready_to_refine(tiny, data, runtime, tmp_path, monkeypatch):
    batch = Training.batch

    def planted(self, domain, draw):
        images = batch(self, domain, draw)
        if self.step == 4 and domain == "Y":
            images[0, 0, 5, 5] = float("nan")
        return images

    monkeypatch.setattr(Training, "batch", planted)
    with pytest.raises(WorkError, match=r"stopped at step 5 of 7: .*not finite.* those after step 3\.") as caught:
        CycleGANRefiner(tiny, None, runtime).fit(data, tmp_path)
    latest = Checkpoint.open(tmp_path / "latest.safetensors")
    assert str(latest.path) in str(caught.value)
    assert latest.card["steps_done"] == 3
    with CycleGANRefiner(tiny, latest, runtime) as refiner:
        (refined,) = refiner.refine(data["source"].items[:1])
    assert refined.meta["refined_by"][0]["checkpoint_sha256"] == latest.sha256
    assert [line["step"] for line in curves_of(tmp_path)] == [2, 4]
