# SPDX-License-Identifier: Apache-2.0
"""What varies in a set is told apart: postures, people, surroundings."""

from __future__ import annotations

import json

import attrs
import numpy as np
import pytest
from made_sets import written
from sample_sets import Samples
from typer.testing import CliRunner

from synthkit.errors import DatasetError
from synthkit.seeds import Seeds
from synthkit_anonymizer_gan.commands import app
from synthkit_anonymizer_gan.variation import variation


def _varied(samples):
    return variation(Samples(samples, "sha"), "box", Seeds(0))


@pytest.fixture
def alike(sample):
    """Return images of one posture in one place, each of another person who looks the same."""
    one = sample(3, ("anna",))
    return [attrs.evolve(one, key=f"s{n}", people=[attrs.evolve(one.people[0], identity=f"p{n}")]) for n in range(4)]


def _painted(one, mask, colour):
    return attrs.evolve(one, image=np.where(mask[..., None], np.array(colour, np.uint8), one.image))


def test_nothing_varies_in_copies(alike):
    found = _varied(alike)
    assert (found.people, found.images) == (4, 4)
    assert (found.pose, found.appearance, found.context, found.sharpness, found.paired) == (0, 0, 0, 0, 0)


def test_each_number_is_of_its_own(alike, sample):
    shades = [(40 * n, 20 * n, 200 - 30 * n) for n in range(4)]
    plain = _varied(alike)
    people = _varied([_painted(one, one.layers["instances"] > 0, c) for one, c in zip(alike, shades, strict=True)])
    assert people.appearance > 10
    assert people.pose == 0
    assert people.context < 3  # what is cut out mixes at outlines
    rooms = _varied([_painted(one, one.layers["instances"] == 0, c) for one, c in zip(alike, shades, strict=True)])
    assert rooms.context > 10
    assert rooms.appearance < 3
    postures = _varied([attrs.evolve(sample(n, ("anna",)), people=[
        attrs.evolve(sample(n, ("anna",)).people[0], identity=f"p{n}")]) for n in range(4)])  # fmt: skip
    assert postures.pose > 0.05 > plain.pose
    assert postures.appearance < 3


def test_who_comes_again_is_told_and_not_compared(alike):
    same = [attrs.evolve(one, people=[attrs.evolve(one.people[0], identity="anna")]) for one in alike]
    assert _varied([*same, alike[0]]).paired == pytest.approx(0.8)
    with pytest.raises(DatasetError, match="there are none"):
        _varied(same)


def test_the_command_compares_sets(alike, tmp_path):
    written(tmp_path / "alike", alike)
    result = CliRunner().invoke(app, ["variation", str(tmp_path / "alike"), "--alignment", "box", "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout[result.stdout.index("{") :])
    assert told[str(tmp_path / "alike")]["people"] == 4
