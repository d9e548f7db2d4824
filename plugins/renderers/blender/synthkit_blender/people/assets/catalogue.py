# SPDX-License-Identifier: Apache-2.0
"""What a folder of assets holds, as plain values: kinds of clothes, for whom, under which licence."""

from __future__ import annotations

import re

import attrs
import numpy as np

from synthkit_blender.people.assets.makehuman import Proxy
from synthkit_blender.people.fields import BodyCoordinates
from synthkit_blender.people.types import ExpressionSpec, Rgb

HEAD_M = 0.56  # above the hip joints
TRUNK_M = (0.1, 0.5)
LEGS = (0.25, 1.85)  # 1 is the knee, 2 the ankle
FOOT = 1.75
BINS = 10
_WORD = re.compile(r"[a-z]+")
_SEXES = {"female": "female", "woman": "female", "women": "female", "male": "male", "man": "male", "men": "male"}
_AGES = {"young": "young", "middleage": "middle", "old": "old"}
NO_SKINS = {"special", "toon"}  # costumes and drawings


@attrs.frozen
class Asset:
    """One asset: its name (the path below the folder), `kind`, the `sex` it is for ("any" for both), its licence.

    Skins have their mean colour, linear RGB, as `tone`, and the `age` they are for.
    """

    name: str
    kind: str
    sex: str
    licence: str
    tone: Rgb = (1.0, 1.0, 1.0)
    age: str = ""


@attrs.frozen
class Catalogue:
    """All assets that can be used, by name; an expression has an asset's name."""

    assets: tuple[Asset, ...] = ()
    expressions: tuple[ExpressionSpec, ...] = ()

    def of(self, kind: str, sex: str) -> tuple[Asset, ...]:
        """Return the assets of a kind for somebody."""
        return tuple(asset for asset in self.assets if asset.kind == kind and asset.sex in (sex, "any"))


def words(*texts: str) -> set[str]:
    """Return the words of names and tags, which run together with digits and underscores."""
    return {word for text in texts for word in _WORD.findall(text.lower())}


def sex_of(told: set[str]) -> str:
    """Return whom an asset is for by the words of its name and tags."""
    found = {_SEXES[word] for word in told if word in _SEXES}
    return found.pop() if len(found) == 1 else "any"


def age_of(told: set[str]) -> str:
    """Return the age that a skin's words name, or nothing."""
    return next((age for word, age in _AGES.items() if word in told), "")


def kind_of(proxy: Proxy, at: BodyCoordinates) -> str:
    """Tell by the part of the body that they hang on whether clothes are "full" (trunk and legs), "upper", "lower",
    "shoes", on the "head", or "other"; the last two are not drawn.
    """
    anchors = proxy.binding.anchors
    z, leg, arm = at.z_m[anchors].mean(axis=1), at.along_leg[anchors].mean(axis=1), at.on_arm[anchors].mean(axis=1)
    below = z < 0
    if (below & (leg > FOOT)).mean() > 0.6:
        return "shoes"
    if (z > HEAD_M).mean() > 0.6:
        return "head"
    trunk = _reach(z[arm < 0.5], TRUNK_M)
    legs = _reach(leg[below], LEGS)
    if trunk >= 0.6:
        return "full" if legs >= 0.1 else "upper"
    return "lower" if legs >= 0.1 else "other"


def _reach(values: np.ndarray[tuple[int], np.dtype[np.float32]], span: tuple[float, float]) -> float:
    """Return which share of a span's bins holds any value."""
    counts, _ = np.histogram(values, BINS, span)
    return float((counts > 0).mean())
