# SPDX-License-Identifier: Apache-2.0
"""Which scenes make up which shard: so many each, or as many as make so many bytes; and which are complete."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence

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

    def reopened(self, listed: list[ShardRecord], body_bytes: Callable[[ShardRecord], int]) -> list[ShardRecord]:
        """Return the committed shards that cannot stay: with holes that may heal, or with too few scenes.

        Where shards are filled by bytes, all that follow such a shard may begin elsewhere in the end.

        Args:
            body_bytes: tells how many bytes the scenes of a shard take.
        """
        if self.shard_bytes is None:
            return [r for r in listed if r.skipped or r.scenes < len(self.scenes_of(r.shard))]
        first = 0
        for place, record in enumerate(listed):
            ends = record.first_scene + record.scenes
            if record.skipped or record.first_scene != first or record.shard != place:
                return listed[place:]
            # The last one may be short of bytes, and then belongs to a set that had fewer scenes.
            if place + 1 == len(listed) and ends < self.scenes and body_bytes(record) < self.shard_bytes:
                return listed[place:]
            first = ends
        return []

    def scenes_of(self, shard: int) -> range:
        """Return which scenes make up a shard, where shards are filled by count."""
        first = shard * self._count
        return range(first, min(first + self._count, self.scenes))

    def shard_of(self, scene: int) -> int:
        """Return which shard a scene belongs to, where shards are filled by count."""
        return scene // self._count

    @property
    def _count(self) -> int:
        assert self.scenes_per_shard is not None
        return self.scenes_per_shard


class Completion:
    """Which shards can be joined, kept up to date scene by scene at a cost that does not grow with the set.

    Args:
        committed: the shards that are joined already; where shards are filled by bytes, the first ones.
    """

    def __init__(self, layout: Layout, committed: Sequence[ShardRecord]) -> None:
        self._layout = layout
        self._sizes: dict[int, int] = {}
        self._missing: dict[int, int] = {}  # by count: scenes that a shard lacks
        self._complete: deque[int] = deque()
        # By bytes: the shard that is being filled, its first scene, the next one, and the bytes before that.
        self._shard = len(committed)
        self._first = self._next = max((record.first_scene + record.scenes for record in committed), default=0)
        self._size = 0

    def add(self, scene: int, size: int) -> None:
        """Note a finished scene that is in no shard, and its bytes."""
        known = scene in self._sizes
        self._sizes[scene] = size
        if known or self._layout.shard_bytes is not None:
            return
        shard = self._layout.shard_of(scene)
        missing = self._missing.get(shard, len(self._layout.scenes_of(shard))) - 1
        self._missing[shard] = missing
        if not missing:
            self._complete.append(shard)

    def shards(self) -> Iterator[tuple[int, range]]:
        """Yield the shards (number, scenes) that can be joined now; who asks for the next one has joined it."""
        if self._layout.shard_bytes is None:
            while self._complete:
                shard = self._complete[0]
                scenes = self._layout.scenes_of(shard)
                yield shard, scenes
                self._complete.popleft()
                del self._missing[shard]
                self._forget(scenes)
            return
        while self._next in self._sizes:
            size, end = self._size + self._sizes[self._next], self._next + 1
            if size >= self._layout.shard_bytes or end == self._layout.scenes:
                scenes = range(self._first, end)
                yield self._shard, scenes
                self._forget(scenes)
                self._shard, self._first, size = self._shard + 1, end, 0
            self._size, self._next = size, end

    def _forget(self, scenes: range) -> None:
        for scene in scenes:
            del self._sizes[scene]
