# SPDX-License-Identifier: Apache-2.0
"""Hostile detectors: files and cards end in the documented errors, in bounded time and memory.

The targets and their seeds are those of the coverage-guided runs in ``fuzz/``.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from hostile import attack, bounded, check_harmed

from synthkit.deployment import wire
from synthkit.deployment.cards import MOST_CANDIDATES, parse_card, read_card
from synthkit.deployment.decoding import decode
from synthkit.deployment.files import OnnxFile
from synthkit.deployment.overlaps import iou_table
from synthkit.deployment.runner import Runner
from synthkit.deployment.sessions import MOST_TENSOR_BYTES
from synthkit.errors import ConfigError, WeightsError

FUZZ = Path(__file__).parent.parent / "fuzz"
NAMES = ["onnx_file", "detector_card", "embedded_card"]


@pytest.fixture(scope="module", autouse=True)
def _importable():
    sys.path.insert(0, str(FUZZ))
    yield
    sys.path.remove(str(FUZZ))


def targets():
    return importlib.import_module("onnx_targets")


def seeds(name):
    return importlib.import_module("onnx_seeds").seeds(name)


def test_every_target_is_here():
    assert list(targets().TARGETS) == NAMES


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs to know its own memory")
@pytest.mark.parametrize("name", NAMES)
def test_known_attacks(name):
    """Every seed, in a process that may take only so much memory, each in so many seconds."""
    cases = seeds(name)
    targets().embedded()
    assert bounded(lambda: attack(targets().TARGETS[name], cases)) is None


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("examples", [25, pytest.param(2000, marks=pytest.mark.slow)], ids=["some", "many"])
def test_harmed_inputs(name, examples):
    check_harmed(targets().TARGETS[name], seeds(name), examples)


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("many empty operators", f"has more than {wire.MOST_FIELDS} fields"),
        ("name that is no text", "has names or texts .* that are no text"),
        ("name with a line", r"has names \(name\) that cannot be printed, such as 'im\\nge'"),
        ("unknown operator", r"has names \(op_type\) that cannot be printed"),
        ("laughs", "has more than 100000 operators, once its functions are written out"),
        ("calls itself", "has a function that calls itself"),
        ("short", "its tensor 'scale' does not hold what it states"),
        ("long", "its tensor 'scale' does not hold what it states"),
        ("of no kind", "its tensor 'scale' does not hold what it states"),
        ("cut", "is no ONNX model"),
        ("endless number", "is no ONNX model"),
        ("elsewhere", "keeps weights in other files"),
        ("nested deeply", "nested deeper"),
    ],
)
def test_what_is_told_of_hostile_files(case, message):
    with pytest.raises(ValueError, match=message):
        OnnxFile.parse(seeds("onnx_file")[case])


def test_proper_functions_are_taken():
    assert OnnxFile.parse(seeds("onnx_file")["a function"]).operators == {"Relu": 3, "f:f0": 1}


def test_a_file_that_asks_for_more_memory_than_there_may_be():
    """Without a limit of its own, ONNX Runtime would take it from the machine, and whoever else runs there."""
    sides = [1, MOST_TENSOR_BYTES // 4 + 1]
    file = OnnxFile.parse(importlib.import_module("onnx_seeds").of_size(sides).SerializeToString())
    card = parse_card({**targets().CARD, "output": {"yolo": {"rows": "o"}}}, "card")
    with pytest.raises(WeightsError, match="held: ONNX Runtime cannot run it"):
        Runner.of(card, file.data, "held").detect("a", np.zeros((32, 32, 3), np.uint8))


def test_outputs_that_hold_no_numbers_are_told():
    seed = seeds("onnx_file")
    for case, message in {"tables": "rows: holds no numbers", "texts": "rows: holds no numbers"}.items():
        runner = Runner.of(parse_card(targets().CARD, "card"), OnnxFile.parse(seed[case]).data, "held")
        with pytest.raises(WeightsError, match=f"held: output {message}"):
            runner.detect("a", np.zeros((32, 32, 3), np.uint8))


def test_grids_are_counted_before_they_are_made():
    output = {"yolo": {"rows": "rows", "strides": [1] * 8}}
    card = parse_card({**targets().CARD, "input": {"name": "image", "size_px": [4096, 4096]}, "output": output}, "card")
    with pytest.raises(ValueError, match="has 2 rows, its grids have 134217728 cells"):
        decode(card, {"rows": targets().ROWS})


def test_cards_in_toml_are_small(tmp_path):
    """Python's reader takes time with the square of the dots in a key."""
    (tmp_path / "a.toml").write_text("a." * 100_000 + "a = 1")
    with pytest.raises(ConfigError, match="too large for a card in TOML"):
        read_card(tmp_path / "a.toml")


def test_many_boxes_are_compared_part_by_part(monkeypatch):
    generator = np.random.default_rng(0)
    boxes = np.concatenate([generator.uniform(0, 100, (60, 2)), generator.uniform(1, 30, (60, 2)),
                            generator.uniform(-90, 90, (60, 1))], axis=1)  # fmt: skip
    whole = iou_table(boxes, boxes[:50])
    monkeypatch.setattr("synthkit.deployment.overlaps._MOST_PAIRS", 140)
    assert iou_table(boxes, boxes[:50]) == pytest.approx(whole, abs=1e-12)
    assert iou_table(boxes[:0], boxes).shape == (0, 60)
    assert iou_table(boxes, boxes[:0]).shape == (60, 0)
    with pytest.raises(ConfigError, match="most"):
        parse_card({**targets().CARD, "most": MOST_CANDIDATES + 1}, "card")
