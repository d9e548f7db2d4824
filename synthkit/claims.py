# SPDX-License-Identifier: Apache-2.0
"""Notes in folders about the work they are for, so that other work never goes on in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synthkit.dataset import description, storage, stores
from synthkit.dataset.limits import MAX_RECORD_BYTES
from synthkit.errors import DatasetError


def claim(
    place: Path | str, name: str, work: Mapping[str, Any], remarks: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Note in a folder, or at a URL, what it is for; return the note there was.

    Args:
        remarks: noted with it when the work is new, and never compared.

    Raises:
        DatasetError: when it holds something else, or the same work with other settings.
    """
    store = stores.at(place)
    if isinstance(store, stores.LocalStore) and store.folder.is_dir():
        with storage.disk_errors(store.folder):
            storage.clear_temporaries(store.folder, name)
    if store.size(name) is not None:
        try:
            noted = description.load(stores.read_whole(store, name, MAX_RECORD_BYTES))
            changed = sorted(key for key in work if noted.get(key) != json.loads(json.dumps(work[key])))
        except (ValueError, AttributeError):
            raise DatasetError(f"{store.where(name)}: is damaged; choose another folder") from None
        if changed:
            raise DatasetError(
                f"{place}: holds work of this kind with another {', '.join(changed)};"
                " choose another folder, or the same settings"
            )
        return dict(noted)
    in_the_way = isinstance(store, stores.LocalStore) and store.folder.exists() and not store.folder.is_dir()
    if in_the_way or store.names():
        raise DatasetError(f"{place}: exists and holds something else; choose a new or empty folder")
    store.write(name, [_json({**work, **(remarks or {})})])
    return {}


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write plain values as a file for people and machines, whole or not at all."""
    storage.write_atomically(path, [_json(value)])


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode() + b"\n"
