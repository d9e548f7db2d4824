# SPDX-License-Identifier: Apache-2.0
"""What the records of a data set tell about where it came from; nothing is concluded beyond them."""

from __future__ import annotations

import collections
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from synthkit.dataset import codec, description
from synthkit.dataset.formats.photos import NOT_STATED
from synthkit.dataset.index import Entry
from synthkit.dataset.metadata.statement import is_address
from synthkit.dataset.reader import Dataset
from synthkit.dataset.records import Manifest, ShardRecord
from synthkit.dataset.tools.survey import BACKGROUND
from synthkit.errors import DatasetError
from synthkit.interfaces import Progress, silent

Plain = Mapping[str, Any]


@attrs.frozen(eq=False)
class Samples:
    """What the samples' own descriptions tell, counted.

    Args:
        images: how many have an image, by suffix. layers: how many have a layer, by suffix (``NAME.png``).
        key_lengths: of all keys, in characters. licences: samples by the licence they state, by its address
            where they have one.
        ingredients: ``WHAT: LICENCE`` of what went into samples. formats: samples by the format they were
            converted from; labelled: those of which people, or that nobody is there, are stated.
        backgrounds: samples with a photo of a room behind the people.
    """

    images: collections.Counter[str] = attrs.field(factory=collections.Counter)
    layers: collections.Counter[str] = attrs.field(factory=collections.Counter)
    key_lengths: set[int] = attrs.field(factory=set)
    licences: collections.Counter[str] = attrs.field(factory=collections.Counter)
    ingredients: set[str] = attrs.field(factory=set)
    formats: collections.Counter[str] = attrs.field(factory=collections.Counter)
    labelled: collections.Counter[str] = attrs.field(factory=collections.Counter)
    backgrounds: collections.Counter[str] = attrs.field(factory=collections.Counter)

    def add(self, entry: Entry, table: Plain) -> None:
        """Count one sample by its place and its description."""
        meta = table.get("meta")
        meta = meta if isinstance(meta, Mapping) else {}
        self.key_lengths.add(len(entry.key))
        for suffix, _, _ in entry.members:
            if suffix in codec.IMAGE_SUFFIXES:
                self.images[suffix] += 1
            elif suffix != codec.JSON_SUFFIX:
                self.layers[suffix] += 1
        licence, address = meta.get("licence"), meta.get("licence_url")
        if isinstance(licence, str) and licence != NOT_STATED:
            self.licences[address if isinstance(address, str) and is_address(address) else licence] += 1
        parts = meta.get("licences")
        if isinstance(parts, Mapping):
            self.ingredients.update(f"{what}: {terms}" for what, terms in parts.items())
        source = meta.get("source")
        if isinstance(source, Mapping) and isinstance(source.get("format"), str):
            self.formats[source["format"]] += 1
            self.labelled[source["format"]] += isinstance(table.get("people"), list)
        if isinstance(meta.get(BACKGROUND), str):
            self.backgrounds[meta[BACKGROUND]] += 1


@attrs.frozen(eq=False)
class Known:
    """All that the records tell.

    Args:
        data, manifest, records: the set, its ``dataset.json``, its commit records in order.
        notes: the set's own, then those of the sets it was merged from. samples: counted.
    """

    data: Dataset
    manifest: Manifest
    records: Sequence[ShardRecord]
    notes: Sequence[Plain]
    samples: Samples

    @classmethod
    def of(cls, data: Dataset, *, progress: Progress = silent) -> Known:
        """Read the records and every sample's description; no image is read.

        Raises:
            DatasetError: when the set has no records, or something in it is damaged.
        """
        if data.manifest is None:
            raise DatasetError(
                f"{data.location}: has no records to describe it from; copy it into a data set first"
                " ('synthkit filter IN OUT --key \"*\"')"
            )
        records = [record for record in map(data.record, range(len(data.shards))) if record is not None]
        samples, total = Samples(), len(data)
        for done, (entry, table) in enumerate(_described(data)):
            progress("describe", done, total)
            samples.add(entry, table)
        progress("describe", total, total)
        return cls(data, data.manifest, records, tuple(_all_notes(data.manifest.notes)), samples)

    def stages(self, kind: str | None = None) -> list[Plain]:
        """Return the stages (of a kind) that the set went through, in order, each once."""
        found: list[Plain] = []
        for notes in self.notes:
            stages = notes.get("stages")
            for stage in stages if isinstance(stages, list) else ():
                if isinstance(stage, Mapping) and kind in (None, stage.get("kind")) and stage not in found:
                    found.append(stage)
        return found

    @property
    def conversions(self) -> list[Plain]:
        """The notes of every conversion that samples came from, each once."""
        found: list[Plain] = []
        for notes in self.notes:
            told = {key: notes[key] for key in ("source", "folder", "licence") if isinstance(notes.get(key), str)}
            if "source" in told and told not in found:
                found.append(told)
        merged = self.manifest.notes.get("sources")
        for source in merged if isinstance(merged, list) else ():
            if isinstance(source, str) and source not in [told["source"] for told in found]:
                found.append({"source": source})
        return found

    @property
    def parents(self) -> list[Plain]:
        """The sets that this one was made from, as noted."""
        return [parent for parent in _tables(self.manifest.notes.get("parents")) if "fingerprint" in parent]

    @property
    def licences(self) -> list[str]:
        """The licences of the samples, sorted; empty unless one is stated for each of them."""
        stated = self.samples.licences
        if stated.total() == len(self.data):
            return sorted(stated)
        return sorted(_stated_licences(self.manifest.notes))

    @property
    def environments(self) -> list[Plain]:
        """What the shards were made with, each once, in order."""
        found: list[Plain] = []
        for record in self.records:
            if dict(record.environment) not in found:
                found.append(dict(record.environment))
        return found

    @property
    def skipped(self) -> collections.Counter[str]:
        """How many samples could not be made, by reason."""
        return collections.Counter(reason for record in self.records for _, _, reason in record.skipped)


def _described(data: Dataset) -> Iterator[tuple[Entry, Plain]]:
    """Yield each sample's place and its description, reading no other member."""
    for n, shard in enumerate(data.shards):
        for entry in data.index(n).entries():
            yield entry, _table(data, data.where(n), shard.name, entry)


def _table(data: Dataset, where: str, tar: str, entry: Entry) -> Plain:
    place = next(((offset, size) for suffix, offset, size in entry.members if suffix == codec.JSON_SUFFIX), None)
    if place is None:
        return {}
    try:
        table = description.load(data.store.read_at(tar, *place))
    except ValueError as error:
        raise DatasetError(f"{where}: sample {entry.key} cannot be read: {error}; see 'synthkit verify'") from None
    return table if isinstance(table, dict) else {}


def _all_notes(notes: Plain) -> Iterator[Plain]:
    yield notes
    for parent in _tables(notes.get("parents")):
        if isinstance(parent.get("notes"), Mapping):
            yield from _all_notes(parent["notes"])


def _stated_licences(notes: Plain) -> set[str]:
    """Return the licences that notes state for the whole of a set; for a merged one, all of its parts must."""
    licence = notes.get("licence")
    if isinstance(licence, str):
        return set() if licence == NOT_STATED else {licence}
    parts = [_stated_licences(parent["notes"]) for parent in _tables(notes.get("parents")) if "notes" in parent]
    return set().union(*parts) if parts and all(parts) else set()


def _tables(value: Any) -> list[Plain]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
