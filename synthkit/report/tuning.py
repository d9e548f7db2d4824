# SPDX-License-Identifier: Apache-2.0
"""The report of ``synthkit tune``: what was fitted, how near it came, and pictures beside real ones."""

from __future__ import annotations

import platform
import shlex
from pathlib import Path

import numpy as np

import synthkit
from synthkit.report import plots
from synthkit.report.drawing import grid
from synthkit.report.numerals import number
from synthkit.report.page import Figure, Page, Plot, Section, Table, write_page
from synthkit.tuning.features import BANDS, NAMES, NOISE_FLOOR, RINGS, group_of
from synthkit.tuning.story import Story, spelled

_COLUMNS = ("real", "before", "after")


def write_report(story: Story, path: Path, settings: Path) -> None:
    """Write the report as one HTML file.

    Args:
        settings: the TOML file beside it.
    """
    page = Page(
        title=f"{story.renderer}, fitted to real images",
        lead=story.verdict,
        facts=_facts(story),
        sections=[_pictures(story), _settings(story), _distances(story), _looks(story), _search(story),
                  _limits(story), _next(settings)],
        footer=f"written by synthkit tune {synthkit.__version__}, Python {platform.python_version()},"
        f" seed {story.seed}",
    )  # fmt: skip
    write_page(page, path)


def _facts(story: Story) -> list[tuple[str, str]]:
    change = story.verified.changes["statistics"]
    return [
        ("distance before", number(change.before.value)),
        ("distance after", number(change.after.value) if story.verified.improved else "no nearer"),
        ("renders", str(story.budget.images(story.samples_per_scene))),
        ("real images looked at", f"{story.looked_at} of {story.real_images}"),
        ("settings changed", str(len(story.fitted))),
    ]


def _pictures(story: Story) -> Section:
    captions = {
        "real": "real images, spread evenly over the set",
        "before": "rendered before the search",
        "after": "rendered with what was found: the same scenes, people and random numbers",
    }
    figures = [Figure(grid(story.verified.views[name], len(story.verified.views[name]), background=128),
                      f"A row of images: {caption}", caption) for name, caption in captions.items()]  # fmt: skip
    return Section(
        "Side by side",
        [f"The image circles, all at {story.side_px} px. The rendered scenes are fresh: nothing was fitted to them."],
        figures=figures,
        per_row=1,
    )


def _settings(story: Story) -> Section:
    rows = [[row.setting, spelled(row.before), spelled(row.after), row.how] for row in story.fitted]
    text = list(story.notes)
    if not rows:
        text.append("No setting was changed.")
    return Section("What was fitted", text, tables=[Table(["setting", "from", "to", "how"], rows)] if rows else [])


def _distances(story: Story) -> Section:
    changes = story.verified.changes
    rows = [
        [kind, *(number(one.value, one.interval) for one in (change.before, change.after, change.gain))]
        for kind, change in changes.items()
    ]
    bars = {
        f"{kind}, {when}": (estimate.value, estimate.interval)
        for kind, c in changes.items()
        for when, estimate in (("before", c.before), ("after", c.after))
    }
    text = [f'"{kind}" is the {what}.' for kind, what in story.kinds.items()]
    return Section(
        "How far from the real images",
        [
            *text,
            "Brackets are 95 % intervals by the jackknife, over scenes and real images; real images of one room or one"
            " video are not independent, and then they are too narrow. Equal distributions have a distance of 0,"
            " give or take its interval. Numbers of different kinds do not compare.",
        ],
        tables=[Table(["features", "before", "after", "fell by"], rows)],
        plots=[Plot(plots.bars(bars, title="distance to the real images", x_label="smaller is nearer"),
                    "Bars of distances before and after")],
    )  # fmt: skip


def _looks(story: Story) -> Section:
    names = sorted({name.partition(", ring")[0] for name in NAMES}, key=[n.partition(", ring")[0] for n in NAMES].index)
    rows = []
    for name in names:
        places = [n for n, full in enumerate(NAMES) if full.partition(", ring")[0] == name]
        values = []
        for column in _COLUMNS:
            found = np.asarray(story.verified.looks[column])[places]
            plain = found if group_of(name) == "colour" else np.exp(found) - NOISE_FLOOR
            values.append(float(plain.mean()))
        rows.append([name, *(f"{value:.2f}" for value in values)])
    return Section(
        "What differs",
        [
            f"Means over the images, in units of CIE Lab (lightness from 0 to 100); colours over {len(RINGS) - 1} rings"
            f" of the image circle, detail in {BANDS} octaves from the finest. Noise is what is left where the image is"
            " smooth; edges are the strongest two percent of the detail."
        ],
        tables=[Table(["statistic", "real", "before", "after"], rows)],
    )


def _search(story: Story) -> Section:
    of_start = "share of the start's distance"
    shown = []
    if len(story.worths) > 1:
        series = {"candidate": story.worths, "best so far": list(np.minimum.accumulate(story.worths))}
        svg = plots.curves(
            {name: list(enumerate(values)) for name, values in series.items()},
            title="Candidates, each rendered", y_label=of_start, x_label="candidate",
        )  # fmt: skip
        shown.append(Plot(svg, "Worth of the candidates in their order"))
    if len(story.course) > 1:
        best = list(enumerate(np.minimum.accumulate(story.course)))
        svg = plots.curves(
            {"best so far": best}, title="Upon the first candidate's renders", y_label=of_start, x_label="evaluation"
        )
        shown.append(Plot(svg, "Course of the search upon what was rendered"))
    budget = story.budget
    return Section(
        "The search",
        [
            f"At most {budget.evaluations} rounds of {budget.scenes} scenes were rendered to measure and to search, and"
            f" {budget.held_out} other scenes with each of the two settings that are compared above. All candidates"
            " have the same scenes and random numbers. CMA-ES (Hansen 2016) chose them; leaving a start costs a little,"
            " so that what the images do not tell stays as it was."
        ],
        plots=shown,
    )


def _limits(story: Story) -> Section:
    return Section(
        "What this does not tell",
        [
            "Statistics of images do not know why a picture is dark or blue: the colours of walls and clothes, which"
            " are not fitted, are made up for by light and sensor. Noise and sharpness are those of the real images at"
            f" {story.side_px} px, so they belong to this size. Whether a detector learns more from the result is told"
            " by training one.",
        ],
    )


def _next(settings: Path) -> Section:
    name = shlex.quote(str(settings))
    return Section(
        "What comes next",
        commands=[f"synthkit preview --config {name}", f"synthkit render --config {name} --count 500 --out rendered"],
    )
