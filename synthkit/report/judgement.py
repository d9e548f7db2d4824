# SPDX-License-Identifier: Apache-2.0
"""The report of ``synthkit evaluate``: a metric's numbers, and what stands behind them."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import attrs

import synthkit
from synthkit.dataset import Dataset
from synthkit.evaluation import Judgement
from synthkit.interfaces import Evidence, Exhibit, MetricResult
from synthkit.report import plots
from synthkit.report.drawing import close_up
from synthkit.report.numerals import number
from synthkit.report.page import Figure, Page, Plot, Section, Table, write_page
from synthkit.turning import Turned

_CLOSE_UP_PX = 240
_FACTS = 4


def write_report(judged: Sequence[Judgement], path: Path, failures: Sequence[str] = ()) -> None:
    """Write what one metric or several say of the same data set, and why others say nothing, as one HTML file."""
    results = [result for judgement in judged for result in judgement.results]
    page = Page(
        title=f"{', '.join(judgement.metric for judgement in judged)}: {_name_of(judged[0].data)}",
        lead=_lead(results, judged[0]),
        facts=[(result.name, number(result.value)) for result in _foremost(judged)],
        sections=[*([Section("Not judged", failures)] if failures else []), *_sections(judged, results)],
        footer=f"written by synthkit evaluate {synthkit.__version__}, Python {platform.python_version()}",
    )
    write_page(page, path)


def _foremost(judged: Sequence[Judgement]) -> list[MetricResult]:
    """Return the results at the top of the page: the first of each metric, and second ones where there is room."""
    whole = [[result for result in judgement.results if not result.part] for judgement in judged]
    rounds = [result for row in zip_longest(*whole) for result in row if result is not None]
    shown = {id(result) for result in rounds[: max(_FACTS, sum(map(bool, whole)))]}
    return [result for results in whole for result in results if id(result) in shown]


def _sections(judged: Sequence[Judgement], results: Sequence[MetricResult]) -> Iterator[Section]:
    yield _numbers([result for result in results if not result.part])
    parts = [result for result in results if result.part]
    if parts:
        yield _by_part(parts)
    for judgement in judged:
        if judgement.evidence is not None:
            yield from _evidence(judgement.evidence, judgement.data)
    for judgement in judged:
        yield _definition(judgement)


def _lead(results: Sequence[MetricResult], judged: Judgement) -> str:
    data, reference = judged.data, judged.reference
    told = f"Measured on {_images(data.data if isinstance(data, Turned) else data)}"
    if isinstance(data, Turned):
        told += f", each at {data.count} random turns"
    if reference is not None:
        told += f", compared with {_images(reference)} of {_name_of(reference)}"
    if any(result.interval and not result.interval_of for result in results):
        told += (
            ". Brackets are 95 % intervals, of what the definitions tell: where those of two numbers overlap, their"
            " order means little"
        )
    return f"{told}."


def _images(data: Dataset) -> str:
    return f"{len(data)} image{'' if len(data) == 1 else 's'}"


def _numbers(results: Sequence[MetricResult]) -> Section:
    lower = {"lower": " (lower is better)", "higher": ""}
    rows = [[result.name + lower[result.better], _number(result), str(result.count)] for result in results]
    cautions = list(dict.fromkeys(caution for result in results for caution in result.cautions))
    paragraphs = [f"Caution: {caution}." for caution in cautions]
    return Section("Numbers", paragraphs, tables=[Table(["", "value", "rests on"], rows)])


def _by_part(results: Sequence[MetricResult]) -> Section:
    names = list(dict.fromkeys(result.name for result in results))
    parts = list(dict.fromkeys(result.part for result in results))
    found = {(result.part, result.name): _number(result) for result in results}
    rows = [[part, *(found.get((part, name), "") for name in names)] for part in parts]
    return Section("Parts of the set", tables=[Table(["", *names], rows)])


def _evidence(evidence: Evidence, data: Dataset | Turned) -> Iterator[Section]:
    if evidence.charts:
        shown = [Plot(plots.chart(chart), f"{chart.title}: {chart.y_label} over {chart.x_label}", chart.note)
                 for chart in evidence.charts]  # fmt: skip
        yield Section("Charts", plots=shown)
    tables = [
        Table([group, "how many"], [[kind, str(count)] for kind, count in kinds.items()])
        for group, kinds in evidence.counts.items()
    ]
    if tables:
        yield Section("Kinds of errors", tables=tables)
    for group, exhibits in evidence.exhibits.items():
        if exhibits:
            yield _gallery(group, exhibits, data)


def _gallery(group: str, exhibits: Sequence[Exhibit], data: Dataset | Turned) -> Section:
    figures = [
        Figure(close_up(data.by_key(exhibit.key), exhibit, _CLOSE_UP_PX),
               f"Close-up of {exhibit.key}: {exhibit.note}", f"{exhibit.key}: {exhibit.note}")
        for exhibit in exhibits
    ]  # fmt: skip
    return Section(
        f"The most telling: {group}",
        ["Blue is the truth, orange what was found; the thick outline is what the picture is about."],
        figures=figures,
        per_row=4,
    )


def _definition(judgement: Judgement) -> Section:
    """Return what all results of a metric say of how they were made, so that the numbers can be made again."""
    title = f"How it was measured: {judgement.metric}"
    if not judgement.results:
        return Section(title)
    told = [_told(result) for result in judgement.results]
    rows = [
        [key, value if isinstance(value, str) else json.dumps(value)]
        for key, value in told[0].items()
        if all(other.get(key) == value for other in told)
    ]
    return Section(title, tables=[Table(["", ""], rows, prose=True)])


def _told(result: MetricResult) -> dict[str, Any]:
    found = {**result.definition, **{f"{role}_fingerprint": value for role, value in result.data.items()}}
    if result.extractor is not None:
        found |= {f"extractor_{key}": value for key, value in attrs.asdict(result.extractor).items() if value}
    return found | ({"version": result.version} if result.version else {})


def _number(result: MetricResult) -> str:
    of = f" of {result.interval_of}" if result.interval and result.interval_of else ""
    return f"{number(result.value, result.interval)}{of}"


def _name_of(data: Dataset | Turned) -> str:
    return data.location.rstrip("/").rpartition("/")[2] or data.location
