# SPDX-License-Identifier: Apache-2.0
"""Keys of rendered samples."""

from __future__ import annotations


def sample_key(scene: int, index: int = 0) -> str:
    """Return the key of a rendered sample: scene and place in it; by ``key_order`` they sort as they were made."""
    return f"{scene:08d}_{index:03d}"


def scene_of(key: str) -> int:
    """Return the scene of a rendered sample's key."""
    return int(key.partition("_")[0])


def key_order(key: str) -> tuple[int, str]:
    """Return by what keys of one scene are sorted: numbers that outgrow their zeros stay in order."""
    return len(key), key
