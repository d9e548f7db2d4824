# SPDX-License-Identifier: Apache-2.0
"""The crops of a data set's people on one HTML page, and the list that says which of them refiners learn from."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import attrs

import synthkit
from synthkit import crops
from synthkit.crop_choice import CropChoice
from synthkit.crops.choosing import Chooser, crop_id, measured
from synthkit.dataset import storage
from synthkit.dataset.reader import Dataset
from synthkit.dataset.tools.outputs import check_file, check_folder
from synthkit.dataset.tools.truth import INSTANCES
from synthkit.errors import ConfigError, DatasetError, SynthkitError
from synthkit.interfaces import Progress, silent
from synthkit.report.drawing import encode
from synthkit.sample import Sample

PAGE, LIST = "crops.html", "crops.txt"
MOST_SHOWN = 4000
"""Pictures on a page; of more crops every second one is shown, every fourth, and so on."""

_GENERATOR = '<meta name="generator" content="synthkit crops">'  # known by it, a page may be written anew
_HEAD_BYTES = 4096  # of a page: its generator is named in them
_QUALITY = 80


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
    check_file(page, "--out", lambda data: _GENERATOR.encode() in data[:_HEAD_BYTES])
    found = listing.exists()
    if found and choice.list is not None and choice.list.resolve() != listing.resolve():
        raise ConfigError([f"--list {choice.list}: {listing} is there already; replace that by it, or leave it out"])
    if found:
        choice = attrs.evolve(choice, list=listing)
    try:
        import jinja2
    except ImportError:
        raise SynthkitError("the page of crops needs jinja2: pip install 'synthkit-core[report]'") from None
    data = Dataset.open(path, layers=(INSTANCES,))
    items = _items(data, choice, size_px, progress)
    if not items:
        raise DatasetError(
            f"{data.location}: has nobody to crop: people need a head point, a box, a rotated box or an instance mask"
        )
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    style, script = _asset("crop_sheet.css"), _asset("crop_sheet.js")
    html = environment.from_string(_asset("crop_sheet.html")).render(
        name=data.location.rstrip("/").rpartition("/")[2] or data.location,
        images=len(data),
        shown=sum(item["picture"] is not None for item in items),
        data={"crops": items, "list": LIST},
        size_px=size_px,
        style=style,
        script=script,
        policy=f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'",
        version=synthkit.__version__,
        generator=_GENERATOR,
    )
    with storage.disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    storage.write_atomically(page, [html.encode(errors="replace")])
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
    picture = None
    if shown:
        coded = base64.b64encode(encode(crops.extract(sample.image, plan), quality=_QUALITY)).decode()
        picture = f"data:image/jpeg;base64,{coded}"
    return {
        "id": crop_id(sample, plan),
        "reason": chooser.reason_against(sample, plan, measures),
        "picture": picture,
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


def _asset(name: str) -> str:
    return resources.files("synthkit.dataset.tools").joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
