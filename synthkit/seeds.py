# SPDX-License-Identifier: Apache-2.0
"""Named, counter-based random streams: one seed, and every draw in its own place."""

from __future__ import annotations

import hashlib

import numpy as np

_DIGEST_BYTES = 16  # one Philox key


class Seeds:
    """A node in a tree of random streams.

    Streams are addressed by name and index, never by the order of use, so adding a draw in one place
    shifts none elsewhere and a retry sees the same numbers. ``seeds.stream("pose", 3)`` is the same
    generator state on every machine, in every process, at every time.

    Args:
        root: the user's seed, 0 <= root < 2**64.
    """

    __slots__ = ("_path", "root")

    def __init__(self, root: int, *, _path: tuple[str, ...] = ()) -> None:
        if not 0 <= root < 2**64:
            raise ValueError(f"a seed must lie in [0, 2**64), got {root}")
        self.root = root
        self._path = _path

    def __repr__(self) -> str:
        return f"Seeds({self.root}, path={'/'.join(self._path)!r})"

    def child(self, *parts: str | int) -> Seeds:
        """Return the subtree at ``parts``; its streams are independent of this node's."""
        return Seeds(self.root, _path=(*self._path, *map(_label, parts)))

    def stream(self, name: str, *index: int) -> np.random.Generator:
        """Return a fresh Philox generator for ``name`` and ``index``, always at its beginning."""
        key = int.from_bytes(self._digest(name, *index), "little")
        return np.random.Generator(np.random.Philox(key=key))

    def integer(self, name: str, *index: int) -> int:
        """Return a fixed integer in [0, 2**63) for libraries that want a seed of their own."""
        return int.from_bytes(self._digest(name, *index)[:8], "little") >> 1

    def _digest(self, *parts: str | int) -> bytes:
        digest = hashlib.blake2b(self.root.to_bytes(8, "little"), digest_size=_DIGEST_BYTES)
        for label in (*self._path, *map(_label, parts)):
            data = label.encode()
            digest.update(len(data).to_bytes(4, "little") + data)
        return digest.digest()


def _label(part: str | int) -> str:
    """Spell a path part so that the integer 1 and the string "1" differ."""
    return f"#{part}" if isinstance(part, int) else f":{part}"
