# SPDX-License-Identifier: Apache-2.0
"""The doors by which plugins come in: entry points, listed without importing anything of theirs."""

from __future__ import annotations

import os
from importlib import metadata

COMPONENTS = "synthkit.v1"
COMMANDS = "synthkit.v1.commands"
ALLOW_VARIABLE = "SYNTHKIT_PLUGINS"


def points(group: str) -> list[metadata.EntryPoint]:
    """Return the entry points of a group, by distribution and name.

    ``SYNTHKIT_PLUGINS`` (comma-separated distribution or entry-point names) restricts them.
    """
    wanted = os.environ.get(ALLOW_VARIABLE)
    allowed = None if wanted is None else {name.strip() for name in wanted.split(",") if name.strip()}
    found = sorted(metadata.entry_points(group=group), key=lambda point: (distribution(point), point.name))
    return [point for point in found if allowed is None or allowed & {distribution(point), point.name}]


def distribution(point: metadata.EntryPoint) -> str:
    """Return the name of the distribution an entry point comes from."""
    return point.dist.name if point.dist else "unknown"
