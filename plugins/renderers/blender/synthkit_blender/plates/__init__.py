# SPDX-License-Identifier: Apache-2.0
"""Plates: photos of a room that people are rendered into, and what was noted about them in ``plates.toml``."""

from synthkit_blender.plates.photos import Plate, Plates

__all__ = ["Plate", "Plates"]
