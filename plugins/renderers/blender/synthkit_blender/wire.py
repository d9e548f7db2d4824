# SPDX-License-Identifier: Apache-2.0
"""Messages between the renderer and its worker: a JSON header and raw arrays, never code.

Layout: magic (4 bytes), header length (uint32), body length (uint64), little-endian; the header, UTF-8 JSON with
an ``arrays`` list of (dtype, shape); then the arrays' bytes, C order, in that order.
"""

from __future__ import annotations

import json
import math
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


def encode(header: Mapping[str, Any], arrays: Sequence[Array]) -> list[bytes]:
    """Return a message as pieces of bytes to be written one after the other.

    Raises:
        ValueError: for an array of another dtype than ``DTYPES``.
    """
    for array in arrays:
        if array.dtype.name not in DTYPES:
            raise ValueError(f"arrays must be {', '.join(DTYPES)}, got {array.dtype}")
    table = [[array.dtype.name, list(array.shape)] for array in arrays]
    text = json.dumps({**header, "arrays": table}, allow_nan=False).encode()
    bodies = [np.ascontiguousarray(array).tobytes() for array in arrays]
    return [PREFIX.pack(MAGIC, len(text), sum(map(len, bodies))), text, *bodies]


def lengths(prefix: bytes) -> tuple[int, int]:
    """Return the header's and the body's length.

    Raises:
        ProtocolError: when the prefix is not a message's.
    """
    magic, header, body = PREFIX.unpack(prefix)
    if magic != MAGIC:
        raise ProtocolError(f"expected a message, got {prefix[:16]!r}")
    return header, body


def decode(text: bytes, body: bytes) -> tuple[dict[str, Any], list[Array]]:
    """Return a message's header and its read-only arrays.

    Raises:
        ProtocolError: when header and body do not fit.
    """
    try:
        header = json.loads(text)
        table = [(str(dtype), tuple(int(n) for n in shape)) for dtype, shape in header.pop("arrays")]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProtocolError(f"a malformed header: {error}") from None
    arrays = []
    start = 0
    for dtype, shape in table:
        if dtype not in DTYPES or any(n < 0 for n in shape):
            raise ProtocolError(f"an array of {dtype} {shape}")
        count = math.prod(shape)
        end = start + count * np.dtype(dtype).itemsize
        if end > len(body):
            raise ProtocolError("a body shorter than its header says")
        arrays.append(np.frombuffer(body, dtype, count, start).reshape(shape))
        start = end
    return header, arrays
