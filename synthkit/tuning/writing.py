# SPDX-License-Identifier: Apache-2.0
"""The settings' file that a fit leaves: what ``--config`` takes, with a word about each fitted setting."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synthkit.dataset import storage
from synthkit.tuning.story import Story, spelled

MARK = "written by synthkit tune"  # known by it, a file may be written anew


def write_settings(
    path: Path, renderer: str, options: Mapping[str, Any], general: Mapping[str, Any], story: Story
) -> None:
    """Write settings as TOML, whole or not at all.

    Args:
        renderer, options: its name and settings. general: settings besides.
    """
    import tomli_w

    lines = [f"# {MARK}, to be used with --config. {story.verdict}"]
    lines += [f"# {row.setting}: {spelled(row.before)} -> {spelled(row.after)} ({row.how})" for row in story.fitted]
    table = {**general, "renderer": {"name": renderer, **options}}
    text = "\n".join(lines) + "\n\n" + tomli_w.dumps(table)
    storage.write_atomically(path, [text.encode()])
