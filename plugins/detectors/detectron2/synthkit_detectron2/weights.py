# SPDX-License-Identifier: Apache-2.0
"""Weights of detectron2's files. Most of these are pickles, of which nothing but arrays is taken: nothing runs."""

from __future__ import annotations

import collections
import importlib
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from synthkit.errors import WeightsError

_MOST_BYTES = 4 << 30
_MULTIARRAY = importlib.import_module("numpy._core.multiarray")
_PLAIN: Mapping[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    **{
        (f"numpy.{core}.multiarray", name): getattr(_MULTIARRAY, name)
        for core in ("core", "_core")
        for name in ("_reconstruct", "scalar")
    },
    ("_codecs", "encode"): lambda text, encoding: text.encode("latin1"),
}
"""All that a pickle of arrays needs; Python's own way of naming bytes among them."""


class _Arrays(pickle.Unpickler):
    """Unpickles plain values and arrays alone."""

    def find_class(self, module: str, name: str) -> Any:
        """Return one of the few things that arrays are made of."""
        if (module, name) not in _PLAIN:
            raise pickle.UnpicklingError(f"asks for {module}.{name}, which is no part of an array")
        return _PLAIN[module, name]


def read(path: Path) -> dict[str, torch.Tensor]:
    """Return the weights of a file by name.

    Args:
        path: ``.pkl`` as detectron2's model zoo has them: a table whose ``model`` has arrays by name; ``.pth`` of the
            same with tensors; or ``.safetensors``.

    Raises:
        WeightsError: when it is no such file. No code in it is run.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"has more than {_MOST_BYTES} bytes")
        return _tensors(_table(path))
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from None
    except Exception as error:  # pickle, torch and safetensors raise whatever they come upon
        raise WeightsError(f"{path}: holds no weights of detectron2: {str(error).splitlines()[0][:200]}") from None


def _table(path: Path) -> Mapping[str, Any]:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    if path.suffix == ".pkl":
        with path.open("rb") as file:
            table = _Arrays(file, encoding="latin1").load()
    elif path.suffix == ".pth":
        table = torch.load(path, map_location="cpu", weights_only=True)
    else:
        raise ValueError(f"is called {path.suffix or 'nothing'}, expected .pkl, .pth or .safetensors")
    inner = table.get("model", table) if isinstance(table, Mapping) else None
    if not isinstance(inner, Mapping) or not inner:
        raise ValueError("has no table of arrays by name")
    return inner


def _tensors(table: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    found = {}
    for name, value in table.items():
        array = torch.from_numpy(np.array(value)) if isinstance(value, np.ndarray | np.generic) else value
        if not isinstance(name, str) or not isinstance(array, torch.Tensor):
            raise ValueError(f"{str(name)[:60]!r} is {type(value).__name__}, expected numbers")
        if array.is_floating_point() and not bool(torch.isfinite(array).all()):
            raise ValueError(f"{name[:60]!r} has numbers that are not finite")
        found[name] = array
    return found


def load_into(model: torch.nn.Module, weights: Mapping[str, torch.Tensor], path: Path) -> None:
    """Put weights into a network.

    Raises:
        WeightsError: when they are of another network; names that it does not know are passed over, as older files
            hold what is computed today.
    """
    own = model.state_dict()
    missing = [name for name in own if name not in weights and name not in ("pixel_mean", "pixel_std")]
    other = [name for name, value in own.items() if name in weights and weights[name].shape != value.shape]
    for names, what in ((missing, "lacks"), (other, "has other shapes of")):
        if names:
            more = f" and {len(names) - 3} more" if names[3:] else ""
            raise WeightsError(
                f"{path}: is of another network: it {what} {', '.join(names[:3])}{more}; set the config that it is of"
            )
    model.load_state_dict({name: weights[name] for name in own if name in weights}, strict=False)
