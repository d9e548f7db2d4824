# SPDX-License-Identifier: Apache-2.0
"""Date and time in a corner of the picture, as sensors write them there."""

from __future__ import annotations

import datetime
from typing import Literal

import attrs
import cv2
import numpy as np
from numpy.typing import NDArray

Corner = Literal["top left", "top right", "bottom left", "bottom right"]
Ground = Literal["none", "outline", "box"]
CORNERS: tuple[Corner, ...] = ("top left", "top right", "bottom left", "bottom right")
GROUNDS: tuple[Ground, ...] = ("none", "outline", "box")
FORMATS = (
    "%Y-%m-%d %H:%M:%S",
    "%d.%m.%Y %H:%M:%S",
    "%m/%d/%Y %I:%M:%S %p",
    "%H:%M:%S:%f",
    "%Y/%m/%d %H:%M",
    "%H:%M:%S",
)
FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_PLAIN)
LABELS = ("", "", "", "CAM {:d}", "Camera {:02d}", "CH{:d}")
FIRST_DAY, DAYS = datetime.datetime(2015, 1, 1), 4000
LIGHT, YELLOW = (255, 255, 255), (255, 230, 60)


@attrs.frozen
class Timestamp:
    """A line of text.

    Args:
        style: of date and time, as strftime takes it, but for milliseconds as %f.
        height_share: of a capital letter, of the picture's height. ground: what sets it off from the picture.
    """

    moment: datetime.datetime
    style: str
    label: str
    corner: Corner
    height_share: float
    color: tuple[int, int, int]
    font: int
    ground: Ground

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Timestamp:
        """Draw one."""
        moment = FIRST_DAY + datetime.timedelta(
            seconds=int(rng.integers(DAYS * 86_400)), milliseconds=int(rng.integers(1000))
        )
        label = LABELS[int(rng.integers(len(LABELS)))].format(int(rng.integers(1, 17)))
        return cls(
            moment=moment,
            style=FORMATS[int(rng.integers(len(FORMATS)))],
            label=label,
            corner=CORNERS[int(rng.integers(len(CORNERS)))],
            height_share=float(rng.uniform(0.016, 0.03)),
            color=YELLOW if rng.random() < 0.1 else LIGHT,
            font=FONTS[int(rng.integers(len(FONTS)))],
            ground=GROUNDS[int(rng.integers(len(GROUNDS)))],
        )

    def later(self, seconds: float) -> Timestamp:
        """Return the same so much later."""
        return attrs.evolve(self, moment=self.moment + datetime.timedelta(milliseconds=round(1000 * seconds)))

    @property
    def text(self) -> str:
        """What is written."""
        written = self.moment.strftime(self.style.replace("%f", f"{self.moment.microsecond // 1000:04d}"))
        return f"{self.label} {written}".strip()

    def drawn(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a picture (H, W, 3) with the text in it, made narrower where it would be wider than the picture."""
        height, width = image.shape[:2]
        thickness = max(1, round(self.height_share * height / 12))
        scale = cv2.getFontScaleFromHeight(self.font, max(4, round(self.height_share * height)), thickness)
        margin = max(2, round(0.012 * height))
        (wide, _), _ = cv2.getTextSize(self.text, self.font, scale, thickness)
        scale *= min(1.0, (width - 2 * margin) / max(wide, 1))
        (wide, tall), below = cv2.getTextSize(self.text, self.font, scale, thickness)
        x = margin if self.corner.endswith("left") else width - margin - wide
        y = margin + tall if self.corner.startswith("top") else height - margin - below
        result = image.copy()
        if self.ground == "box":
            cv2.rectangle(
                result, (x - margin // 2, y - tall - margin // 2), (x + wide + margin // 2, y + below), (0, 0, 0), -1
            )
        if self.ground == "outline":
            cv2.putText(result, self.text, (x, y), self.font, scale, (0, 0, 0), thickness + 2, cv2.LINE_AA)
        cv2.putText(result, self.text, (x, y), self.font, scale, self.color, thickness, cv2.LINE_AA)
        return result
