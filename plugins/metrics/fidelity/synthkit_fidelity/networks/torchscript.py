# SPDX-License-Identifier: Apache-2.0
"""The tensors of a TorchScript archive, such as OpenAI's files of CLIP, without running anything that is in it.

Such an archive is a zip with code, and a pickle of the modules' attributes. The code is left alone; of the pickle only
tables, lists, numbers and tensors are made: every class that it names becomes an inert table, and every function but
the one that makes tensors is refused.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from synthkit.errors import WeightsError

_TYPES = {
    "DoubleStorage": torch.float64, "FloatStorage": torch.float32, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
}  # fmt: skip
_LISTS = ("build_intlist", "build_doublelist", "build_boollist", "build_tensorlist")


def is_archive(path: Path) -> bool:
    """Return whether a file is a TorchScript archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.split("/", 1)[-1] == "constants.pkl" for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def read(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of an archive by the names that its ``state_dict`` would give them.

    Raises:
        WeightsError: when it holds what no TorchScript archive needs.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            (name,) = (name for name in archive.namelist() if name.split("/", 1)[-1] == "data.pkl")
            root = _Reader(archive, name.removesuffix(".pkl")).load()
    except (zipfile.BadZipFile, OSError, ValueError, TypeError, KeyError, EOFError, RuntimeError, IndexError,
            AttributeError, pickle.UnpicklingError) as error:  # fmt: skip
        raise WeightsError(f"weights {path}: cannot be read as a TorchScript archive: {error}") from None
    found: dict[str, torch.Tensor] = {}
    _collect(root, "", found)
    return found


class _Inert(dict[str, Any]):
    """What becomes of an object of any class: its attributes."""

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.update(state)


class _Reader(pickle.Unpickler):
    def __init__(self, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(io.BytesIO(archive.read(f"{folder}.pkl")))
        self._archive, self._folder = archive, folder
        self._storages: dict[str, torch.Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("__torch__"):
            return _Inert
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch.jit._pickle" and name in _LISTS:
            return list
        if (module, name) == ("collections", "OrderedDict"):
            return dict
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no archive of weights needs")

    def persistent_load(self, pid: Any) -> torch.Tensor:
        _, kind, key, *_ = pid
        if key not in self._storages:
            raw = bytearray(self._archive.read(f"{self._folder}/{key}"))
            self._storages[key] = torch.frombuffer(raw, dtype=kind) if raw else torch.empty(0, dtype=kind)
        return self._storages[key]


def _tensor(storage: torch.Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Any:
    return torch.as_strided(storage, size, stride, offset)


def _collect(node: Any, prefix: str, found: dict[str, torch.Tensor]) -> None:
    for name, value in node.items() if isinstance(node, _Inert) else ():
        if isinstance(value, torch.Tensor):
            found[prefix + name] = value
        else:
            _collect(value, f"{prefix}{name}.", found)
