# SPDX-License-Identifier: Apache-2.0
"""The hair styles: numbers that the shell of `hair.py` is grown by."""

from __future__ import annotations

import attrs

BALD = "bald"
# (azimuth from the front, elevation over the head's centre) of the hairline in degrees.
HAIRLINES: dict[str, tuple[tuple[float, float], ...]] = {
    "usual": (
        (0, 34), (20, 34), (38, 27), (55, 14), (68, 0), (76, -14), (84, -10), (92, 6), (105, 6), (115, -18),
        (135, -38), (180, -46),
    ),
    "receding": (
        (0, 58), (14, 62), (28, 60), (48, 30), (62, 8), (72, -8), (84, -8), (92, 6), (105, 6), (115, -18),
        (135, -38), (180, -44),
    ),
    "over_ears": (
        (0, 34), (20, 34), (38, 27), (55, 16), (68, 4), (80, -2), (100, -4), (135, -8), (180, -12),
    ),
}  # fmt: skip


@attrs.frozen
class HairCut:
    """A style: thickness at the sides, on top and added in front in metres, the hairline, and what hangs.

    `length_m` is how far loose hair hangs below the head's centre (0: none), open in front up to `face_deg` of
    azimuth and `swell` wider half way.  `tail` is a bun or pony tail: (elevation in degrees, length, radius).
    """

    side_m: float
    top_m: float
    front_m: float = 0.0
    hairline: str = "usual"
    length_m: float = 0.0
    face_deg: float = 55.0
    swell: float = 0.04
    tail: tuple[float, float, float] | None = None


HAIR_CUTS: dict[str, HairCut] = {
    "cropped": HairCut(0.005, 0.008),
    "short": HairCut(0.011, 0.024, 0.01),
    "side_short": HairCut(0.007, 0.03, 0.016),
    "full": HairCut(0.024, 0.038, 0.006),
    "receding": HairCut(0.01, 0.012, hairline="receding"),
    "bun": HairCut(0.012, 0.015, tail=(24.0, 0.07, 0.042)),
    "ponytail": HairCut(0.012, 0.016, tail=(30.0, 0.26, 0.03)),
    "bob": HairCut(0.021, 0.027, hairline="over_ears", length_m=0.15, swell=0.1),
    "shoulder": HairCut(0.018, 0.024, hairline="over_ears", length_m=0.24),
    "long": HairCut(0.016, 0.022, hairline="over_ears", length_m=0.37),
}
