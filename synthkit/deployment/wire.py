# SPDX-License-Identifier: Apache-2.0
"""Looking at an ONNX model's bytes before they are decoded.

An empty message takes two bytes in a file and seventy times as many in memory, so a file within the limit may be one
that no memory holds; and names need not be text, or may move a terminal's cursor.
"""

from __future__ import annotations

import functools
from typing import Any

import onnx

MOST_FIELDS = 500_000
"""Of all messages in a model; the largest detectors have some ten thousand."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FREE = frozenset({"doc_string", "value"})  # texts that are no names


def check(data: bytes) -> None:
    """Go through a model's fields by protobuf's encoding, without decoding them.

    Raises:
        ValueError: when it is no protobuf, has too many fields, or a name that is no printable text.
    """
    count = 0
    waiting: list[tuple[int, int, Any]] = [(0, len(data), onnx.ModelProto.DESCRIPTOR)]
    while waiting:
        at, end, kind = waiting.pop()
        messages, texts = _inner(kind)
        while at < end:
            count += 1
            if count > MOST_FIELDS:
                raise ValueError(f"has more than {MOST_FIELDS} fields")
            key, at = _varint(data, at)
            start, at = _skipped(data, at, key & 7)
            if at > end:
                raise ValueError("is no ONNX model (it is cut off)")
            if key & 7 == _BYTES and key >> 3 in messages:
                waiting.append((start, at, messages[key >> 3]))
            elif key & 7 == _BYTES and key >> 3 in texts:
                _check_text(data[start:at], texts[key >> 3])


def _skipped(data: bytes, at: int, wire: int) -> tuple[int, int]:
    """Return where a field's content starts and ends."""
    if wire == _VARINT:
        return at, _varint(data, at)[1]
    if wire == _BYTES:
        size, at = _varint(data, at)
        return at, at + size
    if wire in (_FIXED64, _FIXED32):
        return at, at + (8 if wire == _FIXED64 else 4)
    raise ValueError("is no ONNX model (it is no protobuf)")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place, byte in enumerate(data[at : at + 10]):
        value |= (byte & 127) << 7 * place
        if byte < 128:
            return value, at + place + 1
    raise ValueError("is no ONNX model (it is no protobuf)")


def _check_text(raw: bytes, name: str) -> None:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise ValueError(f"has names or texts ({name}) that are no text") from None
    if name not in _FREE and not text.isprintable():
        raise ValueError(f"has names ({name}) that cannot be printed, such as {text[:80]!r}")


@functools.cache
def _inner(kind: Any) -> tuple[dict[int, Any], dict[int, str]]:
    """Return which fields of a message are messages, and which are texts: by number, their kind and their name."""
    messages = {field.number: field.message_type for field in kind.fields if field.message_type is not None}
    return messages, {field.number: field.name for field in kind.fields if field.type == field.TYPE_STRING}
