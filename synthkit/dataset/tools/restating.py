# SPDX-License-Identifier: Apache-2.0
"""A stored sample's description with another split or sequence, and every other value in it as it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synthkit.dataset import codec, description
from synthkit.errors import DatasetError

SPLIT = "split"
"""Key of ``Sample.meta`` that names the split a sample is in; writers of other formats go by it."""

_QUERY = "query"  # of sets for re-identification: the part of the test images that is looked for in the others


def restated(members: Mapping[str, bytes], prefix: str, split: str | None, *, where: str) -> bytes | None:
    """Return a sample's or sidecar's description; the same bytes where nothing in it changes.

    Args:
        members: stored bytes by suffix. prefix: what its sequence gets before it, if it is of one.
        split: the part it is in from now on, of which only samples tell; None leaves what it says.
        where: names the sample in errors.

    Raises:
        DatasetError: when it is damaged.
    """
    text = members.get(codec.JSON_SUFFIX)
    aside = not any(suffix in members for suffix in codec.IMAGE_SUFFIXES)
    split = None if aside else split
    if not (prefix or split) or (aside and text is None):
        return text
    try:
        table = {"schema": description.SCHEMA} if text is None else description.load(text)
    except ValueError as error:
        raise DatasetError(f"{where} cannot be read: {error}; see 'synthkit verify'") from None
    if not isinstance(table, dict) or "schema" not in table:  # a stranger's: all of it is meta
        return _changed(text, table, _in_split(table if isinstance(table, dict) else {"json": table}, split))
    new = dict(table)
    if isinstance(table.get("sequence"), str):
        new["sequence"] = prefix + table["sequence"]
    meta = _in_split(table.get("meta", {}), split)
    return _changed(text, table, {**new, "meta": meta} if meta else new)


def _in_split(meta: Any, split: str | None) -> Any:
    if split is None or not isinstance(meta, dict):  # what is damaged is told of where it is decoded
        return meta
    before = meta.get(SPLIT)
    return {**meta, SPLIT: before if split == "test" and before == _QUERY else split}


def _changed(text: bytes | None, table: Any, new: Any) -> bytes | None:
    return text if new == table else description.dump(new)
