# SPDX-License-Identifier: Apache-2.0
"""Networks that turn a picture of a person into numbers, which are near for the same person.

Each picture goes through alone, on one thread more or less as the runtime says: an embedding depends on nothing but
the picture, the network and its preprocessing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import attrs
import numpy as np
import numpy.typing as npt
from PIL import Image

from synthkit import own_networks, weights
from synthkit.checkpoint import sha256_of
from synthkit.deployment.pictures import card_of, read_card
from synthkit.deployment.sessions import as_input, check_input
from synthkit.embedders.cards import EmbedderCard
from synthkit.embedders.config import EmbedderConfig
from synthkit.embedders.published import KNOWN
from synthkit.errors import WeightsError
from synthkit.interfaces import Extractor, Runtime
from synthkit.own_networks import OnnxNetwork

Pixels = npt.NDArray[np.uint8]
Vector = npt.NDArray[np.float32]

_ABOUT = "docs/reid.md shows what it tells) or name one with the setting card"


class Embed(Protocol):
    """A network, ready to run."""

    def __call__(self, batch: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
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
        found = network(as_input(self.card.input(""), resized))
        if found.size < 2 or found.size != found.shape[-1 if found.ndim < 3 else 1] or not np.isfinite(found).all():
            raise WeightsError(
                f"embedder {self.about.name}: gives {found.shape} for a picture, expected finite numbers (1, d)"
            )
        return found.reshape(-1)


def embedder_of(config: EmbedderConfig, runtime: Runtime) -> Embedder:
    """Return the embedder that settings name; published weights are not looked for before it is loaded.

    Raises:
        ConfigError, WeightsError: when a file, a card or a class of the user's own cannot be had.
    """
    name = config.embedder
    if own_networks.is_module(name):
        return _of_class(config)
    if own_networks.is_onnx(name):
        path = Path(name)
        if not path.is_file():
            raise WeightsError(f"embedder {path}: there is no such file")
        card = card_of(EmbedderCard, path, config.card, _ABOUT)
        told = f"{path.stem}.{card.output}" if card.output else path.stem
        return Embedder(Extractor(told, sha256_of(path), card.told), card, lambda: _opened(path, card, runtime.threads))
    known = KNOWN[name]

    def load() -> Embed:
        found = weights.resolve(known.weights, config.weights, runtime.progress)
        return _opened(found.path, known.card, runtime.threads)

    return Embedder(Extractor(name, known.weights.sha256, known.card.told), known.card, load)


def weights_of(config: EmbedderConfig) -> Sequence[weights.Wanted]:
    """Return the published weights that an embedder needs; files and classes of the user's own have none."""
    known = KNOWN.get(config.embedder)
    return [] if known is None else [(known.weights, config.weights)]


def _opened(path: Path, card: EmbedderCard, threads: int) -> Embed:
    network = OnnxNetwork.open(path, "embedder", threads)
    check_input(card.input(network.input), network.session, network.origin)
    output = card.output_of(network, "embeddings")
    return lambda batch: network.run(batch, output)


def _of_class(config: EmbedderConfig) -> Embedder:
    name = config.embedder
    made = own_networks.made(name, "embedder", config.weights)
    card = EmbedderCard() if config.card is None else read_card(EmbedderCard, config.card)

    def embed(batch: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            return np.asarray(own_networks.run(made, torch.from_numpy(batch), f"embedder {name}").numpy())

    return Embedder(Extractor(name, own_networks.sha256_of(name, made), card.told), card, lambda: embed)
