# SPDX-License-Identifier: Apache-2.0
"""Writing a data set so that it may be killed at any moment and goes on where it stopped.

Scenes are finished one by one, in any order and in any process, into a spool; when all scenes of a
shard are there, their bytes are joined in order under a temporary name, synced, renamed, indexed, and
committed by a record. What is not committed does not count; what is committed is never made again.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import attrs

from synthkit import config
from synthkit.dataset import records, storage, tar
from synthkit.dataset.codec import CodecConfig
from synthkit.dataset.description import plain
from synthkit.dataset.index import Entry, Index
from synthkit.dataset.records import Manifest, ShardRecord, Summary
from synthkit.dataset.spool import SceneSpool, SpooledScene
from synthkit.errors import DatasetError, WorkError

_SHOWN = 5


class DatasetWriter:
    """The one writer of a data set folder; a context manager.

    Opening a folder begins a data set, or takes up an unfinished one of the same ``identity``, or
    extends a finished one by more scenes; shards with holes are opened again so that they can heal.
    The bytes in the end are those of one uninterrupted run with the last count.

    Args:
        out: the folder; made when missing.
        identity: plain JSON that determines every sample (configuration, seeds, revisions, input
            digests); the count is no part of it. notes: plain JSON besides (lineage, licences).
        scenes: how many scenes the set is to have. scenes_per_shard, codec: how they are stored.
        environment: versions of what else decides about bytes, recorded with each shard.
        strict: refuse to go on in another environment than that of the committed shards.

    Raises:
        DatasetError: when the folder holds something else, is being written by another process, or
            cannot be written; nothing in it is touched then.
    """

    def __init__(
        self,
        out: Path | str,
        *,
        identity: Mapping[str, Any],
        notes: Mapping[str, Any] | None = None,
        scenes: int,
        scenes_per_shard: int = 64,
        codec: CodecConfig | None = None,
        environment: Mapping[str, Any] | None = None,
        strict: bool = False,
    ) -> None:
        self.folder = Path(out)
        self.warnings: list[str] = []
        codec = codec or CodecConfig()
        self.manifest = Manifest(
            identity=_plain(identity, "identity"),
            notes=_plain(notes or {}, "notes"),
            scenes=scenes,
            scenes_per_shard=scenes_per_shard,
            codec=codec,
        )
        self._environment = {**records.environment(), **(environment or {})}
        self._strict = strict
        self.spool = SceneSpool(self.folder / records.SPOOL, codec, config.fingerprint(self._environment))
        self._committed: dict[int, ShardRecord] = {}
        self._spooled: set[int] = set()
        self._lock: storage.FolderLock | None = None

    def __enter__(self) -> Self:
        with storage.disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = storage.FolderLock(self.folder)
        try:
            with storage.disk_errors(self.folder):
                self._take_up()
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock:
            self._lock.close()

    @property
    def scenes_done(self) -> int:
        """How many scenes are committed or spooled."""
        return sum(record.scenes for record in self._committed.values()) + len(self._spooled)

    def pending_scenes(self) -> list[int]:
        """Return the scenes that are still to be made, in order."""
        done = set(self._spooled)
        for record in self._committed.values():
            done.update(range(record.first_scene, record.first_scene + record.scenes))
        return [scene for scene in range(self.manifest.scenes) if scene not in done]

    def finished(self, scene: int) -> None:
        """Note that a scene has been put in the spool; commits its shard when that was the last of it."""
        self._spooled.add(scene)
        shard = scene // self.manifest.scenes_per_shard
        if self._spooled.issuperset(self._scenes_of(shard)):
            self._commit(shard)

    def finalise(self) -> Summary:
        """Complete ``dataset.json`` and clear the spool; holes are allowed, and counted in the summary.

        Raises:
            WorkError: when scenes are still to be made, or a tar is not what its record says.
        """
        pending = self.pending_scenes()
        if pending:
            raise WorkError(f"{self.folder}: {len(pending)} of {self.manifest.scenes} scenes are not made yet")
        listed = [self._committed[shard] for shard in sorted(self._committed)]
        for record in listed:
            path = records.tar_path(self.folder, record.shard)
            if not path.is_file() or path.stat().st_size != record.bytes:
                raise WorkError(f"{path}: is missing or not {record.bytes} bytes long; remove its .json and run again")
        self.manifest = attrs.evolve(self.manifest, summary=records.summarize(listed))
        self.manifest.write(self.folder)
        with contextlib.suppress(OSError):  # a late temporary file of a killed worker: cleared at the next opening
            self.spool.folder.rmdir()
        assert self.manifest.summary is not None
        return self.manifest.summary

    def skipped(self) -> list[tuple[str, str]]:
        """Return (key, reason) of every sample of the committed shards that could not be made."""
        listed = [self._committed[shard] for shard in sorted(self._committed)]
        return [(key, reason) for record in listed for _, key, reason in record.skipped]

    def _take_up(self) -> None:
        storage.clear_temporaries(self.folder, records.MANIFEST)
        found = _existing(self.folder)
        if found is not None:
            self._check_same(found)
        listed = records.read_records(self.folder) if found else []
        self._check_environment(listed)
        reopened = [r for r in listed if r.skipped or r.scenes < len(self._scenes_of(r.shard))]
        self._committed = {r.shard: r for r in listed if r not in reopened}
        if found is None or reopened or self.pending_scenes() or not found.summary:
            self.manifest.write(self.folder)
        for folder in (self.spool.folder, self.folder / records.SHARDS):
            folder.mkdir(exist_ok=True)
            storage.clear_temporaries(folder)
        storage.sync_folder(self.folder)
        for record in reopened:
            self._reopen(record)
        self._take_up_spool()

    def _take_up_spool(self) -> None:
        """Believe the spooled scenes that are whole, belong here and have no holes; commit what they complete."""
        for scene in self.spool.scenes():
            spooled = self.spool.read(scene)
            committed = scene // self.manifest.scenes_per_shard in self._committed
            if spooled is None or spooled.skipped or committed or scene >= self.manifest.scenes:
                self.spool.drop(scene)
            else:
                self._spooled.add(scene)
        for shard in sorted({scene // self.manifest.scenes_per_shard for scene in self._spooled}):
            if self._spooled.issuperset(self._scenes_of(shard)):
                self._commit(shard)

    def _check_same(self, found: Manifest) -> None:
        if found.fingerprint != self.manifest.fingerprint:
            changes = _differences(_identifying(found), _identifying(self.manifest))
            raise DatasetError(
                f"{self.folder}: holds a data set made with other settings"
                f" ({'; '.join(changes) or 'of another version'}); choose another folder, or the same settings"
            )
        if found.scenes > self.manifest.scenes:
            raise DatasetError(
                f"{self.folder}: is a data set of {found.scenes} scenes, {self.manifest.scenes} were asked for;"
                " it can grow but not shrink: choose another folder"
            )

    def _check_environment(self, listed: list[ShardRecord]) -> None:
        for record in listed:
            changes = _differences(dict(record.environment), self._environment)
            if changes:
                text = f"{self.folder}: its first shards were made in another environment ({'; '.join(changes)})"
                if self._strict:
                    raise DatasetError(f"{text}; strict=true refuses to mix them")
                self.warnings.append(f"{text}; pixels may differ slightly from those of one run")
                return

    def _scenes_of(self, shard: int) -> range:
        first = shard * self.manifest.scenes_per_shard
        return range(first, min(first + self.manifest.scenes_per_shard, self.manifest.scenes))

    def _reopen(self, record: ShardRecord) -> None:
        """Bring a committed shard's scenes back to the spool, save those with holes, and uncommit it."""
        path = records.tar_path(self.folder, record.shard)
        index = Index.from_npz(records.index_path(self.folder, record.shard), record.bytes)
        holes = {scene for scene, _, _ in record.skipped}
        with path.open("rb") as file:
            for scene, entries in _by_scene(index):
                if scene not in holes:
                    start = entries[0].members[0][1] - tar.BLOCK_BYTES
                    _, offset, size = entries[-1].members[-1]
                    file.seek(start)
                    body = file.read(offset + size + -size % tar.BLOCK_BYTES - start)
                    moved = tuple(_shifted(entry, -start) for entry in entries)
                    self.spool.keep(SpooledScene(scene, moved, (), body))
        storage.sync_folder(self.spool.folder)
        storage.remove(records.record_path(self.folder, record.shard))

    def _commit(self, shard: int) -> None:
        scenes = self._scenes_of(shard)
        entries: list[Entry] = []
        skipped: list[tuple[int, str, str]] = []
        digest, size = hashlib.sha256(), 0

        def chunks() -> Iterator[bytes]:
            nonlocal size
            for scene in scenes:
                spooled = self._spooled_scene(scene)
                entries.extend(_shifted(entry, size) for entry in spooled.entries)
                skipped.extend((scene, key, reason) for key, reason in spooled.skipped)
                digest.update(spooled.body)
                size += len(spooled.body)
                yield spooled.body
            end = tar.ending(size)
            digest.update(end)
            size += len(end)
            yield end

        storage.write_atomically(records.tar_path(self.folder, shard), chunks())
        table = Index.of(entries).to_npz()
        storage.write_atomically(records.index_path(self.folder, shard), [table])
        record = ShardRecord(
            shard=shard,
            first_scene=scenes.start,
            scenes=len(scenes),
            samples=len(entries),
            bytes=size,
            sha256=digest.hexdigest(),
            index_sha256=hashlib.sha256(table).hexdigest(),
            content_sha256=hashlib.sha256(b"".join(entry.content for entry in entries)).hexdigest(),
            skipped=tuple(skipped),
            environment=self._environment,
        )
        record.write(self.folder)
        self._committed[shard] = record
        self._spooled.difference_update(scenes)
        for scene in scenes:
            self.spool.drop(scene)

    def _spooled_scene(self, scene: int) -> SpooledScene:
        spooled = self.spool.read(scene)
        if spooled is None:
            self.spool.drop(scene)
            raise WorkError(f"{self.folder}: scene {scene} was damaged on the disk; run the same again")
        return spooled


def _existing(folder: Path) -> Manifest | None:
    """Return the manifest of a folder, None for an empty one; anything else in it is in the way."""
    if (folder / records.MANIFEST).exists():
        return Manifest.read(folder)
    others = sorted(path.name for path in folder.iterdir())
    if others:
        names = ", ".join(others[:_SHOWN]) + (", ..." if len(others) > _SHOWN else "")
        raise DatasetError(f"{folder}: holds other files ({names}) and no data set; choose a new or empty folder")
    return None


def _plain(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    try:
        return dict(plain(config.plain(values), name))
    except ValueError as error:
        raise DatasetError(f"the data set's {error}") from None


def _identifying(manifest: Manifest) -> dict[str, Any]:
    layout = {"scenes_per_shard": manifest.scenes_per_shard, "codec": config.plain(manifest.codec)}
    return {**manifest.identity, **layout}


def _differences(old: Any, new: Any, path: str = "") -> list[str]:
    """Return what changed between two plain values, a few lines with paths."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        found = []
        for key in sorted({*old, *new}):
            found += _differences(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))
        return found[:_SHOWN]
    return [] if old == new else [f"{path}: {_short(old)} there, {_short(new)} now"]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _shifted(entry: Entry, offset: int) -> Entry:
    members = tuple((suffix, place + offset, size) for suffix, place, size in entry.members)
    return attrs.evolve(entry, members=members)


def _by_scene(index: Index) -> Iterator[tuple[int, list[Entry]]]:
    for scene, entries in itertools.groupby(index.entries(), key=lambda entry: entry.scene):
        yield scene, list(entries)
