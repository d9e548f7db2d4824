# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import re
import xml.etree.ElementTree
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from synthkit.report import plots
from synthkit.report.drawing import BODY, FOUND, HEAD, draw, grid
from synthkit.report.page import Figure, Page, Plot, Section, Table, write_page
from synthkit.sample import Detections, Person, RotatedBox, Sample


def _colours(picture: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(map(int, colour)) for colour in np.unique(picture.reshape(-1, 3), axis=0)}


def test_boxes_are_drawn_where_they_are() -> None:
    people = [
        Person(rotated_box=RotatedBox(60, 60, 30, 60, 0), head_box_xyxy_px=(100, 100, 120, 120)),
        Person(box_xyxy_px=(140, 20, 180, 60)),
    ]
    sample = Sample(key="a", image=np.zeros((200, 200, 3), np.uint8), people=people)
    found = Detections(
        key="a", boxes_xyxy_px=[[10, 150, 40, 180], [50, 150, 90, 190]], scores=[0.9, 0.1], labels=[0, 0]
    )
    picture = draw(sample, detections=found)
    for place, colour in {(60, 45): BODY, (60, 75): BODY, (110, 100): HEAD, (40, 140): BODY, (165, 10): FOUND}.items():
        row, column = place
        near = picture[row - 2 : row + 3, column - 2 : column + 3].reshape(-1, 3).astype(int)
        assert np.abs(near - colour).sum(axis=1).min() < 40, (place, colour)
    assert not picture[170, 60:80].any(), "a detection below the score must not be drawn"
    assert not picture[60, 55:65].any(), "boxes are outlines"


def test_rotated_finds_are_drawn_turned() -> None:
    sample = Sample(key="a", image=np.zeros((200, 200, 3), np.uint8))
    found = Detections("a", [[50, 50, 150, 150]], [0.9], [0], rotated_boxes=np.array([[100, 100, 20, 100, 45]]))
    picture = draw(sample, detections=found)
    for row, column in ((107, 107), (93, 93), (65, 135), (135, 65)):  # middles of the long sides, and of the ends
        assert picture[row - 2 : row + 3, column - 2 : column + 3].max() > 150
    for row, column in ((65, 65), (135, 135), (50, 100), (100, 100)):
        assert not picture[row - 2 : row + 3, column - 2 : column + 3].any()


def test_a_sample_without_truth_is_drawn_as_it_is() -> None:
    image = np.random.default_rng(0).integers(0, 255, (40, 50, 3)).astype(np.uint8)
    smooth = np.kron(image[::10, ::10], np.ones((10, 10, 1))).astype(np.uint8)
    assert np.abs(draw(Sample(key="a", image=smooth)).astype(int) - smooth).mean() < 6


def test_grid_keeps_every_picture_and_pads() -> None:
    pictures = [np.full((10, 20, 3), value, np.uint8) for value in (1, 2, 3)]
    sheet = grid(pictures, 2, gap_px=4)
    assert sheet.shape == (24, 44, 3)
    assert _colours(sheet) == {(1, 1, 1), (2, 2, 2), (3, 3, 3), (255, 255, 255)}
    with pytest.raises(ValueError, match="at least one"):
        grid([], 2)


def test_curves_survive_a_torn_last_line(tmp_path: Path) -> None:
    path = tmp_path / "curves.jsonl"
    path.write_text(json.dumps({"step": 1, "loss": 2.0, "note": "x"}) + "\n" + '{"step": 2, "lo')
    assert plots.read_curves(path) == [{"step": 1.0, "loss": 2.0}]


def test_names_are_no_formulas_and_none_is_left_out() -> None:
    names = ["$x_^$", "a $5 b $6", *map(str, range(60))]
    measured = {name: [plots.Measured(0.0, 1.0)] for name in names}
    for svg in (
        plots.bars({names[0]: (0.5, None)}, title=names[1], x_label=names[0]),
        plots.measured(measured, title="t", x_label="x", y_label="y"),
        plots.curves({name: [(0.0, 1.0)] for name in names}, title="t", y_label="y"),
    ):
        assert all(name in svg for name in names[:2])
    assert ">59<" in svg


@pytest.mark.parametrize("count", [0, 1, 5, 400])
def test_plots_are_svg_without_outside_references(count: int) -> None:
    points = [(float(step), 1.0 / (step + 1)) for step in range(count)]
    svg = plots.curves({"a <b> & c": points}, title="t", y_label="loss", log=True)
    root = xml.etree.ElementTree.fromstring(svg)
    assert root.tag.endswith("svg")
    assert "width" not in root.attrib, "the page decides the width"
    assert "viewBox" in root.attrib
    bars = plots.bars({"one": (0.5, (0.4, 0.6)), "two": (0.2, None)}, title="F1", x_label="score")
    assert xml.etree.ElementTree.fromstring(bars).tag.endswith("svg")


def test_the_same_plot_gives_the_same_bytes() -> None:
    first, again = (plots.curves({"a": [(0, 1), (1, 2)]}, title="t", y_label="y") for _ in range(2))
    assert first == again


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.outside: list[str] = []
        self.without_alt = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.outside += [v for k in ("src", "href") if (v := values.get(k)) and not v.startswith(("data:", "#"))]
        self.without_alt += tag == "img" and not values.get("alt")
        assert tag != "script"


def test_page_is_self_contained_and_escapes_what_it_is_told(tmp_path: Path) -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    section = Section(
        "<b>bold</b>",
        ["a < b"],
        figures=[Figure(picture, "black square", "nothing")],
        plots=[Plot(plots.curves({}, title="", y_label=""), "empty plot")],
        tables=[Table(["name", "value"], [["x", "1"]], best=0)],
        commands=["synthkit demo"],
    )
    path = tmp_path / "report.html"
    write_page(Page("Title", "Lead", [("fact", "1")], [section], "end"), path)
    text = path.read_text(encoding="utf-8")
    parser = _Links()
    parser.feed(text)
    assert parser.outside == []
    assert parser.without_alt == 0
    assert "<b>bold</b>" not in text
    assert "&lt;b&gt;bold" in text
    assert 'class="best"' in text


def test_a_band_far_wider_than_the_points_leaves_them_their_scale() -> None:
    line = plots.Fitted([0.1, 0.8], [0.5, 0.55], [-90.0, 0.4], [90.0, 1.0])
    points = {"row": [plots.Measured(0.1, 0.5), plots.Measured(0.8, 0.55, (0.5, 0.6))]}
    svg = plots.measured(points, title="title", x_label="x", y_label="y", line=line)
    numbers = [float(text.replace("−", "-")) for text in re.findall(r">([−\d.]+)</text>", svg)]
    assert numbers
    assert max(map(abs, numbers)) < 2
