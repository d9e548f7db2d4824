# SPDX-License-Identifier: Apache-2.0
"""Tables of plain arrays as npz: the same bytes each time, and read without believing or running anything."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from synthkit.dataset.codec import decode_npy


def pack(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Return stored (not compressed) npz bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def unpack(data: bytes, names: Iterable[str]) -> dict[str, npt.NDArray[Any]]:
    """Return the named arrays of npz bytes; numbers and byte strings only.

    Raises:
        ValueError: when they are damaged, compressed, lack an array, or hold objects.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {name: _stored_array(archive, f"{name}.npy") for name in names}
    # RuntimeError: encrypted. NotImplementedError: of a later version of zip. struct.error: an odd extra field.
    except (KeyError, IndexError, TypeError, OSError, EOFError, OverflowError, RuntimeError, struct.error) as error:
        raise ValueError(str(error)) from None
    except (zipfile.BadZipFile, zipfile.LargeZipFile) as error:
        raise ValueError(str(error)) from None


def _stored_array(archive: zipfile.ZipFile, name: str) -> npt.NDArray[Any]:
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError("it is compressed")
    return decode_npy(archive.read(info), kinds="iuS")
