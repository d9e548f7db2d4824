# SPDX-License-Identifier: Apache-2.0
"""A lineage as a tree of text, and as a graph on a page."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path

import synthkit
from synthkit.lineage.artefacts import Artefact
from synthkit.lineage.tracing import Lineage
from synthkit.report.page import Page, Plot, Section, Table, write_page

_SHORT = 12
_BOX = (250, 74)
_GAP = (40, 60)
_MOST_LETTERS = 34
_LEAST_SCALE = 0.8  # of what a wide graph is shrunk to, before it is scrolled
_RIM = 2  # around the graph, for the lines of its boxes

_Node = str | tuple[str, str]
"""What has a place in a row of the graph: an artefact, by its fingerprint, or a line that passes: from, to."""


def tree(lineage: Lineage) -> Iterator[str]:
    """Yield the lines of a tree: each artefact once, and below it what it was made from."""
    yield _line(lineage.start)
    yield from _below(lineage, lineage.start, "", {lineage.start.fingerprint})


def _below(lineage: Lineage, artefact: Artefact, indent: str, told: set[str]) -> Iterator[str]:
    for number, parent in enumerate(artefact.parents):
        last = number == len(artefact.parents) - 1
        found = lineage.found.get(parent.fingerprint)
        shown = f"not found: {parent.fingerprint[:_SHORT]}" if found is None else _line(found)
        again = parent.fingerprint in told
        yield f"{indent}{'└─' if last else '├─'} {parent.role}: {shown}{' (as above)' if again and found else ''}"
        if found is not None and not again:
            told.add(parent.fingerprint)
            yield from _below(lineage, found, indent + ("   " if last else "│  "), told)


def _line(artefact: Artefact) -> str:
    told = [artefact.facts[name] for name in ("distribution", "version") if name in artefact.facts]
    if "synthkit" in artefact.facts:
        told.append(f"synthkit {artefact.facts['synthkit']}")
    told += [
        f"{name} {artefact.facts[name]}" for name in ("revision", "seed", "samples", "steps") if name in artefact.facts
    ]
    facts = f" ({', '.join(told)})" if told else ""
    return f"{artefact.kind} {_relative(artefact.place)} by {artefact.made_by}{facts} {artefact.fingerprint[:_SHORT]}"


def _relative(place: Path) -> str:
    near = os.path.relpath(place)
    return str(place) if near.startswith("..") else near


def write_report(lineage: Lineage, path: Path) -> None:
    """Write a page with the graph, and with all that each artefact says of itself."""
    everything = [lineage.start, *lineage.found.values()]
    caption = "Below each is what it was made from; a box leads to what the artefact says of itself."
    page = Page(
        title=f"Where {lineage.start.place.name} comes from",
        lead=f"{_capital(lineage.start.kind)} by {lineage.start.made_by}, and what it was made from, back to the"
        " beginning.",
        facts=[("artefacts", str(len(everything))), ("not found", str(len(_missing(lineage))))],
        sections=[
            Section("The graph", plots=[Plot(graph(lineage), "; ".join(tree(lineage)), caption, wide=True)]),
            *map(_said, everything),
        ],
        footer=f"written by synthkit lineage {synthkit.__version__}",
    )
    write_page(page, path)


def _said(one: Artefact) -> Section:
    """Return what an artefact says of itself."""
    rows = [["place", str(one.place.resolve())], ["fingerprint", one.fingerprint], ["made by", one.made_by]]
    return Section(
        f"{_capital(one.kind)} {_relative(one.place)}",
        tables=[Table(["", ""], [*rows, *([name, _spelled(value)] for name, value in one.facts.items())], prose=True)],
        anchor=_anchor(one.fingerprint),
    )


def _spelled(fact: str) -> str:
    """Return a fact; of settings a line each, by their names in files of settings."""
    try:
        return "\n".join(_lines(json.loads(fact))) if fact.startswith("{") else fact
    except ValueError:  # such as one that was cut short
        return fact


def _lines(settings: object, above: str = "") -> Iterator[str]:
    if isinstance(settings, dict) and settings:
        for name, value in settings.items():
            yield from _lines(value, f"{above}.{name}" if above else name)
    else:
        yield f"{above} = {json.dumps(settings, ensure_ascii=False)}" if above else "none"


def _anchor(fingerprint: str) -> str:
    return f"is-{fingerprint[:_SHORT]}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _missing(lineage: Lineage) -> set[str]:
    every = [parent.fingerprint for one in (lineage.start, *lineage.found.values()) for parent in one.parents]
    return {fingerprint for fingerprint in every if fingerprint not in lineage.found}


def graph(lineage: Lineage) -> str:
    """Return an SVG: the artefact on top, each of the others below all that was made from it."""
    depths = {lineage.start.fingerprint: 0}
    _deepen(lineage, lineage.start, depths)
    everything = [lineage.start, *lineage.found.values()]
    ways = {(one.fingerprint, parent.fingerprint): _way(one.fingerprint, parent.fingerprint, depths)
            for one in everything for parent in one.parents}  # fmt: skip
    rows = _rows(depths, ways)
    (width, height), (across, down) = _BOX, _GAP
    widest, tall = max(map(len, rows)) * (width + across), len(rows) * (height + down) - down
    places = {
        (node, depth): ((number + 0.5) * widest / len(row), depth * (height + down))
        for depth, row in enumerate(rows) for number, node in enumerate(row)
    }  # fmt: skip
    lines = [part for one in everything for part in _arrows(one, ways, places)]
    boxes = [part for fingerprint, depth in depths.items() for part in _box(lineage, fingerprint,
                                                                            *places[fingerprint, depth])]  # fmt: skip
    least = f"min-width: {widest * _LEAST_SCALE:.0f}px; max-width: {widest * 1.2:.0f}px; margin: 0 auto"
    return (
        f'<svg viewBox="{-_RIM} {-_RIM} {widest + 2 * _RIM:.0f} {tall + 2 * _RIM:.0f}" style="{least}"'
        f' font-family="system-ui, sans-serif">{"".join(lines + boxes)}</svg>'
    )


def _way(start: str, end: str, depths: Mapping[str, int]) -> list[tuple[_Node, int]]:
    """Return what a line leads through, with its row: from an artefact past the rows between to another."""
    between: list[tuple[_Node, int]] = [((start, end), depth) for depth in range(depths[start] + 1, depths[end])]
    return [(start, depths[start]), *between, (end, depths[end])]


def _rows(depths: Mapping[str, int], ways: Mapping[tuple[str, str], Sequence[tuple[_Node, int]]]) -> list[list[_Node]]:
    """Return what stands in each row, from left to right as what is above it stands, so that few lines cross."""
    rows: list[list[_Node]] = [[] for _ in range(max(depths.values()) + 1)]
    for node, depth in [*depths.items(), *(step for way in ways.values() for step in way[1:-1])]:
        rows[depth].append(node)
    lines = [line for way in ways.values() for line in pairwise(way)]
    for depth, row in enumerate(rows[1:], start=1):
        above = {
            (node, depth - 1): (number + 0.5) / len(rows[depth - 1]) for number, node in enumerate(rows[depth - 1])
        }
        over = {
            node: [above[upper] for upper, lower in lines if lower == (node, depth) and upper in above] for node in row
        }
        row.sort(key=lambda node: sum(over[node]) / max(len(over[node]), 1))
    return rows


def _deepen(lineage: Lineage, artefact: Artefact, depths: dict[str, int], above: frozenset[str] = frozenset()) -> None:
    """Note how far down each ancestor stands: below everything that was made from it.

    Args:
        above: those on the way here, which nothing can be made from that they were made from.
    """
    above, below = above | {artefact.fingerprint}, depths[artefact.fingerprint] + 1
    for parent in artefact.parents:
        if parent.fingerprint not in above and depths.get(parent.fingerprint, -1) < below:
            depths[parent.fingerprint] = below
            if parent.fingerprint in lineage.found:
                _deepen(lineage, lineage.found[parent.fingerprint], depths, above)


def _arrows(
    artefact: Artefact,
    ways: Mapping[tuple[str, str], Sequence[tuple[_Node, int]]],
    places: Mapping[tuple[_Node, int], tuple[float, float]],
) -> Iterator[str]:
    height, down = _BOX[1], _GAP[1]
    for parent in artefact.parents:
        (x, y), *more = [places[step] for step in ways[artefact.fingerprint, parent.fingerprint]]
        points = [(x, y + height), *(point for px, py in more for point in ((px, py), (px, py + height)))][:-1]
        path = " L".join(f"{px:.0f} {py:.0f}" for px, py in points)
        middle = (x + more[0][0]) / 2, y + height + down / 2 + 4
        yield f'<path d="M{path}" stroke="currentColor" stroke-opacity="0.7" fill="none"/>'
        yield (
            f'<text x="{middle[0]:.0f}" y="{middle[1]:.0f}" font-size="11" text-anchor="middle" fill="currentColor"'
            f' stroke="var(--card, white)" stroke-width="6" paint-order="stroke">{escape(parent.role)}</text>'
        )


def _box(lineage: Lineage, fingerprint: str, middle: float, y: float) -> Iterator[str]:
    (width, height), x = _BOX, middle - _BOX[0] / 2
    one = lineage.start if fingerprint == lineage.start.fingerprint else lineage.found.get(fingerprint)
    lines = ["not found"] if one is None else [one.kind, one.made_by, _cut(_relative(one.place))]
    if one is not None:
        yield f'<a href="#{_anchor(fingerprint)}">'
    yield (f'<rect x="{x:.0f}" y="{y:.0f}" width="{width}" height="{height}" rx="8" fill="var(--card, white)"'
           ' stroke="currentColor"/>')  # fmt: skip
    for number, line in enumerate([*lines, fingerprint[:_SHORT]]):
        weight = ' font-weight="600"' if number == 0 else ""
        yield (f'<text x="{x + 10:.0f}" y="{y + 17 + 16 * number:.0f}" font-size="12" fill="var(--ink, black)"{weight}>'
               f"{escape(line)}</text>")  # fmt: skip
    if one is not None:
        yield "</a>"


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_LETTERS else f"…{text[-_MOST_LETTERS + 1 :]}"
