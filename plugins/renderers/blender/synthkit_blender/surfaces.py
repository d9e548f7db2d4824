# SPDX-License-Identifier: Apache-2.0
"""What things are made of, as plain values, and rooms' palettes of colours that go together."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs
import numpy as np

from synthkit.seeds import Seeds
from synthkit_blender.people.types import Material, Texture
from synthkit_blender.printed import Printed, Prints

Rgb = tuple[float, float, float]


@attrs.frozen
class Surface:
    """The look of a mesh; colours are linear RGB.

    Args:
        pattern: how ``color`` and ``second_color`` mix, at a period of ``scale_m``.
        emission: radiance it sends out, in units of its colour.
        rest: whether the pattern sticks to rest-pose coordinates of the mesh, not to the object's own.
        texture: an image that ``color`` multiplies, its hues turned (1 is all the way round) and its saturation
            multiplied; instead of a pattern.
        crease_m: how deep cloth is creased where it is slack (``things.Thing``).
    """

    color: Rgb
    second_color: Rgb = (0.0, 0.0, 0.0)
    pattern: str = "plain"
    scale_m: float = 0.05
    roughness: float = 0.6
    specular: float = 0.4
    metallic: float = 0.0
    bump: float = 0.0
    subsurface: float = 0.0
    emission: float = 0.0
    rest: bool = False
    texture: Texture | None = None
    hue_turn: float = 0.0
    saturation: float = 1.0
    crease_m: float = 0.0

    def plain(self) -> dict[str, Any]:
        """Return the surface as JSON values, without its texture."""
        return attrs.asdict(self, filter=lambda field, _: field.name != "texture")


def of_print(
    printed: Printed, color: Rgb = (1.0, 1.0, 1.0), *, roughness: float = 0.8, emission: float = 0.0
) -> Surface:
    """Return the surface of a print's sheets, on paper of a colour, or of a screen that sends light out."""
    return Surface(color, texture=printed.texture, roughness=roughness, emission=emission)


def of_person(material: Material) -> Surface:
    """Return the surface of a person's mesh part."""
    return Surface(
        color=material.base_color,
        second_color=material.pattern_color,
        pattern=material.pattern,
        scale_m=material.pattern_scale_m,
        roughness=material.roughness,
        specular=material.specular,
        bump=material.bump,
        subsurface=material.subsurface,
        rest=True,
        texture=material.texture,
        hue_turn=material.hue_turn,
        saturation=material.saturation,
        crease_m=material.crease_m,
    )


def linear(hexadecimal: str) -> Rgb:
    """Return linear RGB for an sRGB colour such as ``c8b090`` (IEC 61966-2-1)."""
    values = [int(hexadecimal[n : n + 2], 16) / 255 for n in (0, 2, 4)]
    r, g, b = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values)
    return r, g, b


def varied(color: Rgb, rng: np.random.Generator, amount: float = 0.12) -> Rgb:
    """Return a colour a little lighter or darker, warmer or cooler."""
    light = float(np.exp(rng.normal(0, amount)))
    r, g, b = (float(np.clip(c * light * np.exp(rng.normal(0, amount / 5)), 0.0, 0.9)) for c in color)
    return r, g, b


def muted(color: Rgb) -> Rgb:
    """Return a colour on its way to the grey that is as bright: what is a fair accent on a chair is a loud wall."""
    grey = 0.2126 * color[0] + 0.7152 * color[1] + 0.0722 * color[2]
    r, g, b = (grey + 0.6 * (c - grey) for c in color)
    return r, g, b


@attrs.frozen
class Palette:
    """Colours of one style of room, sRGB hex; floors and woods are (pattern, lighter, darker)."""

    walls: tuple[str, ...]
    accents: tuple[str, ...]
    floors: tuple[tuple[str, str, str], ...]
    woods: tuple[tuple[str, str], ...]
    seats: tuple[str, ...]
    frames: tuple[str, ...]


PALETTES: Mapping[str, Palette] = MappingProxyType(
    {
        "modern": Palette(
            walls=("e6e6e2", "dcdfe2", "e3e0d8", "cfd4d8"),
            accents=("6f8fa6", "7d9a86", "b9c4cc", "58697a", "c7a25a"),
            floors=(
                ("carpet", "6b7076", "4c5157"),
                ("carpet_tiles", "5d646c", "737a82"),
                ("planks", "c9ab82", "a5855c"),
                ("carpet", "4b5968", "353f4b"),
                ("tiles", "b4b2ac", "8c8a85"),
            ),
            woods=(("e3dfd6", "d8d3c8"), ("c8a878", "a98556"), ("9b9a98", "878684")),
            seats=("2b2d31", "4d5661", "35557a", "5f7f6b", "8a8d90", "a3472f"),
            frames=("b8babd", "2c2d2f", "dedede"),
        ),
        "warm": Palette(
            walls=("e8dcc4", "dfcdb0", "e3d6c6", "d5c3a4"),
            accents=("a9573f", "b98547", "7b6a4f", "8c9466", "934b45"),
            floors=(
                ("planks", "9a6b41", "6e4728"),
                ("planks", "b48657", "8a5f38"),
                ("carpet", "8d6c58", "6b4d3d"),
                ("carpet", "a08d6e", "80704f"),
                ("tiles", "b58e6c", "8a6a4e"),
            ),
            woods=(("8f5f38", "6a4324"), ("b1834f", "8f6436"), ("5f3d26", "472b19")),
            seats=("5c3623", "7a2f2a", "3f4a35", "b7905a", "2d2a28", "884c2c"),
            frames=("3a322b", "8b8378", "5a4330"),
        ),
        "institutional": Palette(
            walls=("d6d9c9", "d9d5c6", "c9d3d1", "d8d8d4"),
            accents=("8fa394", "93a7b8", "b5a98c", "7c8894"),
            floors=(
                ("carpet", "57636b", "3d474e"),
                ("tiles", "a8a99f", "85867d"),
                ("noise", "9aa08f", "848b7b"),
                ("carpet_tiles", "4d5a66", "65717c"),
                ("carpet", "5b5f5a", "42463f"),
            ),
            woods=(("b58a57", "906738"), ("c2a173", "a08050"), ("d7d3ca", "c7c2b6")),
            seats=("8c2f35", "2f4d7c", "38383b", "3f6b58", "6f3a45", "777b80"),
            frames=("a4a6a8", "232426", "6b6d70"),
        ),
    }
)


class Decor:
    """The surfaces of one room: each kind of thing gets one look, so that the room hangs together."""

    def __init__(self, style: str, rng: np.random.Generator) -> None:
        palette = PALETTES[style]
        self.wall = Surface(varied(linear(_pick(palette.walls, rng)), rng, 0.06), roughness=0.85, bump=0.05)
        self.accent_wall = Surface(muted(varied(linear(_pick(palette.accents, rng)), rng)), roughness=0.85, bump=0.05)
        self.floor = _floor(palette.floors[int(rng.integers(len(palette.floors)))], rng)
        self.table = _wood(palette.woods[int(rng.integers(len(palette.woods)))], rng)
        self.cabinet = _wood(palette.woods[int(rng.integers(len(palette.woods)))], rng)
        self.door = _wood(palette.woods[int(rng.integers(len(palette.woods)))], rng)
        seat = varied(linear(_pick(palette.seats, rng)), rng)
        darker = (seat[0] * 0.6, seat[1] * 0.6, seat[2] * 0.6)
        self.seat = Surface(seat, darker, "weave", 0.006, roughness=0.9, bump=0.3)
        frame = linear(_pick(palette.frames, rng))
        self.frame = Surface(frame, roughness=0.35, specular=0.6, metallic=0.5)
        self.trim = Surface(linear(("f0efec", "d9d6cf", "8a857c")[int(rng.integers(3))]), roughness=0.5)
        self.rug = Surface(
            varied(linear(_pick(palette.accents, rng)), rng),
            varied(linear(_pick(palette.walls, rng)), rng),
            ("carpet", "dots", "checks")[int(rng.integers(3))],
            float(rng.uniform(0.05, 0.3)),
            roughness=0.95,
        )
        self.prints = Prints(Seeds(int(rng.integers(2**63))))


ENAMEL = Surface(linear("e9e8e2"), roughness=0.35)
PAPER = Surface(linear("f4f2ea"), roughness=0.8)
BLACK_PLASTIC = Surface(linear("1d1e20"), roughness=0.4)
GREY_METAL = Surface(linear("a9abad"), roughness=0.35, metallic=0.6)
SCREEN_OFF = Surface(linear("0b0c0e"), roughness=0.15)
LEAF = Surface(linear("3f6b35"), linear("274a22"), "noise", 0.05, roughness=0.6)
POT = Surface(linear("b9b2a6"), roughness=0.7)
COVERS = ("7c2d2d", "2d4a6b", "3c5a3f", "c7a14a", "d8d2c4", "4a3c5a", "222222", "a85a32", "5a8a8f")  # sRGB hex


def _pick(values: tuple[str, ...], rng: np.random.Generator) -> str:
    return values[int(rng.integers(len(values)))]


def _wood(shades: tuple[str, str], rng: np.random.Generator) -> Surface:
    lighter, darker = (varied(linear(shade), rng, 0.08) for shade in shades)
    return Surface(lighter, darker, "grain", 0.04, roughness=float(rng.uniform(0.3, 0.55)))


def _floor(choice: tuple[str, str, str], rng: np.random.Generator) -> Surface:
    pattern, first, second = choice
    scale_m = {"planks": 0.14, "tiles": float(rng.choice([0.3, 0.45, 0.6])), "carpet_tiles": 0.5, "noise": 0.12}
    soft = pattern.startswith("carpet")
    return Surface(
        varied(linear(first), rng, 0.08),
        varied(linear(second), rng, 0.08),
        pattern,
        scale_m.get(pattern, 0.012),
        roughness=0.95 if soft else float(rng.uniform(0.3, 0.6)),
        specular=0.1 if soft else 0.4,
        bump=0.35 if soft else 0.0,
    )
