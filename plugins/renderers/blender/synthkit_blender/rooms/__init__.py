# SPDX-License-Identifier: Apache-2.0
"""Procedural rooms around the camera's axis."""

from synthkit_blender.rooms.plan import SIZES_M, Room, RoomPlan, Seat, WallStretch
from synthkit_blender.rooms.room import furnish, plate_decor

__all__ = ["SIZES_M", "Room", "RoomPlan", "Seat", "WallStretch", "furnish", "plate_decor"]
