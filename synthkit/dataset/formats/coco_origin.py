# SPDX-License-Identifier: Apache-2.0
"""Whose an image of COCO is: licence, addresses, date, as a sample's ``meta`` has them, and back.

* ``meta["licence"]`` is the licence's name, or its address where that is all there is; ``meta["licence_url"]`` its
  address.
* ``meta["coco"]`` has the other fields of the image that are plain values, as they are: ``id``, ``license`` (the
  licence's id), ``coco_url``, ``flickr_url``, ``date_captured``, and what a set has of its own. Files of ours number
  images anew, and their ids mean nothing.
* ``notes["coco_info"]`` has what all label files say of the set: ``contributor``, ``url``, ``year``, ...

What stands in COCO's own fields is not written a second time under ``synthkit``: whoever changes it there is believed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import attrs

from synthkit.dataset.formats.photos import NOT_STATED

_FIELDS = "coco"
_INFO = "coco_info"
_ID = "license"
_LICENCE, _ADDRESS, _PARTS = "licence", "licence_url", "licences"
_IMAGE_ID = "id"
_OURS = frozenset({"file_name", "width", "height", "synthkit"})  # of an image: never carried
_LONGEST = 4000  # characters of a value; more is no attribution


@attrs.frozen
class Licence:
    """A licence as a sample states it; ``id`` where it comes from COCO."""

    name: str
    url: str = ""
    id: int | str | None = None


def is_id(value: Any) -> TypeGuard[int | str]:
    """Return whether a value can be an id: a whole number or text."""
    return isinstance(value, int | str) and not isinstance(value, bool)


def licences(entries: Any) -> dict[int | str, Licence]:
    """Return the licences that a label file lists, by id; those without name and address state nothing."""
    found: dict[int | str, Licence] = {}
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and is_id(entry.get("id")):
            name, url = (_text(entry.get(field)) for field in ("name", "url"))
            if name or url:
                found[entry["id"]] = Licence(name or url, url, entry["id"])
    return found


def origin(entry: Mapping[str, Any], listed: Mapping[int | str, Licence]) -> dict[str, Any]:
    """Return the ``meta`` of an image's entry: its licence, if it states one that is listed, and its other fields."""
    number = entry.get(_ID)
    licence = listed.get(number) if is_id(number) else None
    stated = {} if licence is None else {_LICENCE: licence.name, _ADDRESS: licence.url}
    left_out = _OURS | {_IMAGE_ID} if "synthkit" in entry else _OURS
    fields = _plain({key: value for key, value in entry.items() if key not in left_out})
    return {key: value for key, value in (stated | {_FIELDS: fields}).items() if value}


def joined(meta: Mapping[str, Any], stated: Mapping[str, Any]) -> dict[str, Any]:
    """Return a sample's own ``meta`` with what COCO's fields state, which are believed.

    The line that an export makes of the licences of a sample's parts is no licence of the whole.
    """
    if _LICENCE not in stated or stated[_LICENCE] != _together(meta.get(_PARTS)):
        return {**meta, **stated}
    fields = {key: value for key, value in stated.get(_FIELDS, {}).items() if key != _ID}
    return {**meta, **({_FIELDS: fields} if fields else {})}


def parted(meta: Mapping[str, Any]) -> tuple[Licence | None, dict[str, Any], dict[str, Any]]:
    """Return a sample's licence (None when it states none), COCO's further fields, and the rest of its ``meta``."""
    known = meta.get(_FIELDS)
    fields = _plain(known) if isinstance(known, Mapping) else {}
    number = fields.pop(_ID, None)
    fields.pop(_IMAGE_ID, None)
    url, parts = _text(meta.get(_ADDRESS)), _together(meta.get(_PARTS))
    stated = _text(meta.get(_LICENCE))
    name = url if stated in ("", NOT_STATED) else stated
    own = {_FIELDS} if isinstance(known, Mapping) else set()
    rest = {key: value for key, value in meta.items() if key not in (own | {_LICENCE, _ADDRESS} if name else own)}
    if name:
        return Licence(name, url, number if is_id(number) else None), fields, rest
    return (Licence(parts) if parts else None), fields, rest


def noted(infos: Sequence[Any]) -> dict[str, Any]:
    """Return the notes of a set from the ``info`` of its label files: what all of them say."""
    tables = [_plain(info) if isinstance(info, Mapping) else {} for info in infos]
    agreed = {key: value for key, value in tables[0].items() if all(table.get(key) == value for table in tables[1:])}
    return {_INFO: agreed} if agreed else {}


def info(notes: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the ``info`` of a label file: what the set's notes know, and a description in any case."""
    known = notes.get(_INFO)
    return {"description": name, **(_plain(known) if isinstance(known, Mapping) else {})}


class Numbers:
    """The licences of one label file, each with the id it states, or a free one where another has that."""

    def __init__(self) -> None:
        self._ids: dict[Licence, int | str] = {}

    def of(self, licence: Licence) -> int | str:
        """Return a licence's id in this file."""
        if licence not in self._ids:
            taken = set(self._ids.values())
            free = next(number for number in range(1, len(taken) + 2) if number not in taken)
            self._ids[licence] = free if licence.id is None or licence.id in taken else licence.id
        return self._ids[licence]

    def table(self) -> list[dict[str, Any]]:
        """Return the list ``licenses``."""
        return [{"id": number, "name": one.name, "url": one.url} for one, number in self._ids.items()]


def _together(parts: Any) -> str:
    """Return the licences of a sample's parts in one line, empty when there are none."""
    return "; ".join(f"{part}: {text}" for part, text in sorted(parts.items())) if isinstance(parts, Mapping) else ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) and len(value) <= _LONGEST else ""


def _plain(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that are text, whole numbers or truth values."""
    return {
        key: value
        for key, value in table.items()
        if isinstance(value, int) or (isinstance(value, str) and len(value) <= _LONGEST)
    }
