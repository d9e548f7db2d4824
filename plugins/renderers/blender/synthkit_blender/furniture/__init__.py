# SPDX-License-Identifier: Apache-2.0
"""Tables, chairs and what stands, lies or hangs about a room, each with the solids that nothing may enter.

Local frames: metres, z up, on the floor. Tables lie centred with their length along x. A chair's sitter faces -y,
the pelvis over the origin. What stands at a wall has its back at y = 0 and reaches into the room along +y.
"""

from synthkit_blender.furniture.chairs import (
    POSTS_BEHIND_M,
    SEAT_DEPTH_M,
    SWIVEL_FEET,
    SWIVEL_REACH_M,
    ChairFit,
    arm_solids,
    leg_lines,
    meeting_chair,
    office_chair,
)
from synthkit_blender.furniture.clutter import bottle, laptop, monitor, mug, notebook, papers
from synthkit_blender.furniture.hanging import door, picture, radiator, screen, whiteboard, window
from synthkit_blender.furniture.piece import Piece, rectangle
from synthkit_blender.furniture.standing import bin_, bookcase, cabinet, plant
from synthkit_blender.furniture.tables import TABLE_TOP_M, TABLE_UNDER_M, table

__all__ = [
    "POSTS_BEHIND_M",
    "SEAT_DEPTH_M",
    "SWIVEL_FEET",
    "SWIVEL_REACH_M",
    "TABLE_TOP_M",
    "TABLE_UNDER_M",
    "ChairFit",
    "Piece",
    "arm_solids",
    "bin_",
    "bookcase",
    "bottle",
    "cabinet",
    "door",
    "laptop",
    "leg_lines",
    "meeting_chair",
    "monitor",
    "mug",
    "notebook",
    "office_chair",
    "papers",
    "picture",
    "plant",
    "radiator",
    "rectangle",
    "screen",
    "table",
    "whiteboard",
    "window",
]
