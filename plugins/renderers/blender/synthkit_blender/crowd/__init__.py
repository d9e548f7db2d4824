# SPDX-License-Identifier: Apache-2.0
"""People in their places: sitters on chairs that fit them, the others where there is room to stand, walk or lean."""

from synthkit_blender.crowd.figure import SHUTTER_FRAMES, Figure, PeopleSource
from synthkit_blender.crowd.gathering import Stage
from synthkit_blender.crowd.populating import Crowd, person_ranges, populate

__all__ = ["SHUTTER_FRAMES", "Crowd", "Figure", "PeopleSource", "Stage", "person_ranges", "populate"]
