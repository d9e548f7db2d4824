# SPDX-License-Identifier: Apache-2.0
"""A lineage as a tree of text, and as a graph on a page."""

from __future__ import annotations

import os
from collections.abc import Iterator
from html import escape
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
    tables = [_table(one) for one in everything]
    page = Page(
        title=f"Where {lineage.start.place.name} comes from",
        lead=f"{lineage.start.kind} by {lineage.start.made_by}, and what it was made from, back to the beginning.",
        facts=[("artefacts", str(len(everything))), ("not found", str(len(_missing(lineage))))],
        sections=[
            Section("The graph", plots=[Plot(graph(lineage), "; ".join(tree(lineage)), wide=True)]),
            Section("What each says of itself", tables=tables),
        ],
        footer=f"written by synthkit lineage {synthkit.__version__}",
    )
    write_page(page, path)


def _table(one: Artefact) -> Table:
    rows = [["place", str(one.place)], ["fingerprint", one.fingerprint], ["made by", one.made_by]]
    return Table(["", ""], [*rows, *map(list, one.facts.items())], f"{one.kind} {one.place.name}", prose=True)


def _missing(lineage: Lineage) -> set[str]:
    every = [parent.fingerprint for one in (lineage.start, *lineage.found.values()) for parent in one.parents]
    return {fingerprint for fingerprint in every if fingerprint not in lineage.found}


def graph(lineage: Lineage) -> str:
    """Return an SVG: the artefact on top, each of the others below all that was made from it."""
    depths = {lineage.start.fingerprint: 0}
    _deepen(lineage, lineage.start, depths)
    rows: dict[int, list[str]] = {}
    for fingerprint, depth in depths.items():
        rows.setdefault(depth, []).append(fingerprint)
    (width, height), (across, down) = _BOX, _GAP
    widest = max(map(len, rows.values())) * (width + across)
    places: dict[str, tuple[float, float]] = {
        fingerprint: ((number + 0.5) * widest / len(row) - width / 2, depth * (height + down))
        for depth, row in rows.items() for number, fingerprint in enumerate(row)
    }  # fmt: skip
    lines = [part for one in (lineage.start, *lineage.found.values()) for part in _arrows(one, places)]
    boxes = [part for fingerprint in depths for part in _box(lineage, fingerprint, *places[fingerprint])]
    tall = len(rows) * (height + down) - down
    least = f"min-width: {widest * _LEAST_SCALE:.0f}px; max-width: {widest * 1.2:.0f}px"
    return (
        f'<svg viewBox="0 0 {widest:.0f} {tall:.0f}" style="{least}" font-family="system-ui, sans-serif">'
        f"{''.join(lines + boxes)}</svg>"
    )


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


def _arrows(artefact: Artefact, places: dict[str, tuple[float, float]]) -> Iterator[str]:
    width, height = _BOX
    x, y = places[artefact.fingerprint]
    for parent in artefact.parents:
        to_x, to_y = places[parent.fingerprint]
        yield (
            f'<path d="M{x + width / 2:.0f} {y + height:.0f} L{to_x + width / 2:.0f} {to_y:.0f}" stroke="#808890"'
            f' fill="none"/><text x="{(x + to_x + width) / 2 + 5:.0f}" y="{(y + height + to_y) / 2:.0f}" font-size="11"'
            f' fill="#808890">{escape(parent.role)}</text>'
        )


def _box(lineage: Lineage, fingerprint: str, x: float, y: float) -> Iterator[str]:
    width, height = _BOX
    one = lineage.start if fingerprint == lineage.start.fingerprint else lineage.found.get(fingerprint)
    lines = ["not found"] if one is None else [one.kind, one.made_by, _cut(_relative(one.place))]
    yield (f'<rect x="{x:.0f}" y="{y:.0f}" width="{width}" height="{height}" rx="8" fill="var(--card, none)"'
           ' stroke="#808890"/>')  # fmt: skip
    for number, line in enumerate([*lines, fingerprint[:_SHORT]]):
        weight = ' font-weight="600"' if number == 0 else ""
        yield (f'<text x="{x + 10:.0f}" y="{y + 17 + 16 * number:.0f}" font-size="12" fill="currentColor"{weight}>'
               f"{escape(line)}</text>")  # fmt: skip


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_LETTERS else f"…{text[-_MOST_LETTERS + 1 :]}"
