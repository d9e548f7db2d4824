# SPDX-License-Identifier: Apache-2.0
"""The card of an embedder: what goes into a network that tells people apart, and what comes out."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Literal

import attrs

from synthkit import config
from synthkit.config import setting
from synthkit.deployment.cards import MAX_CARD_BYTES, MOST_INPUT_PX, InputCard
from synthkit.errors import ConfigError
from synthkit.files import small_file

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_DEVIATION = (58.395, 57.12, 57.375)

Triple = tuple[float, float, float]


def _size(_: object, __: object, value: tuple[int, int]) -> None:
    if any(not 8 <= side <= MOST_INPUT_PX for side in value):
        raise ValueError(f"width and height must lie between 8 and {MOST_INPUT_PX}, got {list(value)}")


def _not_zero(_: object, __: object, value: Triple) -> None:
    if any(number == 0 for number in value):
        raise ValueError("divides: none of its values may be 0")


@attrs.frozen
class EmbedderCard:
    """How a picture of a person becomes a network's input, and where its embedding comes out."""

    size_px: tuple[int, int] = setting(
        (128, 256), help="[width, height] of the input; pictures are stretched to it", validator=_size
    )
    colour: Literal["RGB", "BGR"] = setting("RGB", help="order of its channels")
    mean: Triple = setting(IMAGENET_MEAN, help="subtracted from pixel values 0 to 255, per channel as they go in")
    deviation: Triple = setting(IMAGENET_DEVIATION, help="divides what is left", validator=_not_zero)
    layout: Literal["NCHW", "NHWC"] = setting("NCHW", help="order of its axes: images, channels, height, width")
    output: str | None = setting(None, help="of an ONNX file: the output with embeddings (1, d); none: its only one")

    def input(self, name: str) -> InputCard:
        """Return the card of the input alone."""
        return InputCard(
            name=name, size_px=self.size_px, layout=self.layout, colour=self.colour, mean=self.mean,
            deviation=self.deviation, fit="stretch",
        )  # fmt: skip

    @property
    def neutral(self) -> tuple[int, int, int]:
        """The sRGB colour that is nearest to 0 in the input: what stands where nothing is shown."""
        mean = self.mean[::-1] if self.colour == "BGR" else self.mean
        red, green, blue = (min(255, max(0, round(value))) for value in mean)
        return red, green, blue

    @property
    def told(self) -> str:
        """The preprocessing, as results tell it."""
        width, height = self.size_px
        return (
            f"Pillow bilinear (antialiased) to {width} x {height}, {self.colour},"
            f" (0..255 - {list(self.mean)}) / {list(self.deviation)}{', NHWC' if self.layout == 'NHWC' else ''}"
        )


def read_card(path: Path) -> EmbedderCard:
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
    return config.structure(EmbedderCard, data, path=str(path))
