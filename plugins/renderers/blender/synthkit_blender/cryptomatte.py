# SPDX-License-Identifier: Apache-2.0
"""How much of each pixel each thing covers, from Cryptomatte ids and coverages."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def asset_coverage(names: Sequence[str], ids: NDArray[np.float32], ranks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (N, H, W) how much of each pixel each of N assets covers, from their ids and coverages (R, H, W)."""
    wanted = [np.uint32(cryptomatte_id(name)) for name in names]
    shares = np.zeros((len(names), ranks[0].size), np.float32)
    for keys, coverage in zip(ids.reshape(len(ids), -1), ranks.reshape(len(ranks), -1), strict=True):
        # All but the first rank are empty nearly everywhere.
        filled = np.flatnonzero(coverage)
        # Ids are hashes that only look like floats: compare their bits.
        bits = keys.view(np.uint32)[filled]
        for share, key in zip(shares, wanted, strict=True):
            where = filled[bits == key]
            share[where] += coverage[where]
    return shares.reshape(len(names), *ranks.shape[1:])


def cryptomatte_id(name: str) -> int:
    """Return the bits of a name's id: MurmurHash3 x86 32 with seed 0, no exponent of 0 or 255.

    Source: Friedman and Jones, Cryptomatte specification 1.2.0 (Psyop), section on id generation.
    """
    value = murmur3(name.encode())
    exponent = value >> 23 & 0xFF
    return value ^ 1 << 23 if exponent in (0, 255) else value


def murmur3(data: bytes) -> int:
    """Return MurmurHash3 x86 32 with seed 0 (Appleby, public domain algorithm)."""
    mask = 0xFFFFFFFF

    def mixed(k: int) -> int:
        k = k * 0xCC9E2D51 & mask
        return (k << 15 | k >> 17) * 0x1B873593 & mask

    h = 0
    whole = len(data) // 4 * 4
    for (k,) in struct.iter_unpack("<I", data[:whole]):
        h ^= mixed(k)
        h = (h << 13 | h >> 19) & mask
        h = (h * 5 + 0xE6546B64) & mask
    if tail := data[whole:]:
        h ^= mixed(int.from_bytes(tail, "little"))
    h ^= len(data)
    h = (h ^ h >> 16) * 0x85EBCA6B & mask
    h = (h ^ h >> 13) * 0xC2B2AE35 & mask
    return h ^ h >> 16
