# SPDX-License-Identifier: Apache-2.0
"""Which crops to learn from: by rules, and by a list that a person edits (thesis 000, section 3.3.2).

A generator draws what the target's crops keep showing, computers and chairs as well: whoever fits it must be
able to leave crops out. A crop is called ``KEY/N``, the key of its sample and the place of its person in it,
from 0. A list is a text file with a line for each decision, the last that fits a crop counts, and crops that
no line fits are left to the rules:

    drop photo_0007/2    # a screen right behind the head
    keep photo_0011/0    # small, but good
    drop photo_01*       # all of these images
"""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Collection
from pathlib import Path

import attrs
import cv2
import numpy as np

from synthkit.crop_choice import CropChoice
from synthkit.crops.planning import CropPlan, Floats, outline_px
from synthkit.errors import ConfigError
from synthkit.sample import RotatedBox, Sample

_WILD = frozenset("*?[")


@attrs.frozen
class Measures:
    """What the rules look at.

    Args:
        length_px: the longer side of the person's box. sharpness: the standard deviation of the Laplacian of the
            grey image around the person, in grey levels (its variance is LAPV of Pech-Pacheco et al., Diatom
            autofocusing in brightfield microscopy, ICPR 2000). inside: the part of the box that is in the image.
        overlap: the part of it that the box of somebody else covers most of. aspect: longer over shorter side.
    """

    length_px: float
    sharpness: float
    inside: float
    overlap: float
    aspect: float


def crop_id(sample: Sample, plan: CropPlan) -> str:
    """Return what a crop is called in lists."""
    return f"{sample.key}/{plan.person}"


def measured(sample: Sample, plan: CropPlan) -> Measures:
    """Measure one crop of a sample."""
    boxes = [_box(sample, index) for index in range(len(sample.people or ()))]
    box = boxes[plan.person]
    assert box is not None, "who has a plan has an outline"
    corners = box.corners_px()
    area = max(box.w * box.h, 1e-9)
    others = [other.corners_px() for index, other in enumerate(boxes) if other is not None and index != plan.person]
    width, height = sample.size_px
    image = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    return Measures(
        length_px=box.h,
        sharpness=_sharpness(sample, corners),
        inside=min(1.0, _shared_area(corners, image) / area),
        overlap=min(1.0, max((_shared_area(corners, other) for other in others), default=0.0) / area),
        aspect=box.h / max(box.w, 1e-9),
    )


class Chooser:
    """Decides about crops, one after the other.

    Raises:
        ConfigError: when the list cannot be read, or a line of it says nothing that is understood.
    """

    def __init__(self, choice: CropChoice) -> None:
        self._choice = choice
        self._list = _List(choice.list)
        self._whole: set[str] = set()  # images that were asked for as such

    def reason_against(self, sample: Sample, plan: CropPlan, measures: Measures | None = None) -> str | None:
        """Return why a crop is left out, or None when it is taken.

        Args:
            sample, plan: whose crop. measures: of it, when they are known already.
        """
        listed = self._list.verdict(crop_id(sample, plan), sample.key)
        if listed is not None:
            return None if listed else "listed"
        if self._choice == CropChoice(list=self._choice.list):
            return None
        return broken_rule(self._choice, measures or measured(sample, plan))

    def drops_image(self, sample: Sample) -> bool:
        """Return whether the list drops all of an image; rules are of people and say nothing."""
        self._whole.add(sample.key)
        return self._list.verdict(sample.key, sample.key) is False

    def check_all_met(self) -> None:
        """Check, after the last crop, that everything the list names by its full name was there.

        Raises:
            ConfigError: when it names others, as a list of another set does, or people where images are chosen.
        """
        self._list.check_all_met(self._whole)


def broken_rule(choice: CropChoice, measures: Measures) -> str | None:
    """Return which rule a crop does not fulfil, with its measure, or None."""
    low, high = choice.aspect or (1.0, math.inf)
    # Nobody edits rules to the last bit: a box that lies within the image must pass min_inside = 1.
    rules = (
        (measures.length_px < choice.min_px, f"{measures.length_px:.0f} px long"),
        (measures.sharpness < choice.min_sharpness, f"sharpness {measures.sharpness:.1f}"),
        (measures.inside < choice.min_inside - 1e-6, f"{measures.inside:.0%} inside"),
        (measures.overlap > choice.max_overlap + 1e-6, f"{measures.overlap:.0%} overlapped"),
        (not low <= measures.aspect <= high, f"aspect {measures.aspect:.1f}"),
    )
    return next((told for broken, told in rules if broken), None)


class _List:
    """The lines of a list."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._exact: dict[str, tuple[int, bool]] = {}  # name: (line, kept)
        self._patterns: list[tuple[str, int, bool]] = []
        self._unmet: set[str] = set()
        problems = []
        for number, line in enumerate(_lines(path), 1):
            said = f" {line}".partition(" #")[0].strip()
            if not said:
                continue
            word, _, name = said.partition(" ")
            if word not in ("keep", "drop") or not name.strip():
                problems.append(f"{path}, line {number}: expected 'keep NAME' or 'drop NAME', got {line.strip()!r}")
                continue
            name, kept = name.strip(), word == "keep"
            self._exact[name] = number, kept
            if _WILD & set(name):
                self._patterns.append((name, number, kept))
            else:
                self._unmet.add(name)
        if problems:
            raise ConfigError(problems)

    def verdict(self, name: str, key: str) -> bool | None:
        """Return what the last fitting line says of a crop, or None when none fits."""
        self._unmet -= {name, key}
        found = [self._exact[one] for one in (name, key) if one in self._exact]
        found += [
            (number, kept)
            for pattern, number, kept in self._patterns
            if fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(key, pattern)
        ]
        return max(found)[1] if found else None

    def check_all_met(self, whole: Collection[str]) -> None:
        people = sorted(name for name in self._unmet if name.rpartition("/")[0] in whole)
        if people:
            raise ConfigError(
                [f"{self._path}: names {len(people)} crops of people ({', '.join(people[:3])}), and whole images are"
                 f" learned from: name images, such as 'drop {people[0].rpartition('/')[0]}'"]
            )  # fmt: skip
        if self._unmet:
            shown = ", ".join(sorted(self._unmet)[:3])
            raise ConfigError(
                [f"{self._path}: names {len(self._unmet)} crops or images that the set does not have ({shown}):"
                 " is it of another set? 'synthkit crops' writes a new one"]
            )  # fmt: skip


def _lines(path: Path | None) -> list[str]:
    if path is None:
        return []
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ConfigError([f"{path}: the list of crops cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{path}: the list of crops is not text (UTF-8)"]) from None


def _box(sample: Sample, index: int) -> RotatedBox | None:
    person = (sample.people or ())[index]
    if person.rotated_box is not None:
        return person.rotated_box
    outline = outline_px(person, sample.layers.get("instances"))
    if outline is None:
        return None
    (cx, cy), (w, h), degrees = cv2.minAreaRect(outline.astype(np.float32))
    return RotatedBox.normalized(cx, cy, w, h, degrees)


def _shared_area(first: Floats, second: Floats) -> float:
    return float(cv2.intersectConvexConvex(first.astype(np.float32), second.astype(np.float32))[0])


def _sharpness(sample: Sample, corners: Floats) -> float:
    width, height = sample.size_px
    left, top = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, (width, height))
    right, bottom = np.clip(np.ceil(corners.max(axis=0)).astype(int), 0, (width, height))
    part = sample.image[top:bottom, left:right]
    if 0 in part.shape:
        return 0.0
    grey = cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_64F).std())
