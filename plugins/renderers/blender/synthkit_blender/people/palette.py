# SPDX-License-Identifier: Apache-2.0
"""Colours of skin, hair, eyes and cloth as linear RGB, with how often they are met."""

from __future__ import annotations

from synthkit_blender.people.types import Rgb

# From light to dark; a sampled tone lies between two neighbours.
SKIN_RAMP: tuple[tuple[str, Rgb], ...] = (
    ("light", (0.62, 0.40, 0.305)),
    ("fair", (0.54, 0.325, 0.232)),
    ("medium", (0.435, 0.243, 0.158)),
    ("tan", (0.315, 0.162, 0.097)),
    ("brown", (0.182, 0.087, 0.05)),
    ("dark", (0.08, 0.038, 0.024)),
)
# Range of places on the ramp for (african, asian, caucasian) ancestry.
SKIN_PLACES = ((2.9, 5.0), (0.6, 3.6), (0.0, 2.3))

HAIR: dict[str, Rgb] = {
    "black": (0.012, 0.010, 0.009),
    "dark_brown": (0.032, 0.019, 0.012),
    "brown": (0.075, 0.040, 0.022),
    "light_brown": (0.15, 0.085, 0.045),
    "blond": (0.34, 0.22, 0.105),
    "red": (0.19, 0.058, 0.021),
    "dyed": (0.11, 0.02, 0.016),
    "grey": (0.30, 0.29, 0.28),
    "white": (0.58, 0.56, 0.53),
}
DARK_HAIR = {"black": 0.72, "dark_brown": 0.26, "dyed": 0.02}
MIXED_HAIR = {
    "black": 0.12, "dark_brown": 0.33, "brown": 0.27, "light_brown": 0.12, "blond": 0.11, "red": 0.03, "dyed": 0.02,
}  # fmt: skip

EYES: dict[str, Rgb] = {
    "brown": (0.07, 0.032, 0.014),
    "hazel": (0.11, 0.075, 0.03),
    "blue": (0.10, 0.19, 0.30),
    "green": (0.10, 0.15, 0.075),
    "grey": (0.17, 0.20, 0.22),
}

CLOTH: dict[str, Rgb] = {
    "black": (0.012, 0.012, 0.013),
    "charcoal": (0.042, 0.043, 0.047),
    "grey": (0.17, 0.17, 0.175),
    "light_grey": (0.42, 0.42, 0.42),
    "white": (0.74, 0.74, 0.72),
    "cream": (0.66, 0.59, 0.46),
    "beige": (0.42, 0.32, 0.20),
    "khaki": (0.26, 0.21, 0.125),
    "brown": (0.092, 0.05, 0.028),
    "navy": (0.012, 0.02, 0.06),
    "blue": (0.03, 0.09, 0.3),
    "light_blue": (0.30, 0.45, 0.66),
    "denim": (0.052, 0.089, 0.175),
    "light_denim": (0.19, 0.28, 0.42),
    "dark_denim": (0.018, 0.028, 0.06),
    "teal": (0.02, 0.15, 0.16),
    "green": (0.035, 0.13, 0.05),
    "olive": (0.08, 0.085, 0.035),
    "yellow": (0.66, 0.43, 0.06),
    "orange": (0.6, 0.17, 0.03),
    "red": (0.39, 0.025, 0.025),
    "burgundy": (0.09, 0.012, 0.022),
    "pink": (0.62, 0.26, 0.31),
    "purple": (0.11, 0.04, 0.17),
}
TOP_COLORS = {
    "white": 14, "light_grey": 8, "grey": 10, "charcoal": 9, "black": 13, "navy": 10, "light_blue": 7, "blue": 5,
    "cream": 3, "beige": 3, "brown": 2, "teal": 2, "green": 3, "olive": 3, "yellow": 1.5, "orange": 1.5, "red": 4,
    "burgundy": 3, "pink": 3, "purple": 2,
}  # fmt: skip
BOTTOM_COLORS = {
    "black": 18, "charcoal": 13, "grey": 7, "navy": 10, "denim": 17, "dark_denim": 14, "light_denim": 7, "beige": 6,
    "khaki": 6, "brown": 3, "olive": 2, "white": 1.5, "light_grey": 2, "burgundy": 0.7, "green": 0.5,
}  # fmt: skip
OUTER_COLORS = {
    "black": 18, "charcoal": 14, "navy": 16, "grey": 12, "brown": 6, "beige": 6, "olive": 5, "burgundy": 3,
    "light_grey": 4, "blue": 3, "green": 2, "red": 2, "teal": 2, "cream": 3,
}  # fmt: skip
SHOE_COLORS = {"black": 34, "brown": 15, "white": 14, "charcoal": 8, "navy": 6, "grey": 8, "beige": 4, "red": 2}
SOLE_COLORS: dict[str, Rgb] = {
    "dark": (0.02, 0.02, 0.02), "light": (0.6, 0.59, 0.56), "gum": (0.26, 0.15, 0.075),
}  # fmt: skip
_BAG_COLORS = {
    "black": 24, "charcoal": 14, "navy": 12, "brown": 10, "beige": 6, "grey": 8, "olive": 5, "red": 4, "teal": 3,
    "blue": 5, "burgundy": 3, "yellow": 1.5, "pink": 2,
}  # fmt: skip
ACCESSORY_COLORS: dict[str, dict[str, float]] = {
    "backpack": _BAG_COLORS,
    "shoulder_bag": _BAG_COLORS,
    "bag": _BAG_COLORS | {"white": 8, "cream": 8},
    "cap": {
        "black": 16,
        "navy": 14,
        "charcoal": 8,
        "red": 8,
        "white": 6,
        "beige": 7,
        "green": 4,
        "blue": 6,
        "olive": 4,
    },
    "lanyard": {"white": 10, "blue": 12, "red": 8, "black": 10, "green": 6, "navy": 6, "orange": 3, "yellow": 2},
    "phone": {"black": 10, "charcoal": 4, "white": 3, "navy": 2, "red": 1, "pink": 1},
    "cup": {"white": 12, "cream": 5, "brown": 6, "red": 3, "green": 3, "charcoal": 4},
    "laptop": {"grey": 8, "charcoal": 8, "light_grey": 10, "black": 5},
    "box": {"khaki": 5, "beige": 6, "brown": 1, "white": 2},
}
