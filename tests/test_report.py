# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import base64
import io
import json
import re
import xml.etree.ElementTree
from html.parser import HTMLParser
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synthkit.interfaces import Chart
from synthkit.report import plots
from synthkit.report.drawing import BODY, FOUND, HEAD, data_url, draw, grid
from synthkit.report.numerals import number
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
    names = ["$x_^$", "a $5 b $6", "_hidden", *map(str, range(60))]
    measured = {name: [plots.Measured(0.0, 1.0)] for name in names}
    for svg in (
        plots.bars({names[0]: (0.5, None)}, title=names[1], x_label=names[0]),
        plots.measured(measured, title="t", x_label="x", y_label="y"),
        plots.curves({name: [(0.0, 1.0)] for name in names}, title="t", y_label="y"),
        plots.chart(Chart("t", "x", "y", {name: [(0.0, 1.0)] for name in names}, scattered=True)),
    ):
        assert all(f">{name}<" in svg for name in names[:2])
        if "_hidden" in svg:
            assert all(f">{name}<" in svg for name in names)
        else:
            assert ">a $5 b $6<" in svg, "bars have two names, other plots all of them"


def test_no_two_series_look_alike() -> None:
    shown = list(islice(plots.styles(), 168))
    assert len(set(shown)) == 168
    assert len({(style.colour, style.marker) for style in shown[:42]}) == 42


def test_pictures_larger_than_webp_allows_are_shrunk() -> None:
    shown = Image.open(io.BytesIO(base64.b64decode(data_url(np.zeros((40, 20_000, 3), np.uint8)).partition(",")[2])))
    assert shown.size == (16383, 33)


def test_there_are_no_halves_of_steps_and_trials() -> None:
    few = [(1.0, 0.2), (2.0, 0.4), (3.0, 0.3)]
    plain = plots.curves({"a": few}, title="t", y_label="y")
    dots = plots.measured({"a": [plots.Measured(x, y) for x, y in few]}, title="t", x_label="x", y_label="y")
    for svg in (plain, dots):
        assert not re.search(r">[123]\.\d+<", svg)


def test_dots_cost_a_place_each_and_their_looks_once() -> None:
    points = {name: [(n / 7, (n * n % 37) / 11 + shift) for n in range(300)] for shift, name in enumerate("ab")}
    svg = plots.chart(Chart("0.12345", "x", "y", points, scattered=True))
    clouds = [re.findall(r"<use [^>]*/>", group) for group in re.findall(r"<g[^>]*>((?:<use [^>]*/>\s*)+)</g>", svg)]
    for dots in (one for one in clouds if len(one) == 300):
        assert max(map(len, dots)) < 60
        xs = [float(re.search(r' x="([\d.]+)"', dot)[1]) for dot in dots]
        assert np.diff(xs) == pytest.approx(np.full(299, (xs[-1] - xs[0]) / 299), abs=0.02), (
            "dots are where they belong"
        )
    assert [len(one) for one in clouds].count(300) == 2
    assert ">0.12345<" in svg


def test_a_series_without_points_keeps_the_looks_of_the_others() -> None:
    point = [plots.Measured(0.0, 1.0)]
    svg = plots.measured({"a": [], "b": point}, title="t", x_label="x", y_label="y")
    assert plots.PALETTE[1] in svg
    assert plots.PALETTE[0] not in svg
    assert ">a<" not in svg


def test_long_texts_are_broken_into_lines_and_add_to_the_height() -> None:
    name = "frechet_distance[mobilenet_v2.features.6 place by place, 96 px, crops, 64 px] to real"
    long, short = (plots.bars({"a": (1.0, None)}, title=text, x_label=text) for text in (name, "short"))
    texts = re.findall(r">([^<>]+)</text>", long)
    assert all(len(text) < len(name) for text in texts)
    assert " ".join(texts).count("to real") == 2
    heights = [float(re.search(r'viewBox="0 0 [\d.]+ ([\d.]+)"', svg)[1]) for svg in (long, short)]
    assert heights[0] > heights[1]


def test_plots_have_the_ink_of_the_page_and_one_of_their_own() -> None:
    svg = plots.curves({"a": [(0, 1), (1, 2)]}, title="t", y_label="y")
    assert svg.startswith('<svg color="#808890"')
    assert svg.count("#808890") == 1
    assert "fill: currentColor" in svg


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0.4, "0.400"),
        (0.0, "0.00"),
        (12.345, "12.3"),
        (240, "240"),
        (1234.5, "1234"),
        (-0.05, "-0.0500"),
        (2e7, "2.00e+07"),
    ],
)
def test_numbers_have_three_digits(value: float, told: str) -> None:
    assert number(value) == told


def test_a_number_has_its_interval() -> None:
    assert number(0.446, (0.4, 0.488)) == "0.446 [0.400, 0.488]"


def test_tables_name_their_rows_and_break_where_it_reads_well(tmp_path: Path) -> None:
    headed = Table(["set", "frechet_distance[mobilenet_v2.features.6] to real"], [["a", "0.2 [0.1, 0.3] p 0.01"]])
    bare = Table(["", ""], [["score_threshold", "10 min"]], prose=True)
    write_page(Page("t", "l", [], [Section("s", tables=[headed, bare])], "f"), tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "frechet_<wbr>distance<wbr>[mobilenet_<wbr>v2.<wbr>features.6] to real</th>" in text
    assert '<th scope="row">score_<wbr>threshold</th><td>10\N{NO-BREAK SPACE}min</td>' in text
    assert "<td>0.2 [0.1,\N{NO-BREAK SPACE}0.3] p\N{NO-BREAK SPACE}0.01</td>" in text
    assert text.count("<thead>") == 1, "a head of empty cells tells nothing"


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
