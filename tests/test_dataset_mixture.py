# SPDX-License-Identifier: Apache-2.0
"""Several sets as one: which samples they give, and what is told when they cannot."""

from __future__ import annotations

import re

import numpy as np
import pytest
from typer.testing import CliRunner

from synthkit.cli.app import app
from synthkit.dataset import Dataset, DatasetWriter
from synthkit.dataset.mixture import Mixture, open_mixture
from synthkit.errors import DatasetError
from synthkit.sample import Sample
from synthkit.seeds import Seeds


def write(out, name, count):
    with DatasetWriter(out, identity={"name": name}, scenes=1) as writer:
        image, flat = np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.float32)
        layers = {"instances": flat.astype(np.uint8), "depth": flat}
        samples = [Sample(f"{name}{n:02d}", image, layers=layers, people=()) for n in range(count)]
        writer.spool.put(0, samples)
        writer.finished(0)
        writer.finalise()
    return str(out)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    return write(folder / "real", "r", 4), write(folder / "refined", "s", 13)


def keys(data):
    return [sample.key for sample in data]


def test_one_set_is_itself(sets):
    data = open_mixture([sets[0]], Seeds(0))
    assert isinstance(data, Dataset)
    assert data.fingerprint == Dataset.open(sets[0]).fingerprint


def test_only_some_layers_are_decoded(sets):
    real, refined = sets
    assert open_mixture([real], Seeds(0), layers=["instances"]).layers == ("instances",)
    mixed = open_mixture([real, f"{refined}:2"], Seeds(0), layers=["depth"])
    assert all(set(sample.layers) == {"depth"} for sample in mixed)
    assert mixed.fingerprint == open_mixture([real, f"{refined}:2"], Seeds(0)).fingerprint


def test_a_set_and_twice_as_many_of_another(sets):
    real, refined = sets
    data = open_mixture([real, f"{refined}:2"], Seeds(0))
    found = keys(data)
    assert len(data) == len(found) == len(set(found)) == 12
    assert found[:4] == keys(Dataset.open(real))
    assert sorted(found[4:]) == found[4:]
    assert set(found[4:]) < set(keys(Dataset.open(refined)))
    assert data[5].key == found[5]
    assert found == keys(open_mixture([real, f"{refined}:2"], Seeds(0)))
    assert [part["samples"] for part in data.parts] == [4, 8]


def test_more_of_a_set_are_those_and_others(sets):
    real, refined = sets
    some, more, all_of_it = (
        set(keys(open_mixture([real, source], Seeds(0)))) for source in (f"{refined}:0.5", f"{refined}:3", refined)
    )
    assert some < more < all_of_it
    assert [len(some), len(more), len(all_of_it)] == [6, 16, 17]


def test_what_is_drawn_and_how_much_is_its_identity(sets):
    real, refined = sets
    prints = {
        open_mixture([real, f"{refined}:{amount}"], Seeds(seed)).fingerprint
        for amount, seed in ((2, 0), (3, 0), (2, 1))
    }
    assert len(prints) == 3
    assert keys(open_mixture([real, f"{refined}:2"], Seeds(1))) != keys(open_mixture([real, f"{refined}:2"], Seeds(0)))


@pytest.mark.parametrize(("amount", "count"), [("4", 16), ("0.1", 0)])
def test_more_than_there_is_or_nothing_is_told(sets, amount, count):
    real, refined = sets
    message = f"{refined}:{amount}: that is {count} samples, {amount} times the 4 of the first set, and it holds 13"
    with pytest.raises(DatasetError, match=re.escape(message)):
        open_mixture([real, f"{refined}:{amount}"], Seeds(0))


def test_the_command_tells_it_in_a_line(sets, tmp_path):
    real, refined = sets
    out = ["--out", str(tmp_path / "out")]
    done = CliRunner().invoke(
        app, ["train", "--train", real, "--train", f"{refined}:9", *out, "--detector", "squeezedet"]
    )
    assert isinstance(done.exception, DatasetError)
    assert "9 times the 4 of the first set" in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_a_folder_may_be_called_so(sets, tmp_path):
    odd = write(tmp_path / "odd:3", "o", 2)
    assert isinstance(open_mixture([odd], Seeds(0)), Dataset)
    with pytest.raises(DatasetError, match="missing"):
        open_mixture(["missing:3"], Seeds(0))


def test_positions_beyond_the_end(sets):
    data = Mixture([("a", Dataset.open(sets[0]), None)], Seeds(0))
    assert len(data) == 4
    with pytest.raises(IndexError):
        data[4]
