# SPDX-License-Identifier: Apache-2.0
"""The summary of ``synthkit anonymize``, for whoever answers for what is handed on."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path

import numpy as np

import synthkit
from synthkit.anonymization.audit import QUARANTINED, Counts, left_out
from synthkit.anonymization.flicker import Flicker
from synthkit.dataset import Dataset
from synthkit.report.drawing import Picture
from synthkit.report.page import Figure, Page, Section, Table, write_page

_PICTURES = 6
_PICTURE_PX = 480
_LISTED = 50
_BECAME = {
    "treated": "everybody who was found in it is treated",
    "empty": "its labels say that nobody is in it, and nobody was found",
    "blurred": "nobody was found in it: blurred as a whole",
    "passed": "nobody was found in it: handed on as it is, as was asked for",
    QUARANTINED: "left out",
}


def write_report(
    data: Dataset, counts: Counts, path: Path, folders: Mapping[str, str], flicker: Flicker | None = None
) -> None:
    """Write the summary of an anonymized set as one HTML file; it holds no original.

    Args:
        data: what is handed on. counts: of its audit record. folders: what the folders of finds are called, by method.
        flicker: of clips.
    """
    page = Page(
        title="Anonymized images",
        lead=_lead(counts),
        facts=[
            ("images handed on", str(len(data))),
            ("images left out", str(counts.images.get(QUARANTINED, 0))),
            ("people treated", str(sum(counts.people.values()))),
            ("of them blurred in doubt", str(sum(counts.doubts.values()))),
        ],
        sections=[
            _images(counts),
            _people(counts),
            *_left_out(data, counts),
            *_flicker(flicker),
            *_pictures(data),
            _how(data, folders),
            _limits(),
        ],
        footer=f"written by synthkit anonymize {synthkit.__version__}, Python {platform.python_version()};"
        f" data set {data.fingerprint[:16]}",
    )
    write_page(page, path)


def _lead(counts: Counts) -> str:
    passed = counts.images.get("passed", 0)
    if passed:
        return (
            f"{passed} images in which nobody was found were handed on as they are. Whoever was overlooked is in them."
        )
    return "No image in which nobody was found was handed on as it was, unless its labels say that nobody is in it."


def _images(counts: Counts) -> Section:
    rows = [[_BECAME[kind], str(counts.images[kind])] for kind in _BECAME if kind in counts.images]
    return Section("What became of the images", tables=[Table(["", "images"], rows)])


def _people(counts: Counts) -> Section:
    tables = [
        _table(title, values)
        for title, values in (
            ("treated by", counts.people),
            ("found by", counts.found_by),
            ("in doubt because", counts.doubts),
        )
        if values
    ]
    text = ["Who was in doubt was blurred, with a wider margin. Each person has a line in audit.jsonl."]
    return Section("People", text if tables else ["There is nobody."], tables=tables)


def _left_out(data: Dataset, counts: Counts) -> list[Section]:
    listed = left_out(data)
    if not listed:
        return []
    more = f" The first {_LISTED} are listed." if len(listed) > _LISTED else ""
    rows = [[key, reason] for key, reason in listed[:_LISTED]]
    return [
        Section(
            "Left out",
            [f"Nothing of these images was written anywhere. Run again to try them once more.{more}"],
            tables=[_table("because", counts.reasons), Table(["image", "because"], rows)],
        )
    ]


def _flicker(flicker: Flicker | None) -> list[Section]:
    if flicker is None:
        return []
    rows = [
        ["grey levels by which treated people change, where they are in both frames", f"{flicker.treated:.2f}"],
        ["grey levels by which they change there as filmed", f"{flicker.filmed:.2f}"],
    ]
    if flicker.jumps is not None:
        rows.append(["by how much boxes leave an even motion, of their length", f"{flicker.jumps:.3f}"])
    text = f"From frame to frame of clips, in {flicker.pairs} pairs of frames spread evenly."
    return [Section("Flicker", [text], tables=[Table(["", "mean"], rows)])]


def _table(title: str, values: Mapping[str, int]) -> Table:
    ordered = sorted(values.items(), key=lambda item: (-item[1], item[0]))
    return Table([title, "how many"], [[name, str(count)] for name, count in ordered])


def _pictures(data: Dataset) -> list[Section]:
    if not len(data):
        return []
    places = np.unique(np.linspace(0, len(data) - 1, _PICTURES).round().astype(int))
    figures = [Figure(_shrunk(sample.image), f"Image {sample.key} as it is handed on", sample.key)
               for sample in (data[int(place)] for place in places)]  # fmt: skip
    return [Section("As they are handed on", ["Spread evenly over the set."], figures=figures, per_row=3)]


def _shrunk(image: Picture) -> Picture:
    import cv2

    height, width = image.shape[:2]
    scale = min(1.0, _PICTURE_PX / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _how(data: Dataset, folders: Mapping[str, str]) -> Section:
    identity = data.manifest.identity if data.manifest else {}
    policy = identity.get("policy", {})
    check = identity.get("check")
    labels = ["the set's labels, where it has any"] if identity.get("truth") else []
    finds = [f"{name} (folder {folder})" for name, folder in folders.items()]
    methods = [*labels, *identity.get("detectors", {}), *finds]
    rows = [
        ["refiner", str(identity.get("refiner", {}).get("name"))],
        [
            "what looked for people",
            ", ".join(methods),
        ],
        ["what looked again at the result", "nothing" if check is None else str(check["name"])],
        *([_SETTINGS.get(name, name), _spelled(value)] for name, value in sorted(policy.items())),
    ]
    return Section("How it was done", tables=[Table(["", ""], rows)])


_SETTINGS = {
    "agree": "methods that must agree on somebody who is not in doubt",
    "confident": "score from which on a find is believed",
    "detail_left": "largest part of somebody's detail that may be left",
    "doubt_margin": "margin around people in doubt, of their length",
    "doubtful": "part of that score from which on somebody is in doubt",
    "edge_frames": "frames of a clip before and after somebody was found",
    "gap_frames": "frames of a clip in which somebody may be missed",
    "identities": "identities are kept",
    "names": "names of images",
    "on_miss": "images in which nobody was found",
}


def _spelled(value: object) -> str:
    if value is None:
        return "as each detector knows it"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _limits() -> Section:
    return Section(
        "What this does not protect against",
        [
            "Detectors overlook people. Whoever all of them overlooked, in an image in which somebody else was found,"
            " is in the result; a second look by another detector finds some of them, not all.",
            "Outlines, gaits, places, times, companions, belongings, reflections, shadows and written names are not"
            " treated. Whoever knows a person may still tell who it is. Blurred and pixelated people keep where they"
            " are light and dark: only covered ones keep nothing but their outline.",
        ],
    )
