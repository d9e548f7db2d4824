# SPDX-License-Identifier: Apache-2.0
"""Reading BVH motion capture: strictly, with bounds, and nothing but numbers taken from it.

Format: Biovision Hierarchical data, as described by Meredith and Maddock, Motion Capture File Formats Explained
(University of Sheffield, CS-01-11, 2001), section 2.
"""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import attrs
import numpy as np
from numpy.typing import NDArray

from synthkit.errors import DatasetError
from synthkit.files import small_file

MAX_BYTES = 1 << 26
MAX_JOINTS = 400
MAX_DEPTH = 80
MAX_NUMBERS = 20_000_000
CHANNELS = {f"{axis}{kind}": (kind, "XYZ".index(axis)) for axis in "XYZ" for kind in ("position", "rotation")}
Array = NDArray[np.float64]


class BvhError(DatasetError):
    """A file is not a BVH file that can be used."""


@attrs.frozen(eq=False)
class Joint:
    """A joint: its parent's number (-1 at the root), its offset (3,) from there at rest, and its channels in order.

    `first` is its first channel's column; an end site has no name and no channels.
    """

    name: str
    parent: int
    offset: Array
    channels: tuple[str, ...]
    first: int


@attrs.frozen(eq=False)
class Motion:
    """A parsed file: joints, parents first; `frame_s` between frames; `values` (F, C) in degrees and its own length."""

    joints: tuple[Joint, ...]
    frame_s: float
    values: Array

    def posed(self, frames: NDArray[np.intp]) -> tuple[Array, Array]:
        """Return positions (J, F, 3) and rotations (J, F, 3, 3) from rest, of every joint in some frames."""
        values, count = self.values[frames], len(frames)
        positions, rotations = np.zeros((len(self.joints), count, 3)), np.zeros((len(self.joints), count, 3, 3))
        for number, joint in enumerate(self.joints):
            own = np.broadcast_to(np.eye(3), (count, 3, 3))
            shift = np.broadcast_to(joint.offset, (count, 3))
            for column, channel in enumerate(joint.channels, start=joint.first):
                kind, axis = CHANNELS[channel]
                if kind == "rotation":
                    own = own @ _about_axis(axis, values[:, column])
                elif joint.parent < 0:
                    shift = shift + np.eye(3)[axis] * values[:, column, None]
            if joint.parent < 0:
                positions[number], rotations[number] = shift, own
                continue
            above = rotations[joint.parent]
            positions[number] = positions[joint.parent] + (above @ shift[..., None])[..., 0]
            rotations[number] = above @ own
        return positions, rotations

    def rest(self) -> Array:
        """Return the joints' positions (J, 3) with all rotations zero."""
        positions = np.zeros((len(self.joints), 3))
        for number, joint in enumerate(self.joints):
            positions[number] = joint.offset + (positions[joint.parent] if joint.parent >= 0 else 0.0)
        return positions


def _about_axis(axis: int, degrees: Array) -> Array:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.zeros((len(degrees), 3, 3))
    turn[:, axis, axis] = 1.0
    a, b = (axis + 1) % 3, (axis + 2) % 3
    turn[:, a, a] = turn[:, b, b] = c
    turn[:, a, b], turn[:, b, a] = -s, s
    return turn


def read_bvh(path: Path) -> Motion:
    """Read a file.

    Raises:
        BvhError: when it is none, or beyond the bounds of this module; it names file and line.
    """
    try:
        text = small_file(path, MAX_BYTES, "one motion: cut it into several files").decode("utf-8")
    except UnicodeDecodeError:
        raise BvhError(f"{path}: is not text, so no BVH file") from None
    except ValueError as error:
        raise BvhError(f"{path}: {error}") from None
    return _Parser(path, text).motion()


class _Parser:
    def __init__(self, path: Path, text: str) -> None:
        self._path, self._lines, self._at = path, text.splitlines(), 0
        self._joints: list[Joint] = []
        self._columns = 0

    def motion(self) -> Motion:
        """Parse the whole file."""
        self._expect("HIERARCHY")
        open_joints: list[int] = []
        while True:
            words = self._next("ROOT, JOINT, End Site, } or MOTION")
            if words == ["MOTION"] and not open_joints and self._joints:
                return self._frames()
            if words == ["}"] and open_joints:
                open_joints.pop()
            elif self._opens(words, open_joints):
                open_joints.append(len(self._joints) - 1)
            else:
                self._fail("expected ROOT, JOINT, End Site, } or MOTION")
            if len(open_joints) > MAX_DEPTH or len(self._joints) > MAX_JOINTS:
                self._fail(f"more than {MAX_JOINTS} joints, or nested deeper than {MAX_DEPTH}")

    def _opens(self, words: list[str], open_joints: list[int]) -> bool:
        """Parse the head of a joint, where the words begin one."""
        end = words == ["End", "Site"]
        root = len(words) == 2 and words[0] == "ROOT" and not self._joints
        if not (root or (open_joints and (end or (len(words) == 2 and words[0] == "JOINT")))):
            return False
        self._expect("{")
        offset = self._numbers(self._next("OFFSET"), "OFFSET", 3)
        channels: tuple[str, ...] = ()
        if not end:
            given = self._next("CHANNELS")
            channels = tuple(given[2:])
            known = given[:1] == ["CHANNELS"] and given[1:2] == [str(len(channels))] and set(channels) <= set(CHANNELS)
            if not known or not 0 < len(channels) <= 6 or len(set(channels)) < len(channels):
                self._fail("expected CHANNELS, their count, and as many of Xposition ... Zrotation")
        parent = open_joints[-1] if open_joints else -1
        self._joints.append(Joint("" if end else words[1], parent, offset, channels, self._columns))
        self._columns += len(channels)
        return True

    def _frames(self) -> Motion:
        frames = self._next("Frames: COUNT")
        if len(frames) != 2 or frames[0] != "Frames:" or not frames[1].isascii() or not frames[1].isdigit():
            self._fail("expected 'Frames:' and their count")
        count = int(frames[1][:12])
        step = self._next("Frame Time: SECONDS")
        (frame_s,) = (
            self._numbers(step[1:], "Time:", 1) if step[:1] == ["Frame"] else self._fail("expected Frame Time:")
        )
        if not 0 < count * self._columns <= MAX_NUMBERS or not 1e-5 < frame_s < 100:
            self._fail(f"{count} frames at {frame_s} s: expected some, and up to {MAX_NUMBERS:,} numbers")
        values = np.empty((count, self._columns))
        for number in range(count):
            values[number] = self._numbers(["", *self._next(f"{self._columns} numbers")], "", self._columns)
        return Motion(tuple(self._joints), float(frame_s), values)

    def _next(self, expected: str) -> list[str]:
        while self._at < len(self._lines):
            self._at += 1
            if words := self._lines[self._at - 1].split(None, 4096):
                return words
        raise BvhError(f"{self._path}:{self._at}: ends where {expected} was expected")

    def _expect(self, word: str) -> None:
        if self._next(word) != [word]:
            self._fail(f"expected {word}")

    def _numbers(self, words: list[str], first: str, count: int) -> Array:
        try:
            numbers = np.array([float(word) for word in words[1:]])
        except ValueError:
            numbers = np.full(0, np.nan)
        if words[:1] != [first] or len(numbers) != count or not (np.abs(numbers) < 1e6).all():
            self._fail(f"expected {first + ' ' if first else ''}{count} numbers below a million")
        return numbers

    def _fail(self, reason: str) -> NoReturn:
        raise BvhError(f"{self._path}:{self._at}: {reason}, got {self._lines[self._at - 1].strip()[:60]!r}")
