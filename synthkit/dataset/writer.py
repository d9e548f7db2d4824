# SPDX-License-Identifier: Apache-2.0
"""Writing a data set so that it may be killed at any moment and goes on where it stopped.

Scenes are finished one by one, in any order and in any process, into a spool; when all scenes of a
shard are there, their bytes are joined in order under a temporary name, synced, renamed, indexed, and
committed by a record. What is not committed does not count; what is committed is never made again.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import attrs

from synthkit import config
from synthkit.dataset import description, records, shards, spool, storage, stores
from synthkit.dataset.codec import CodecConfig
from synthkit.dataset.description import plain
from synthkit.dataset.environments import differences
from synthkit.dataset.index import Entry, MixedShard
from synthkit.dataset.layout import Completion, Layout
from synthkit.dataset.records import Manifest, ShardRecord, Summary
from synthkit.dataset.shard_table import ShardTable
from synthkit.dataset.spool import SceneSpool, SpooledScene
from synthkit.dataset.stores import LocalStore, Store
from synthkit.dataset.twins import UniqueKeys
from synthkit.errors import DatasetError, WorkError

_SHOWN = 5
_SHARD_FILE = re.compile(r"\d{6,}\.(tar|idx\.npz|json)")


class DatasetWriter:
    """The one writer of a data set; a context manager.

    Opening a location begins a data set, or takes up an unfinished one of the same ``identity``, or
    extends a finished one by more scenes; shards with holes are opened again so that they can heal.
    The bytes in the end are those of one uninterrupted run with the last count.

    Args:
        out: a folder, made when missing, or a URL that fsspec reaches.
        identity: plain JSON that determines every sample (configuration, seeds, revisions, input
            digests); the count is no part of it. notes: plain JSON besides (lineage, licences).
        scenes: how many scenes the set is to have. scenes_per_shard, codec: how they are stored.
        shard_bytes: fill shards with so many bytes instead of so many scenes.
        environment: versions of what else decides about bytes, recorded with each shard, together with those
            of its scenes that were made in another one.
        strict: refuse to go on in another environment than that of the committed shards.
        scratch: local folder for finished scenes that are not in a shard yet; needed for a URL.

    Raises:
        DatasetError: when the location holds something else, is being written by another process, or
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
        shard_bytes: int | None = None,
        codec: CodecConfig | None = None,
        environment: Mapping[str, Any] | None = None,
        strict: bool = False,
        scratch: Path | None = None,
    ) -> None:
        self.store = stores.at(out)
        self.warnings: list[str] = []
        codec = codec or CodecConfig()
        self.manifest = Manifest(
            identity=_plain(identity, "identity"),
            notes=_plain(notes or {}, "notes"),
            scenes=scenes,
            scenes_per_shard=None if shard_bytes else scenes_per_shard,
            shard_bytes=shard_bytes,
            codec=codec,
        )
        self.environment = {**records.environment(), **(environment or {})}
        self.strict = strict
        self._layout = Layout.of(self.manifest)
        self._folder = _own_folder(self.store, scratch)
        self.spool = SceneSpool(self._folder / records.SPOOL, codec, config.fingerprint(self.environment))
        self._committed: dict[int, ShardRecord] = {}
        self._committed_scenes = 0
        self._adopted: set[int] = set()
        self._spooled: set[int] = set()
        self._completion = Completion(self._layout, ())
        self._keys = UniqueKeys(self.store)
        self._lock: storage.FolderLock | None = None

    def __enter__(self) -> Self:
        with storage.disk_errors(self._folder):
            storage.make_folder(self._folder)
            self._lock = storage.FolderLock(self._folder)
        try:
            with storage.disk_errors(self._folder):
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
        return self._committed_scenes + len(self._spooled)

    def pending_scenes(self) -> list[int]:
        """Return the scenes that are still to be made, in order."""
        done = self._spooled.union(*(_scenes_in(record) for record in self._committed.values()))
        return [scene for scene in range(self.manifest.scenes) if scene not in done]

    def pending_shards(self) -> list[int]:
        """Return the shards of which no scene is done yet, in order; for those that are filled by count alone."""
        if self.manifest.scenes_per_shard is None:
            raise ValueError("where shards are filled by bytes, the scenes decide how many there are")
        count = -(-self.manifest.scenes // self.manifest.scenes_per_shard)
        begun = {self._layout.shard_of(scene) for scene in self._spooled}
        return [shard for shard in range(count) if shard not in self._committed and shard not in begun]

    def scenes_of(self, shard: int) -> range:
        """Return which scenes make up a shard, where shards are filled by count."""
        return self._layout.scenes_of(shard)

    def adopt(self, shard: int) -> None:
        """Note that a shard has been published, by whoever made all of its scenes.

        Raises:
            DatasetError: when its record cannot be read, or tells of another environment and ``strict``.
            WorkError: when it holds other scenes.
        """
        record = ShardRecord.read(self.store, shard)
        scenes = self._layout.scenes_of(shard)
        if (record.first_scene, record.scenes) != (scenes.start, len(scenes)):
            raise WorkError(f"{self.store.where(records.record_name(shard))}: is of another data set; run again")
        if not self.warnings:
            self._check_environments(record.environments)
        self._commit(record)
        self._adopted.add(shard)

    def receive(self, scene: int, data: bytes) -> None:
        """Take a scene that another machine made, as the file of a spool with its origins, and note it as finished.

        Raises:
            DatasetError: when it was made in another environment and ``strict``. WorkError: when it is damaged.
        """
        spooled = spool.from_bytes(scene, data, self.spool.environment)
        if spooled is None:
            raise WorkError(f"{self.store.location}: scene {scene} was damaged on its way; run the same again")
        if not self.warnings:
            self._check_environments(spooled.origins)
        others = tuple(origin for origin in spooled.origins if dict(origin) != self.environment)
        self.spool.keep(attrs.evolve(spooled, origins=others))
        self.finished(scene)

    def finished(self, scene: int) -> None:
        """Note that a scene has been put in the spool; commits its shard when that was the last of it."""
        size = self.spool.body_bytes(scene)
        if size is None:
            raise WorkError(f"{self.store.location}: scene {scene} is not in the spool")
        self._note_spooled(scene, size)
        self._commit_complete()

    def finalise(self) -> Summary:
        """Complete ``dataset.json`` and clear the spool; holes are allowed, and counted in the summary.

        Raises:
            DatasetError: when a key comes twice. WorkError: when scenes are still to be made, or the files of a shard
                do not belong together; its scenes are made again in the next run then.
        """
        pending = self.pending_scenes()
        if pending:
            raise WorkError(f"{self.store.location}: {len(pending)} of {self.manifest.scenes} scenes are not made yet")
        listed = [self._committed[shard] for shard in sorted(self._committed)]
        self._check_adopted()
        ranges = self._key_ranges(listed)
        if self.manifest.summary is None:
            table = ShardTable.of(listed, ranges)
            data = table.to_npz()
            self.store.write(records.TABLE, [data])
            self._clear_strays()
            self.manifest = attrs.evolve(self.manifest, summary=table.summary(data))
            self.manifest.write(self.store)
        with contextlib.suppress(OSError):  # a late temporary file of a killed worker: cleared at the next opening
            self.spool.folder.rmdir()
        assert self.manifest.summary is not None
        return self.manifest.summary

    def skipped(self) -> list[tuple[str, str]]:
        """Return (key, reason) of every sample of the committed shards that could not be made."""
        listed = [self._committed[shard] for shard in sorted(self._committed)]
        return [(key, reason) for record in listed for _, key, reason in record.skipped]

    def _take_up(self) -> None:
        if isinstance(self.store, LocalStore):
            storage.clear_temporaries(self.store.folder, records.MANIFEST)
            storage.clear_temporaries(self.store.folder, records.TABLE)
        found = _existing(self.store)
        if found is not None:
            self._check_same(found)
            self.manifest = attrs.evolve(self.manifest, unknown=found.unknown)
        listed = records.read_records(self.store) if found else []
        summary = found.summary if found and self._is_finished(found, listed) else None
        self._check_found(listed)
        reopened = self._layout.reopened(listed, lambda record: shards.body_bytes(self.store, record))
        for record in listed:
            if record not in reopened:
                self._commit(record)
        self._completion = Completion(self._layout, list(self._committed.values()))
        if summary is None or reopened or self.pending_scenes():
            self.manifest.write(self.store)
        else:
            self.manifest = attrs.evolve(self.manifest, summary=summary)
        self.spool.folder.mkdir(exist_ok=True)
        storage.clear_temporaries(self.spool.folder)
        if isinstance(self.store, LocalStore):
            shard_folder = self.store.folder / records.SHARDS
            shard_folder.mkdir(exist_ok=True)
            storage.clear_temporaries(shard_folder)
            storage.sync_folder(shard_folder)  # a record that a killed writer renamed is believed from here on
            storage.sync_folder(self.store.folder)
        for record in reversed(reopened):  # so that what stays committed is always the beginning
            self._reopen(record)
        self._take_up_spool()

    def _is_finished(self, found: Manifest, listed: Sequence[ShardRecord]) -> bool:
        """Return whether a set was finished with these very shards; a machine thought dead may have come later."""
        if found.summary is None:
            return False
        if found.summary.table_sha256 is None:
            return found.summary.content_sha256 == records.content_of(record.content_sha256 for record in listed)
        with contextlib.suppress(DatasetError):  # a table that is damaged is made anew
            return ShardTable.read(self.store, found.summary.table_sha256).lists(listed)
        return False

    def _take_up_spool(self) -> None:
        """Believe the spooled scenes that are whole, belong here and have no holes; commit what they complete."""
        done = {scene for record in self._committed.values() for scene in _scenes_in(record)}
        for scene in self.spool.scenes():
            spooled = self.spool.read(scene)
            if spooled is None or spooled.skipped or scene in done or scene >= self.manifest.scenes:
                self.spool.drop(scene)
                continue
            if not self.warnings:
                self._check_environments(spooled.origins)
            self._note_spooled(scene, len(spooled.body))
        self._commit_complete()

    def _check_same(self, found: Manifest) -> None:
        if found.fingerprint != self.manifest.fingerprint:
            changes = differences(_identifying(found), _identifying(self.manifest))
            raise DatasetError(
                f"{self.store.location}: holds a data set made with other settings"
                f" ({'; '.join(changes) or 'of another version'}); choose another folder, or the same settings"
            )
        if found.scenes > self.manifest.scenes:
            raise DatasetError(
                f"{self.store.location}: is a data set of {found.scenes} scenes, {self.manifest.scenes} were asked"
                " for; it can grow but not shrink: choose another folder"
            )

    def _check_found(self, listed: list[ShardRecord]) -> None:
        """Compare the environments of all that is there with this one, before anything is touched."""
        self._check_environments(environment for record in listed for environment in record.environments)
        if self.strict:  # a shard may have been open when its writer was killed
            left = (self.spool.read(scene) for scene in self.spool.scenes())
            self._check_environments(origin for spooled in left if spooled for origin in spooled.origins)

    def _check_environments(self, found: Iterable[Mapping[str, Any]]) -> None:
        for environment in found:
            changes = differences(dict(environment), self.environment)
            if changes:
                text = f"{self.store.location}: some shards were made in another environment ({'; '.join(changes)})"
                if self.strict:
                    raise DatasetError(f"{text}; strict=true refuses to mix them")
                self.warnings.append(f"{text}; pixels may differ slightly from those of one run")
                return

    def _reopen(self, record: ShardRecord) -> None:
        """Bring a committed shard's scenes back to the spool, save those with holes, and uncommit it."""
        for spooled in shards.scenes_of(self.store, record):
            self.spool.keep(spooled, durable=True)
        self.store.remove(records.record_name(record.shard))

    def _commit_complete(self) -> None:
        for shard, scenes in self._completion.shards():
            spooled = self._spooled_scenes(scenes)
            self._commit(shards.publish(self.store, shard, scenes.start, spooled, self.environment))
            for scene in scenes:
                self._spooled.discard(scene)
                self.spool.drop(scene)

    def _note_spooled(self, scene: int, size: int) -> None:
        self._spooled.add(scene)
        self._completion.add(scene, size)

    def _commit(self, record: ShardRecord) -> None:
        self._committed[record.shard] = record
        self._committed_scenes += record.scenes

    def _check_adopted(self) -> None:
        """Refuse shards that a machine thought dead published once more after they had been adopted."""
        for shard in sorted(self._adopted):
            found = None
            with contextlib.suppress(DatasetError):  # it may be gone
                found = ShardRecord.read(self.store, shard)
            if found != self._committed[shard]:
                where = self.store.where(records.record_name(shard))
                raise WorkError(f"{where}: was written by two machines; run the same again")

    def _key_ranges(self, listed: Sequence[ShardRecord]) -> list[tuple[bytes, bytes]]:
        """Return the least and greatest key of each shard, all of whose files are looked at for it.

        Raises:
            DatasetError: when a key comes twice. WorkError: when files do not belong together: two machines wrote
                the shard, or it was damaged. Such shards do not count any more.
        """
        ranges: list[tuple[bytes, bytes]] = []
        mixed: list[MixedShard] = []
        unique = UniqueKeys(self.store)
        for record in listed:
            try:
                index = shards.checked_index(self.store, record)
            except MixedShard as error:
                self.store.remove(records.record_name(record.shard))
                mixed.append(error)
                continue
            keys = index.keys.tolist()
            if not mixed and self.manifest.summary is None:
                unique.add(keys, index.scene.tolist(), listed[: len(ranges)])
            ranges.append((min(keys, default=b""), max(keys, default=b"")))
        if mixed:
            raise WorkError(
                f"{mixed[0]}{f' (and {len(mixed) - 1} more)' if mixed[1:] else ''};"
                " run the same again to have these scenes made again"
            )
        return ranges

    def _clear_strays(self) -> None:
        """Remove files of shards that are no more (filled by bytes, fewer may be left after a hole healed),
        and what machines that died while they published left half-written."""
        if isinstance(self.store, LocalStore):
            storage.clear_temporaries(self.store.folder / records.SHARDS)
        ours = (records.tar_name, records.index_name, records.record_name)
        wanted = {name(shard) for shard in self._committed for name in ours}
        for name in self.store.names(records.SHARDS):
            if _SHARD_FILE.fullmatch(name) and f"{records.SHARDS}/{name}" not in wanted:
                self.store.remove(f"{records.SHARDS}/{name}")

    def _spooled_scenes(self, scenes: range) -> Iterator[SpooledScene]:
        """Yield the scenes of a shard; in the end it is refused when it has a key of another one of this run."""
        entries: list[Entry] = []
        for scene in scenes:
            spooled = self._spooled_scene(scene)
            entries += spooled.entries
            yield spooled
        keys = [entry.key.encode() for entry in entries]
        self._keys.add(keys, [entry.scene for entry in entries], self._committed.values())

    def _spooled_scene(self, scene: int) -> SpooledScene:
        spooled = self.spool.read(scene)
        if spooled is None:
            self.spool.drop(scene)
            raise WorkError(f"{self.store.location}: scene {scene} was damaged on the disk; run the same again")
        return spooled


def _scenes_in(record: ShardRecord) -> range:
    return range(record.first_scene, record.first_scene + record.scenes)


def _own_folder(store: Store, scratch: Path | None) -> Path:
    """Return the local folder of a writer, for its lock and its spool."""
    if isinstance(store, LocalStore):
        return store.folder
    if scratch is None:
        raise DatasetError(f"{store.location}: writing to a URL needs a local folder for unfinished work")
    return scratch / hashlib.sha256(store.location.encode()).hexdigest()[:16]


def _existing(store: Store) -> Manifest | None:
    """Return the manifest of a location, None for an empty one; anything else in it is in the way."""
    if store.size(records.MANIFEST) is not None:
        return Manifest.read(store)
    others = store.names()
    if others:
        names = ", ".join(others[:_SHOWN]) + (", ..." if len(others) > _SHOWN else "")
        raise DatasetError(f"{store.location}: holds other files ({names}) and no data set; choose a new or empty one")
    return None


def _plain(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    try:
        table = dict(plain(config.plain(values), name))
        description.check_depth(table, description.dump(table))
        return table
    except ValueError as error:
        raise DatasetError(f"the data set's {error}") from None


def _identifying(manifest: Manifest) -> dict[str, Any]:
    layout = {"codec": manifest.stored_codec, "scenes_per_shard": manifest.scenes_per_shard}
    layout |= {} if manifest.shard_bytes is None else {"shard_bytes": manifest.shard_bytes}
    return {**manifest.identity, **layout}
