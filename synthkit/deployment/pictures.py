# SPDX-License-Identifier: Apache-2.0
"""The card of a network that looks at one cut-out picture at a time: what goes in, and which output counts."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Literal, TypeVar

import attrs

from synthkit import config
from synthkit.config import setting
from synthkit.deployment.cards import MAX_CARD_BYTES, MOST_INPUT_PX, InputCard
from synthkit.errors import ConfigError, WeightsError
from synthkit.files import small_file
from synthkit.own_networks import OnnxNetwork

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_DEVIATION = (58.395, 57.12, 57.375)

Triple = tuple[float, float, float]
Card = TypeVar("Card", bound="PictureCard")


def _size(_: object, __: object, value: tuple[int, int]) -> None:
    if any(not 8 <= side <= MOST_INPUT_PX for side in value):
        raise ValueError(f"width and height must lie between 8 and {MOST_INPUT_PX}, got {list(value)}")


def _not_zero(_: object, __: object, value: Triple) -> None:
    if any(number == 0 for number in value):
        raise ValueError("divides: none of its values may be 0")


@attrs.frozen
class PictureCard:
    """How a picture of a person becomes a network's input, and where its answer comes out."""

    size_px: tuple[int, int] = setting(
        (128, 256), help="[width, height] of the input; pictures are stretched to it", validator=_size
    )
    colour: Literal["RGB", "BGR"] = setting("RGB", help="order of its channels")
    mean: Triple = setting(IMAGENET_MEAN, help="subtracted from pixel values 0 to 255, per channel as they go in")
    deviation: Triple = setting(IMAGENET_DEVIATION, help="divides what is left", validator=_not_zero)
    layout: Literal["NCHW", "NHWC"] = setting("NCHW", help="order of its axes: images, channels, height, width")
    output: str | None = setting(None, help="of an ONNX file: the output that counts; none: its only one")

    def input(self, name: str) -> InputCard:
        """Return the card of the input alone."""
        return InputCard(
            name=name, size_px=self.size_px, layout=self.layout, colour=self.colour, mean=self.mean,
            deviation=self.deviation, fit="stretch",
        )  # fmt: skip

    def output_of(self, network: OnnxNetwork, what: str) -> str:
        """Return the output that counts.

        Args:
            what: it has, for messages.

        Raises:
            WeightsError: when the card does not tell, or there is none such.
        """
        output = self.output or (network.outputs[0] if len(network.outputs) == 1 else "")
        if output not in network.outputs:
            raise WeightsError(
                f"{network.origin}: its outputs are {', '.join(network.outputs)}; its card must tell with output which"
                f" has {what}" + (f", and tells {output!r}" if output else "")
            )
        return output


def read_card(kind: type[Card], path: Path) -> Card:
    """Read a card, TOML or JSON by its suffix.

    Raises:
        ConfigError: naming the file and everything that is wrong in it.
    """
    try:
        text = small_file(path, MAX_CARD_BYTES, "a card").decode()
        data = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError([f"{path}: {error}"]) from None
    if not isinstance(data, dict):
        raise ConfigError([f"{path}: is no table of settings"])
    return config.structure(kind, data, path=str(path))


def card_of(kind: type[Card], model: Path, named: Path | None, about: str) -> Card:
    """Return a file's card: that of the settings, or the one beside it.

    Args:
        about: what else to do, for the message: where its settings are told, and which setting names a card.

    Raises:
        ConfigError: as ``read_card`` does. WeightsError: when there is none.
    """
    if named is not None:
        return read_card(kind, named)
    for beside in (model.with_suffix(".toml"), model.with_suffix(".json")):
        if beside.is_file():
            return read_card(kind, beside)
    raise WeightsError(f"{model}: has no card beside it; write {model.with_suffix('.toml').name} ({about}")
