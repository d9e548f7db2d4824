# SPDX-License-Identifier: Apache-2.0
"""FDH's ``embed_map.torch``: what each vertex of the body surface is in embedding space."""

from __future__ import annotations

import hashlib
import importlib.util
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from synthkit.errors import DatasetError
from synthkit.files import small_file
from synthkit.surfaces import SMPL

NAME = "embed_map.torch"
VERTICES, CHANNELS = SMPL.vertices, 16
_MAX_BYTES = 16_000_000


def sha256_of(path: Path) -> str:
    """Return the hash of such a file.

    Raises:
        DatasetError: when it cannot be read, or is too large to be one.
    """
    try:
        return hashlib.sha256(small_file(path, _MAX_BYTES, f"{VERTICES}x{CHANNELS} numbers")).hexdigest()
    except ValueError as error:
        raise DatasetError(f"{path}: {error}") from None


def check(path: Path) -> bool:
    """Load the file and return True, or False when that needs torch, which is not installed.

    Raises:
        DatasetError: when it is no such file.
    """
    if importlib.util.find_spec("torch") is None:
        return False
    load_embed_map(path)
    return True


def load_embed_map(path: Path) -> npt.NDArray[np.float32]:
    """Return the map, (27554, 16) float32: row v is the embedding of vertex v.

    Nothing in the file is executed; torch reads it.

    Raises:
        DatasetError: when it is no such file, or torch is not installed.
    """
    try:
        small_file(path, _MAX_BYTES, f"{VERTICES}x{CHANNELS} numbers")
        return _loaded(path)
    except ValueError as error:
        raise DatasetError(f"{path}: {error}") from None


def _loaded(path: Path) -> npt.NDArray[np.float32]:
    try:
        import torch
    except ImportError:
        raise ValueError("needs torch to be read: pip install 'synthkit-core[torch]'") from None
    _check_zip(path)
    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its parser comes upon
        raise ValueError(f"cannot be read by torch as plain weights: {str(error).splitlines()[0][:120]}") from None
    if not isinstance(found, torch.Tensor) or tuple(found.shape) != (VERTICES, CHANNELS):
        what = f"of shape {tuple(found.shape)}" if isinstance(found, torch.Tensor) else f"a {type(found).__name__}"
        raise ValueError(f"holds {what}, expected a tensor of {VERTICES}x{CHANNELS}")
    values = found.detach().to(torch.float32).contiguous().numpy()
    if not np.isfinite(values).all():
        raise ValueError("holds numbers that are not finite")
    return values


def _check_zip(path: Path) -> None:
    """Refuse torch's old format, which states its own sizes, and archives that unpack to much more."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(info.file_size for info in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        raise ValueError("is no file of torch 1.6 or later (a zip archive); save it anew with torch.save") from None
    if unpacked > _MAX_BYTES:
        raise ValueError(f"unpacks to {unpacked} bytes, too many for {VERTICES}x{CHANNELS} numbers")
