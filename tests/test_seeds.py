# SPDX-License-Identifier: Apache-2.0
"""Random streams are addresses, not sequences."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit.seeds import Seeds

roots = st.integers(0, 2**64 - 1)


@settings(deadline=None)
@given(roots, st.text(max_size=8), st.integers(0, 2**40))
def test_a_stream_is_the_same_whatever_was_drawn_before(root, name, index):
    seeds = Seeds(root)
    first = seeds.stream(name, index).random(3)
    seeds.stream("other").random(5)
    assert np.array_equal(first, seeds.stream(name, index).random(3))


@settings(deadline=None)
@given(roots)
def test_different_addresses_give_different_numbers(root):
    seeds = Seeds(root)
    addresses = [
        seeds.integer("a"), seeds.integer("b"), seeds.integer("a", 0), seeds.integer("a", 1),
        seeds.child("a").integer("a"), seeds.child("a", 1).integer("a"), seeds.child("a", "1").integer("a"),
        seeds.child("ab").integer(""), seeds.child("a").integer("b"), seeds.child("a", "b").integer(""),
    ]  # fmt: skip
    assert len(set(addresses)) == len(addresses)


def test_children_nest():
    assert Seeds(3).child("a").child("b", 2).integer("x") == Seeds(3).child("a", "b", 2).integer("x")


def test_numbers_are_pinned():
    """These values are part of every data set that was ever made: they must never change."""
    assert Seeds(0).integer("pose", 3) == 6139097078207991899
    assert Seeds(17).child("scene", 4).stream("light").integers(0, 1000, 4).tolist() == [863, 598, 103, 761]


def test_other_processes_agree():
    code = "from synthkit.seeds import Seeds; print(Seeds(5).child('s', 1).integer('n', 2))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(output) == Seeds(5).child("s", 1).integer("n", 2)


@pytest.mark.parametrize("root", [-1, 2**64])
def test_roots_have_64_bits(root):
    with pytest.raises(ValueError, match="seed"):
        Seeds(root)
