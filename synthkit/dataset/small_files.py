# SPDX-License-Identifier: Apache-2.0
"""The small files of a data set: JSON tables for people and machines, of a size that is read again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from synthkit.dataset import description, stores
from synthkit.dataset.limits import MAX_RECORD_BYTES
from synthkit.dataset.stores import Store
from synthkit.errors import DatasetError


def pretty(table: Mapping[str, Any]) -> bytes:
    """Return a small file's JSON for people and machines: sorted, indented, UTF-8."""
    text = json.dumps(table, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode(errors="backslashreplace")  # a path's bytes that are no UTF-8 become JSON escapes


def write_table(store: Store, name: str, table: Mapping[str, Any]) -> None:
    """Write a table as a file of a data set.

    Raises:
        DatasetError: when it is too large to be read again.
    """
    data = pretty(table)
    if len(data) > MAX_RECORD_BYTES:
        raise DatasetError(
            f"{store.where(name)}: would have {len(data)} bytes, more than the {MAX_RECORD_BYTES} that are read again;"
            " use smaller shards, shorter keys or fewer notes"
        )
    store.write(name, [data])


def read_table(store: Store, name: str) -> dict[str, Any]:
    """Read a table that is a file of a data set.

    Raises:
        DatasetError: when it is missing, too large, or no JSON table.
    """
    try:
        table = description.load(stores.read_whole(store, name, MAX_RECORD_BYTES))
    except ValueError as error:
        raise DatasetError(f"{store.where(name)}: is not JSON: {error}") from None
    if not isinstance(table, dict):
        raise DatasetError(f"{store.where(name)}: holds no table")
    return table
