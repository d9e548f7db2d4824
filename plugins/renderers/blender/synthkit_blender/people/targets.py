# SPDX-License-Identifier: Apache-2.0
"""Body shapes: MakeHuman's macro targets combined by products of factors, and single detail targets.

A macro target's file name lists factor levels ("female-young-maxmuscle-averageweight-maxheight"); its weight is
the product of the weights of those levels, as in MakeHuman (macro.json beside the targets tells the intervals).
"""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synthkit_blender.people import expressions
from synthkit_blender.people.arrays import ArrayCache
from synthkit_blender.people.mpfb import TARGET_UNIT_M, parse_target
from synthkit_blender.people.types import IdentitySpec

CACHE_VERSION = 1
YOUNG_YEARS, OLD_YEARS = 25.0, 90.0
SEXES, AGES = ("female", "male"), ("young", "old")
MUSCLES = ("minmuscle", "averagemuscle", "maxmuscle")
WEIGHTS = ("minweight", "averageweight", "maxweight")
ETHNICITIES = ("african", "asian", "caucasian")
CUPS = ("mincup", "averagecup", "maxcup")
# Details come as pairs of targets, for a negative and a positive weight.
DETAILS: dict[str, tuple[str, str]] = {
    "chin_width": ("chin/chin-width-decr", "chin/chin-width-incr"),
    "chin_height": ("chin/chin-height-decr", "chin/chin-height-incr"),
    "head_fat": ("head/head-fat-decr", "head/head-fat-incr"),
    "head_scale_depth": ("head/head-scale-depth-decr", "head/head-scale-depth-incr"),
    "head_scale_horiz": ("head/head-scale-horiz-decr", "head/head-scale-horiz-incr"),
    "head_scale_vert": ("head/head-scale-vert-decr", "head/head-scale-vert-incr"),
    "hip_scale_horiz": ("hip/hip-scale-horiz-decr", "hip/hip-scale-horiz-incr"),
    "nose_hump": ("nose/nose-hump-decr", "nose/nose-hump-incr"),
    "nose_scale_depth": ("nose/nose-scale-depth-decr", "nose/nose-scale-depth-incr"),
    "nose_scale_horiz": ("nose/nose-scale-horiz-decr", "nose/nose-scale-horiz-incr"),
    "neck_scale_horiz": ("neck/neck-scale-horiz-decr", "neck/neck-scale-horiz-incr"),
    "shoulders": ("torso/measure-shoulder-dist-decr", "torso/measure-shoulder-dist-incr"),
    "stomach_tone": ("stomach/stomach-tone-incr", "stomach/stomach-tone-decr"),
    "torso_vshape": ("torso/torso-vshape-decr", "torso/torso-vshape-incr"),
    "torso_scale_depth": ("torso/torso-scale-depth-decr", "torso/torso-scale-depth-incr"),
    "legs_length": ("legs/upperlegs-height-decr", "legs/upperlegs-height-incr"),
}


def split_levels(value: float, low: str, middle: str, high: str) -> dict[str, float]:
    """Weigh three levels of a factor in 0..1 whose middle is 0.5."""
    if value < 0.5:
        return {low: 1 - 2 * value, middle: 2 * value}
    return {middle: 2 - 2 * value, high: 2 * value - 1}


def factor_levels(identity: IdentitySpec) -> list[dict[str, float]]:
    """Return the weights of the sexes, ages, muscle and weight levels, in the order of the file names."""
    old = float(np.clip((identity.age_years - YOUNG_YEARS) / (OLD_YEARS - YOUNG_YEARS), 0.0, 1.0))
    return [
        {"female": 1 - identity.sex, "male": identity.sex},
        {"young": 1 - old, "old": old},
        split_levels(identity.muscle, *MUSCLES),
        split_levels(identity.weight, *WEIGHTS),
    ]


def products(factors: list[dict[str, float]]) -> dict[str, float]:
    """Return the joined level names and the product of their weights, for every combination that counts.

    Combinations below 2 % are left out and the rest scaled up to the same sum: each costs a pass over the mesh.
    """
    combined = {}
    for levels in itertools.product(*(factor.items() for factor in factors)):
        weight = float(np.prod([w for _, w in levels]))
        if weight > 0:
            combined["-".join(name for name, _ in levels)] = weight
    kept = {name: weight for name, weight in combined.items() if weight >= 0.02 * sum(combined.values())}
    scale = sum(combined.values()) / sum(kept.values()) if kept else 1.0
    return {name: weight * scale for name, weight in kept.items()}


def macro_weights(identity: IdentitySpec) -> dict[str, float]:
    """Return target name → weight for everything but height."""
    sexes, ages, *_ = factors = factor_levels(identity)
    ethnicity = dict(zip(ETHNICITIES, identity.ethnicity, strict=True))
    weights = {f"macrodetails/{n}": w for n, w in products([ethnicity, sexes, ages]).items()}
    universal = products(factors)
    weights |= {f"macrodetails/universal-{n}": w for n, w in universal.items()}
    side = "idealproportions" if identity.proportions >= 0.5 else "uncommonproportions"
    amount = abs(2 * identity.proportions - 1)
    weights |= {f"macrodetails/proportions/{n}-{side}": w * amount for n, w in universal.items()}
    cups = split_levels(identity.cup, *CUPS)
    for name, weight in products([{"female": 1 - identity.sex}, *factors[1:], cups]).items():
        if not name.endswith("averagecup"):
            weights[f"breast/{name}-averagefirmness"] = weight
    for detail, amount in identity.details:
        weights[DETAILS[detail][0 if amount < 0 else 1]] = abs(amount)
    return weights


def height_weights(identity: IdentitySpec, level: str) -> dict[str, float]:
    """Return target name → weight for `level` "minheight" or "maxheight" at full strength."""
    return {f"macrodetails/height/{name}-{level}": weight for name, weight in products(factor_levels(identity)).items()}


def adult_target_names() -> list[str]:
    """Return every target that an adult may need, sorted."""
    base = ["-".join(levels) for levels in itertools.product(SEXES, AGES, MUSCLES, WEIGHTS)]
    names = ["macrodetails/" + "-".join(p) for p in itertools.product(ETHNICITIES, SEXES, AGES)]
    names += [f"macrodetails/universal-{name}" for name in base]
    names += [f"macrodetails/height/{name}-{level}" for name in base for level in ("minheight", "maxheight")]
    sides = ("idealproportions", "uncommonproportions")
    names += [f"macrodetails/proportions/{name}-{side}" for name in base for side in sides]
    names += [f"breast/{n}-{cup}-averagefirmness" for n in base if n[:6] == "female" for cup in ("mincup", "maxcup")]
    names += expressions.target_names()
    return sorted(names + [name for pair in DETAILS.values() for name in pair])


def data_digest(folder: Path) -> str:
    """Return a digest of the targets' names and sizes, which changes with another version of the data."""
    files = [folder / "targets" / f"{name}.target.gz" for name in adult_target_names()]
    sizes = "".join(f"{file.name}:{file.stat().st_size};" for file in files)
    return hashlib.sha256(f"{CACHE_VERSION};{sizes}".encode()).hexdigest()[:16]


DENSE_SHARE = 0.1  # of the vertices: a target that moves more of them is added to all, which is quicker


class TargetStore:
    """Shape targets by name, parsed when first asked for or read from a cache of all of them."""

    def __init__(self, folder: Path, cache: ArrayCache) -> None:
        self._folder = folder
        self._cache = cache
        self._loaded: dict[str, tuple[NDArray[np.int32], NDArray[np.int16]]] = {}
        self._dense: dict[str, NDArray[np.int16]] = {}

    def add(self, vertices_m: NDArray[np.float32], weights: dict[str, float]) -> None:
        """Add weighted targets to (V, 3) vertices in place."""
        for name in sorted(weights):
            scale = np.float32(weights[name] * TARGET_UNIT_M)
            if name not in self._dense:
                index, offsets = self._get(name)
                if len(index) < DENSE_SHARE * len(vertices_m):
                    vertices_m[index] += offsets * scale
                    continue
                self._dense[name] = np.zeros(vertices_m.shape, np.int16)
                self._dense[name][index] = offsets
            vertices_m += self._dense[name] * scale

    def _get(self, name: str) -> tuple[NDArray[np.int32], NDArray[np.int16]]:
        if not self._loaded and self._cache.enabled:
            self._loaded = self._load_all()
        if name not in self._loaded:
            self._loaded[name] = parse_target(self._folder / "targets" / f"{name}.target.gz")
        return self._loaded[name]

    def _load_all(self) -> dict[str, tuple[NDArray[np.int32], NDArray[np.int16]]]:
        names = adult_target_names()

        def parse_all() -> dict[str, NDArray[np.generic]]:
            parsed = [parse_target(self._folder / "targets" / f"{name}.target.gz") for name in names]
            return {
                "ends": np.cumsum([len(index) for index, _ in parsed]),
                "index": np.concatenate([index for index, _ in parsed]).astype(np.uint16),
                "offsets": np.concatenate([offsets for _, offsets in parsed]),
            }

        table = self._cache.get("targets", parse_all)
        ends = table["ends"][:-1]
        pieces = zip(np.split(table["index"], ends), np.split(table["offsets"], ends), strict=True)
        return dict(zip(names, pieces, strict=True))
