# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker's end of the pipe: requests are a JSON header and raw arrays, replies a header alone."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

MAGIC = b"SKB1"
PREFIX = struct.Struct("<4sIQ")
DTYPES = ("float32", "int32", "uint8")

Array = NDArray[Any]


class BadMessageError(Exception):
    """What came through the pipe is no message."""


def read_message(stream: BinaryIO) -> tuple[dict[str, Any], list[Array]] | None:
    """Read one message, or None at the end of the stream.

    Layout: magic (4 bytes), header length (uint32), body length (uint64), little-endian; the header, UTF-8 JSON
    with an ``arrays`` list of (dtype, shape); then the arrays' bytes, C order, in that order.

    Raises:
        BadMessageError: when the bytes are not of that layout.
    """
    prefix = stream.read(PREFIX.size)
    if not prefix:
        return None
    if len(prefix) < PREFIX.size:
        raise BadMessageError("the stream ended within a message")
    magic, header_length, body_length = PREFIX.unpack(prefix)
    if magic != MAGIC:
        raise BadMessageError(f"expected {MAGIC!r}, got {magic!r}")
    text, body = stream.read(header_length), stream.read(body_length)
    if len(text) < header_length or len(body) < body_length:
        raise BadMessageError("the stream ended within a message")
    header = json.loads(text)
    arrays = []
    start = 0
    for dtype, shape in header.pop("arrays"):
        if dtype not in DTYPES:
            raise BadMessageError(f"an array of {dtype}")
        count = math.prod(shape)
        arrays.append(np.frombuffer(body, dtype, count, start).reshape(shape))
        start += count * np.dtype(dtype).itemsize
    return header, arrays


def write_message(stream: BinaryIO, header: Mapping[str, Any]) -> None:
    """Write one message without arrays, and flush it."""
    text = json.dumps(header).encode()
    stream.write(PREFIX.pack(MAGIC, len(text), 0))
    stream.write(text)
    stream.flush()
