# SPDX-License-Identifier: Apache-2.0
"""Taking away from a sample only what is broken, and leaving every other byte as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np

from synthkit.dataset import codec, description
from synthkit.dataset.codec import CodecConfig, Encoded
from synthkit.dataset.tools import copying
from synthkit.dataset.tools.layers import AMODAL
from synthkit.dataset.tools.truth import DAMAGED, INSTANCES, Fault, examine, is_measured
from synthkit.errors import DatasetError
from synthkit.sample import Layer, Sample

_OF_PIXELS = ("instance", "box_xyxy_px", "rotated_box", "radial_box", "visible_fraction", "occluder")
_HERE = "it"  # names the archive in errors, of which only the rest is told
_ROUNDS = 3  # what was taken away may lay bare another fault


@attrs.frozen(eq=False)
class Mended:
    """What is left of a sample (None: nothing), and a line for each thing that was taken away."""

    sample: Encoded | None
    dropped: tuple[str, ...]


def mend(key: str, members: Mapping[str, bytes], faults: tuple[Fault, ...], *, where: str) -> Mended:
    """Return a sample without its broken parts.

    * A layer that cannot be read is dropped, as is a person, camera or other entry that cannot.
    * An annotation that cannot be true (a box off the image or not of its mask, a fraction above 1) is
      dropped; the person stays.
    * Pixels that are nobody's become background, people who share a number lose it, and those without
      pixels whose pixels were counted lose their instance, boxes and visible fraction; numbers are made
      dense again.
    * A sample whose image or whole description cannot be read, that is cut off, not what its digest
      says, or the second of its key, is dropped.
    """
    dropped: list[str] = []
    left = dict(members)
    for _ in range(_ROUNDS):
        faults = tuple(fault for fault in faults if not fault.warning)
        if not faults:
            return Mended(copying.encoded(key, left, where=where), tuple(dropped))
        dropped += [fault.text for fault in faults]
        if any(fault.part is None for fault in faults):
            return Mended(None, tuple(dropped))
        try:
            left = _without(key, left, faults, dropped)
            faults = tuple(examine(codec.decode(key, left, where=_HERE)))
        except (DatasetError, ValueError) as error:
            dropped.append(codec.without_place(error, _HERE, key))
            return Mended(None, tuple(dict.fromkeys(dropped)))
    return Mended(None, tuple(dropped))


def _without(key: str, members: dict[str, bytes], faults: tuple[Fault, ...], dropped: list[str]) -> dict[str, bytes]:
    parts = {fault.part for fault in faults if fault.part is not None}
    if DAMAGED in parts:
        return _readable(key, members, dropped)
    for part in parts:
        if part[0] == "layers":
            members = {suffix: data for suffix, data in members.items() if suffix.rpartition(".")[0] != part[1]}
    table = description.load(members[codec.JSON_SUFFIX])
    for part in sorted(parts, key=str):
        if part[0] == "people":
            table["people"][part[1]].pop(part[2], None)
        elif part[0] == "camera":
            table.pop("camera", None)
    members = members | {codec.JSON_SUFFIX: description.dump(table)}
    return _renumbered(key, members, table) if (INSTANCES,) in parts else members


def _readable(key: str, members: dict[str, bytes], dropped: list[str]) -> dict[str, bytes]:
    """Return what of the members can be decoded; the image must be."""
    left = {suffix: data for suffix, data in members.items() if suffix in codec.IMAGE_SUFFIXES}
    codec.decode(key, left, where=_HERE)
    if codec.JSON_SUFFIX in members:
        left[codec.JSON_SUFFIX] = _readable_json(members[codec.JSON_SUFFIX], dropped)
    for suffix, data in members.items():
        if suffix not in left:
            try:
                codec.decode(key, {**left, suffix: data}, where=_HERE)
            except DatasetError:
                dropped.append(f"layer {suffix.rpartition('.')[0]!r} cannot be read")
            else:
                left[suffix] = data
    return {suffix: left[suffix] for suffix in members if suffix in left}


def _readable_json(text: bytes, dropped: list[str]) -> bytes:
    """Return a description without the entries and people that cannot be read; one that can stays as it is.

    Raises:
        ValueError: when nothing of it can be read.
    """
    table = description.load(text)
    if _reads(table):
        return text
    if not isinstance(table, dict):
        raise ValueError("its description is no table")
    sound: dict[str, Any] = {"schema": table.get("schema")}
    if not _reads(sound):
        raise ValueError(f"schema {table.get('schema')!r} is not known")
    for name, value in table.items():
        if _reads({**sound, name: value}):
            sound[name] = value
            continue
        if name == "people" and isinstance(value, list):
            sound[name] = [person for person in value if _reads({**sound, "people": [person]})]
            dropped.append(f"{len(value) - len(sound[name])} of {len(value)} people cannot be read")
        else:
            dropped.append(f"{name!r} cannot be read")
    return description.dump(sound)


def _reads(table: Any) -> bool:
    try:
        description.from_json(description.dump(table))
    except (ValueError, TypeError):
        return False
    return True


def _renumbered(key: str, members: dict[str, bytes], table: dict[str, Any]) -> dict[str, bytes]:
    """Return the members with dense instance numbers that layer and people agree on."""
    sample = codec.decode(key, members, where=_HERE)
    layer = sample.layers.get(INSTANCES)
    numbers = [person.instance for person in sample.people or ()]
    drawn = {person.instance for person in sample.people or () if not is_measured(person)}
    present = set(numbers) if layer is None else set(np.unique(layer).tolist()) | drawn
    kept = [n for n in numbers if n is not None and n > 0 and numbers.count(n) == 1 and n in present]
    new = {old: place for place, old in enumerate(sorted(kept), 1)}
    for person, number in zip(table.get("people", ()), numbers, strict=True):
        if number is not None and number not in new:
            for name in _OF_PIXELS:
                if name == "instance" or numbers.count(number) == 1:
                    person.pop(name, None)
        elif number is not None:
            person["instance"] = new[number]
        if isinstance(person.get("occluder"), int):
            person["occluder"] = new.get(person["occluder"])
            if person["occluder"] is None:
                del person["occluder"]
    left = members | {codec.JSON_SUFFIX: description.dump(table)}
    if layer is not None:
        relabelled = np.zeros_like(layer)
        for old, number in new.items():
            relabelled[layer == old] = number
        left = _with_layer(left, sample, INSTANCES, relabelled)
    planes = sample.layers.get(AMODAL)
    if planes is not None:
        one, moved = planes.dtype.type(1), np.zeros_like(planes)
        for old, number in new.items():
            moved |= (planes >> planes.dtype.type(old - 1) & one) << planes.dtype.type(number - 1)
        left = _with_layer(left, sample, AMODAL, moved)
    return left


def _with_layer(members: dict[str, bytes], sample: Sample, name: str, layer: Layer) -> dict[str, bytes]:
    bare = Sample(key=sample.key, image=np.zeros((*layer.shape, 3), np.uint8), layers={name: layer})
    new = {suffix: data for suffix, data in codec.encode(bare, CodecConfig()).members if suffix.startswith(f"{name}.")}
    left = {suffix: data for suffix, data in members.items() if suffix.rpartition(".")[0] != name}
    return left | new
