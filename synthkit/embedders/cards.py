# SPDX-License-Identifier: Apache-2.0
"""The card of an embedder: what goes into a network that tells people apart, and what comes out."""

from __future__ import annotations

import attrs

from synthkit.deployment.pictures import PictureCard


@attrs.frozen
class EmbedderCard(PictureCard):
    """How a picture of a person becomes a network's input, and where its embedding, (1, d), comes out."""

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
