# SPDX-License-Identifier: Apache-2.0
"""Who is who from frame to frame, and where they were in frames in which they were not found.

As in SORT (Bewley, Ge, Ott, Ramos, Upcroft: Simple online and realtime tracking, ICIP 2016): a Kalman filter (1960) of
constant velocity says where somebody should be, and boxes are paired by overlap. Noise goes with a box's height, as in
DeepSORT (Wojke, Bewley, Paulus 2017). The future is known here, so gaps are filled from both sides.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.assignment import possible_pairs
from synthkit.deployment.overlaps import iou_table

Floats = npt.NDArray[np.float64]

_LEAST_IOU = 0.15
_POSITION_NOISE, _VELOCITY_NOISE = 1 / 20, 1 / 160  # of a box's height


@attrs.define(eq=False)
class Track:
    """Somebody in a clip.

    Args:
        boxes: where they were found, (4,) left, top, right, bottom in pixels, by frame.
    """

    boxes: dict[int, Floats] = attrs.field(factory=dict)

    @property
    def last(self) -> int:
        """The last frame in which they were found."""
        return max(self.boxes)

    def filled(self, edge_frames: int) -> dict[int, Floats]:
        """Return where they were in frames in which they were not found.

        Between two finds that is on the line from one to the other; ``edge_frames`` before the first and after the last
        it goes on as it was moving there.
        """
        known = sorted(self.boxes)
        found: dict[int, Floats] = {}
        for before, after in itertools.pairwise(known):
            for frame in range(before + 1, after):
                part = (frame - before) / (after - before)
                found[frame] = (1 - part) * self.boxes[before] + part * self.boxes[after]
        for step in range(1, edge_frames + 1):
            found[known[0] - step] = _moved(self.boxes[known[0]], -step * self._velocity(known[: edge_frames + 1]))
            found[known[-1] + step] = _moved(self.boxes[known[-1]], step * self._velocity(known[-edge_frames - 1 :]))
        return {frame: box for frame, box in found.items() if frame >= 0}

    def _velocity(self, frames: list[int]) -> Floats:
        """Return by how much they moved in a frame, (2,), between the first and the last of some."""
        if len(frames) < 2:
            return np.zeros(2)
        centres = [(self.boxes[frame][:2] + self.boxes[frame][2:]) / 2 for frame in (frames[0], frames[-1])]
        return np.asarray((centres[1] - centres[0]) / (frames[-1] - frames[0]))


def linked(frames: Iterable[Floats], gap_frames: int) -> tuple[list[Track], list[list[int]]]:
    """Return everybody of a clip, and whose each box is.

    Args:
        frames: the boxes (N, 4) of each frame, in order. gap_frames: in how many frames somebody may not be found and
            still be the same.

    Returns:
        The tracks, and for each frame the place of each of its boxes' tracks among them.
    """
    tracks: list[Track] = []
    owners: list[list[int]] = []
    going: list[tuple[int, _Filter]] = []  # place of a track, and where it should be
    for frame, boxes in enumerate(frames):
        going = [(place, moving) for place, moving in going if frame - tracks[place].last <= gap_frames + 1]
        for _, moving in going:
            moving.predict()
        pairs = _paired([moving.box for _, moving in going], boxes)
        owner = [-1] * len(boxes)
        for row, column in pairs:
            owner[column] = going[row][0]
            going[row][1].update(boxes[column])
        for column in (n for n, place in enumerate(owner) if place < 0):
            owner[column] = len(tracks)
            tracks.append(Track())
            going.append((owner[column], _Filter(boxes[column])))
        for column, place in enumerate(owner):
            tracks[place].boxes[frame] = np.asarray(boxes[column], np.float64)
        owners.append(owner)
    return tracks, owners


def _paired(expected: list[Floats], found: Floats) -> list[tuple[int, int]]:
    if not expected or not len(found):
        return []
    overlaps = iou_table(np.stack(expected), np.asarray(found, np.float64))
    possible = overlaps >= _LEAST_IOU
    # A pair that cannot be costs as much as none at all.
    return possible_pairs(np.where(possible, 1 - overlaps, 1.0), possible)


def _moved(box: Floats, by: Floats) -> Floats:
    return np.asarray(box + np.concatenate([by, by]))


class _Filter:
    """A box that moves: its centre and size with their velocities.

    All four coordinates have the same noise, so one covariance (2, 2) of a position and its velocity serves all.
    """

    def __init__(self, box: Floats) -> None:
        self._position, self._velocity = _centre_and_size(box), np.zeros(4)
        scale = self._position[3]
        self._covariance = np.diag(np.square([2 * _POSITION_NOISE * scale, 10 * _VELOCITY_NOISE * scale]))

    @property
    def box(self) -> Floats:
        """The box, (4,) left, top, right, bottom."""
        centre, size = self._position[:2], np.maximum(self._position[2:], 1.0)
        return np.concatenate([centre - size / 2, centre + size / 2])

    def predict(self) -> None:
        """Go on by a frame."""
        self._position = self._position + self._velocity
        step = np.array([[1.0, 1.0], [0.0, 1.0]])
        scale = max(self._position[3], 1.0)
        noise = np.diag(np.square([_POSITION_NOISE * scale, _VELOCITY_NOISE * scale]))
        self._covariance = step @ self._covariance @ step.T + noise

    def update(self, box: Floats) -> None:
        """Take a find for what it is worth."""
        measured = _centre_and_size(box)
        noise = (_POSITION_NOISE * measured[3]) ** 2
        gain = self._covariance[:, 0] / (self._covariance[0, 0] + noise)
        surprise = measured - self._position
        self._position = self._position + gain[0] * surprise
        self._velocity = self._velocity + gain[1] * surprise
        self._covariance = self._covariance - np.outer(gain, self._covariance[0])


def _centre_and_size(box: Floats) -> Floats:
    box = np.asarray(box, np.float64)
    return np.concatenate([(box[:2] + box[2:]) / 2, box[2:] - box[:2]])
