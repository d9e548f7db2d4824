# SPDX-License-Identifier: Apache-2.0
"""A set's detections judged: as a whole, and in parts by size and by distance from the nadir."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

import attrs
import numpy as np

from synthkit.interfaces import State
from synthkit_detection.geometry import GEOMETRIES, Bools, Boxes, Floats, Ints
from synthkit_detection.matching import FLOOR, Candidates, candidates, partners, ranks
from synthkit_detection.ranking import Ranked


@attrs.frozen(eq=False)
class Part:
    """A part of a set: which truths, and which detections when they find nobody, belong to it."""

    label: str
    truth: Bools
    found: Bools


@attrs.frozen(eq=False)
class Judged:
    """What became of each detection of a part, at T agreements.

    Args:
        partner: (T, D) the truth it takes, or -1. right: (T, D). left_out: (T, D) neither right nor wrong, as it found
            what need not be found, or finds nobody where the part is not.
        needed: (G,) the truths that are to be found.
    """

    partner: Ints
    right: Bools
    left_out: Bools
    needed: Bools


class Set:
    """A state with what all judging of it shares.

    Args:
        state: see ``state``. boxes: of its outlines. ious: the agreements at which it will be judged.
    """

    def __init__(self, state: State, boxes: Boxes, ious: Sequence[float]) -> None:
        self.state = state
        self.ious = tuple(sorted(set(ious)))
        self._geometry = GEOMETRIES[boxes]
        self.candidates: Candidates = candidates(state, self._geometry, min(FLOOR, *self.ious))
        self.rank = ranks(state["detections"])
        images = np.arange(len(state["truths"]))
        self.truth_image, self.found_image = np.repeat(images, state["truths"]), np.repeat(images, state["detections"])
        self.originals = np.unique(state["image"], return_inverse=True)[1].reshape(-1)  # the image each is a turn of
        self._order = np.argsort(-state["scores"], kind="stable")

    def whole(self) -> Part:
        """Return the part that is everything."""
        return Part("", np.ones(len(self.truth_image), dtype=bool), np.ones(len(self.found_image), dtype=bool))

    def by_size(self, edges_px: Sequence[float]) -> Iterator[Part]:
        """Yield parts by the square root of the area; like COCO's they hold both their edges."""
        sizes = [np.sqrt(self._geometry.areas(self.state[name])) for name in ("truth", "detected")]
        return _parts("size", " px", edges_px, *sizes)

    def by_distance(self, edges: Sequence[float]) -> Iterator[Part]:
        """Yield parts by the distance from the nadir, in halves of the image's shorter side."""
        distances = []
        for name, image in (("truth", self.truth_image), ("detected", self.found_image)):
            frame = self.state["frame"][image]
            apart = self._geometry.centres(self.state[name]) - frame[:, :2]
            distances.append(np.hypot(apart[:, 0], apart[:, 1]) / frame[:, 2])
        return _parts("distance", "", edges, *distances)

    def judge(self, part: Part) -> Judged:
        """Return what became of each detection in a part, at each of the set's agreements."""
        optional = self.state["optional"] | ~part.truth
        partner = partners(self.candidates, self.rank, np.array(self.ious), optional, self.state["region"])
        padded = np.append(optional, False)  # so that a detection without partner, -1, reads the last
        met = partner >= 0
        of_optional = padded[partner] & met
        return Judged(partner, met & ~of_optional, of_optional | (~met & ~part.found), ~optional)

    def rankings(self, judged: Judged) -> Mapping[float, Ranked]:
        """Return the detections that count, best first, by agreement."""
        truths = np.bincount(self.truth_image[judged.needed], minlength=len(self.state["truths"])).astype(np.int64)
        found = {}
        for level, iou in enumerate(self.ious):
            order = self._order[~judged.left_out[level, self._order]]
            right = judged.right[level, order]
            found[iou] = Ranked(self.state["scores"][order], right, self.found_image[order], truths)
        return found


def _parts(name: str, unit: str, edges: Sequence[float], truth: Floats, found: Floats) -> Iterator[Part]:
    if not edges:
        return
    bounds = [0.0, *edges, math.inf]
    for low, high in itertools.pairwise(bounds):
        span = f"over {low:g}" if math.isinf(high) else f"{low:g} to {high:g}"
        yield Part(f"{name} {span}{unit}", *((low <= values) & (values <= high) for values in (truth, found)))
