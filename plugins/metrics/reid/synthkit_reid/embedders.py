# SPDX-License-Identifier: Apache-2.0
"""Networks that turn a picture of a person into numbers, which are near for the same person.

Each picture goes through alone, on one thread more or less as the runtime says: an embedding depends on nothing but
the picture, the network and its preprocessing.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import attrs
import numpy as np
import numpy.typing as npt
from PIL import Image

from synthkit import weights
from synthkit.checkpoint import sha256_of
from synthkit.deployment.files import OnnxFile
from synthkit.deployment.sessions import as_input, check_input, open_session, run_session
from synthkit.errors import ConfigError, WeightsError
from synthkit.interfaces import Extractor, Runtime
from synthkit_reid.cards import EmbedderCard, read_card
from synthkit_reid.config import EmbedderConfig, is_module, is_onnx
from synthkit_reid.published import KNOWN

if TYPE_CHECKING:
    from torch import nn

Pixels = npt.NDArray[np.uint8]
Vector = npt.NDArray[np.float32]


class Embed(Protocol):
    """A network, ready to run."""

    def __call__(self, batch: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the embedding of a batch of one, (1, d) or with further axes of length 1."""


@attrs.frozen(eq=False)
class Embedder:
    """An embedder, before its network is read.

    Args:
        about: as results tell it. card: what goes in. load: returns the network.
    """

    about: Extractor
    card: EmbedderCard
    load: Callable[[], Embed]

    def embed(self, network: Embed, picture: Pixels) -> Vector:
        """Return the embedding (d,) of a picture (H, W, 3) sRGB.

        Raises:
            WeightsError: when what comes out is none.
        """
        resized = np.asarray(Image.fromarray(picture).resize(self.card.size_px, Image.Resampling.BILINEAR))
        found = np.asarray(network(as_input(self.card.input(""), resized)))
        if found.size < 2 or found.size != found.shape[-1 if found.ndim < 3 else 1] or not np.isfinite(found).all():
            raise WeightsError(
                f"embedder {self.about.name}: gives {found.dtype} {found.shape} for a picture, expected finite numbers"
                " (1, d)"
            )
        return np.asarray(found.reshape(-1), dtype=np.float32)


def embedder_of(config: EmbedderConfig, runtime: Runtime) -> Embedder:
    """Return the embedder that settings name.

    Raises:
        ConfigError, WeightsError: when a file, a card or a class cannot be had.
    """
    name = config.embedder
    if is_module(name):
        return _of_class(config)
    if is_onnx(name):
        return _of_file(Path(name), _card_of(config, Path(name)), Path(name).stem, runtime.threads)
    known = KNOWN[name]
    path = weights.resolve(known.weights, config.weights, runtime.progress).path
    return _of_file(path, known.card, name, runtime.threads)


def _of_file(path: Path, card: EmbedderCard, name: str, threads: int) -> Embedder:
    if not path.is_file():
        raise WeightsError(f"embedder {path}: there is no such file")
    about = Extractor(name, sha256_of(path), card.told)
    return Embedder(about, card, lambda: _opened(path, card, threads))


def _opened(path: Path, card: EmbedderCard, threads: int) -> Embed:
    session = open_session(OnnxFile.read(path, "an embedder").data, str(path), threads)
    inputs, outputs = ([item.name for item in items] for items in (session.get_inputs(), session.get_outputs()))
    if len(inputs) != 1:
        raise WeightsError(f"{path}: has the inputs {', '.join(inputs)}; an embedder has one, a picture")
    check_input(card.input(inputs[0]), session, str(path))
    output: str = card.output or (outputs[0] if len(outputs) == 1 else "")
    if output not in outputs:
        raise WeightsError(
            f"{path}: its outputs are {', '.join(outputs)}; its card must tell with output which has embeddings"
            + (f", and tells {output!r}" if output else "")
        )
    return lambda batch: run_session(session, inputs[0], batch, str(path))[output]


def _card_of(config: EmbedderConfig, model: Path) -> EmbedderCard:
    """Return a file's card: that of the settings, or the one beside it."""
    if config.card is not None:
        return read_card(config.card)
    for beside in (model.with_suffix(".toml"), model.with_suffix(".json")):
        if beside.is_file():
            return read_card(beside)
    raise WeightsError(
        f"{model}: has no card beside it; write {model.with_suffix('.toml').name} (docs/reid.md shows what it tells) or"
        " name one with metric.card"
    )


def _of_class(config: EmbedderConfig) -> Embedder:
    """Return the embedder of a class that the user's own settings name: without arguments it gives a module."""
    import torch
    from torch import nn

    module, _, name = config.embedder.partition(":")
    try:
        made = getattr(importlib.import_module(module), name)()
    except Exception as error:  # a stranger's code may raise anything
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise ConfigError([f"embedder: {config.embedder} cannot be made: {reason}"]) from None
    if not isinstance(made, nn.Module):
        raise ConfigError([f"embedder: {config.embedder} is no torch.nn.Module"])
    if config.weights is not None:
        try:
            made.load_state_dict(weights.read(config.weights))
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:300]
            raise WeightsError(f"weights {config.weights}: are not of {config.embedder}: {reason}") from None
    made.eval()
    card = EmbedderCard() if config.card is None else read_card(config.card)

    def embed(batch: npt.NDArray[Any]) -> npt.NDArray[Any]:
        with torch.inference_mode():
            return np.asarray(made(torch.from_numpy(batch)).numpy())

    return Embedder(Extractor(config.embedder, _sha256(made), card.told), card, lambda: embed)


def _sha256(network: nn.Module) -> str:
    """Return the identity of a network's tensors; its code is named by the embedder's name."""
    hasher = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        array = tensor.detach().cpu().contiguous().numpy()
        hasher.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
    return hasher.hexdigest()
