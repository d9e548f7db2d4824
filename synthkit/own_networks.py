# SPDX-License-Identifier: Apache-2.0
"""Networks of the user's own in which metrics compare pictures: an ONNX file, or a torch module that can be imported.

Neither is known to be any good: whatever goes wrong in it is told in one line that names it.
"""

from __future__ import annotations

import hashlib
import importlib
import re
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import numpy.typing as npt

from synthkit import weights
from synthkit.config import nearest
from synthkit.errors import ConfigError, WeightsError

if TYPE_CHECKING:
    import torch
    from torch import nn

_NUMBERS = "fiub"  # kinds of NumPy's types that are numbers
_LONGEST = 300


def is_onnx(name: str) -> bool:
    """Return whether a network is an ONNX file."""
    return name.endswith(".onnx")


def is_module(name: str) -> bool:
    """Return whether a network is a class that can be imported."""
    return re.fullmatch(r"[A-Za-z_][\w.]*:\w+", name) is not None


def known(what: str, names: Collection[str]) -> Callable[[Any, attrs.Attribute[Any], str], None]:
    """Return a validator of settings that name a network: one of ``names``, an ONNX file, or a class.

    Args:
        what: the network is, such as ``an extractor``.
    """

    def check(_: Any, __: attrs.Attribute[Any], value: str) -> None:
        if value not in names and not is_onnx(value) and not is_module(value):
            raise ValueError(
                f"no {what} is called {value!r}{nearest(value, names)}; known are {', '.join(names)},"
                " an .onnx file, or pkg.mod:Class"
            )

    return check


def made(name: str, setting: str, path: Path | None) -> nn.Module:
    """Return the module of a class that the user's own settings name, made without arguments, ready to be run.

    What torch draws meanwhile is drawn alike each time, so that parts and runs are compared in one network.

    Args:
        setting: what names it, for messages. path: of a file with its tensors; None leaves them as they are made.

    Raises:
        ConfigError: when it cannot be made. WeightsError: when the file's tensors are not its own.
    """
    try:
        import torch
        from torch import nn
    except ImportError:
        raise ConfigError([f"{setting}: {name} needs torch: pip install 'synthkit-core[torch]'"]) from None
    module, _, attribute = name.partition(":")
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            network = getattr(importlib.import_module(module), attribute)()
    except Exception as error:  # a stranger's code may raise anything
        raise ConfigError([f"{setting}: {name} cannot be made: {short(error)}"]) from None
    if not isinstance(network, nn.Module):
        raise ConfigError([f"{setting}: {name} is no torch.nn.Module"])
    if path is not None:
        fill(network, weights.read(path), f"weights {path}: are not of {name}")
    for part, value in network.state_dict().items():
        if not _plain(value):
            raise ConfigError([f"{setting}: {name}: its {part} is no plain tensor, which results could not name"])
    return network.eval().requires_grad_(False)


def _plain(value: Any) -> bool:
    """Return whether a part of a module's state is numbers that can be told from others."""
    import torch
    from torch.nn.parameter import is_lazy

    if not isinstance(value, torch.Tensor) or is_lazy(value):
        return False
    return value.layout == torch.strided and not value.is_quantized and not value.is_meta


def fill(network: nn.Module, tensors: Mapping[str, torch.Tensor], problem: str) -> None:
    """Give a network its tensors; there may be more, such as a classifier's.

    Args:
        problem: what is said first when they are not the network's.

    Raises:
        WeightsError: then.
    """
    wanted = network.state_dict()
    missing = sorted(set(wanted) - set(tensors))
    if missing:
        raise WeightsError(f"{problem}: {missing[0]} is missing")
    try:
        network.load_state_dict({name: tensors[name] for name in wanted})
    except RuntimeError as error:
        raise WeightsError(f"{problem}: {short(error)}") from None


def sha256_of(name: str, network: nn.Module) -> str:
    """Return the identity of a network that was made: of its tensors, and of the file in which its class is.

    So what was kept of another version of the class, while it is written, is not taken for this one's.
    """
    import torch

    hasher = hashlib.sha256()
    file = getattr(sys.modules.get(name.partition(":")[0]), "__file__", None)
    if file is not None and Path(file).is_file():
        hasher.update(Path(file).read_bytes())
    for name, tensor in sorted(network.state_dict().items()):
        kind = str(tensor.dtype).removeprefix("torch.")
        data = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)  # NumPy lacks some of torch's types
        hasher.update(f"{name} {kind} {tuple(tensor.shape)}".encode() + data.numpy().tobytes())
    return hasher.hexdigest()


def run(network: nn.Module, pixels: torch.Tensor, origin: str) -> torch.Tensor:
    """Return what a user's module makes of pictures, in float32.

    Args:
        origin: what the network is, for messages.

    Raises:
        WeightsError: when it fails, or gives no tensor of numbers.
    """
    import torch

    try:
        found = network(pixels)
    except Exception as error:  # as above
        raise WeightsError(f"{origin}: fails on pictures {tuple(pixels.shape)}: {short(error)}") from None
    if not isinstance(found, torch.Tensor) or found.is_complex():
        told = found.dtype if isinstance(found, torch.Tensor) else type(found).__name__
        raise WeightsError(f"{origin}: gives {told}, expected a tensor of real numbers")
    return found.float()


@attrs.frozen(eq=False)
class OnnxNetwork:
    """An ONNX file that was looked at as a stranger's, opened on the CPU.

    Args:
        origin: what it is, for messages. session: what runs it. input, outputs: their names.
    """

    origin: str
    session: Any
    input: str
    outputs: tuple[str, ...]

    @classmethod
    def open(cls, path: Path, what: str, threads: int) -> OnnxNetwork:
        """Open a file.

        Args:
            what: it is, such as ``extractor``.

        Raises:
            ConfigError: without ONNX Runtime. WeightsError: when it is refused, or takes more than pictures.
        """
        try:
            from synthkit.deployment import sessions
            from synthkit.deployment.files import OnnxFile
        except ImportError:
            raise ConfigError([f"{what}: {path} needs ONNX Runtime: pip install 'synthkit-core[onnx]'"]) from None
        origin = f"{what} {path}"
        session = sessions.open_session(OnnxFile.read(path, f"an {what}").data, origin, threads)
        inputs, outputs = ([item.name for item in items] for items in (session.get_inputs(), session.get_outputs()))
        if len(inputs) != 1:
            told = f"the inputs {', '.join(inputs)}" if inputs else "no input"
            raise WeightsError(f"{origin}: has {told}; an {what} has one, pictures")
        return cls(origin, session, inputs[0], tuple(outputs))

    @property
    def one_by_one(self) -> bool:
        """Whether it takes one picture at a time."""
        shape = self.session.get_inputs()[0].shape
        return bool(shape) and shape[0] == 1

    def run(self, pixels: npt.NDArray[Any], output: str) -> npt.NDArray[np.float32]:
        """Return one of its outputs, in float32.

        Raises:
            WeightsError: when ONNX Runtime fails, or the output is no array of numbers.
        """
        from synthkit.deployment.sessions import run_session

        found = run_session(self.session, self.input, pixels, self.origin)[output]
        if not isinstance(found, np.ndarray) or found.dtype.kind not in _NUMBERS:
            told = found.dtype if isinstance(found, np.ndarray) else type(found).__name__
            raise WeightsError(f"{self.origin}: its output {output!r} is {told}, expected an array of numbers")
        return found.astype(np.float32)


def short(error: Exception) -> str:
    """Return what a stranger's error says, in one line: the last, in which libraries name what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:_LONGEST] if lines else type(error).__name__
