# SPDX-License-Identifier: Apache-2.0
"""Reading small files of strangers."""

from __future__ import annotations

from pathlib import Path


def small_file(path: Path, max_bytes: int, what: str) -> bytes:
    """Return the bytes of a file; of a larger one no more than its limit is read.

    Args:
        what: it is, for the message; cannot be larger.

    Raises:
        ValueError: when it cannot be read, or is too large to be that.
    """
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    if len(data) > max_bytes:
        raise ValueError(f"is larger than {_size(max_bytes)}, too large for {what}")
    return data


def _size(count: int) -> str:
    """Return a number of bytes as people tell it."""
    for power, unit in ((20, "MiB"), (10, "KiB")):
        if count >= 1 << power:
            return f"{count / (1 << power):.4g} {unit}"
    return f"{count} bytes"
