# SPDX-License-Identifier: Apache-2.0
"""Tables of plain arrays as npz: the same bytes each time, and read without believing or running anything.

A table is an attrs class whose fields are declared with ``column``. What is read is what ``pack`` writes: members
that are stored one after the other, each with its sizes before it (PKWARE's APPNOTE, 4.3.7 and 4.5.3).
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.dataset.codec import decode_npy

T = TypeVar("T", bound=attrs.AttrsInstance)

BYTES = "S"
"""The dtype of a column of byte strings, as long as the longest."""

_HEADER = struct.Struct("<4s2x2H4x3I2H")  # mark, flags, method, CRC-32, sizes, lengths of name and extra field
_MARK = b"PK\3\4"
_IN_EXTRA_FIELD = 0xFFFFFFFF
_EXTRA_FIELD = struct.Struct("<HHQQ")  # kind 1, its length, sizes of 64 bits
_MOST_MEMBERS = 64  # a later version may have more than this one
_UNREADABLE_FLAGS = 0b1001  # encrypted, or sizes that are told afterwards


def column(dtype: str, *shape: str | int, optional: bool = False) -> Any:
    """Return a field of a table.

    Args:
        dtype: as NumPy spells it, or ``BYTES``.
        shape: lengths, or names of lengths: equal names are equal lengths in all columns of a table.
        optional: tables that lack it are read all the same, with None in its place.
    """
    metadata = {"dtype": dtype, "shape": shape}
    return attrs.field(metadata=metadata, default=None) if optional else attrs.field(metadata=metadata)


def nbytes(table: attrs.AttrsInstance) -> int:
    """Return how much memory the columns of a table take."""
    return sum(array.nbytes for array in _columns(table).values())


def pack(table: attrs.AttrsInstance) -> bytes:
    """Return a table as stored (not compressed) npz bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, **_columns(table))
    return buffer.getvalue()


def unpack(cls: type[T], data: bytes) -> T:
    """Return the table that npz bytes hold; what else is in them is left alone.

    Raises:
        ValueError: when they are damaged, compressed, hold objects, or columns that are missing or not as declared.
    """
    places = dict(_members(data))
    columns: dict[str, npt.NDArray[Any]] = {}
    lengths: dict[str, int] = {}
    for field in attrs.fields(cls):
        found = places.get(f"{field.name}.npy".encode())
        if found is not None:
            columns[field.name] = _checked(decode_npy(data[found], kinds="iuS"), field, lengths)
        elif field.default is attrs.NOTHING:
            raise ValueError(f"{field.name} is missing")
    return cls(**columns)


def _columns(table: attrs.AttrsInstance) -> Mapping[str, npt.NDArray[Any]]:
    found = ((field.name, getattr(table, field.name)) for field in attrs.fields(type(table)))
    return {name: array for name, array in found if array is not None}


def _checked(array: npt.NDArray[Any], field: attrs.Attribute[Any], lengths: dict[str, int]) -> npt.NDArray[Any]:
    """Return a column that is as its field declares it; the first one that has a named length decides on it."""
    dtype, declared = field.metadata["dtype"], field.metadata["shape"]
    fits = array.dtype.kind == BYTES if dtype == BYTES else array.dtype == dtype
    if not fits or array.ndim != len(declared):
        raise ValueError(f"{field.name} is {array.dtype} {array.shape}")
    for length, stated in zip(array.shape, declared, strict=True):
        if length != (lengths.setdefault(stated, length) if isinstance(stated, str) else stated):
            raise ValueError(f"{field.name} is {array.dtype} {array.shape}")
    return array


def _members(data: bytes) -> Iterator[tuple[bytes, slice]]:
    """Yield the name and the place of each member."""
    place = count = 0
    while data.startswith(_MARK, place):
        count += 1
        if count > _MOST_MEMBERS:
            raise ValueError(f"it has more than {_MOST_MEMBERS} columns")
        if len(data) < place + _HEADER.size:
            raise ValueError("it is cut off")
        _, flags, method, crc, packed, size, name_bytes, extra_bytes = _HEADER.unpack_from(data, place)
        if method or flags & _UNREADABLE_FLAGS:
            raise ValueError("it is compressed, encrypted, or was written in one go")
        extra = place + _HEADER.size + name_bytes
        begin = extra + extra_bytes
        if size == _IN_EXTRA_FIELD and extra_bytes >= _EXTRA_FIELD.size and begin <= len(data):
            kind, _, size, packed = _EXTRA_FIELD.unpack_from(data, extra)
            packed = packed if kind == 1 else -1
        if size != packed or begin + size > len(data):
            raise ValueError("a member is cut off, or is not of its size")
        if zlib.crc32(memoryview(data)[begin : begin + size]) != crc:
            raise ValueError("a member fails its checksum")
        yield data[place + _HEADER.size : extra], slice(begin, begin + size)
        place = begin + size
