# SPDX-License-Identifier: Apache-2.0
"""Where everything lies in a shard: keys, scenes, content digests, and each member's place in bytes."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.dataset import npz, tar
from synthkit.dataset.limits import MAX_MEMBER_BYTES, MAX_SUFFIXES, MAX_TABLE_BYTES
from synthkit.dataset.stores import Store
from synthkit.dataset.tar import BLOCK_BYTES
from synthkit.errors import DatasetError

DIGEST_BYTES = 32
Place = tuple[str, int, int]
"""A member of a sample: its suffix, and where its data lie in the tar, as offset and size in bytes."""

_UNFIT_FOR_KEYS = set("./\\")
_OVERHEAD_BYTES = 1024  # what its arrays take besides their values


class MixedShard(DatasetError):
    """A shard's files do not belong together: one is missing, damaged, or of another writing of the shard."""


@attrs.frozen
class Entry:
    """A sample in an archive: its key, scene, content digest, and members as (suffix, offset, size)."""

    key: str
    scene: int
    content: bytes
    members: tuple[Place, ...]


@attrs.frozen(eq=False)
class Index:
    """The table of a shard, kept as ``NNNNNN.idx.npz`` (stored, no objects).

    Args:
        keys: (N,) UTF-8 bytes. scene: (N,) int64. content: (N, 32) uint8.
        first: (N + 1,) int64, each sample's first member.
        suffixes: bytes, each kind of member. suffix: (M,) uint16 into them.
        offset, size: (M,) int64, bytes of each member's data in the tar.
    """

    keys: npt.NDArray[np.bytes_] = npz.column(npz.BYTES, "samples")
    scene: npt.NDArray[np.int64] = npz.column("<i8", "samples")
    content: npt.NDArray[np.uint8] = npz.column("u1", "samples", DIGEST_BYTES)
    first: npt.NDArray[np.int64] = npz.column("<i8", "samples + 1")
    suffixes: npt.NDArray[np.bytes_] = npz.column(npz.BYTES, "suffixes")
    suffix: npt.NDArray[np.uint16] = npz.column("<u2", "members")
    offset: npt.NDArray[np.int64] = npz.column("<i8", "members")
    size: npt.NDArray[np.int64] = npz.column("<i8", "members")

    def __len__(self) -> int:
        return len(self.keys)

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> Index:
        """Return the index of samples in their order."""
        members = [member for entry in entries for member in entry.members]
        kinds = sorted({suffix for suffix, _, _ in members})
        number = {suffix: i for i, suffix in enumerate(kinds)}
        digests = b"".join(entry.content for entry in entries)
        return cls(
            keys=np.array([entry.key.encode() for entry in entries], dtype=np.bytes_),
            scene=np.array([entry.scene for entry in entries], dtype=np.int64),
            content=np.frombuffer(digests, np.uint8).reshape(len(entries), DIGEST_BYTES),
            first=np.cumsum([0, *(len(entry.members) for entry in entries)], dtype=np.int64),
            suffixes=np.array([kind.encode() for kind in kinds], dtype=np.bytes_),
            suffix=np.array([number[suffix] for suffix, _, _ in members], dtype=np.uint16),
            offset=np.array([offset for _, offset, _ in members], dtype=np.int64),
            size=np.array([size for _, _, size in members], dtype=np.int64),
        )

    @classmethod
    def scan(cls, store: Store, name: str) -> Index:
        """Return the index of any WebDataset tar from its headers; scenes and digests are unknown (-1, 0).

        Raises:
            DatasetError: when the archive is damaged or refused, or a member comes twice.
        """
        grouped: dict[str, dict[str, Place]] = {}
        for member in tar.scan(store, name):
            folder, slash, base = member.name.rpartition("/")
            stem, _, suffix = base.partition(".")
            if not stem or not suffix:
                continue
            places = grouped.setdefault(folder + slash + stem, {})
            if suffix.lower() in places:
                raise DatasetError(f"{store.where(name)}: member {member.name!r} comes twice")
            places[suffix.lower()] = (suffix.lower(), member.offset, member.size)
        kinds = {suffix for places in grouped.values() for suffix in places}
        if len(kinds) > MAX_SUFFIXES:
            raise DatasetError(f"{store.where(name)}: more than {MAX_SUFFIXES} different endings of names are refused")
        if len(grouped) * max((len(path.encode()) for path in grouped), default=0) > MAX_TABLE_BYTES:
            raise DatasetError(f"{store.where(name)}: its keys take too much memory; split the archive")
        keys = _keys_of(grouped, store.where(name))
        nothing = bytes(DIGEST_BYTES)
        samples = zip(keys, grouped.values(), strict=True)
        return cls.of([Entry(key, -1, nothing, tuple(places.values())) for key, places in samples])

    @property
    def table_bytes(self) -> int:
        """How much memory it takes."""
        return npz.nbytes(self) + _OVERHEAD_BYTES

    def entry(self, place: int) -> Entry:
        """Return one sample's entry, 0 <= place < len."""
        start, end = self.first[place : place + 2].tolist()
        kinds = [self.suffixes[kind].decode() for kind in self.suffix[start:end]]
        places = zip(kinds, self.offset[start:end].tolist(), self.size[start:end].tolist(), strict=True)
        return Entry(self.keys[place].decode(), int(self.scene[place]), self.content[place].tobytes(), tuple(places))

    def entries(self) -> Iterator[Entry]:
        """Yield every sample's entry in order, faster than one by one."""
        kinds = [suffix.decode() for suffix in self.suffixes.tolist()]
        names = [kinds[kind] for kind in self.suffix.tolist()]
        members = list(zip(names, self.offset.tolist(), self.size.tolist(), strict=True))
        first, contents = self.first.tolist(), self.content.tobytes()
        for place, (key, scene) in enumerate(zip(self.keys.tolist(), self.scene.tolist(), strict=True)):
            content = contents[place * DIGEST_BYTES : (place + 1) * DIGEST_BYTES]
            yield Entry(key.decode(), scene, content, tuple(members[first[place] : first[place + 1]]))

    def samples(self, wanted: Callable[[str], bool]) -> Iterator[tuple[str, list[Place]]]:
        """Yield every sample's key and those of its members whose suffix is wanted, in order, faster still."""
        kinds = [suffix.decode() for suffix in self.suffixes.tolist()]
        kept = np.array([wanted(kind) for kind in kinds], np.bool_)[self.suffix]
        names = [kinds[kind] for kind in self.suffix[kept].tolist()]
        members = list(zip(names, self.offset[kept].tolist(), self.size[kept].tolist(), strict=True))
        first = np.concatenate(([0], np.cumsum(kept)))[self.first].tolist()
        for key, (start, end) in zip(self.keys.tolist(), itertools.pairwise(first), strict=True):
            yield key.decode(), members[start:end]

    def to_npz(self) -> bytes:
        """Return the table as npz bytes, the same each time."""
        return npz.pack(self)

    @classmethod
    def from_npz(cls, data: bytes, tar_bytes: int, where: str, sha256: str = "") -> Index:
        """Read and check a table; what it states must fit a tar of that size.

        Args:
            where: names it in errors. sha256: its hash, as the set lists it; empty when nothing does.

        Raises:
            DatasetError: when it is damaged or does not fit. MixedShard: when it is not the one with that hash.
        """
        if sha256 and hashlib.sha256(data).hexdigest() != sha256:
            raise MixedShard(
                f"{where}: is damaged, or of another shard: its bytes are not those of its record;"
                " see 'synthkit verify'"
            )
        try:
            index = npz.unpack(cls, data)
            index._check(tar_bytes)
        except (ValueError, TypeError, IndexError) as error:
            raise DatasetError(f"{where}: is damaged ({error}); remove it and the tar is scanned instead") from None
        return index

    def _check(self, tar_bytes: int) -> None:
        members = len(self.offset)
        if len(self.first) != len(self.keys) + 1:
            raise ValueError(f"first has {len(self.first)} places for {len(self.keys)} samples")
        self._check_names()
        if self.first[0] != 0 or self.first[-1] != members or (self.first[1:] < self.first[:-1]).any():
            raise ValueError("first does not count the members")
        if not members:
            return
        if int(self.suffix.max()) >= len(self.suffixes):
            raise ValueError("a member is of no listed kind")
        if self.size.min() < 0 or self.size.max() > min(MAX_MEMBER_BYTES, tar_bytes):
            raise ValueError("a member has an impossible size")
        # Written so that no sum can overflow: in the order of the tar, none over another, none beyond the end.
        if (self.offset > tar_bytes - self.size).any() or self.offset.min() < BLOCK_BYTES:
            raise ValueError("a member lies outside the tar")
        if (self.offset[1:] - self.offset[:-1] < self.size[:-1]).any():
            raise ValueError("a member lies over another")

    def _check_names(self) -> None:
        """Keys and suffixes are text, and no path can come of a key."""
        keys = b"\n".join(self.keys.tolist()).decode().replace("\n", "")
        suffixes = b"\n".join(self.suffixes.tolist()).decode().replace("\n", "")
        if not (keys.isprintable() and suffixes.isprintable()) or _UNFIT_FOR_KEYS & set(keys) or b"" in self.keys:
            raise ValueError("a key or suffix is no plain name")


def _keys_of(paths: Iterable[str], where: str) -> list[str]:
    """Return a key for each sample of a stranger's tar, given its path without its endings.

    Raises:
        DatasetError: when two paths would have the same key.
    """
    path_of: dict[str, str] = {}
    for path in paths:
        key = path.replace("/", "_").replace(".", "_")
        other = path_of.setdefault(key, path)
        if other != path:
            raise DatasetError(
                f"{where}: samples {other!r} and {path!r} would both have the key {key!r}; rename one of them"
            )
    return list(path_of)
