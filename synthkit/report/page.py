# SPDX-License-Identifier: Apache-2.0
"""One self-contained HTML page: no script, no network, readable on a phone, in print, light and dark."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import attrs

from synthkit.dataset.storage import write_atomically
from synthkit.report import templates
from synthkit.report.drawing import Picture, data_url


@attrs.frozen(eq=False)
class Figure:
    """A picture with its text alternative and caption."""

    picture: Picture
    alt: str
    caption: str = ""

    @property
    def source(self) -> str:
        """The picture as a data URL."""
        return data_url(self.picture)


@attrs.frozen
class Plot:
    """An SVG with its text alternative and caption; a ``wide`` one has the page's whole width, or more by scrolling."""

    svg: str
    alt: str
    caption: str = ""
    wide: bool = False


@attrs.frozen
class Table:
    """Rows of text; ``best`` marks a row to stand out, ``prose`` cells that are to be read rather than compared."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    best: int | None = None
    prose: bool = False


@attrs.frozen(eq=False)
class Section:
    """A heading, a paragraph or several, and what they show.

    Args:
        figures: shown in rows of ``per_row`` on a wide screen.
        commands: lines to copy. anchor: a name by which other sections link to it.
        links: (text, anchor) of sections to read on, below the tables.
    """

    title: str
    text: Sequence[str] = ()
    figures: Sequence[Figure] = ()
    per_row: int = 2
    plots: Sequence[Plot] = ()
    tables: Sequence[Table] = ()
    commands: Sequence[str] = ()
    anchor: str = ""
    links: Sequence[tuple[str, str]] = ()


@attrs.frozen(eq=False)
class Page:
    """A report: its title, what it says first, key figures (label, value), and its sections."""

    title: str
    lead: str
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    footer: str


def write_page(page: Page, path: Path) -> None:
    """Write the page as one HTML file, whole or not at all."""
    content = templates.filled("synthkit.report", "page.html", page=page, unbroken=_unbroken, parts=_parts)
    write_atomically(path, [content])


def _unbroken(cell: str) -> str:
    """Return a cell of which intervals, p, and numbers with their units are not broken into lines."""
    pattern = r"\[[^\]]*\]|p (?=[<\d])|< (?=\d)|(?<=\d) (?=[A-Za-z%]{1,3}\b)"
    return re.sub(pattern, lambda found: found[0].replace(" ", "\N{NO-BREAK SPACE}"), cell)


def _parts(name: str) -> list[str]:
    """Return the parts of a name between which it may be broken into lines."""
    return re.split(r"(?<=[_./])(?=[^\s\d])|(?=\[)", name)
