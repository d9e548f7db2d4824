# SPDX-License-Identifier: Apache-2.0
"""The demonstration's report: what was made, how it was trained, what it scores, what comes next."""

from __future__ import annotations

import platform
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import synthkit
from synthkit import crops, detectors, observing
from synthkit.dataset import Dataset
from synthkit.drift import counting as drift
from synthkit.report import plots
from synthkit.report.drawing import DEFAULT_SCORE, Picture, draw, grid
from synthkit.report.numerals import number
from synthkit.report.page import Figure, Page, Plot, Section, Table, write_page
from synthkit.sample import Sample
from synthkit.session import Session

if TYPE_CHECKING:
    from synthkit.demo import Story

REPORT_FILE = "report.html"
_NAMES = {
    "rendered": "rendered",
    "refined": "refined",
    "target-train": "target domain",
    "target-test": "target domain, other scenes",
}
_SHOWN_SAMPLES = 3
_SHOWN_PEOPLE = 8
_CROP_PX = 128


def write_report(session: Session, story: Story) -> Path:
    """Write ``report.html`` into the demonstration's folder; return its path."""
    page = Page(
        title="From an empty room to a detector",
        lead=(
            "Everything below was made on this machine by one command: people rendered in a room under a ceiling"
            " fisheye, the same people refined towards another look, detectors trained on both, and their scores."
        ),
        facts=_facts(story),
        sections=[
            _samples(story),
            _people(story),
            _training(story),
            _scores(story),
            _finds(session, story),
            _distances(story),
            _small_print(story),
            _files(story),
        ],
        footer=f"synthkit {synthkit.__version__}, Python {platform.python_version()}, seed {session.run.seed}",
    )
    path = story.out / REPORT_FILE
    write_page(page, path)
    return path


def _facts(story: Story) -> list[tuple[str, str]]:
    images = sum(len(data) for name, data in story.datasets.items() if name != "refined")
    people = sum(len(sample.people or ()) for sample in _light(story.datasets["rendered"]))
    minutes = sum(story.seconds.values()) / 60
    return [
        ("images rendered", str(images)),
        ("people in the refined set", str(people)),
        ("detector, ONNX", f"{story.onnx.stat().st_size / 1e6:.1f} MB"),
        ("whole run", f"{minutes:.1f} min"),
    ]


def _samples(story: Story) -> Section:
    rendered, refined = story.datasets["rendered"], story.datasets["refined"]
    figures = []
    for index in _spread(len(rendered), _SHOWN_SAMPLES):
        before, after = rendered[index], refined.by_key(rendered.key(index))
        count = len(before.people or ())
        figures += [
            Figure(draw(before), f"Rendered room from above, {count} people in boxes", f"{before.key}, with its truth"),
            Figure(after.image, f"The same room, its {count} people refined", "the same, refined"),
        ]  # fmt: skip
    target = story.datasets["target-train"]
    for index in _spread(len(target), 2):
        figures.append(Figure(draw(target[index]), "Target room from above, people in boxes", "target domain"))
    return Section(
        "Samples, before and after",
        [
            "Blue: the tightest rotated box around the visible body. Yellow: the head. Both come from the render"
            " itself, not from an annotator. Samples are taken evenly from the set, not chosen by looks."
        ],
        figures=figures,
    )


def _people(story: Story) -> Section:
    rendered, refined, target = (story.datasets[name] for name in ("rendered", "refined", "target-train"))
    rows: list[Picture] = []
    for sample in _spread_samples(rendered, _SHOWN_PEOPLE):
        after = refined.by_key(sample.key)
        plan = _largest(sample)
        if plan is not None and len(rows) < 2 * _SHOWN_PEOPLE:
            rows += [crops.extract(sample.image, plan), crops.extract(after.image, plan)]
    real = [
        crops.extract(sample.image, plan)
        for sample in _spread_samples(target, _SHOWN_PEOPLE)
        if (plan := _largest(sample)) is not None
    ]
    if not rows:
        return Section("People, close up", ["Nobody in these pictures is large enough to be looked at closely."])
    sheet = grid([*rows[0::2], *rows[1::2], *real], columns=len(rows) // 2)
    return Section(
        "People, close up",
        [
            "Refinement works on crops in which the head is up and in the same place, so that a network of a few"
            " megabytes suffices, and comes back through the person's mask: no background pixel and no box moves.",
            *_drift(refined),
        ],
        figures=[Figure(sheet, "Three rows of people: rendered, refined, target domain",
                        "top: rendered; middle: the same people refined; bottom: people of the target domain")],
        per_row=1,
    )  # fmt: skip


def _drift(refined: Dataset) -> list[str]:
    found = drift.count(refined)
    if found is None:
        return []
    return [f"A check that knows nothing of the refiner compared everybody's edges before and after: {found}."]


def _training(story: Story) -> Section:
    shown = [Plot(plots.losses(story.out / "refiner" / "curves.jsonl", "Refiner: losses"), "Refiner losses by step")]
    series = {}
    for name in story.detectors:
        rows = plots.read_curves(story.out / f"detector-{name}" / "curves.jsonl")
        series[f"trained on {_NAMES[name]}"] = [(row["step"], row["val_f1"]) for row in rows if "val_f1" in row]
    f1 = plots.curves(series, title="Detectors: F1 on the validation set", y_label="F1")
    shown.append(Plot(f1, "Validation F1 of three detectors by step"))
    return Section("Training", plots=shown)


def _scores(story: Story) -> Section:
    names = [result.name for result in next(iter(story.scores.values())) if not result.part]
    if not names:
        return Section("Detectors, judged on the target domain", ["No installed metric judges detectors."])
    whole = [[result for result in results if not result.part] for results in story.scores.values()]
    rows = [
        [results[0].name, *(number(result.value, result.interval) for result in results)]
        for results in zip(*whole, strict=True)
    ]
    trained_on = [f"{_NAMES[data]}, {len(story.datasets[data])} images" for data in story.scores]
    count = len(story.datasets["target-test"])
    f1 = next((name for name in names if "f1" in name.lower()), names[0])
    bars = {
        _NAMES[data]: next((r.value, r.interval) for r in results if r.name == f1)
        for data, results in story.scores.items()
    }
    return Section(
        "Detectors, judged on the target domain",
        [
            f"The same detector, trained on three sets, judged on {count} images of the target domain that no training"
            " saw. Brackets are 95 % bootstrap intervals over images; where they overlap, the order means nothing."
        ],
        tables=[Table(["trained on", *trained_on], rows)],
        plots=[Plot(plots.bars(bars, title=f1, x_label="score on the target domain"), f"Bars of {f1}")],
    )


def _finds(session: Session, story: Story) -> Section:
    data = story.datasets["target-test"]
    spec = detectors.detector_spec(session.registry, story.detectors["refined"].path)
    chosen = _spread_samples(data, _SHOWN_SAMPLES)
    least = story.detectors["refined"].card.get("operating_score") or DEFAULT_SCORE
    figures = []
    for scored in observing.scored(session, spec, chosen):
        picture = draw(scored.sample, detections=scored.detections, min_score=least)
        caption = f"{scored.sample.key}: orange is found (score at least {least:.2f}), blue and yellow the truth"
        figures.append(Figure(picture, "Target room with true and found people", caption))
    return Section("What the detector trained on refined people finds", figures=figures, per_row=3)


def _distances(story: Story) -> Section:
    names = [result.name for result in next(iter(story.distances.values()))]
    if not names:
        return Section("Distance to the target domain", ["No installed metric compares data sets."])
    rows = [
        [_NAMES[data], *(number(result.value, result.interval) for result in results)]
        for data, results in story.distances.items()
    ]
    return Section(
        "Distance to the target domain",
        [
            "Smaller is nearer. The last row is the distance between two sets of the same domain: with so few images"
            " that is how small the number can get, so read the others against it, not against zero."
        ],
        tables=[Table(["data set", *names], rows)],
    )


def _small_print(story: Story) -> Section:
    sizes = story.cast.sizes
    return Section(
        "What is small here",
        [
            f"The target domain is a stand-in: the same renderer with other light, materials and sensor, so that no"
            f" photographs are needed. There are {sizes.source} training scenes and {sizes.target_test} test scenes;"
            " networks, images and training are cut down to minutes. Nothing here says that refined beats rendered"
            " for your sensor: that is what the same commands tell you about your own images."
        ],
        tables=[Table(["stage", "minutes"], [[name, f"{value / 60:.1f}"] for name, value in story.seconds.items()])],
    )


def _files(story: Story) -> Section:
    out, cast = story.out, story.cast
    return Section(
        "Where everything is, and what comes next",
        [
            f"Data sets are WebDataset shards in {out}; the trained refiner is {story.refiner.path}, the detector"
            f" {story.onnx} (its card beside it says what goes in and what comes out)."
        ],
        commands=[
            "# look at the data, check every byte of it",
            f"synthkit verify {shlex.quote(str(story.datasets['refined'].path))}",
            "# your own labelled photos (CEPDOF-style JSON with rotated boxes) become a data set",
            "synthkit convert PHOTOS real",
            "# people in your empty room, refined towards your photos",
            f"synthkit build --renderer {cast.source.name} --refiner {cast.refiner.name} --backgrounds EMPTY_ROOM"
            " --real real --count 500 --out mine",
            "# a detector from them, and its export",
            f"synthkit train --detector {cast.detector.name} --train mine/refined --out detector",
            f"synthkit export detector/{story.detectors['refined'].path.name} --out detector.onnx",
        ],
    )


def _light(data: Dataset) -> Dataset:
    """Return the set without its layers, which nobody asks for here."""
    return Dataset.open(data.path, layers=())


def _spread(total: int, count: int) -> list[int]:
    """Return up to ``count`` places spread evenly over ``total``."""
    count = min(count, total)
    return [(2 * i + 1) * total // (2 * count) for i in range(count)]


def _spread_samples(data: Dataset, count: int) -> list[Sample]:
    return [data[index] for index in _spread(len(data), count)]


def _largest(sample: Sample) -> crops.CropPlan | None:
    """Return the crop of the person seen largest, or None when nobody is big enough."""
    plans = crops.plan_crops(sample, (_CROP_PX, _CROP_PX))
    return min(plans, key=lambda plan: plan.scale, default=None)
