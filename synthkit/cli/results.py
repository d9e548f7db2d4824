# SPDX-License-Identifier: Apache-2.0
"""Metrics' results on the terminal."""

from __future__ import annotations

import json
import traceback
from collections.abc import Sequence

import typer

from synthkit.config import plain
from synthkit.errors import SynthkitError
from synthkit.interfaces import MetricResult

_HEADER = ("", "value", "95 % interval", "n", "better")


def tell(results: Sequence[MetricResult], as_json: bool) -> None:
    """Print a table of results, and with ``as_json`` their whole records instead, and the table on standard error."""
    for line in table(results):
        typer.echo(line, err=as_json)
    for caution, names in _cautions(results).items():
        of = f" ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})" if len(names) < len(results) else ""
        typer.echo(f"caution: {caution}{of}", err=True)
    if as_json:
        typer.echo(json.dumps(plain(list(results)), indent=2))


def tell_traces(failures: Sequence[Exception]) -> None:
    """Print where failures come from that are no user's mistake, but one in a plugin."""
    for failure in failures:
        if not isinstance(failure, SynthkitError):
            traceback.print_exception(failure)


def table(results: Sequence[MetricResult]) -> list[str]:
    """Return the lines of a table, those of parts of the set under a line that names the part."""
    rows = [_row(result) for result in results]
    widths = [max(len(row[column]) for row in (_HEADER, *rows)) for column in range(len(_HEADER))]
    lines, part = [_line(_HEADER, widths)], ""
    for result, row in zip(results, rows, strict=True):
        if result.part != part:
            part = result.part
            lines.append(f"{part}:" if part else "")
        lines.append(_line(row, widths))
    return lines


def _row(result: MetricResult) -> tuple[str, ...]:
    name = f"  {result.name}" if result.part else result.name
    of = f" of {result.interval_of}" if result.interval_of else ""
    interval = "" if result.interval is None else f"[{result.interval[0]:.4g}, {result.interval[1]:.4g}]{of}"
    return f"{name}{' !' if result.cautions else ''}", f"{result.value:.4g}", interval, str(result.count), result.better


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    name, value, interval, count, better = (
        f"{cell:>{width}}" if column in (1, 3) else f"{cell:<{width}}"
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return f"{name}  {value}  {interval}  {count}  {better}".rstrip()


def _cautions(results: Sequence[MetricResult]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for result in results:
        for caution in result.cautions:
            names = found.setdefault(caution, [])
            if result.name not in names:
                names.append(result.name)
    return found
