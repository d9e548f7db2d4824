# SPDX-License-Identifier: Apache-2.0
"""What training components share: checkpoints, states, pools, feeds, schedules, curves."""

from __future__ import annotations

import errno
import json
import os
import signal
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from synthkit.checkpoint import Checkpoint
from synthkit.errors import ConfigError, WeightsError, WorkError
from synthkit.interfaces import Runtime
from synthkit.seeds import Seeds
from synthkit.training import checkpoints, devices
from synthkit.training.curves import Curves
from synthkit.training.feed import Feed
from synthkit.training.interrupts import Interrupts
from synthkit.training.meter import Meter
from synthkit.training.pool import ReplayPool
from synthkit.training.schedule import constant_then_linear

CARD = {"kind": "refiner", "name": "toy", "steps": 3}


def test_checkpoints_are_the_same_bytes_whatever_the_order(tmp_path):
    one = checkpoints.save_checkpoint(tmp_path / "a" / "1", {"b": torch.ones(2, 2), "a": torch.zeros(3)}, CARD)
    card = dict(reversed(CARD.items()))
    two = checkpoints.save_checkpoint(tmp_path / "2", {"a": torch.zeros(3), "b": torch.ones(2, 2).T}, card)
    assert one.path.read_bytes() == two.path.read_bytes()
    assert one.card == CARD
    assert Checkpoint.open(one.path).sha256 == one.sha256
    assert torch.equal(checkpoints.load_tensors(one)["b"], torch.ones(2, 2))
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["1"]


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "c"
    checkpoints.save_checkpoint(path, {"a": torch.zeros(3)}, CARD)
    before = path.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WorkError, match="no space"):
        checkpoints.save_checkpoint(path, {"a": torch.ones(3)}, CARD)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["c"]


def test_tensors_that_do_not_fit_a_network_are_told(tmp_path):
    with pytest.raises(WeightsError, match=r"x\.safetensors.*does not fit"):
        checkpoints.load_into(torch.nn.Linear(2, 2), {"weight": torch.ones(3, 2)}, tmp_path / "x.safetensors")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_told(value, tmp_path):
    tensors = {"weight": torch.tensor([[1.0, value]]), "bias": torch.zeros(1)}
    with pytest.raises(WeightsError, match=r"x\.safetensors: weight holds values that are not finite"):
        checkpoints.load_into(torch.nn.Linear(2, 1), tensors, tmp_path / "x.safetensors")


def test_states_come_back_and_nothing_else_is_one(tmp_path):
    path = tmp_path / "state"
    assert checkpoints.load_state(path) is None
    checkpoints.save_state(path, {"t": torch.tensor([0.1])}, {"step": 3, "sum": 0.1})
    tensors, state = checkpoints.load_state(path)
    assert state == {"step": 3, "sum": 0.1}
    assert torch.equal(tensors["t"], torch.tensor([0.1]))
    checkpoints.save_checkpoint(path, {"t": torch.ones(1)}, CARD)
    with pytest.raises(WeightsError, match="not a state of training"):
        checkpoints.load_state(path)
    for wrong in ("[1]", "[" * 100_000):
        save_file({"t": torch.ones(1)}, path, {checkpoints._STATE_KEY: wrong})
        with pytest.raises(WeightsError, match="not a state of training"):
            checkpoints.load_state(path)
    path.write_bytes(b"\x80\x04garbage")
    with pytest.raises(WeightsError, match="cannot be read"):
        checkpoints.load_state(path)


def test_the_pool_fills_then_gives_half_and_swaps_half():
    pool = ReplayPool(50, Seeds(0))
    for step in range(50):
        image = torch.full((1,), float(step))
        assert pool.exchange(image, step) is not None
    assert sorted(float(i) for i in pool.images) == list(range(50))
    given_back = [float(pool.exchange(torch.full((1,), float(s)), s)) for s in range(50, 2050)]
    fresh = sum(value == step for value, step in zip(given_back, range(50, 2050), strict=True))
    assert 900 < fresh < 1100
    assert len(set(given_back)) == len(given_back)  # a swapped-out image leaves the pool
    assert len(pool.images) == 50


def test_the_pool_goes_on_from_its_tensors():
    whole, first = ReplayPool(3, Seeds(1)), ReplayPool(3, Seeds(1))
    images = [torch.full((2,), float(n)) for n in range(20)]
    expected = [whole.exchange(image, n) for n, image in enumerate(images)]
    got = [first.exchange(image, n) for n, image in enumerate(images[:9])]
    second = ReplayPool(3, Seeds(1))
    second.restore(first.tensors(), torch.device("cpu"))
    got += [second.exchange(image, n) for n, image in enumerate(images[9:], start=9)]
    assert all(torch.equal(a, b) for a, b in zip(expected, got, strict=True))


def test_a_large_pool_comes_back_in_its_order():
    pool = ReplayPool(10_002, Seeds(1))
    pool.images = [torch.tensor(n) for n in range(10_002)]
    resumed = ReplayPool(10_002, Seeds(1))
    resumed.restore(pool.tensors(), torch.device("cpu"))
    assert [int(image) for image in resumed.images] == list(range(10_002))


def test_an_empty_pool_gives_the_image_back_without_gradient():
    image = torch.ones(1, requires_grad=True) * 2
    result = ReplayPool(0, Seeds(0)).exchange(image, 0)
    assert result == image
    assert not result.requires_grad


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(0, 2**40), st.integers(0, 200))
def test_a_feed_is_a_function_of_seed_and_position(count, seed, position):
    asked_before = Feed(count, Seeds(seed))
    walk = [asked_before.index(n) for n in range(position + 1)]
    assert Feed(count, Seeds(seed)).index(position) == walk[position]


def test_a_feed_sees_everything_once_a_round():
    feed = Feed(7, Seeds(3))
    for round_ in range(3):
        assert Counter(feed.index(round_ * 7 + n) for n in range(7)) == Counter(range(7))
    assert feed.indices(2, 3) == [feed.index(6), feed.index(7), feed.index(8)]
    assert [feed.index(n) for n in range(7)] != [feed.index(7 + n) for n in range(7)]


def test_the_rate_is_constant_then_falls_to_zero():
    # Algorithm 8 with 160 epochs: 1 to epoch 79, then (160 - e) / 80.
    factors = [constant_then_linear(e, 160) for e in range(160)]
    assert factors[:81] == [1.0] * 81
    assert factors[120] == 0.5
    assert factors[159] == pytest.approx(1 / 80)
    assert (np.diff(factors) <= 0).all()


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_curves_average_and_go_on_exactly(tmp_path):
    values = [{"loss": v, "cycle": -v} for v in (1.0, 2.0, 4.0, 0.1, 0.2, 0.7, 5.0)]
    whole = Curves(tmp_path / "whole.jsonl", 3)
    for step, value in enumerate(values, 1):
        whole.add(step, value)
    whole.finish(7)
    whole.close()
    assert lines(tmp_path / "whole.jsonl")[0] == {
        "step": 3,
        "loss": pytest.approx(7 / 3),
        "cycle": pytest.approx(-7 / 3),
    }
    path = tmp_path / "parts.jsonl"
    part = Curves(path, 3)
    for step in range(1, 5):
        part.add(step, values[step - 1])
    kept = json.loads(json.dumps(part.state(), sort_keys=True))  # as states are kept on disk
    for step in range(5, 8):  # steps after the state, lost with the process
        part.add(step, {"loss": 99.0, "cycle": 99.0})
    part.close()
    resumed = Curves(path, 3, kept)
    for step in range(5, 8):
        resumed.add(step, values[step - 1])
    resumed.finish(7)
    resumed.close()
    assert path.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_curves_that_lost_lines_are_told(tmp_path):
    with pytest.raises(WorkError, match="shorter"):
        Curves(tmp_path / "c.jsonl", 1, {"sums": {}, "count": 0, "length": 10})


def test_curves_stopped_again_before_their_first_line_go_on(tmp_path):
    path = tmp_path / "c.jsonl"
    first = Curves(path, 5)
    first.add(1, {"loss": 1.0})
    kept = first.state()
    for step in range(2, 7):  # a line, lost with the process
        first.add(step, {"loss": 1.0})
    first.close()
    second = Curves(path, 5, kept)
    second.add(2, {"loss": 1.0})
    assert second.state()["length"] == path.stat().st_size == 0
    again = second.state()
    second.close()
    Curves(path, 5, again).close()


def test_a_full_disk_is_told_by_curves(tmp_path, monkeypatch):
    curves = Curves(tmp_path / "c.jsonl", 1)

    def full(_):
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WorkError, match=r"c\.jsonl.*no space"):
        curves.state()


def test_ctrl_c_waits_for_the_step_and_a_second_does_not():
    before = signal.getsignal(signal.SIGINT)
    with Interrupts() as interrupts:
        assert not interrupts.requested
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupts.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_the_meter_tells_a_rate_and_the_end():
    reports = []
    meter = Meter(lambda *report: reports.append(report), "train", 5, 20, every_s=1000)
    meter(6)
    meter(20, "loss 1")
    assert [(stage, done, total) for stage, done, total, *_ in reports] == [("train", 5, 20), ("train", 20, 20)]
    assert reports[-1][3].endswith("loss 1")
    assert "s" in reports[-1][3]


def test_devices(tmp_path):
    runtime = Runtime(seeds=Seeds(0), cache_dir=tmp_path)
    assert devices.set_up(runtime).type == "cpu"
    assert torch.are_deterministic_algorithms_enabled()
    assert devices.set_up(Runtime(seeds=Seeds(0), cache_dir=tmp_path, device="auto")).type in ("cpu", "cuda", "mps")
    with pytest.raises(ConfigError, match="device 'gpu' cannot be used"):
        devices.set_up(Runtime(seeds=Seeds(0), cache_dir=tmp_path, device="gpu"))


def test_the_short_cut_of_gpus_is_taken_only_where_it_is_wanted(tmp_path):
    devices.use(torch.device("cuda"), "tfloat32")
    assert torch.backends.cudnn.allow_tf32
    assert torch.backends.cuda.matmul.allow_tf32
    devices.set_up(Runtime(seeds=Seeds(0), cache_dir=tmp_path))
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
    with pytest.raises(ConfigError, match="tfloat32 is of NVIDIA GPUs; on cpu use float32 or bfloat16"):
        devices.use(torch.device("cpu"), "tfloat32")


def test_generators_repeat():
    draws = [torch.rand(3, generator=devices.generator(Seeds(4), "w", n)) for n in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
