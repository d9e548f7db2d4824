# SPDX-License-Identifier: Apache-2.0
"""Drawing people: an identity, an outfit and a pose, each from random streams of its own."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import numpy as np

from synthkit.seeds import Seeds
from synthkit_blender.people import palette
from synthkit_blender.people.assets.catalogue import Catalogue
from synthkit_blender.people.assets.choosing import choose_clothes, choose_hair, choose_shoes, choose_skin
from synthkit_blender.people.capture import Repertoire
from synthkit_blender.people.looks import body_seeds, dyed, turned_hue
from synthkit_blender.people.poses import JITTER_COUNT, POSES, pose_weights
from synthkit_blender.people.targets import DETAILS
from synthkit_blender.people.types import (
    AccessorySpec,
    GarmentSpec,
    IdentitySpec,
    OutfitSpec,
    PersonRanges,
    PoseSpec,
    Rgb,
)

MEAN_HEIGHT_M = {"female": 1.64, "male": 1.77}
FEMALE_HAIR = {"long": 22, "shoulder": 20, "bob": 16, "ponytail": 16, "bun": 14, "full": 6, "short": 8}
MALE_HAIR = {"short": 36, "side_short": 24, "cropped": 20, "full": 14, "shoulder": 2, "bun": 1}
FEMALE_TOPS = {"tshirt": 20, "longsleeve": 18, "sweater": 20, "blouse": 20, "vest": 8, "shirt": 14, "dress": 10}
MALE_TOPS = {"tshirt": 28, "longsleeve": 12, "sweater": 22, "shirt": 24, "rolled_shirt": 14}
FEMALE_BOTTOMS = {"trousers": 58, "leggings": 14, "skirt": 14, "long_skirt": 7, "shorts": 4}
MALE_BOTTOMS = {"trousers": 92, "shorts": 8}
SHIRTS = ("shirt", "rolled_shirt", "blouse")
PATTERNS = {"stripes": 38, "checks": 28, "dots": 10, "noise": 24}
NOTHING = Catalogue()
THIN_HAIR = ("receding", "bald")  # no asset stands for it
WORN = {"lanyard": 40, "backpack": 25, "shoulder_bag": 22, "cap": 13}
CAPLESS = ("bun", "full")  # hair that no cap goes over
OWNED = ("phone", "cup", "laptop", "box", "bag")
ROUGH_CLOTH = {"sweater": 0.95, "cardigan": 0.95}
RANDOM = np.random.Generator


def choose(rng: RANDOM, weights: Mapping[str, float]) -> str:
    """Draw a key by weight, as ``rng.choice`` does in five times as long."""
    shares = np.array(list(weights.values()), float)
    ends = (shares / shares.sum()).cumsum()
    return list(weights)[int((ends / ends[-1]).searchsorted(rng.random(), side="right"))]


def sample_identity(seeds: Seeds, ranges: PersonRanges, catalogue: Catalogue = NOTHING) -> IdentitySpec:
    """Draw body, skin, hair and face."""
    looks, shaped = ranges.looks, body_seeds(seeds, ranges.looks)
    body, skin = shaped.stream("body"), seeds.stream("skin by numbers")
    female = bool(body.random() < ranges.female_share)
    age = float(body.uniform(*ranges.age_years))
    mean = MEAN_HEIGHT_M["female" if female else "male"] - 0.0008 * max(age - 30, 0)
    height = mean + ranges.height_scatter_m * float(np.clip(body.normal(), -2.2, 2.2))
    low, high = ranges.weight
    weight = low + (high - low) * float(body.beta(2.0, 2.6)) + 0.05 * float(np.clip((age - 25) / 30, 0, 1))
    ancestry = body.dirichlet((0.25, 0.25, 0.3))
    place, tone, color = _skin(seeds.stream("skin"), ancestry, _between(skin, looks.melanin))
    hair_name, hair_color = _hair_color(seeds.stream("hair_color"), place, age)
    face = shaped.stream("face")
    details = tuple((name, round(float(np.clip(face.normal(0, 0.3), -0.7, 0.7)), 4)) for name in sorted(DETAILS))
    sex, style = "female" if female else "male", _hair_style(seeds.stream("hair_style"), female, age)
    from_assets = seeds.stream("hair asset")
    hair = choose_hair(from_assets, catalogue, sex, float(ancestry[0])) if style not in THIN_HAIR else ""
    eyes = seeds.stream("eyes")
    brown_eyed = place > 2.4 or eyes.random() < 0.45
    eye = "brown" if brown_eyed else choose(eyes, {"hazel": 2, "blue": 3, "green": 1, "grey": 1})
    return IdentitySpec(
        sex=float(body.uniform(0.0, 0.12) if female else body.uniform(0.88, 1.0)),
        age_years=age,
        muscle=float(body.uniform(*ranges.muscle)) - (0.08 if female else 0.0),
        weight=min(weight, 1.0),
        proportions=float(body.uniform(0.45, 0.9)),
        ethnicity=(float(ancestry[0]), float(ancestry[1]), float(ancestry[2])),
        height_m=float(np.clip(height, 1.47, 1.98)),
        cup=float(body.uniform(0.3, 0.75)),
        details=details,
        skin_color=turned_hue(color, float(skin.uniform(*looks.skin_hue))),
        skin_tone=tone,
        hair_style=style,
        hair_color=hair_color,
        hair_name=hair_name,
        hair_phase=float(face.random()),
        eye_color=palette.EYES[eye],
        lip_strength=float(face.uniform(0.5, 1.0) if female else face.uniform(0.25, 0.5)),
        beard="none" if female else choose(face, {"none": 60, "stubble": 20, "beard": 20}),
        skin_bump=float(skin.uniform(*looks.skin_bump)),
        skin_oil=float(skin.uniform(*looks.skin_oil)),
        skin_asset=choose_skin(seeds.stream("skin asset"), catalogue, sex, age, color),
        hair_asset=hair if from_assets.random() < ranges.assets_share else "",
    )


def varied(rng: RANDOM, color: Rgb, brightness: float, tint: float) -> Rgb:
    """Vary a colour's brightness and tint by log-normal factors."""
    factors = np.exp(brightness * rng.normal() + tint * rng.normal(size=3))
    red, green, blue = np.clip(np.array(color) * factors, 0.004, 0.82)
    return (float(red), float(green), float(blue))


def _between(rng: RANDOM, span: tuple[float, float] | None) -> float | None:
    drawn = float(rng.random())
    return None if span is None else span[0] + drawn * (span[1] - span[0])


def _skin(
    rng: RANDOM, ancestry: np.ndarray[tuple[int], np.dtype[np.float64]], melanin: float | None
) -> tuple[float, str, Rgb]:
    """Return a place on the ramp of skins, its name and a colour: by melanin, or else by ancestry."""
    places, last = [rng.uniform(*span) for span in palette.SKIN_PLACES], len(palette.SKIN_RAMP) - 1.001
    place = float(np.clip(ancestry @ places, 0, last)) if melanin is None else melanin * last
    index = int(place)
    (name, light), (_, dark) = palette.SKIN_RAMP[index], palette.SKIN_RAMP[index + 1]
    share = place - index
    mixed = np.array(light) ** (1 - share) * np.array(dark) ** share
    tone = name if share < 0.5 else palette.SKIN_RAMP[index + 1][0]
    return place, tone, varied(rng, (mixed[0], mixed[1], mixed[2]), 0.05, 0.03)


def _hair_color(rng: RANDOM, skin_place: float, age: float) -> tuple[str, Rgb]:
    grey_chance = float(np.clip((age - 42) / 32, 0, 0.92))
    draw = rng.random()
    weights = palette.DARK_HAIR if skin_place > 2.3 else palette.MIXED_HAIR
    name = choose(rng, weights)
    if draw < grey_chance:
        name = "white" if rng.random() < float(np.clip((age - 60) / 25, 0.05, 0.7)) else "grey"
    return name, varied(rng, palette.HAIR[name], 0.15, 0.04)


def _hair_style(rng: RANDOM, female: bool, age: float) -> str:
    if female:
        weights = dict(FEMALE_HAIR)
        if age > 55:
            weights |= {"long": 4, "shoulder": 10, "ponytail": 4, "short": 30, "full": 20}
        return choose(rng, weights)
    thinning = float(np.clip((age - 30) / 40, 0, 1))
    return choose(rng, MALE_HAIR | {"receding": 45 * thinning, "bald": 3 + 16 * thinning})


def sample_outfit(
    seeds: Seeds, identity: IdentitySpec, ranges: PersonRanges, catalogue: Catalogue = NOTHING
) -> OutfitSpec:
    """Draw clothes, by chance from assets as far as there are some for the sex, and what goes with them."""
    shells = _shell_outfit(seeds.stream("outfit"), identity, ranges)
    outfit = attrs.evolve(
        dyed(shells, ranges.looks, seeds.stream("fabric")),
        accessories=_accessories(seeds.stream("accessories"), identity.hair_style, ranges.accessory_share),
        owned=tuple(_accessory(seeds.stream(f"own {kind}"), kind) for kind in OWNED),
    )
    rng = seeds.stream("outfit assets")
    sex = "female" if identity.sex < 0.5 else "male"
    drawn, clothes = rng.random(), choose_clothes(rng, catalogue, sex)
    shoes = choose_shoes(rng, catalogue, sex)
    if drawn >= ranges.assets_share:
        return outfit
    garments = outfit.garments
    if clothes:
        covered = {worn.kind for worn in clothes}
        # Trousers or a skirt of the shells go with a top that has none of its own.
        garments = () if covered & {"full", "lower"} else garments[:1]
    worn = (*clothes, *([shoes] if shoes else []))
    return attrs.evolve(outfit, garments=garments, shoes=None if shoes else outfit.shoes, worn=worn)


def _shell_outfit(rng: RANDOM, identity: IdentitySpec, ranges: PersonRanges) -> OutfitSpec:
    female = identity.sex < 0.5
    top = choose(rng, FEMALE_TOPS if female else MALE_TOPS)
    outer = "none" if top == "dress" else choose(rng, {"none": 68, "jacket": 20, "cardigan": 12})
    share = ranges.pattern_share
    if top == "dress":
        skirt = _garment(rng, choose(rng, {"skirt": 2, "long_skirt": 1}), palette.TOP_COLORS, 0.008, share)
        garments = [skirt, _like(skirt, "dress_top", 0.005)]
    else:
        bottom = choose(rng, FEMALE_BOTTOMS if female else MALE_BOTTOMS)
        ease = 0.003 if bottom == "leggings" else 0.006
        garments = [_garment(rng, bottom, palette.BOTTOM_COLORS, ease, share * 0.25)]
        loose = float(rng.uniform(0.0, 0.007))
        ease = {"sweater": 0.013, "tshirt": 0.01, "vest": 0.008}.get(top, 0.01) + loose
        garments.append(_garment(rng, top, palette.TOP_COLORS, ease, share * (1.6 if top in SHIRTS else 1.0)))
        if outer != "none":
            garments.append(_garment(rng, outer, palette.OUTER_COLORS, ease + 0.011, share * 0.3))
    return OutfitSpec(tuple(garments), _shoes(rng, garments[0].kind))


def _accessories(rng: RANDOM, hair_style: str, share: float) -> tuple[AccessorySpec, ...]:
    """Draw what is worn over the clothes: mostly one thing."""
    some, second = rng.random() < share, rng.random() < 0.3
    first = choose(rng, WORN)
    kinds = [first, choose(rng, WORN)] if second else [first]
    kinds = [kind for kind in WORN if kind in kinds and not (kind == "cap" and hair_style in CAPLESS)]
    if {"backpack", "shoulder_bag"} <= set(kinds):
        kinds.remove("shoulder_bag")
    return tuple(_accessory(rng, kind) for kind in kinds) if some else ()


def _accessory(rng: RANDOM, kind: str) -> AccessorySpec:
    name, other = (choose(rng, palette.ACCESSORY_COLORS[kind]) for _ in range(2))
    first, second = (varied(rng, palette.CLOTH[color], 0.14, 0.05) for color in (name, other))
    return AccessorySpec(kind, first, name, second)


def _garment(rng: RANDOM, kind: str, colors: Mapping[str, float], ease_m: float, pattern_share: float) -> GarmentSpec:
    name = choose(rng, colors)
    patterned = bool(rng.random() < pattern_share)
    pattern, other = choose(rng, PATTERNS), choose(rng, palette.TOP_COLORS)
    scale = float(rng.uniform(0.018, 0.07))
    base = varied(rng, palette.CLOTH[name], 0.14, 0.05)
    second = varied(rng, palette.CLOTH[other], 0.14, 0.05)
    if not patterned:
        pattern, second = ("noise", _shade(base)) if "denim" in name else ("plain", base)
    return GarmentSpec(
        kind, base, name, ease_m, pattern, second, scale,
        roughness=ROUGH_CLOTH.get(kind, float(rng.uniform(0.7, 0.92))), bump=float(rng.uniform(0.15, 0.5)),
    )  # fmt: skip


def _shade(color: Rgb) -> Rgb:
    return (color[0] * 0.7, color[1] * 0.72, color[2] * 0.75)


def _like(garment: GarmentSpec, kind: str, ease_m: float) -> GarmentSpec:
    return GarmentSpec(
        kind, garment.color, garment.color_name, ease_m, garment.pattern, garment.pattern_color,
        garment.pattern_scale_m, garment.roughness, garment.bump,
    )  # fmt: skip


def _shoes(rng: RANDOM, bottom: str) -> GarmentSpec:
    bare = bottom in ("skirt", "long_skirt", "leggings")
    kind = choose(rng, {"pump": 70, "boot": 15, "shoe": 15} if bare else {"shoe": 84, "boot": 16})
    name = choose(rng, palette.SHOE_COLORS)
    sole = choose(rng, {"dark": 5, "light": 4, "gum": 1} if kind != "boot" else {"dark": 1, "gum": 0.2})
    color = varied(rng, palette.CLOTH[name], 0.12, 0.04)
    return GarmentSpec(
        kind, color, name, 0.0, "plain", palette.SOLE_COLORS[sole], roughness=float(rng.uniform(0.3, 0.75)), bump=0.1
    )


def sample_pose(
    seeds: Seeds, posture: str, ranges: PersonRanges, repertoire: Repertoire | None = None
) -> PoseSpec:  # fmt: skip
    """Draw a pose of a posture, by chance from motion capture where it has the posture.

    Raises ValueError for a posture that the library does not have.
    """
    if posture not in POSES:
        raise ValueError(f"unknown posture {posture!r}; the pose library has {', '.join(POSES)}")
    rng = seeds.stream("pose")
    name = choose(rng, pose_weights(posture))
    mirrored, phase = bool(rng.random() < 0.5), float(rng.random())
    jitter = tuple(round(float(x), 5) for x in rng.normal(size=JITTER_COUNT))
    spec = PoseSpec(posture, name, mirrored, phase, ranges.pose_amount, jitter)
    files = repertoire.frames.get(posture, {}) if repertoire else {}
    drawn = seeds.stream("captured pose")
    if repertoire is None or not files or drawn.random() >= ranges.motions_share:
        return spec
    poses = files[sorted(files)[int(drawn.integers(len(files)))]]
    pose = poses[int(drawn.integers(len(poses)))]
    name = f"{pose.file}:{pose.frame}"
    return attrs.evolve(spec, name=name, captured=pose.goals, licence=repertoire.licence)
