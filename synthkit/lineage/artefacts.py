# SPDX-License-Identifier: Apache-2.0
"""What data sets, checkpoints, ONNX files and results say of themselves; nothing in them executes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import attrs

from synthkit.checkpoint import CHECKPOINT_FILE, Checkpoint, sha256_of
from synthkit.config import fingerprint as fingerprint_of
from synthkit.config import plain
from synthkit.dataset import Dataset, description
from synthkit.dataset.records import MANIFEST
from synthkit.errors import DatasetError, SynthkitError

Kind = Literal["data set", "checkpoint", "ONNX file", "results"]

ONNX_SETS = ("calibrate", "check")
"""The data sets that an export may be given."""

_MAX_JSON_BYTES = 1 << 28
_COMMANDS = {"convert": "convert", "label": "convert", "merge": "merge", "split": "split", "filter": "filter"}
"""Commands by what the identities of their sets tell."""

_NOTED = ("folder", "source", "licence")
_TOLD = ("distribution", "version", "revision", "seed", "config_sha256")
_CARD_TOLD = ("synthkit", "revision", "seed", "seeds", "steps", "chosen_by", "licence")


@attrs.frozen
class Parent:
    """What an artefact was made from.

    Args:
        role: what it was for: ``source``, ``checkpoint``, ``train``. fingerprint: of a data set, or the sha256 of a
            checkpoint. hint: where it lay, where that is known.
    """

    role: str
    fingerprint: str
    hint: Path | None = None


@attrs.frozen
class Artefact:
    """A file or folder with what it says of itself.

    Args:
        fingerprint: by which others name it. made_by: the component. facts: versions, seeds, settings, sizes, in words.
    """

    kind: Kind
    place: Path
    fingerprint: str
    made_by: str
    facts: Mapping[str, str]
    parents: tuple[Parent, ...]


def read(path: Path) -> Artefact:
    """Return what an artefact says of itself: a data set (or anything in its folder), a checkpoint or the folder of its
    training, an ONNX file with its card beside it, or results as ``synthkit experiment`` or ``evaluate --json`` write.

    Raises:
        DatasetError, WeightsError: when it is none of these, or damaged.
    """
    if not path.exists():
        raise DatasetError(f"{path}: is missing")
    try:
        return _read(path)
    except (KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        told = f"{type(error).__name__}: {error}"
        raise DatasetError(f"{path}: is damaged: what it says of itself cannot be understood ({told})") from None


def _read(path: Path) -> Artefact:
    folder = path if path.is_dir() else path.parent
    if path.suffix == ".safetensors":
        return _checkpoint(path)
    if path.suffix == ".onnx":
        return _onnx(path)
    if path.suffix == ".html":  # the page of an experiment has its numbers beside it
        path = path.with_name("results.json")
    for place in (folder, folder.parent):  # of a data set also a shard, or what belongs to one
        if (place / MANIFEST).is_file():
            return _data_set(place)
    for name in (CHECKPOINT_FILE, "results.json"):
        if path.is_dir() and (path / name).is_file():
            return _read(path / name)
    if path.suffix == ".json" and path.is_file():
        return _results(path)
    raise DatasetError(f"{path}: is no data set, checkpoint, ONNX file or results: nothing tells where it comes from")


def _data_set(folder: Path) -> Artefact:
    data = Dataset.open(folder, layers=(), allow_empty=True)
    notes = data.manifest.notes if data.manifest else {}
    stages = [stage for stage in notes.get("stages", ()) if isinstance(stage, Mapping)]
    last = stages[-1] if stages else {}
    facts = {name: _short(last[name]) for name in _TOLD if last.get(name) is not None}
    own = {} if last or data.manifest is None else data.manifest.identity
    facts |= {name: _short(notes[name]) for name in _NOTED if not last and notes.get(name)}
    facts |= {"samples": str(len(data)), "settings": json.dumps(last.get("config", plain(own)), sort_keys=True)}
    parents = [
        Parent(
            "source" if last.get("kind") == "refiner" else "made from",
            str(one["fingerprint"]),
            Path(os.path.normpath(folder / one["path"])),
        )
        for one in notes.get("parents", ())
    ]
    if last.get("checkpoint_sha256"):
        parents.append(Parent("checkpoint", str(last["checkpoint_sha256"])))
    made_by = f"{last['kind']} {last['name']}" if last else _command(own)
    return Artefact("data set", folder, data.fingerprint, made_by, facts, tuple(parents))


def _command(identity: Mapping[str, Any]) -> str:
    """Return which command made a set that no component made, as its identity tells."""
    for name, command in _COMMANDS.items():
        if name in identity:
            return f"synthkit {command}" + (f" from {identity[name]}" if isinstance(identity[name], str) else "")
    return "told by nobody"


def _checkpoint(path: Path) -> Artefact:
    opened = Checkpoint.open(path)
    card = opened.card
    facts = {name: _short(card[name]) for name in _CARD_TOLD if card.get(name) is not None}
    facts["settings"] = json.dumps(card.get("config", {}), sort_keys=True)
    for name in ("perceptual", "backbone"):
        if card.get(name):
            facts[name] = json.dumps(card[name], sort_keys=True)
    parents = tuple(_learned_from(card.get("data")))
    return Artefact("checkpoint", path, opened.sha256, f"{card.get('kind')} {card.get('name')}", facts, parents)


def _learned_from(data: Any) -> Iterator[Parent]:
    """Yield the data sets that a card names; of a mixture its parts."""
    for role, told in data.items() if isinstance(data, Mapping) else ():
        parts = told.get("parts") if isinstance(told, Mapping) else None
        for number, part in enumerate(parts or [told], start=1):
            found = part.get("fingerprint") if isinstance(part, Mapping) else part
            if isinstance(found, str):
                yield Parent(f"{role}, part {number}" if parts else str(role), found)


def _onnx(path: Path) -> Artefact:
    beside = path.with_suffix(".json")
    if not beside.is_file():
        raise DatasetError(f"{path}: its card {beside.name} is missing, which tells where it comes from")
    card = _table(beside)
    told = card.get("about")
    about = told if isinstance(told, Mapping) else card
    checkpoint = _found(card, "checkpoint_sha256")
    facts = {name: _short(about[name]) for name in _CARD_TOLD if about.get(name) is not None}
    parents = [Parent("checkpoint", checkpoint)] if checkpoint else []
    if "made_with" in card:
        made = card["made_with"]
        facts["settings"] = json.dumps({**made["wishes"], **made["settings"]}, sort_keys=True)
        parents += [Parent(role, made["wishes"][role]) for role in ONNX_SETS if made["wishes"][role]]
    return Artefact("ONNX file", path, sha256_of(path), "synthkit export", facts, tuple(parents))


def _found(value: Any, name: str) -> str | None:
    """Return a text by its name, wherever it stands in tables in one another."""
    if not isinstance(value, Mapping):
        return None
    if isinstance(value.get(name), str):
        return str(value[name])
    return next((found for item in value.values() if (found := _found(item, name))), None)


def _results(path: Path) -> Artefact:
    said = _json(path)
    experiment = said.get("rows") if isinstance(said, Mapping) else None
    records = said.get("results", said.get("distances", [])) if isinstance(said, Mapping) else said
    parents: dict[tuple[str, str], Parent] = {}
    facts: dict[str, str] = {}
    if isinstance(experiment, list):
        for row in experiment:
            for seed, step in row["steps"].items():
                judged = path.parent / step / "results.json"
                if judged.is_file() and judged.resolve() != path.resolve():
                    parent = Parent(f"{row['label']}, seed {seed}", read(judged).fingerprint, judged)
                    parents[parent.role, parent.fingerprint] = parent
    for record in records if isinstance(records, list) else ():
        if isinstance(record, Mapping) and "definition" in record:
            facts.setdefault(str(record.get("name")), f"{record.get('value')}")
            for parent in _measured_on(record):
                parents[parent.role, parent.fingerprint] = parent
    if not parents:
        raise DatasetError(f"{path}: holds no results that tell what they were measured on")
    made_by = "synthkit experiment" if isinstance(experiment, list) else "synthkit evaluate"
    return Artefact("results", path, fingerprint_of(said), made_by, facts, tuple(parents.values()))


def _measured_on(record: Mapping[str, Any]) -> Iterator[Parent]:
    for role, found in (record.get("data") or {}).items():
        yield Parent(str(role), str(found))
    checkpoint = record["definition"].get("checkpoint_sha256")
    if isinstance(checkpoint, str):
        yield Parent("checkpoint", checkpoint)


def _table(path: Path) -> Mapping[str, Any]:
    value = _json(path)
    if not isinstance(value, Mapping):
        raise DatasetError(f"{path}: expected a table")
    return value


def _json(path: Path) -> Any:
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            raise DatasetError(f"{path}: is too large to be results or a card")
        return description.load(path.read_bytes())
    except ValueError as error:
        raise DatasetError(f"{path}: is no JSON: {error}") from None


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def quietly(path: Path) -> Artefact | None:
    """Return what an artefact says of itself, None where it says nothing that can be read."""
    try:
        return read(path)
    except SynthkitError:
        return None
