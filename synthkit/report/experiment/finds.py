# SPDX-License-Identifier: Apache-2.0
"""Test images with what detectors found in them: by lot, and those with the best and worst finds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from synthkit import evaluation
from synthkit.dataset import Dataset
from synthkit.errors import SynthkitError
from synthkit.experiments.comparing import Scored
from synthkit.experiments.description import TEST, placed
from synthkit.experiments.steps import done
from synthkit.interfaces import Exhibit
from synthkit.report.drawing import Picture, close_up, grid
from synthkit.report.experiment.findings import Findings
from synthkit.report.page import Figure, Section
from synthkit.session import Session

_SIDE_PX, _SHOWN, _COLUMNS, _GREY = 240, 4, 2, 128


def section(session: Session, found: Findings) -> Section | None:
    """Return test images of the best row, of the best refined one and of the baselines, the first seed of each.

    Nothing is found anew where the cache still has what was found for the scores.
    """
    figures, text = [], []
    for one in _shown(found):
        try:
            figures += list(_figures(session, found, one))
        except SynthkitError as error:  # such as a plugin that is gone; the numbers are there without the pictures
            text.append(f"{found.name(one)} is not shown: {error}.")
    if not figures and not text:
        return None
    return Section(
        "Test images with finds",
        [
            "The best row, the best refined one and the baselines, the first seed of each: blue is the truth, orange"
            " what was found at the score of the numbers. By lot they are the same images in all rows; best and worst"
            " are those by F1.",
            *text,
        ],
        figures=figures,
        per_row=3,
        links=[("Where these images are", "samples")],
    )


def _shown(found: Findings) -> list[Scored]:
    experiment = found.plan.experiment
    compared = [one for one in found.scored if one.row.label in experiment.baselines]
    shown = dict.fromkeys([found.best, found.best_of(experiment.refiners), *compared])
    return [one for one in shown if one is not None and one.score is not None]


def _figures(session: Session, found: Findings, one: Scored) -> Iterator[Figure]:
    run = one.row.runs[0]
    data = found.opened(found.plan.data[TEST])
    if data is None or done(found.out, run.train) is None:
        return
    checkpoint = found.out / run.train.product
    judging = [metric for metric in found.plan.experiment.metrics if evaluation.judges_detections(session, metric)]
    metrics = [placed(metric, found.places) for metric in judging]
    judged = evaluation.judge(session, metrics, data, checkpoint=checkpoint)
    images = next((told.evidence.images for told in judged if told.evidence and told.evidence.images), {})
    for how, exhibits in images.items():
        shown = exhibits[:_SHOWN]
        if shown:
            notes = "; ".join(f"{exhibit.key}: {exhibit.note}" for exhibit in shown)
            alt = f"Test images {how} of the detector of {found.name(one)}"
            yield Figure(_sheet(data, shown), alt, f"{found.name(one)}, {how}. {notes}")


def _sheet(data: Dataset, exhibits: Sequence[Exhibit]) -> Picture:
    pictures = [close_up(data.by_key(one.key), one, _SIDE_PX) for one in exhibits]
    return grid(pictures, _COLUMNS, background=_GREY)
