# SPDX-License-Identifier: Apache-2.0
"""The page of a lineage, of artefacts made up here."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

from synthkit.lineage.artefacts import Artefact, Parent
from synthkit.lineage.drawing import graph, write_report
from synthkit.lineage.tracing import Lineage

_SETTINGS = '{"camera": {"lens": "stereographic", "height_m": [2.2, 2.8]}, "more": {}}'


def _artefact(name: str, *parents: str, **facts: str) -> Artefact:
    told = tuple(Parent(f"from {parent}", parent * 12) for parent in parents)
    return Artefact("data set", Path(name), name * 12, "renderer circles", facts, told)


def _lineage() -> Lineage:
    """Return a that is made from b and d, and b from c, c from d and from e, which is not found."""
    found = [_artefact("b", "c"), _artefact("c", "d", "e"), _artefact("d", settings=_SETTINGS, cut='{"a...')]
    return Lineage(_artefact("a", "b", "d"), {one.fingerprint: one for one in found})


def _numbers(text: str) -> list[list[float]]:
    return [[float(value) for value in point.split()] for point in text.split(" L")]


def test_lines_that_pass_rows_do_not_run_behind_boxes() -> None:
    svg = graph(_lineage())
    boxes = [tuple(map(float, box)) for box in
             re.findall(r'<rect x="([-\d.]+)" y="([-\d.]+)" width="(\d+)" height="(\d+)"', svg)]  # fmt: skip
    paths = [_numbers(path) for path in re.findall(r'<path d="M([^"]+)"', svg)]
    assert len(boxes) == 5
    assert len(paths) == 5
    assert max(map(len, paths)) == 6, "the line from a to d passes two rows"
    for path in paths:
        for (x, y), (to_x, to_y) in pairwise(path):
            for part in range(1, 50):
                at_x, at_y = x + (to_x - x) * part / 50, y + (to_y - y) * part / 50
                inside = [box for box in boxes
                          if box[0] < at_x < box[0] + box[2] and box[1] < at_y < box[1] + box[3]]  # fmt: skip
                assert not inside, (path, inside)


def test_boxes_lead_to_what_artefacts_say_and_settings_are_lines(tmp_path: Path) -> None:
    write_report(_lineage(), tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    links = re.findall(r'<a href="#([^"]+)"', page)
    assert len(links) == 4, "of what is not found nothing is known"
    assert all(f'<section id="{link}">' in page for link in links)
    height = "camera.height_m = [2.2,\N{NO-BREAK SPACE}2.8]"
    assert f"camera.lens = &#34;stereographic&#34;\n{height}\nmore = {{}}</td>" in page
    assert "{&#34;a...</td>" in page
