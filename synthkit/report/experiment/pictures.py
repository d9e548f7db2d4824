# SPDX-License-Identifier: Apache-2.0
"""Refined people beside rendered ones: drawn at random, and those that were kept best and worst."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import attrs
import numpy as np
import numpy.typing as npt

from synthkit import crops
from synthkit.crops import CropPlan
from synthkit.dataset import Dataset
from synthkit.drift import counting as drift
from synthkit.drift.guard import META
from synthkit.experiments.description import REAL, RENDERED
from synthkit.experiments.planning import Source
from synthkit.report.drawing import Picture, grid
from synthkit.report.experiment.findings import Findings
from synthkit.report.page import Figure, Section, Table
from synthkit.sample import Sample
from synthkit.seeds import Seeds

_RANDOM, _EXTREME = 8, 4
_CROP_PX = 128
_LOOKED_AT = 400  # samples among which people are drawn, and the best and worst are looked for
_GREY = 128
_ATTENTION = "attention"
_LINKS = (("Where these samples are", "samples"),)


@attrs.frozen(eq=False)
class _Person:
    """Somebody in a set."""

    key: str
    plan: CropPlan


def sections(found: Findings) -> Iterator[Section]:
    """Yield samples at random, attention where refiners tell it, and the best and worst of each refiner."""
    rendered = found.opened(found.plan.data[RENDERED])
    if rendered is None:
        return
    refined = {label: (source, data) for label, source in _first(found).items()
               if (data := found.opened(source)) is not None}  # fmt: skip
    stream = Seeds(found.plan.experiment.run.seed).child("experiment")
    people = _drawn(rendered, _RANDOM, stream, [data for _, data in refined.values()])
    if people:
        yield _random(found, rendered, refined, people)
        attended = {label: data for label, (_, data) in refined.items() if _ATTENTION in data[0].layers}
        if attended:
            yield _attention(attended, people)
    extremes = _extremes(found, rendered, refined)
    if extremes.figures:
        yield extremes


def _first(found: Findings) -> dict[str, Source]:
    """Return the refined sets of each refiner's first seed."""
    experiment = found.plan.experiment
    return {label: found.plan.refined[label, row.seeds[0]] for label, row in experiment.refiners.items()}


def _random(
    found: Findings, rendered: Dataset, refined: Mapping[str, tuple[Source, Dataset]], people: Sequence[_Person]
) -> Section:
    where = ", ".join(person.key for person in people)
    seeds = found.plan.experiment.refiners
    figures = [_row(rendered, people, RENDERED, f"{RENDERED}: {where}")]
    figures += [_row(data, people, label, f"{label}, seed {seeds[label].seeds[0]}: {source.place}")
                for label, (source, data) in refined.items()]  # fmt: skip
    real = found.opened(found.plan.data[REAL])
    if real is not None:
        others = _drawn(real, _RANDOM, Seeds(found.plan.experiment.run.seed).child("experiment", REAL))
        if others:
            figures.append(_row(real, others, REAL, f"{REAL}: {', '.join(person.key for person in others)}"))
    return Section(
        "People, as they were drawn by lot",
        ["The same people in each row but the last, as they are in the data sets."],
        figures=figures,
        per_row=1,
        links=_LINKS,
    )


def _row(data: Dataset, people: Sequence[_Person], label: str, caption: str) -> Figure:
    pictures = [crops.extract(data.by_key(person.key).image, person.plan) for person in people]
    return Figure(grid(pictures, len(pictures), background=_GREY), f"A row of {len(pictures)} people: {label}", caption)


def _attention(attended: Mapping[str, Dataset], people: Sequence[_Person]) -> Section:
    figures = []
    for label, data in attended.items():
        pictures = [crops.extract(_grey(data.by_key(person.key).layers[_ATTENTION]), person.plan) for person in people]
        sheet = grid(pictures, len(pictures), background=_GREY)
        caption = f"{label}: white is attended, black stays as it was"
        figures.append(Figure(sheet, f"Attention of {label} on the same people", caption))
    return Section("What is attended", figures=figures, per_row=1, links=_LINKS)


def _grey(layer: npt.NDArray[np.uint8]) -> Picture:
    return np.repeat(layer[..., None], 3, axis=2)


def _extremes(found: Findings, rendered: Dataset, refined: Mapping[str, tuple[Source, Dataset]]) -> Section:
    figures, text = [], []
    for label, (_, data) in refined.items():
        counts = drift.count(data)
        if counts is not None:
            text.append(f"{label}: {counts}.")
        ranked = _ranked(data)
        for words, some in (("kept best", ranked[:_EXTREME]), ("kept worst", ranked[::-1][:_EXTREME])):
            pairs = [(f"{key} {score:.2f}", _pair(rendered, data, key, instance)) for score, key, instance in some]
            shown = [(told, pair) for told, pair in pairs if pair is not None]
            if shown:
                sheet = grid([pair[row] for row in (0, 1) for _, pair in shown], len(shown), background=_GREY)
                scores = ", ".join(told for told, _ in shown)
                figures.append(Figure(sheet, f"People of {label} who were {words}, above as rendered",
                                      f"{label}, {words}: {scores}"))  # fmt: skip
    return Section(
        "Whom refinement kept best and worst",
        [
            "By the drift guard's measure of lost edges, 0 for none: above as rendered, below refined. Who drifted"
            " has got the rendered pixels back, unless the guard only records."
            + (f" Looked for in the first {_LOOKED_AT} samples." if len(rendered) > _LOOKED_AT else ""),
            *text,
        ],
        figures=figures,
        links=_LINKS,
    )


def places(found: Findings) -> Section:
    """Return where the samples that are shown lie."""
    sources = dict(found.plan.data) | {
        f"{label}, seed {seed}": one for (label, seed), one in found.plan.refined.items()
    }
    rows = [[name, source.place] for name, source in sources.items()]
    return Section(
        "Where the samples are",
        [
            "Captions name samples by their keys in these data sets, from the experiment's folder: 'synthkit view SET'"
            " shows what else is in one, 'synthkit lineage SET' where it comes from."
        ],
        tables=[Table(["data set", "place"], rows, prose=True)],
        anchor="samples",
    )


def _ranked(data: Dataset) -> list[tuple[float, str, int]]:
    """Return (lost, key, instance) of the people that the guard looked at, the best kept first."""
    light = Dataset.open(data.location, layers=())
    found = []
    for index in range(min(len(light), _LOOKED_AT)):
        sample = light[index]
        records = sample.meta.get(META)
        for person in records[-1]["people"] if records and records[-1] else ():
            found.append((float(person["lost"]), sample.key, int(person["instance"])))
    return sorted(found)


def _pair(rendered: Dataset, refined: Dataset, key: str, instance: int) -> tuple[Picture, Picture] | None:
    before = rendered.by_key(key)
    plan = next((one for one in _plans(before) if one.instance == instance), None)
    if plan is None:
        return None
    return crops.extract(before.image, plan), crops.extract(refined.by_key(key).image, plan)


def _drawn(data: Dataset, count: int, seeds: Seeds, others: Sequence[Dataset] = ()) -> list[_Person]:
    """Return people of a set, drawn by lot, whose samples no other set lacks."""
    stream = seeds.stream("people")
    found: list[_Person] = []
    for index in stream.permutation(len(data))[:_LOOKED_AT]:
        key = data.key(int(index))
        if not all(key in other for other in others):
            continue
        sample = data[int(index)]
        plans = _plans(sample)
        if plans:
            found.append(_Person(sample.key, plans[int(stream.integers(len(plans)))]))
        if len(found) == count:
            break
    return found


def _plans(sample: Sample) -> Sequence[CropPlan]:
    return list(crops.plan_crops(sample, (_CROP_PX, _CROP_PX)))
