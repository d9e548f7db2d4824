# SPDX-License-Identifier: Apache-2.0
"""The page of an evaluation: numbers, parts, curves, errors, close-ups."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from doubles import Counting, registry_of
from PIL import Image
from typer.testing import CliRunner

from synthkit.cli.app import app
from synthkit.dataset import Dataset, DatasetWriter
from synthkit.evaluation import Judgement
from synthkit.interfaces import Chart, Evidence, Exhibit, MetricResult
from synthkit.report.drawing import BODY, FOUND, close_up
from synthkit.report.judgement import write_report
from synthkit.sample import Sample
from synthkit.seeds import Seeds
from synthkit.turning import Turned

SQUARE = np.array([[20.0, 20], [40, 20], [40, 40], [20, 40]])
RESULTS = [
    MetricResult("f1", 0.75, "higher", 4, {"score": 0.5, "images": 4}, (0.5, 0.875)),
    MetricResult("off", 1.5, "lower", 9, {"score": 0.5, "images": 4}),
    MetricResult("f1", 0.25, "higher", 4, {"score": 0.5, "images": 4}, part="small <people>"),
]
EVIDENCE = Evidence(
    [Chart("Curve", "recall", "precision", {"at 0.5": [(0.0, 1.0), (1.0, 0.0)]}, "a note", mark=0.5)],
    {"false alarms": {"nobody there": 17}},
    {"missed": [Exhibit("s2", SQUARE, "not found at all", [SQUARE], [SQUARE + 30])], "false alarms": []},
)


class Told(Counting):
    """A metric that tells what it was told to."""

    roles: ClassVar = {"candidate": "samples"}

    def compute(self, states):
        return RESULTS

    def explain(self, states):
        return EVIDENCE


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("judged") / "rooms"
    with DatasetWriter(folder, identity={}, scenes=4) as writer:
        for n in range(4):
            writer.spool.put(n, [Sample(key=f"s{n}", image=np.full((100, 100, 3), 60 * n, np.uint8), people=())])
            writer.finished(n)
        writer.finalise()
    return folder


def words(path):
    """Return the page without tags, and its pictures."""
    html = path.read_text()
    pictures = re.findall(r'src="data:image/webp;base64,([^"]*)"', html)
    return " ".join(re.sub(r"<style>.*?</style>|<[^>]*>", " ", html, flags=re.DOTALL).split()), [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(text)))) for text in pictures
    ]


def test_the_page_tells_numbers_parts_errors_and_shows_where(data, tmp_path: Path):
    write_report([Judgement("told", RESULTS, EVIDENCE, Dataset.open(data))], tmp_path / "page.html")
    text, pictures = words(tmp_path / "page.html")
    assert "told: rooms" in text
    assert "Measured on 4 images." in text
    assert "rests on f1 0.750 [0.500, 0.875] 4 off (lower is better) 1.50 9 " in text
    assert "small &lt;people&gt; 0.250" in text
    assert "nobody there 17" in text
    assert "s2: not found at all" in text
    assert "The most telling: false alarms" not in text, "an empty gallery is none"
    assert "score 0.5 images 4" in text
    assert len(pictures) == 1
    assert (pictures[0] == 120).mean() > 0.5, "the picture is of the sample that is meant"
    html = (tmp_path / "page.html").read_text()
    assert html.count("<svg") == 1
    assert html.count('class="prose"') == 1, "definitions wrap, numbers do not"


def test_without_evidence_the_page_has_numbers_alone(data, tmp_path: Path):
    there = Dataset.open(data)
    subsets = [MetricResult("kid", 0.5, "lower", 4, {}, (0.25, 0.75), "subsets")]
    write_report([Judgement("told", subsets, None, there, there)], tmp_path / "page.html")
    text, pictures = words(tmp_path / "page.html")
    assert "kid (lower is better) 0.500 [0.250, 0.750] of subsets 4" in text
    assert "Measured on 4 images, compared with 4 images of rooms." in text
    assert "their order means little" not in text
    assert "Charts" not in text
    assert not pictures


def test_the_page_is_about_all_metrics_and_says_what_to_beware_of(data, tmp_path: Path):
    turned = Turned(Dataset.open(data), 3, Seeds(0))
    careful = MetricResult("recall", 0.5, "higher", 4, {"iou": 0.3}, cautions=("they are few",), version="mine 1")
    write_report([Judgement("told", RESULTS, None, turned), Judgement("other", [careful], None, turned)],
                 tmp_path / "page.html")  # fmt: skip
    text, _ = words(tmp_path / "page.html")
    head = text[: text.index("Numbers")]
    assert all(name in head for name in ("f1 0.750", "off 1.50", "recall 0.500")), head
    for expected in (
        "told, other: rooms",
        "Measured on 4 images, each at 3 random turns.",
        "Caution: they are few.",
        "How it was measured: told score 0.5",
        "How it was measured: other iou 0.3 version mine 1",
    ):
        assert expected in text, text


def test_the_head_of_the_page_has_a_number_of_each_metric(data, tmp_path: Path):
    judged = [
        Judgement(name, [MetricResult(f"{name}_{n}", n, "higher", 4) for n in range(3)], None, Dataset.open(data))
        for name in "abcde"
    ]
    write_report(judged, tmp_path / "page.html")
    text, _ = words(tmp_path / "page.html")
    head = text[: text.index("Numbers")]
    assert [f"{name}_0" in head for name in "abcde"] == [True] * 5, head
    assert "a_1" not in head
    write_report(judged[:2], tmp_path / "page.html")
    text, _ = words(tmp_path / "page.html")
    assert "a_0 0.00 a_1 1.00 b_0 0.00 b_1 1.00" in text[: text.index("Numbers")], text


def test_evaluate_writes_the_page_where_it_is_asked(data, tmp_path: Path, monkeypatch):
    registry = registry_of(metric={"told": Told})
    monkeypatch.setattr("synthkit.plugins.discover", lambda: registry)
    page = tmp_path / "page.html"
    done = CliRunner().invoke(app, ["evaluate", str(data), "--metrics", "told", "--report", str(page)])
    assert done.exit_code == 0, (done.output, done.exception)
    assert re.search(r"^f1 .*0.75.*\n.*\nsmall <people>:\n  f1 +0.25 ", done.output, re.MULTILINE), done.output
    assert "nobody there 17" in words(page)[0]


def test_close_ups_show_what_they_are_about_in_the_middle():
    sample = Sample(key="a", image=np.zeros((100, 100, 3), np.uint8))
    exhibit = Exhibit("a", SQUARE, "", [SQUARE], [np.array([[44.0, 26], [54, 26], [54, 34], [44, 34]])])
    picture = close_up(sample, exhibit, 240).astype(int)  # 48 px wide, 5 px a pixel, from (6, 6)
    for x, y, colour in ((70, 120, BODY), (170, 120, BODY), (190, 120, FOUND)):
        assert np.abs(picture[y, x - 3 : x + 4] - colour).sum(axis=1).min() < 60, (x, y)
    assert not picture[120, 80:160].any()


def test_close_ups_reach_beyond_the_image():
    sample = Sample(key="a", image=np.zeros((100, 100, 3), np.uint8))
    picture = close_up(sample, Exhibit("a", SQUARE - 20, "", [], []), 240)
    assert (picture[:50] == 128).all()
    assert not picture[150:, 150:].any()
