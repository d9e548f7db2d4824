# SPDX-License-Identifier: Apache-2.0
"""How crops vary while the network learns: boxes as a detector finds them, mirrors, and the looks of sensors."""

from __future__ import annotations

import math

import attrs
import numpy as np

from synthkit.sample import RotatedBox
from synthkit_squeezedet.augmentation import Looks
from synthkit_surface_finder.config import SurfaceFinderConfig
from synthkit_surface_finder.examples import Crop, Subject, Subjects
from synthkit_surface_finder.surface import Surface
from synthkit_surface_finder.windows import plan_part, plan_window, whole_scale

_WHOLE_STRETCH = 0.2  # deviation of the logarithm of the scale of parts of whole images
_WHOLE_REACH = 0.6  # how far off the middle of such a crop the subject is at most, of its side


@attrs.frozen
class Variation:
    """What is drawn for a crop.

    Args:
        config: the deviations. looks: of sensors.
    """

    config: SurfaceFinderConfig
    looks: Looks

    @classmethod
    def of(cls, config: SurfaceFinderConfig) -> Variation:
        """Return the variation that settings ask for."""
        return cls(config, Looks(config.colour, config.noise))

    def draw(self, subjects: Subjects, subject: Subject, surface: Surface, stream: np.random.Generator) -> Crop:
        """Return a varied crop of a subject."""
        whole = stream.random() < self.config.whole_share
        crop = (self.part if whole else self.misplaced)(subjects, subject, stream)
        if self.config.flip and stream.random() < 0.5:
            crop = crop.mirrored(surface)
        return attrs.evolve(crop, image=self.looks.draw(crop.image, stream))

    def misplaced(self, subjects: Subjects, subject: Subject, stream: np.random.Generator) -> Crop:
        """Return the crop about a box as a detector may find it, as the image shows it."""
        shift, stretch, turns = (stream.standard_normal(2) for _ in range(3))
        box, degrees = subject.box, turns * self.config.box_turn_degrees
        cx, cy = np.array([box.cx, box.cy]) + shift * self.config.box_shift * box.h
        w, h = np.array([box.w, box.h]) * np.exp(stretch * self.config.box_stretch)
        moved = RotatedBox.normalized(cx, cy, w, h, box.degrees + degrees[0])
        plan = plan_window(
            moved, subject.nadir_px, self.config.side_px, self.config.margin, math.remainder(degrees[1], 360.0)
        )
        return subjects.crop(subject, plan, moved)

    def part(self, subjects: Subjects, subject: Subject, stream: np.random.Generator) -> Crop:
        """Return a crop of the subject's surroundings in which everybody is meant."""
        size = math.exp(stream.standard_normal() * _WHOLE_STRETCH)
        scale = size * whole_scale(subject.image_px, self.config.whole_px)
        reach = _WHOLE_REACH * self.config.side_px / scale
        centre = np.array([subject.box.cx, subject.box.cy]) + stream.uniform(-reach, reach, 2)
        plan = plan_part(centre, scale, stream.uniform(-180.0, 180.0), self.config.side_px)
        return subjects.crop(subject, plan, None)
