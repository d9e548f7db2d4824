# SPDX-License-Identifier: Apache-2.0
"""What the benchmark of anonymization (benchmarks/anonymize_recall.py) counts, by hand."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from synthkit.sample import Person, Sample

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    spec = importlib.util.spec_from_file_location("anonymize_recall", BENCHMARKS / "anonymize_recall.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_two_people_by_hand(benchmark):
    """Of one person 8 of 8 pixels are treated, of another 2 of 8; and 4 of the 48 that are nobody's."""
    instances = np.zeros((8, 8), np.uint8)
    instances[0, :], instances[4, :] = 1, 2
    treated = np.zeros((8, 8), bool)
    treated[0, :], treated[4, :2], treated[7, :4] = True, True, True
    sample = Sample(
        key="a", image=np.zeros((8, 8, 3), np.uint8), people=[Person(1), Person(2)], layers={"instances": instances}
    )
    counts = benchmark.Counts()
    counts.add(sample, treated, {"people": [{"treated": "anonymizer-mask"}, {"treated": "blurred"}]})
    counts.left_out = 1
    table = {result.name: result.ours for result in benchmark.results(counts)}
    assert table == {
        "people's pixels treated": 10 / 16,
        "  95 % of draws of rooms from": 10 / 16,  # there is one room alone
        "  95 % of draws of rooms to": 10 / 16,
        "people of whom less than half is treated": 0.5,
        "of those treated, blurred in doubt": 0.5,
        "nobody's pixels treated": 4 / 48,
        "images left out": 0.5,
    }
