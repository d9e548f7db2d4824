# SPDX-License-Identifier: Apache-2.0
"""The loop with a learner of one small layer: whatever stops it, it goes on to the same bytes."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import sys
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
from PIL import Image

from synthkit.checkpoint import Checkpoint
from synthkit.errors import ConfigError, DatasetError, WeightsError, WorkError
from synthkit.interfaces import Runtime
from synthkit.seeds import Seeds
from synthkit.training import checkpoints, loop
from synthkit.training.settings import TrainingSettings

SETTINGS = TrainingSettings(checkpoint_every=3, log_every=2, picture_every=4)
CARD = loop.identified({"kind": "refiner", "name": "toy", "rate": 0.1})


class Toy(loop.Learner):
    """Fits a line; ``at`` maps steps to what happens in them."""

    def __init__(self, steps=8, at=None):
        self.step, self.steps, self.at = 0, steps, at or {}
        self.layer = torch.nn.Linear(2, 1)
        torch.nn.init.constant_(self.layer.weight, 0.5)
        torch.nn.init.zeros_(self.layer.bias)
        self.adam = torch.optim.Adam(self.layer.parameters(), lr=0.1)
        self.scores = []

    def advance(self):
        self.at.get(self.step, lambda learner: None)(self)
        x = torch.from_numpy(Seeds(0).stream("x", self.step).random((4, 2)).astype(np.float32))
        loss = ((self.layer(x) - x.sum(dim=1, keepdim=True) + 1) ** 2).mean()
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        self.step += 1
        return {"loss": float(loss.detach())}

    def tensors(self):
        state = self.adam.state_dict()["state"]
        moments = {f"adam.{n}.{key}": value for n, values in state.items() for key, value in values.items()}
        return {**self.layer.state_dict(), **moments}

    def restore(self, tensors, step):
        state = {}
        for name, value in tensors.items():
            if name.startswith("adam."):
                _, n, key = name.split(".")
                state.setdefault(int(n), {})[key] = value
        self.layer.load_state_dict({name: tensors[name] for name in ("weight", "bias")})
        self.adam.load_state_dict({**self.adam.state_dict(), "state": state})
        self.step = step

    def weights(self):
        return self.layer.state_dict()

    def picture(self):
        return np.full((2, 3, 3), self.step, np.uint8)

    evaluate_every = 4

    def evaluate(self):
        self.scores.append(self.step)
        return {"val_scores": len(self.scores)}

    def notes(self):
        return {"seen": self.step}

    def findings(self):
        return {"found": self.step}


@pytest.fixture
def train(tmp_path):
    runtime = Runtime(seeds=Seeds(0), cache_dir=tmp_path / "cache")

    def run(learner, name="w", settings=SETTINGS, card=CARD):
        return loop.train(learner, tmp_path / name, card, settings, runtime)

    return run


@pytest.fixture
def whole(train):
    return train(Toy(), "whole")


def lines(workdir):
    return [json.loads(line) for line in (workdir / "curves.jsonl").read_text().splitlines()]


def test_it_leaves_a_checkpoint_curves_and_pictures(whole):
    folder = whole.path.parent
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint.safetensors", "curves.jsonl", "samples"]
    assert whole.card == {**CARD, "found": 8}
    assert [line["step"] for line in lines(folder)] == [2, 4, 4, 6, 8, 8]
    assert [line["val_scores"] for line in lines(folder) if "val_scores" in line] == [1, 2]
    pictures = sorted((folder / "samples").iterdir())
    assert [path.name for path in pictures] == ["step-0000004.png", "step-0000008.png"]
    assert (np.asarray(Image.open(pictures[1])) == 8).all()


def test_what_is_finished_is_not_done_again(whole, train):
    assert train(Toy(at={0: lambda learner: pytest.fail("trained again")}), "whole").sha256 == whole.sha256


class Stop(BaseException):
    """Stands for the process's end."""


def stop(learner):
    raise Stop


def press_control_c(learner):
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("at", range(8))
def test_a_stopped_training_goes_on_to_the_same_bytes(at, whole, train, tmp_path):
    with pytest.raises(Stop):
        train(Toy(at={at: stop}))
    kept = loop.notes_of(tmp_path / "w", CARD)
    assert kept == ({"seen": at // 3 * 3} if at >= 3 else None)
    assert train(Toy()).path.read_bytes() == whole.path.read_bytes()
    ours, theirs = ([{**line, "val_scores": 0} for line in lines(tmp_path / name)] for name in ("w", "whole"))
    assert ours == theirs


@pytest.mark.parametrize("at", [1, 7])
def test_ctrl_c_keeps_the_step_it_comes_in(at, whole, train, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(Toy(at={at: press_control_c}))
    assert loop.notes_of(tmp_path / "w", CARD) == {"seen": at + 1}
    assert train(Toy()).path.read_bytes() == whole.path.read_bytes()


def die(learner):
    os.kill(os.getpid(), signal.SIGKILL)


def test_sigkill_costs_the_steps_since_the_last_state(whole, train, tmp_path):
    child = multiprocessing.get_context("fork").Process(target=train, args=(Toy(at={5: die}),))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert loop.notes_of(tmp_path / "w", CARD) == {"seen": 3}
    assert train(Toy()).path.read_bytes() == whole.path.read_bytes()


def test_the_latest_weights_can_be_used_while_training_goes_on(train, tmp_path):
    with pytest.raises(Stop):
        train(Toy(at={7: stop}))
    latest = Checkpoint.open(tmp_path / "w" / "latest.safetensors")
    assert latest.card == {**CARD, "found": 6, "steps_done": 6}
    six = train(Toy(steps=6), "six")
    tensors, wanted = checkpoints.load_tensors(latest), checkpoints.load_tensors(six)
    assert all(torch.equal(tensors[name], wanted[name]) for name in wanted)


def spoil(learner):
    learner.layer.weight.data[0, 0] = float("nan")


def spoil_after(learner):
    """Spoil the weights in a step whose loss is still finite, as an overflowing gradient does."""
    learner.layer.weight.register_hook(lambda gradient: gradient * float("inf"))


@pytest.mark.parametrize(
    ("at", "how", "message"),
    [
        (4, spoil, r"stopped at step 5 of 8: loss not finite \(loss nan\)"),
        (5, spoil_after, r"stopped at step 6 of 8: .* not finite"),  # a state is due right then
        (7, spoil_after, r"stopped at step 8 of 8: .* not finite"),  # and the checkpoint
    ],
)
def test_what_is_not_finite_stops_training_with_the_last_sound_state_kept(at, how, message, train, tmp_path):
    with pytest.raises(WorkError, match=message) as caught:
        train(Toy(at={at: how}))
    latest = tmp_path / "w" / "latest.safetensors"
    good = at // 3 * 3
    assert f"{latest} is a checkpoint of the last sound weights, those after step {good}" in str(caught.value)
    assert "learning_rate" in str(caught.value)
    assert Checkpoint.open(latest).card["steps_done"] == good
    assert all(tensor.isfinite().all() for tensor in checkpoints.load_tensors(Checkpoint.open(latest)).values())
    assert loop.notes_of(tmp_path / "w", CARD) == {"seen": good}
    assert not (tmp_path / "w" / "checkpoint.safetensors").exists()


def test_without_a_sound_state_that_is_said(train):
    with pytest.raises(WorkError, match=r"stopped at step 2 of 8: loss not finite .*no state was kept before"):
        train(Toy(at={1: spoil}))


@pytest.mark.parametrize("name", ["state.safetensors", "latest.safetensors", "step-0000004.png", "curves.jsonl"])
def test_a_full_disk_costs_nothing_that_was_kept(name, whole, train, tmp_path, monkeypatch):
    sync, wanted = os.fsync, {"left": 1}

    def full(descriptor):
        place = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        if name in place and learner.step > 3 and wanted["left"]:
            wanted["left"] = 0
            raise OSError(errno.ENOSPC, "no space left")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    learner = Toy()
    with pytest.raises(WorkError, match=r"no space left.*run the same again"):
        train(learner)
    assert loop.notes_of(tmp_path / "w", CARD) == {"seen": 3}
    assert not list((tmp_path / "w").rglob("*.tmp"))
    assert train(Toy()).path.read_bytes() == whole.path.read_bytes()


def test_another_training_is_refused_and_left_alone(whole, train, tmp_path):
    other = loop.identified({**CARD, "rate": 0.2})
    with pytest.raises(DatasetError, match="other settings or data"):
        train(Toy(), "whole", card=other)
    with pytest.raises(Stop):
        train(Toy(at={5: stop}))
    before = (tmp_path / "w" / "state.safetensors").read_bytes()
    for call in (lambda: train(Toy(), card=other), lambda: loop.notes_of(tmp_path / "w", other)):
        with pytest.raises(DatasetError, match="other settings or data"):
            call()
    assert (tmp_path / "w" / "state.safetensors").read_bytes() == before


def test_a_damaged_state_is_told(train, tmp_path):
    with pytest.raises(Stop):
        train(Toy(at={5: stop}))
    path = tmp_path / "w" / "state.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(WeightsError, match=r"state\.safetensors.*cannot be read"):
        train(Toy())


def test_how_it_is_kept_and_shown_changes_nothing(whole, train):
    other = attrs.evolve(SETTINGS, checkpoint_every=1, log_every=5, picture_every=0)
    assert train(Toy(), settings=other).path.read_bytes() == whole.path.read_bytes()


AVERAGED = attrs.evolve(SETTINGS, ema=0.5)


def test_the_checkpoint_gets_averaged_weights_where_they_are_wanted(whole, train):
    seen, shown = [], []
    learner = Toy(at={n: lambda learner: seen.append(learner.layer.weight.detach().clone()) for n in range(8)})
    learner.picture = lambda: shown.append(learner.layer.weight.detach().clone())
    result = train(learner, settings=AVERAGED)
    seen.append(learner.layer.weight.detach().clone())
    expected = seen[0]
    for n, weight in enumerate(seen[1:], start=1):
        decay = min(0.5, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * weight
        if n in (4, 8):
            assert torch.allclose(shown.pop(0), expected, atol=1e-6)  # pictures show what is kept
    assert torch.allclose(checkpoints.load_tensors(result)["weight"], expected, atol=1e-6)
    assert not torch.allclose(expected, seen[-1], atol=1e-3)
    assert torch.equal(seen[-1], checkpoints.load_tensors(whole)["weight"])  # what is learned stays the same
    assert result.card["averaged"] == "exponential moving average of the weights, decay 0.5"
    assert "averaged" not in whole.card


@pytest.mark.parametrize("at", [2, 3, 5])
def test_averages_go_on_to_the_same_bytes(at, train):
    whole = train(Toy(), "averaged", AVERAGED)
    with pytest.raises(Stop):
        train(Toy(at={at: stop}), settings=AVERAGED)
    assert train(Toy(), settings=AVERAGED).path.read_bytes() == whole.path.read_bytes()


BOARD = attrs.evolve(SETTINGS, tensorboard=True)


def events(folder):
    """Return (step, session started) or (step, name, value) of each event, in the order of TensorBoard."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted(folder.iterdir()):
        data, place = path.read_bytes(), 0
        while place < len(data):
            length = int.from_bytes(data[place : place + 8], "little")
            event = Event.FromString(data[place + 12 : place + 12 + length])
            place += 16 + length
            if event.HasField("session_log"):
                found.append((event.step, "START"))
            for value in event.summary.value:
                size = (value.image.width, value.image.height)
                found.append((event.step, value.tag, size if value.HasField("image") else value.simple_value))
    return found


def test_tensorboard_gets_the_lines_of_the_curves_and_the_pictures(whole, train, tmp_path):
    result = train(Toy(), settings=BOARD)
    assert result.path.read_bytes() == whole.path.read_bytes()
    told = events(tmp_path / "w" / "tensorboard")
    assert told[0] == (0, "START")
    expected = [
        (line["step"], name, pytest.approx(value))
        for line in lines(tmp_path / "w") for name, value in line.items() if name != "step"
    ]  # fmt: skip
    assert sorted(told[1:], key=str) == sorted([*expected, (4, "samples", (3, 2)), (8, "samples", (3, 2))], key=str)


def test_tensorboard_drops_the_steps_that_a_resumed_training_does_again(train, tmp_path):
    with pytest.raises(Stop):
        train(Toy(at={5: stop}), settings=BOARD)
    train(Toy(), settings=BOARD)
    told = events(tmp_path / "w" / "tensorboard")
    again = told.index((3, "START"))
    assert [step for step, name, *_ in told[:again] if name == "loss"] == [2, 4]
    assert [step for step, name, *_ in told[again:] if name == "loss"] == [4, 6, 8]


def test_without_its_library_tensorboard_says_how_to_get_it(train, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ConfigError, match=r"tensorboardX is missing: pip install 'synthkit-core\[tensorboard\]'"):
        train(Toy(), settings=BOARD)
