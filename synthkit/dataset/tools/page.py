# SPDX-License-Identifier: Apache-2.0
"""The pages that tools write: one HTML file each that needs nothing but itself; its policy forbids it the network."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import synthkit
from synthkit.dataset import storage
from synthkit.dataset.reader import Dataset
from synthkit.dataset.tools.outputs import check_file
from synthkit.report import templates

_PACKAGE = "synthkit.dataset.tools"
_HEAD_BYTES = 4096  # of a page: its generator is named in them


def check_page(out: Path, option: str, command: str) -> None:
    """Check that a page may be written, anew if it was written by the same command, and that it can be.

    Raises:
        ConfigError: when it may not. SynthkitError: when jinja2 is not installed.
    """
    check_file(out, option, lambda page: _generator(command).encode() in page[:_HEAD_BYTES])
    templates.check()


def write_page(out: Path, command: str, asset: str, data: Dataset, content: Any, **values: Any) -> None:
    """Write a page from ``asset``.html, .css and .js.

    Args:
        command: that writes it. data: what it shows. content: JSON values for the script.
        values: for the template.
    """
    style, script = (templates.asset(_PACKAGE, f"{asset}.{kind}") for kind in ("css", "js"))
    html = templates.filled(
        _PACKAGE,
        f"{asset}.html",
        name=data.location.rstrip("/").rpartition("/")[2] or data.location,
        content=content,
        style=style,
        script=script,
        policy=f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'",
        version=synthkit.__version__,
        generator=_generator(command),
        **values,
    )
    with storage.disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    storage.write_atomically(out, [html])


def _generator(command: str) -> str:
    return f'<meta name="generator" content="synthkit {command}">'


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
