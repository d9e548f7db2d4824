# SPDX-License-Identifier: Apache-2.0
"""Facial expressions: weights of the base mesh's expression targets, which exist for each ancestry."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from synthkit_blender.people.types import ExpressionSpec, IdentitySpec

ETHNICITIES = ("african", "asian", "caucasian")
LEAST_SHARE = 0.1  # of an ancestry that counts
# How often, and by how much of which targets.
_DRAWN: dict[str, tuple[float, dict[str, float]]] = {
    "neutral": (46, {}),
    "smiling": (16, {"mouth-corner-puller": 0.7, "eye-left-slit": 0.3, "eye-right-slit": 0.3}),
    "laughing": (5, {"mouth-corner-puller": 0.8, "mouth-open": 0.45, "eye-left-slit": 0.6, "eye-right-slit": 0.6}),
    "talking": (16, {"mouth-open": 0.35}),
    "frowning": (7, {"eyebrows-left-down": 0.7, "eyebrows-right-down": 0.7, "mouth-compression": 0.3}),
    "looking_down": (6, {"eye-left-closure": 0.6, "eye-right-closure": 0.6}),
    "surprised": (2, {"eyebrows-left-up": 0.8, "eyebrows-right-up": 0.8, "mouth-open": 0.4}),
    "sad": (2, {"eyebrows-left-inner-up": 0.7, "eyebrows-right-inner-up": 0.7, "mouth-depression": 0.6}),
}
# MakeHuman's face units, as .mhpose files name them, by the nearest of the targets, and how much of these a unit is.
# Units without a like (gaze, chin, cheeks) are left out.
_UNITS: dict[str, tuple[tuple[str, float], ...]] = {
    "JawDrop": (("mouth-open", 0.8),),
    "JawDropStretched": (("mouth-open", 1.0),),
    "LipsKiss": (("mouth-pursing", 0.8),),
    "UpperLipUp": (("mouth-elevation", 0.6),),
    "MouthLeftPullUp": (("mouth-corner-puller", 0.5),),
    "MouthRightPullUp": (("mouth-corner-puller", 0.5),),
    "MouthLeftPullSide": (("mouth-retraction", 0.5),),
    "MouthRightPullSide": (("mouth-retraction", 0.5),),
    "MouthLeftPullDown": (("mouth-depression", 0.5),),
    "MouthRightPullDown": (("mouth-depression", 0.5),),
    "MouthLeftPlatysma": (("neck-platysma", 0.5),),
    "MouthRightPlatysma": (("neck-platysma", 0.5),),
    "NoseWrinkler": (("nose-left-elevation", 0.8), ("nose-right-elevation", 0.8)),
    "LeftBrowDown": (("eyebrows-left-down", 1.0),),
    "RightBrowDown": (("eyebrows-right-down", 1.0),),
    "LeftInnerBrowUp": (("eyebrows-left-inner-up", 1.0),),
    "RightInnerBrowUp": (("eyebrows-right-inner-up", 1.0),),
    "LeftOuterBrowUp": (("eyebrows-left-extern-up", 1.0),),
    "RightOuterBrowUp": (("eyebrows-right-extern-up", 1.0),),
    "LeftUpperLidClosed": (("eye-left-closure", 1.0),),
    "RightUpperLidClosed": (("eye-right-closure", 1.0),),
    "LeftUpperLidOpen": (("eye-left-opened-up", 1.0),),
    "RightUpperLidOpen": (("eye-right-opened-up", 1.0),),
    "LeftLowerLidUp": (("eye-left-slit", 0.8),),
    "RightLowerLidUp": (("eye-right-slit", 0.8),),
}


def sample_expression(rng: np.random.Generator, more: tuple[ExpressionSpec, ...] = ()) -> ExpressionSpec:
    """Draw an expression of our own, or as often as not one of `more`; half of all faces are neutral."""
    names, shares = list(_DRAWN), np.array([share for share, _ in _DRAWN.values()])
    name = str(rng.choice(names, p=shares / shares.sum()))
    other, strength, taken = rng.random(), float(rng.uniform(0.5, 1.0)), int(rng.integers(max(len(more), 1)))
    if more and name != "neutral" and other < 0.5:
        return more[taken]
    units = tuple((unit, round(weight * strength, 3)) for unit, weight in _DRAWN[name][1].items())
    return ExpressionSpec(name, units)


def from_face_units(name: str, weights: Mapping[str, float]) -> ExpressionSpec:
    """Return an expression given by weights 0..1 of MakeHuman's face units; unknown units are left out."""
    total: dict[str, float] = {}
    for unit, weight in weights.items():
        for target, share in _UNITS.get(unit, ()):
            total[target] = min(1.0, total.get(target, 0.0) + share * weight)
    return ExpressionSpec(name, tuple((target, round(total[target], 3)) for target in sorted(total)))


def target_weights(expression: ExpressionSpec, identity: IdentitySpec) -> dict[str, float]:
    """Return target name → weight: those of the ancestries that somebody has."""
    shares = {name: share for name, share in zip(ETHNICITIES, identity.ethnicity, strict=True) if share >= LEAST_SHARE}
    total = sum(shares.values())
    return {
        f"expression/units/{name}/{unit}": weight * share / total
        for name, share in shares.items()
        for unit, weight in expression.units
    }


def target_names() -> list[str]:
    """Return every target that an expression may need."""
    units = {unit for _, weights in _DRAWN.values() for unit in weights}
    units |= {target for targets in _UNITS.values() for target, _ in targets}
    return [f"expression/units/{name}/{unit}" for name in ETHNICITIES for unit in sorted(units)]
