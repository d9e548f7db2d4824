# SPDX-License-Identifier: Apache-2.0
"""Parts of the experiments' report, each by itself."""

from __future__ import annotations

from synthkit.report.experiment import distances, writing
from synthkit.report.page import Table


def test_what_numbers_of_a_metric_share_is_told_once():
    shared = {"target": "person", "images": "100"}
    said = {
        "f1": {**shared, "iou": "0.5"},
        "ap30": {**shared, "iou": "0.3", "points": "101"},
        "ap": {**shared, "iou": "0.5"},
    }
    assert writing._together(said) == [
        ["target", "person"],
        ["images", "100"],
        ["iou", "0.5 (f1, ap); 0.3 (ap30)"],
        ["points", "101 (ap30)"],
    ]


def test_names_of_several_lines_break_no_table():
    table = Table(["trained on", "score"], [["two\nlines", "1"], ["a|b", "2"]])
    told = writing._markdown("a\ntitle", "lead", {"scores": table})
    assert told.splitlines()[0] == "# a title"
    assert told.splitlines()[-4:] == ["| trained on | score |", "| --- | --- |", "| two lines | 1 |", "| a\\|b | 2 |"]


def test_a_cloud_that_is_another_one_too_is_drawn_once():
    same = [[1.0, 2.0], [3.0, 4.0]]
    clouds = {"real": [[0.0, 0.0]], "refined": same, "synthetic": [[1.0, 2.0 + 1e-12], [3.0, 4.0]]}
    assert distances._once(clouds) == {**clouds, "refined": []}
    others = {"refined": same, "synthetic": [[1.0, 2.0], [3.0, 5.0]]}
    assert distances._once(others) == others
