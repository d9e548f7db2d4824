# SPDX-License-Identifier: Apache-2.0
"""Messages between a process and its workers: JSON with its length in front, over a private socket."""

from __future__ import annotations

import json
import struct
from typing import Any

MAX_MESSAGE_BYTES = 1 << 30
_LENGTH = struct.Struct("<Q")


def pack(message: Any) -> bytes:
    """Return a message as it crosses the socket."""
    data = json.dumps(message, allow_nan=False).encode()
    return _LENGTH.pack(len(data)) + data


class Unpacker:
    """Puts messages together from the pieces in which they arrive."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Any]:
        """Take some bytes and return the messages they complete.

        Raises:
            ValueError: when the bytes are no messages.
        """
        self._buffer += data
        messages = []
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > MAX_MESSAGE_BYTES:
                raise ValueError(f"a message of {length} bytes is refused")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                break
            messages.append(json.loads(self._buffer[_LENGTH.size : end]))
            del self._buffer[:end]
        return messages
