# SPDX-License-Identifier: Apache-2.0
"""Which scenes make up which shard: so many each, or as many as make so many bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from synthkit.dataset.records import Manifest, ShardRecord


@attrs.frozen
class Layout:
    """The rule by which scenes are joined to shards; it depends on nothing but the scenes themselves.

    Args:
        scenes: of the whole set. scenes_per_shard: how many each; or
        shard_bytes: a shard ends with the scene that brings it to so many bytes.
    """

    scenes: int
    scenes_per_shard: int | None
    shard_bytes: int | None

    @classmethod
    def of(cls, manifest: Manifest) -> Layout:
        """Return a set's layout."""
        return cls(manifest.scenes, manifest.scenes_per_shard, manifest.shard_bytes)

    def reopened(self, listed: list[ShardRecord]) -> list[ShardRecord]:
        """Return the committed shards that cannot stay: with holes that may heal, or with too few scenes.

        Where shards are filled by bytes, all that follow such a shard may begin elsewhere in the end.
        """
        if self.shard_bytes is None:
            return [r for r in listed if r.skipped or r.scenes < len(self.scenes_of(r.shard))]
        first = 0
        for place, record in enumerate(listed):
            ends = record.first_scene + record.scenes
            # The last one may be short of bytes, and then belongs to a set that had fewer scenes.
            full = place + 1 < len(listed) or ends == self.scenes
            if record.skipped or not full or record.first_scene != first or record.shard != place:
                return listed[place:]
            first = ends
        return []

    def complete(self, committed: Mapping[int, ShardRecord], sizes: Mapping[int, int]) -> Iterator[tuple[int, range]]:
        """Yield the shards (number, scenes) that can be joined now.

        Args:
            committed: shards that are joined already; may grow between two results.
            sizes: bytes of each finished scene that is not in a shard.
        """
        if self.shard_bytes is None:
            for shard in sorted({scene // self._count for scene in sizes}):
                scenes = self.scenes_of(shard)
                if all(scene in sizes for scene in scenes):
                    yield shard, scenes
            return
        shard = len(committed)
        first = max((record.first_scene + record.scenes for record in committed.values()), default=0)
        size, last = 0, first
        while last in sizes:
            size += sizes[last]
            last += 1
            if size >= self.shard_bytes or last == self.scenes:
                yield shard, range(first, last)
                shard, first, size = shard + 1, last, 0

    def scenes_of(self, shard: int) -> range:
        """Return which scenes make up a shard, where shards are filled by count."""
        first = shard * self._count
        return range(first, min(first + self._count, self.scenes))

    @property
    def _count(self) -> int:
        assert self.scenes_per_shard is not None
        return self.scenes_per_shard
