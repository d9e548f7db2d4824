# SPDX-License-Identifier: Apache-2.0
"""How restless treated people are in a clip: what changes from frame to frame where nothing but them should move."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from synthkit import inputs
from synthkit.anonymization.job import new_key
from synthkit.anonymization.obscuring import Pixels
from synthkit.anonymization.policy import Policy
from synthkit.anonymization.treating import NOTE
from synthkit.dataset import Dataset, codec, description
from synthkit.sample import Skipped

_MOST_PAIRS = 100  # of neighbouring frames whose pixels are compared, spread evenly
_DECIMALS = 4


@attrs.frozen
class Flicker:
    """What changes between neighbouring frames of clips.

    Args:
        pairs: how many pairs of frames were compared.
        treated, filmed: by how many grey levels pixels change where people are in both frames: after treatment, and in
            the originals, whose people move within their outlines.
        jumps: by how much boxes leave an even motion, of their length: the second difference of their middles over
            three frames; None where nobody is in three.
    """

    pairs: int
    treated: float
    filmed: float
    jumps: float | None


_Where = tuple[npt.NDArray[np.float64], float]
"""The middle of somebody's box, and its longer side."""


def measured(data: Dataset, images: inputs.Images, policy: Policy) -> Flicker | None:
    """Return how restless an anonymized set is; None where it has no clips with people.

    Args:
        data: what is handed on. images: the originals.
    """
    runs = list(_runs(data, images, policy))
    pairs = [pair for run in runs for pair in pairwise(run)]
    chosen = np.unique(np.linspace(0, len(pairs) - 1, _MOST_PAIRS).round().astype(int)) if pairs else ()
    changes = [change for n in chosen if (change := _change(data, images, *pairs[n])) is not None]
    if not changes:
        return None
    jumps = [jump for run in runs for jump in _jumps([people for _, _, people in run])]
    treated, filmed = np.mean(changes, axis=0)
    return Flicker(
        pairs=len(changes),
        treated=round(float(treated), _DECIMALS),
        filmed=round(float(filmed), _DECIMALS),
        jumps=round(float(np.mean(jumps)), _DECIMALS) if jumps else None,
    )


_Frame = tuple[int, int, dict[str, _Where]]
"""A frame's position in the set, its place among the originals, and where whoever has a track is."""


def _runs(data: Dataset, images: inputs.Images, policy: Policy) -> Iterator[list[_Frame]]:
    """Yield frames of clips that follow one another, none of them missing."""
    positions = {key: position for position, key in enumerate(data.keys())}
    run: list[_Frame] = []
    before: int | None = None
    for place in range(len(images)):
        position = positions.get(new_key(images, place, policy))
        table = None if position is None else description.load(data.members(position)[1][codec.JSON_SUFFIX])
        frame = None if table is None else table.get("frame")
        people = {} if table is None else _people(table["meta"][NOTE]["people"])
        if run and (position is None or frame is None or before is None or frame != before + 1):
            yield run
            run = []
        if position is not None and people:
            run.append((position, place, people))
        elif run:
            yield run
            run = []
        before = frame
    if run:
        yield run


def _people(people: Sequence[Any]) -> dict[str, _Where]:
    found = {}
    for person in people:
        left, top, right, bottom = person["box_xyxy_px"]
        if person["track"] is not None:
            found[person["track"]] = np.array([left + right, top + bottom]) / 2, max(right - left, bottom - top)
    return found


def _change(data: Dataset, images: inputs.Images, first: _Frame, second: _Frame) -> tuple[float, float] | None:
    """Return by how much pixels of people change from one frame to the next: treated, and in the originals."""
    after = [data[position] for position, _, _ in (first, second)]
    before = [images.read(place) for _, place, _ in (first, second)]
    if any(isinstance(sample, Skipped) for sample in before) or after[0].size_px != after[1].size_px:
        return None
    both = (after[0].layers["instances"] > 0) & (after[1].layers["instances"] > 0)
    if not both.any():
        return None
    originals = [np.asarray(sample.image) for sample in before if not isinstance(sample, Skipped)]
    treated, filmed = (_differ(pair[0], pair[1], both) for pair in ([one.image for one in after], originals))
    return treated, filmed


def _differ(one: Pixels, other: Pixels, where: npt.NDArray[np.bool_]) -> float:
    greys = [cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY).astype(np.float32) for image in (one, other)]
    return float(np.abs(greys[0] - greys[1])[where].mean())


def _jumps(frames: Sequence[dict[str, _Where]]) -> Iterator[float]:
    for before, now, after in zip(frames, frames[1:], frames[2:], strict=False):
        for track in before.keys() & now.keys() & after.keys():
            bend = before[track][0] - 2 * now[track][0] + after[track][0]
            yield float(np.hypot(*bend)) / max(now[track][1], 1.0)
