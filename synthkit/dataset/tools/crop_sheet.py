# SPDX-License-Identifier: Apache-2.0
"""The crops of a data set's people on one HTML page, and the list that says which of them refiners learn from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from synthkit import crops
from synthkit.crop_choice import CropChoice
from synthkit.crops.choosing import Chooser, crop_id, measured
from synthkit.dataset import storage
from synthkit.dataset.reader import Dataset
from synthkit.dataset.tools.outputs import check_folder
from synthkit.dataset.tools.page import check_page, write_page
from synthkit.dataset.tools.truth import INSTANCES
from synthkit.errors import ConfigError, DatasetError
from synthkit.interfaces import Progress, silent
from synthkit.report.drawing import data_url
from synthkit.sample import Sample

PAGE, LIST = "crops.html", "crops.txt"
MOST_SHOWN = 4000
"""Pictures on a page; of more crops every second one is shown, every fourth, and so on."""

_COMMAND = "crops"


@attrs.frozen
class Sheet:
    """What was written: page and list, whether the list was there before, and how many crops it keeps and drops."""

    page: Path
    list: Path
    list_found: bool
    kept: int
    dropped: int


def crop_sheet(
    path: Path | str, out: Path, choice: CropChoice, *, size_px: int = 128, progress: Progress = silent
) -> Sheet:
    """Write a page of all crops and, where there is none yet, the list of which to keep.

    A list that is in the folder is taken as the choice's, and stays as it is.

    Raises:
        ConfigError: when ``out`` is in a data set, when there are two lists, or one is not understood.
        DatasetError: when the set has nobody to crop. SynthkitError: when jinja2 is not installed.
    """
    page, listing = out / PAGE, out / LIST
    check_folder(out, "--out")
    check_page(page, "--out", _COMMAND)
    found = listing.exists()
    if found and choice.list is not None and choice.list.resolve() != listing.resolve():
        raise ConfigError([f"--list {choice.list}: {listing} is there already; replace that by it, or leave it out"])
    if found:
        choice = attrs.evolve(choice, list=listing)
    data = Dataset.open(path, layers=(INSTANCES,))
    items = _items(data, choice, size_px, progress)
    if not items:
        raise DatasetError(
            f"{data.location}: has nobody to crop: people need a head point, a box, a rotated box or an instance mask"
        )
    shown = sum(item["picture"] is not None for item in items)
    content = {"crops": items, "list": LIST}
    write_page(page, _COMMAND, "crop_sheet", data, content, images=len(data), shown=shown)
    if not found:
        storage.write_atomically(listing, _lines(data, items))
    kept = sum(item["reason"] is None for item in items)
    return Sheet(page, listing, found, kept, len(items) - kept)


def _items(data: Dataset, choice: CropChoice, size_px: int, progress: Progress) -> list[dict[str, Any]]:
    """Return what the page knows of each crop; some have no picture where there are too many."""
    chooser, every = Chooser(choice), 1
    items: list[dict[str, Any]] = []
    for done in range(len(data)):
        progress("crops", done, len(data))
        sample = data[done]
        for plan in crops.plan_crops(sample, (size_px, size_px)):
            shown = len(items) % every == 0
            items.append(_item(sample, plan, chooser, shown))
            if shown and len(items) > MOST_SHOWN * every:
                every *= 2
                items = [
                    {**item, "picture": item["picture"] if n % every == 0 else None} for n, item in enumerate(items)
                ]
    progress("crops", len(data), len(data))
    chooser.check_all_met()
    return items


def _item(sample: Sample, plan: crops.CropPlan, chooser: Chooser, shown: bool) -> dict[str, Any]:
    measures = measured(sample, plan)
    return {
        "id": crop_id(sample, plan),
        "reason": chooser.reason_against(sample, plan, measures),
        "picture": data_url(crops.extract(sample.image, plan)) if shown else None,
        **{name: round(value, 2) for name, value in attrs.asdict(measures).items()},
    }


def _lines(data: Dataset, items: list[dict[str, Any]]) -> Iterator[bytes]:
    """Yield the lines of a list."""
    yield (
        f"# Crops of {data.location}: 'keep' or 'drop' before each; the last line that fits counts.\n"
        "# Names of images and patterns (drop photo_01*) count too; what no line names is left to the rules.\n"
    ).encode(errors="replace")
    for item in items:
        why = "" if item["reason"] is None else f"  # {item['reason']}"
        yield f"{'keep' if item['reason'] is None else 'drop'} {item['id']}{why}\n".encode(errors="replace")
