# SPDX-License-Identifier: Apache-2.0
"""The page of an experiment, and beside it the same tables as JSON, CSV and Markdown, and its figures as files."""

from __future__ import annotations

import csv
import io
import itertools
import json
import platform
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import synthkit
from synthkit import config
from synthkit.dataset import storage
from synthkit.experiments.comparing import Scored, results_of
from synthkit.experiments.planning import Plan
from synthkit.experiments.steps import STEPS
from synthkit.report.drawing import encode
from synthkit.report.experiment import distances, features, finds, groups, pictures, scores, trainings
from synthkit.report.experiment.findings import Findings
from synthkit.report.page import Page, Section, Table, write_page
from synthkit.session import Session

PAGE, NUMBERS, FLAT, TABLES, COSTS, FIGURES = (
    "report.html", "results.json", "results.csv", "results.md", "costs.csv", "figures"
)  # fmt: skip
"""What is written into an experiment's folder; all but the page and the costs are the same whatever was interrupted."""


def write_report(session: Session, plan: Plan, scored: Sequence[Scored], out: Path) -> tuple[Path, dict[str, Any]]:
    """Write everything into the experiment's folder; return the page's path, and the numbers as plain JSON."""
    found = Findings(plan, scored, out)
    sections = [section for section in _sections(session, found) if section is not None]
    page = Page(
        title=plan.experiment.title,
        lead=scores.lead(found),
        facts=scores.facts(found),
        sections=sections,
        footer=f"written by synthkit experiment {synthkit.__version__}, Python {platform.python_version()}",
    )
    tables = {
        "scores": scores.score_table(found),
        "groups": groups.group_table(found),
        "controls": groups.control_table(found),
        "distances": distances.distance_table(found),
    }
    numbers = _numbers(found)
    _write(out / NUMBERS, json.dumps(numbers, indent=1, sort_keys=True))
    _write(out / FLAT, _flat(found))
    _write(out / TABLES, _markdown(plan.experiment.title, scores.lead(found), tables))
    _write(out / COSTS, _comma_separated(trainings.cost_numbers(found)))
    _write_figures(sections, out / FIGURES)
    write_page(page, out / PAGE)
    return out / PAGE, numbers


def _sections(session: Session, found: Findings) -> Iterator[Section | None]:
    yield scores.section(found)
    yield groups.groups(found)
    yield scores.mixtures(found)
    yield groups.sizes(found)
    yield groups.controls(found)
    yield distances.section(found)
    yield from pictures.sections(found)
    yield trainings.unmasked(found)
    yield finds.section(session, found)
    yield distances.components(found)
    yield features.section(found)
    yield trainings.detectors(found)
    yield trainings.refiners(found)
    yield trainings.costs(found)
    yield _definitions(found)
    yield pictures.places(found)
    yield _files(session, found)


def _definitions(found: Findings) -> Section:
    """Return what decides about each number's meaning, as far as it is the same in all rows."""
    said: dict[str, list[Mapping[str, Any]]] = {}
    for step in [run.judged for row in found.plan.rows for run in row.runs] + [
        one.step for one in found.plan.comparisons
    ]:
        for result in (results_of(found.out, step) or {"results": []})["results"]:
            if not result["part"]:
                said.setdefault(result["name"], []).append(_told(result))
    by_metric: dict[str, dict[str, dict[str, str]]] = {}
    for name, each in said.items():
        shared = {key: value if isinstance(value, str) else json.dumps(value) for key, value in each[0].items()
                  if all(other.get(key) == value for other in each)}  # fmt: skip
        by_metric.setdefault(str(each[0]["version"]), {})[name] = shared
    tables = [Table(["", ""], _together(alike), ", ".join(alike), prose=True) for alike in by_metric.values()]
    return Section("How it was measured", ["What is the same in all rows."], tables=tables, anchor="definitions")


def _together(definitions: Mapping[str, Mapping[str, str]]) -> list[list[str]]:
    """Return what numbers of one metric say of themselves, each thing once; of which numbers where they differ."""
    rows = []
    for key in dict.fromkeys(key for one in definitions.values() for key in one):
        names: dict[str, list[str]] = {}
        for name, one in definitions.items():
            if key in one:
                names.setdefault(one[key], []).append(name)
        whole = len(names) == 1 and len(next(iter(names.values()))) == len(definitions)
        rows.append([key, "; ".join(value if whole else f"{value} ({', '.join(of)})" for value, of in names.items())])
    return rows


def _told(result: Mapping[str, Any]) -> dict[str, Any]:
    extractor = {f"extractor_{key}": value for key, value in (result["extractor"] or {}).items() if value}
    return {**result["definition"], **extractor, "version": result["version"]}


def _files(session: Session, found: Findings) -> Section:
    run = session.run
    return Section(
        "Where everything is",
        [
            f"Each step lies in a folder of {found.out / STEPS}, with what it was told (step.json) and what came of it."
            f" The numbers of this page are in {NUMBERS} and {FLAT}, its tables in {TABLES}, its figures in {FIGURES}."
            f" General seed {run.seed}, {run.threads} thread{'' if run.threads == 1 else 's'}."
        ],
    )


def _numbers(found: Findings) -> dict[str, Any]:
    """Return everything that was measured, with what decides about it, as plain JSON."""
    return {
        "experiment": config.plain(found.plan.experiment),
        "rows": [_row(found, one) for one in found.scored],
        "distances": [
            {"row": row, "seed": seed, "other": other, **result} for row, seed, other, result in found.distances()
        ],
    }


def _row(found: Findings, one: Scored) -> dict[str, Any]:
    return {
        "label": one.row.label,
        "detector": one.row.detector,
        "samples": {str(seed): count for seed, count in one.samples.items()},
        "chosen_at": {str(seed): step for seed, step in one.chosen_at.items()},
        "missing_seeds": list(one.missing),
        "numbers": {
            name: {"mean": number.mean, "interval": number.interval, "better": number.better,
                   "by_seed": {str(seed): value for seed, value in number.values.items()}}
            for name, number in one.numbers.items()
        },
        "headline": one.headline,
        "differences": {
            name: {"mean": difference.mean, "interval": difference.interval, "p": difference.p}
            for name, difference in one.differences.items()
        },
        "steps": {str(run.seed): run.judged.folder for run in one.row.runs},
    }  # fmt: skip


def _flat(found: Findings) -> str:
    """Return a line for each number of each training, for spreadsheets."""
    rows = [
        [one.row.label, one.row.detector, str(seed), "test", name, repr(value)]
        for one in found.scored for name, number in one.numbers.items() for seed, value in number.values.items()
    ]  # fmt: skip
    rows += [[row, "", "" if seed is None else str(seed), other, result["name"], repr(result["value"])]
             for row, seed, other, result in found.distances()]  # fmt: skip
    return _comma_separated(Table(["row", "detector", "seed", "measured against", "number", "value"], rows))


def _comma_separated(table: Table) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(table.rows)
    return text.getvalue()


def _markdown(title: str, lead: str, tables: Mapping[str, Table]) -> str:
    parts = [f"# {_one_line(title)}", _one_line(lead)]
    for name, table in tables.items():
        if table.rows:
            lines = [table.columns, ["---"] * len(table.columns), *table.rows]
            cells = ("| " + " | ".join(_one_line(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
            parts += [f"## {name.capitalize()}", "\n".join(cells)]
    return "\n\n".join(parts) + "\n"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _write_figures(sections: Sequence[Section], folder: Path) -> None:
    """Write plots as SVG and pictures as PNG, named by what they show; those of an earlier report go."""
    written: dict[str, bytes] = {}
    for section in sections:
        for plot in section.plots:
            written[_name(written, plot.alt, "svg")] = _standing_alone(plot.svg).encode()
        for figure in section.figures:
            written[_name(written, figure.alt, "png")] = encode(figure.picture, kind="png")
    storage.make_folder(folder)
    for name, data in written.items():
        storage.write_atomically(folder / name, [data])
    for path in [*folder.glob("*.svg"), *folder.glob("*.png")]:
        if path.name not in written:
            path.unlink(missing_ok=True)


def _name(taken: Collection[str], alt: str, suffix: str) -> str:
    """Return a file's name by what it shows, one that is not taken."""
    numbers = itertools.chain([""], map("-{}".format, itertools.count(2)))
    return next(name for number in numbers if (name := f"{_slug(alt)}{number}.{suffix}") not in taken)


def _standing_alone(svg: str) -> str:
    return svg if "xmlns=" in svg else svg.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:100]


def _write(path: Path, text: str) -> None:
    storage.make_folder(path.parent)
    storage.write_atomically(path, [text.encode()])
