# SPDX-License-Identifier: Apache-2.0
"""Notes that leave the machine: where things were on it is nobody's business."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

_FOLDERS = re.compile(r"(?<![\w/\\:.])(?:~|[A-Za-z]:|\.\.?)?[/\\](?:[^\s/\\:'\"]+[/\\])+")


def without_folders(value: Any) -> Any:
    """Return plain values with paths cut to their last part."""
    if isinstance(value, Mapping):
        return {key: without_folders(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(item) for item in value]
    if not isinstance(value, str):
        return value
    for path in (PurePosixPath(value), PureWindowsPath(value)):
        if path.is_absolute() or value.startswith("~"):
            return path.name
    return _FOLDERS.sub("", value)
