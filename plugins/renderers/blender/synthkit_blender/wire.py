# SPDX-License-Identifier: Apache-2.0
"""Messages between the renderer and its worker: JSON headers and raw arrays, never code.

Layout: magic (4 bytes), header length (uint32), body length (uint64), little-endian; the header, UTF-8 JSON, in
requests with an ``arrays`` list of (dtype, shape); then the arrays' bytes, C order, in that order. Replies have no
body: what was rendered lies in files.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAGIC = b"SKB1"
PREFIX = struct.Struct("<4sIQ")
DTYPES = ("float32", "int32", "uint8")

Array = NDArray[Any]


class ProtocolError(Exception):
    """Bytes that are no message; the process at the other end is not to be trusted any more."""


def encode(header: Mapping[str, Any], arrays: Sequence[Array]) -> list[memoryview]:
    """Return a message as pieces of bytes to be written one after the other; arrays are not copied.

    Raises:
        ValueError: for an array of another dtype than ``DTYPES``.
    """
    for array in arrays:
        if array.dtype.name not in DTYPES:
            raise ValueError(f"arrays must be {', '.join(DTYPES)}, got {array.dtype}")
    table = [[array.dtype.name, list(array.shape)] for array in arrays]
    text = json.dumps({**header, "arrays": table}, allow_nan=False).encode()
    bodies = [np.ascontiguousarray(array).reshape(-1).view(np.uint8).data for array in arrays]
    prefix = PREFIX.pack(MAGIC, len(text), sum(map(len, bodies)))
    return [memoryview(prefix), memoryview(text), *bodies]


def header_length(prefix: bytes) -> int:
    """Return how long a reply's header is.

    Raises:
        ProtocolError: when the prefix is not a reply's.
    """
    magic, header, body = PREFIX.unpack(prefix)
    if magic != MAGIC or body:
        raise ProtocolError(f"expected a message, got {prefix[:16]!r}")
    return int(header)


def decode(text: bytes) -> dict[str, Any]:
    """Return a reply's header.

    Raises:
        ProtocolError: when it is no JSON object.
    """
    try:
        header = json.loads(text)
    except ValueError as error:
        raise ProtocolError(f"a malformed header: {error}") from None
    if not isinstance(header, dict):
        raise ProtocolError(f"a header that is a {type(header).__name__}")
    return header
