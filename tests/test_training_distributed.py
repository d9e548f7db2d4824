# SPDX-License-Identifier: Apache-2.0
"""Two processes over gloo learn what one does, up to the order of sums, and one of them writes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from two_processes import in_two

from synthkit.errors import ConfigError, WorkError
from synthkit.interfaces import Runtime
from synthkit.seeds import Seeds
from synthkit.training import checkpoints, distributed, loop
from synthkit.training.feed import Feed
from synthkit.training.settings import TrainingSettings

SETTINGS = TrainingSettings(checkpoint_every=3, log_every=2, picture_every=4, ema=0.5)
CARD = loop.identified({"kind": "refiner", "name": "toy"})
BATCH = 4


class Toy(loop.Learner):
    """Fits a line to points that it is fed."""

    parallel = True

    def __init__(self, at=None):
        self.step, self.steps, self.at = 0, 8, at or {}
        self.points = torch.from_numpy(Seeds(0).stream("points").random((10, 3)).astype(np.float32))
        self.feed = Feed(len(self.points), Seeds(1))
        self.layer = torch.nn.Linear(2, 1)
        torch.nn.init.constant_(self.layer.weight, 0.5)
        torch.nn.init.zeros_(self.layer.bias)
        self.descent = torch.optim.SGD(self.layer.parameters(), lr=0.1)

    def advance(self):
        self.at.get(self.step, lambda: None)()
        chosen = self.points[distributed.share(self.feed.indices(self.step, BATCH))]
        loss = ((self.layer(chosen[:, :2]) - chosen[:, 2:]) ** 2).mean()
        self.descent.zero_grad()
        loss.backward()
        distributed.average_gradients(self.layer.parameters())
        self.descent.step()
        self.step += 1
        return {"loss": float(distributed.mean(loss))}

    def tensors(self):
        return self.layer.state_dict()

    def restore(self, tensors, step):
        self.layer.load_state_dict(tensors)
        self.step = step

    weights = tensors


def runtime(tmp_path):
    return Runtime(seeds=Seeds(0), cache_dir=tmp_path / "cache")


def lines(workdir):
    return [json.loads(line) for line in (workdir / "curves.jsonl").read_text().splitlines()]


def test_two_processes_learn_what_one_does(tmp_path):
    alone = loop.train(Toy(), tmp_path / "alone", CARD, SETTINGS, runtime(tmp_path))

    def work(rank):
        learner = Toy()
        checkpoint = loop.train(learner, tmp_path / "two", CARD, SETTINGS, runtime(tmp_path))
        return checkpoint.sha256, learner.layer.weight.detach().numpy()

    (first, first_weight), (second, second_weight) = in_two(work)
    assert first == second
    assert np.array_equal(first_weight, second_weight)
    ours = checkpoints.load_tensors(checkpoints.Checkpoint.open(tmp_path / "two" / "checkpoint.safetensors"))
    for name, tensor in checkpoints.load_tensors(alone).items():
        assert torch.allclose(ours[name], tensor, atol=1e-6)
    assert [line["loss"] for line in lines(tmp_path / "two")] == pytest.approx(
        [line["loss"] for line in lines(tmp_path / "alone")], rel=1e-5
    )


def test_an_interrupt_of_either_stops_both_in_the_same_step_and_they_go_on(tmp_path):
    def stopped(rank):
        press = {} if rank == 0 else {4: lambda: os.kill(os.getpid(), signal.SIGTERM)}
        loop.train(Toy(press), tmp_path / "two", CARD, SETTINGS, runtime(tmp_path))

    assert [type(error) for error in in_two(stopped)] == [KeyboardInterrupt] * 2
    assert checkpoints.peek_state(tmp_path / "two" / "state.safetensors")["step"] == 5
    shutil.copytree(tmp_path / "two", tmp_path / "one")
    whole = in_two(lambda rank: loop.train(Toy(), tmp_path / "whole", CARD, SETTINGS, runtime(tmp_path)).sha256)
    parts = in_two(lambda rank: loop.train(Toy(), tmp_path / "two", CARD, SETTINGS, runtime(tmp_path)).sha256)
    assert parts == whole
    loop.train(Toy(), tmp_path / "one", CARD, SETTINGS, runtime(tmp_path))  # or one goes on alone
    one, two = (load_file(tmp_path / name / loop.CHECKPOINT) for name in ("one", "two"))
    assert all(torch.allclose(one[name], two[name], atol=1e-6) for name in two)


def test_parts_and_wholes():
    def work(rank):
        part = torch.full((1, 2), float(rank))
        return distributed.gathered(part).tolist(), distributed.share([5, 6, 7, 8]), distributed.any_of(rank == 1)

    assert in_two(work) == [([[0, 0], [1, 1]], [5, 6], True), ([[0, 0], [1, 1]], [7, 8], True)]
    assert distributed.share([5, 6]) == [5, 6]  # alone


def test_what_cannot_be_shared_is_told(tmp_path):
    class Single(Toy):
        parallel = False

    def batch(rank):
        distributed.check_batch(3)

    def single(rank):
        loop.train(Single(), tmp_path / "w", CARD, SETTINGS, runtime(tmp_path))

    for work, message in ((batch, "batch: 3 cannot be shared by 2 processes"), (single, "without torchrun")):
        for error in in_two(work):
            assert isinstance(error, ConfigError)
            assert message in str(error)


def test_the_first_goes_first(tmp_path):
    def work(rank):
        with distributed.in_turn():
            seen = (tmp_path / "made").exists()
            (tmp_path / "made").touch()
        return seen

    assert in_two(work) == [False, True]


def test_who_waits_for_one_that_ended_says_so_in_a_line():
    def first(rank):
        with distributed.in_turn():
            if rank == 0:
                raise ConfigError(["a mistake"])

    def step(rank):
        if rank == 0:
            raise ConfigError(["a mistake"])
        distributed.mean(torch.ones(1))

    for work in (first, step):
        mistaken, waiting = in_two(work)
        assert isinstance(mistaken, ConfigError)
        assert isinstance(waiting, WorkError)
        assert str(waiting).startswith("another process of this training has ended")


def test_commands_that_share_no_training_refuse_several_processes(tmp_path):
    torchrun = {**os.environ, "RANK": "0", "WORLD_SIZE": "2"}
    command = [sys.executable, "-m", "synthkit", "render", "--renderer", "discs", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, env=torchrun, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "torchrun: its 2 processes share a training: 'fit' or 'train', not 'render'" in done.stderr
    assert not (tmp_path / "out").exists()
