# SPDX-License-Identifier: Apache-2.0
"""From a specification to a dressed, posed person."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from synthkit_blender.geometry import Mesh
from synthkit_blender.people import held, mpfb, worn
from synthkit_blender.people.arrays import ArrayCache
from synthkit_blender.people.assets.catalogue import Catalogue
from synthkit_blender.people.assets.dressing import Dresser
from synthkit_blender.people.assets.store import AssetStore
from synthkit_blender.people.expressions import target_weights
from synthkit_blender.people.face import BEARDS, FacePainter
from synthkit_blender.people.fields import BodyCoordinates
from synthkit_blender.people.garments import BOTTOM_KINDS, SKIRT_KINDS, Wardrobe
from synthkit_blender.people.goals import PoseGoals
from synthkit_blender.people.hair import Barber
from synthkit_blender.people.hands import RestHand
from synthkit_blender.people.keypoints import Landmarks, named_points
from synthkit_blender.people.materials import (
    accessory_material,
    beard_material,
    cloth_material,
    eye_materials,
    hair_material,
    lip_material,
    shoe_materials,
    skin_material,
    strand_material,
)
from synthkit_blender.people.poses import pose_goals
from synthkit_blender.people.posing import RestBody
from synthkit_blender.people.settling import BodyParts
from synthkit_blender.people.shoes import COLLARS, Cobbler
from synthkit_blender.people.skeleton import (
    SIDES,
    PosedSkeleton,
    Skin,
    joint_cube_centres,
    moved,
    rest_pivots,
)
from synthkit_blender.people.tailoring import ClothMesh
from synthkit_blender.people.targets import TargetStore, data_digest, height_weights, macro_weights
from synthkit_blender.people.types import (
    AccessorySpec,
    IdentitySpec,
    Material,
    MeshPart,
    OutfitSpec,
    PersonSpec,
    PosedPerson,
)

# Skin is left out where cloth reaches on by this much; one looks farther into a skirt.
HIDDEN_MARGIN_M = 0.018
SKIRT_MARGIN_M = 0.12
SHAPES_KEPT = 16
POCKET_KINDS = ("trousers", "shorts")
FOLDS_M = 0.006  # how far folds and seams stand off beyond a garment's ease
ASSET_EASE_M = 0.015  # about how far clothes from assets stand off the body
NECK_M = 0.47  # of the collar over the hip joints


@attrs.frozen(eq=False)
class _Figure:
    """A body at rest with what its pose does to it."""

    shape_m: NDArray[np.float32]
    posed: PosedSkeleton
    pivots: dict[str, NDArray[np.float64]]
    motions: NDArray[np.float32]
    vertices_m: NDArray[np.float32]

    def bone_motion(self, bone: str) -> NDArray[np.float32]:
        """Return the rigid motion (3, 4) of a bone from rest."""
        rotation = self.posed.rotations[bone]
        shift = self.posed.pivots[bone] - rotation @ self.pivots[bone]
        return np.asarray(np.concatenate([rotation, shift[:, None]], axis=1), np.float32)


@attrs.frozen(eq=False)
class _Patch:
    """Some faces of the base mesh: the vertices that they use, and the faces (F, 4) as places among these."""

    used: NDArray[np.intp]
    faces: NDArray[np.int32]


class BodyLibrary:
    """Builds people; parsed data is kept in memory and, where a cache folder is given, on disk.

    Raises mpfb.PeopleDataError where the body data is not installed.
    """

    def __init__(self, cache_dir: Path | None = None, assets: Path | None = None) -> None:
        folder = mpfb.find_data_dir()
        self._shapes: dict[IdentitySpec, NDArray[np.float32]] = {}
        self._mesh = mpfb.parse_base_mesh(folder)
        self._skin = Skin.from_rig(mpfb.parse_skin_weights(folder), len(self._mesh.vertices_m))
        self._targets = TargetStore(folder, ArrayCache(cache_dir, data_digest(folder)))
        self._at = BodyCoordinates.of(self._mesh, self._skin)
        self._wardrobe = Wardrobe(self._mesh, self._at)
        self._painter = FacePainter(self._mesh)
        self._cobbler = Cobbler(self._mesh, self._at)
        self._body_vertices = self._mesh.group_vertices(mpfb.BODY)
        self._landmarks = Landmarks.of(self._mesh, self._body_vertices)
        self._barber = Barber(self._mesh, self._skin, self._landmarks)
        self._head = np.flatnonzero(self._skin.dense("head", "neck03")[: len(self._body_vertices)] > 0.6)
        self._feet = {
            side: np.flatnonzero(self._skin.dense(f"foot.{side}", f"toes.{side}")[: len(self._body_vertices)] > 0.5)
            for side in SIDES
        }
        seat = np.flatnonzero((np.abs(self._at.z_m + 0.02) < 0.12) & (self._at.y_m > -0.02))
        seat = seat[seat < len(self._body_vertices)]
        self._parts = BodyParts.of(self._skin, self._mesh.faces[mpfb.BODY], seat)
        self._hidden: dict[str, NDArray[np.bool_]] = {}
        self._eye_patches = self._cut_eyes()
        self._dresser = None if assets is None else self._open_assets(assets, cache_dir, folder)

    @property
    def catalogue(self) -> Catalogue:
        """The assets that people may be drawn with."""
        return Catalogue() if self._dresser is None else self._dresser.store.catalogue

    @property
    def left_out(self) -> dict[str, str]:
        """The assets that cannot be used, by name, and why."""
        return {} if self._dresser is None else self._dresser.store.left_out

    def _open_assets(self, assets: Path, cache_dir: Path | None, folder: Path) -> Dresser:
        cache = ArrayCache(cache_dir, data_digest(folder))
        body_uv = cache.get("body-uv", lambda: {"uv": mpfb.parse_face_uv(folder, mpfb.BODY)})["uv"]
        return Dresser(AssetStore(assets, cache_dir, self._mesh, self._at, body_uv), self._mesh, body_uv)

    def build(self, spec: PersonSpec) -> PosedPerson:
        """Build a person; equal specifications give equal bytes."""
        outfit, shape_m = spec.outfit, self.shape(spec.identity)
        self._targets.add(shape_m, target_weights(spec.expression, spec.identity))
        goals = with_pockets(pose_goals(spec.pose), outfit)
        over_m, sole_m = self._cloth_over(outfit), self._sole_m(outfit, shape_m)
        figure, seat_height_m = self._pose(shape_m, goals, over_m, sole_m, spec.pose.seat_m)
        parts = (*self._body_parts(figure, spec), *self._clothes(figure, spec), *self._eyes(figure, spec))
        hair = self._hair(figure, spec)
        caps = self._worn(figure, spec, parts, hair, on_head=True)
        head = self._head_vertices(figure, (*hair, *caps))
        things = (*self._worn(figure, spec, parts, hair, on_head=False), *self._held(figure, spec, goals))
        everything = (*parts, *hair, *caps, *things)
        person = PosedPerson(
            parts=everything,
            joints_m=named_points(self._landmarks, self._mesh, figure.posed, figure.vertices_m),
            head_centre_m=((head.max(axis=0) + head.min(axis=0)) / 2).astype(np.float32),
            head_vertices_m=head,
            surface_vertices_m=np.concatenate([part.vertices_m for part in everything]),
            posture=spec.pose.posture,
            height_m=spec.identity.height_m,
            seat_height_m=seat_height_m,
            attributes=describe(spec),
            support=goals.support,
            spec=spec,
            stride_m=goals.stride * _leg_m(figure),
            licences=self._licences(spec),
        )
        # Soles bend, and shoes are thicker here and there than posing reckons with: by up to a centimetre.
        lowest_m = min(float(part.vertices_m[:, 2].min()) for part in parts)
        return person if goals.support == "seat" else raised(person, -lowest_m)

    def _licences(self, spec: PersonSpec) -> dict[str, str]:
        assets = {} if self._dresser is None else self._dresser.licences(spec)
        motion = {} if spec.pose.captured is None else {spec.pose.name.rsplit(":", 1)[0]: spec.pose.licence}
        return {**assets, **motion}

    def shape(self, identity: IdentitySpec) -> NDArray[np.float32]:
        """Return the rest shape (V, 3) in metres, soles of the bare feet at z = 0 and height as specified.

        The last few shapes are remembered: clips and other outfits ask for the same body again.
        """
        if identity not in self._shapes:
            while len(self._shapes) >= SHAPES_KEPT:
                del self._shapes[next(iter(self._shapes))]
            self._shapes[identity] = self._make_shape(identity)
        return self._shapes[identity].copy()

    def _make_shape(self, identity: IdentitySpec) -> NDArray[np.float32]:
        vertices = self._mesh.vertices_m.copy()
        self._targets.add(vertices, macro_weights(identity))
        lowest, highest = self._extent(vertices)
        side = "maxheight" if identity.height_m > highest - lowest else "minheight"
        stretched = vertices.copy()
        self._targets.add(stretched, height_weights(identity, side))
        low, high = self._extent(stretched)
        gain = (high - low) - (highest - lowest)
        share = float(np.clip((identity.height_m - (highest - lowest)) / gain, 0.0, 0.7))
        vertices += np.float32(share) * (stretched - vertices)
        lowest, highest = self._extent(vertices)
        vertices[:, 2] -= lowest
        return vertices * np.float32(identity.height_m / (highest - lowest))

    def _extent(self, vertices_m: NDArray[np.float32]) -> tuple[np.float32, np.float32]:
        heights = vertices_m[self._body_vertices, 2]
        return heights.min(), heights.max()

    def _sole_m(self, outfit: OutfitSpec, shape_m: NDArray[np.float32]) -> float:
        own = None if self._dresser is None else self._dresser.sole_m(outfit, shape_m)
        return self._cobbler.sole_m if own is None else own

    def _rest_body(self, shape_m: NDArray[np.float32], sole_m: float) -> RestBody:
        joints = joint_cube_centres(self._mesh, shape_m)
        sole = {}
        for side in SIDES:
            foot = shape_m[self._feet[side]]
            x = float(joints[f"{side}-ankle"][0])
            ends = (float(foot[:, 1].max()), float(joints[f"{side}-toe-1-1"][1]), float(foot[:, 1].min()))
            heel, ball, tip = (np.array([x, y, -sole_m]) for y in ends)
            sole[side] = (heel, ball, tip)
        return RestBody(joints, rest_pivots(joints), sole)

    def _pose(
        self, shape_m: NDArray[np.float32], goals: PoseGoals, over_m: NDArray[np.float32], sole_m: float,
        seat_m: float | None = None,
    ) -> tuple[_Figure, float | None]:  # fmt: skip
        body = self._rest_body(shape_m, sole_m)
        posed, seat_height_m = self._parts.settle(body, shape_m, goals, over_m, seat_m)
        motions = self._skin.motions(body.pivots, posed)
        return _Figure(shape_m, posed, body.pivots, motions, moved(motions, shape_m)), seat_height_m

    def _cloth_over(self, outfit: OutfitSpec) -> NDArray[np.float32]:
        """Return (V,) about how far the clothes stand off the body."""
        kinds = {garment.kind: garment.ease_m + FOLDS_M for garment in outfit.garments}
        lower = [ease for kind, ease in kinds.items() if kind in (*BOTTOM_KINDS, *SKIRT_KINDS)]
        upper = [ease for kind, ease in kinds.items() if kind not in (*BOTTOM_KINDS, *SKIRT_KINDS)]
        z, arm = self._at.z_m, self._at.on_arm > 0.5
        over = np.where(arm | (z < 0.03), max(lower, default=0.0), max(upper, default=0.0))
        over = np.where((z > NECK_M) & ~arm, 0.0, over)
        if self._dresser is not None:
            over = np.where(self._dresser.covered(outfit.worn), np.maximum(over, ASSET_EASE_M), over)
        return over.astype(np.float32)

    def _cloth_part(self, name: str, figure: _Figure, cloth: ClothMesh, material: Material) -> MeshPart:
        posed_m = moved(cloth.sample(figure.motions), cloth.vertices_m)
        return MeshPart(name, posed_m, cloth.faces, cloth.vertices_m, material, True, cloth.base_vertices)

    def _body_parts(self, figure: _Figure, spec: PersonSpec) -> tuple[MeshPart, ...]:
        identity, outfit = spec.identity, spec.outfit
        garments = (*outfit.garments, *([outfit.shoes] if outfit.shoes else []))
        hidden = np.zeros(len(self._mesh.faces[mpfb.BODY]), bool)
        for garment in garments:
            hidden |= self._hidden_under(garment.kind)
        if self._dresser is not None:
            hidden |= self._dresser.hidden(outfit)
        patch = self._patch(self._mesh.faces[mpfb.BODY][~hidden])
        if self._dresser is not None and identity.skin_asset:
            body = self._plain_part("body", figure, patch, self._dresser.skin(identity))
            body = attrs.evolve(body, uv=self._dresser.body_uv[~hidden])
        else:
            body = self._plain_part("body", figure, patch, skin_material(identity))
        return (body, *self._face(figure, identity))

    def _hidden_under(self, kind: str) -> NDArray[np.bool_]:
        """Return (F,) which faces of the body lie wholly under a garment or shoe, well within its rims."""
        if kind not in self._hidden:
            cover = self._cobbler.covers(kind) if kind in COLLARS else self._wardrobe.covers(kind)
            margin = SKIRT_MARGIN_M if kind in SKIRT_KINDS else HIDDEN_MARGIN_M
            self._hidden[kind] = ((cover - margin) > 0)[self._mesh.faces[mpfb.BODY]].all(axis=1)
        return self._hidden[kind]

    def _face(self, figure: _Figure, identity: IdentitySpec) -> tuple[MeshPart, ...]:
        patches = [] if identity.skin_asset else [("lips", 0.0, lip_material(identity))]
        if identity.beard != "none":
            patches.append(("beard", BEARDS[identity.beard], beard_material(identity)))
        rest_m, faces, skin = self._painter.brows(figure.shape_m)
        posed_m = moved(figure.bone_motion("head")[None], rest_m)
        brows = MeshPart("brows", posed_m, faces, rest_m, hair_material(identity), True, skin)
        return brows, *(
            self._cloth_part(name, figure, self._painter.patch(name, lift_m, figure.shape_m), material)
            for name, lift_m, material in patches
        )

    def _patch(self, faces: NDArray[np.int32]) -> _Patch:
        """Take faces of the base mesh as they are, without the vertices that none of them uses."""
        taken = np.zeros(len(self._mesh.vertices_m), bool)
        taken[faces] = True
        return _Patch(np.flatnonzero(taken), (np.cumsum(taken) - 1)[faces].astype(np.int32))

    def _plain_part(self, name: str, figure: _Figure, patch: _Patch, material: Material) -> MeshPart:
        used = patch.used
        posed_m, rest_m = figure.vertices_m[used], figure.shape_m[used]
        return MeshPart(name, posed_m, patch.faces, rest_m, material, True, used.astype(np.int32))

    def _clothes(self, figure: _Figure, spec: PersonSpec) -> tuple[MeshPart, ...]:
        parts = []
        under = self._wardrobe.undersuit(figure.shape_m)
        for number, garment in enumerate(spec.outfit.garments):
            cloth = self._wardrobe.fit(garment, under, number + 1 == len(spec.outfit.garments))
            parts.append(self._cloth_part(f"{number}_{garment.kind}", figure, cloth, cloth_material(garment)))
        if spec.outfit.shoes is not None:
            shoes = self._cobbler.make(spec.outfit.shoes.kind, figure.shape_m)
            for name, mesh, material in zip(("shoes", "soles"), shoes, shoe_materials(spec.outfit.shoes), strict=True):
                parts.append(self._cloth_part(name, figure, mesh, material))
        if self._dresser is not None:
            parts += self._dresser.clothes(spec.outfit, figure.shape_m, figure.motions)
        return tuple(parts)

    def _eyes(self, figure: _Figure, spec: PersonSpec) -> tuple[MeshPart, ...]:
        white, iris = eye_materials(spec.identity)
        materials = {"eye_white": white, "iris": iris}
        return tuple(
            self._plain_part(f"{side}_{name}", figure, patch, materials[name])
            for (side, name), patch in self._eye_patches.items()
        )

    def _cut_eyes(self) -> dict[tuple[str, str], _Patch]:
        patches = {}
        for group, side in zip(mpfb.EYES, ("left", "right"), strict=True):
            faces = self._mesh.faces[group]
            points = self._mesh.vertices_m[faces].mean(axis=1)
            front = self._mesh.vertices_m[np.unique(faces)]
            pole = np.array([front[:, 0].mean(), front[:, 1].min(), front[:, 2].mean()])
            coloured = np.linalg.norm(points - pole, axis=1) < 0.007
            patches[side, "eye_white"] = self._patch(faces[~coloured])
            patches[side, "iris"] = self._patch(faces[coloured])
        return patches

    def _hair(self, figure: _Figure, spec: PersonSpec) -> tuple[MeshPart, ...]:
        identity = spec.identity
        if self._dresser is not None and identity.hair_asset:
            return self._dresser.hair(identity, figure.shape_m, figure.motions)
        material = strand_material(identity)
        head, chest = figure.bone_motion("head"), figure.bone_motion("spine01")
        parts = []
        for hair in self._barber.make(identity.hair_style, identity.hair_phase, figure.shape_m):
            share = np.asarray(hair.on_head[:, None, None])
            posed_m = moved(chest + share * (head - chest), hair.vertices_m)
            rest_m, bases = hair.vertices_m, hair.base_vertices
            parts.append(MeshPart(hair.name, posed_m, hair.faces, rest_m, material, True, bases, hair.uv))
        return tuple(parts)

    def _worn(
        self, figure: _Figure, spec: PersonSpec, parts: tuple[MeshPart, ...], hair: tuple[MeshPart, ...], *,
        on_head: bool,
    ) -> tuple[MeshPart, ...]:  # fmt: skip
        """Return caps, or else what is worn on the trunk."""
        bone = "head" if on_head else "spine02"
        motion = figure.bone_motion(bone).astype(np.float64)
        turn, shift = motion[:, :3], motion[:, 3]
        found: list[MeshPart] = []
        for thing in things_of(spec):
            if thing.kind not in worn.MAKERS or (thing.kind == "cap") != on_head:
                continue
            if on_head:
                below_m = np.concatenate(
                    [figure.vertices_m[self._head], *(p.vertices_m for p in hair if p.name != "hair_tail")]
                )
                between_ears = figure.shape_m[list(self._landmarks.ears)].mean(axis=0)
                at = (between_ears + np.array([0, -0.018, 0.03]), np.zeros(3))
            else:
                below_m = self._trunk_surface(parts, legs=thing.kind in worn.BESIDE_LEGS)
                at = (figure.pivots["neck01"], figure.pivots["root"])
            upright_m = (below_m.astype(np.float64) - shift) @ turn
            for number, (mesh, stuff) in enumerate(worn.MAKERS[thing.kind](upright_m, *at)):
                found.append(
                    _thing_part(f"{thing.kind}_{number}", mesh.moved(_homogeneous(motion)), mesh, thing, stuff)
                )
        return tuple(found)

    def _trunk_surface(self, parts: tuple[MeshPart, ...], *, legs: bool) -> NDArray[np.float32]:
        """Return the vertices of skin and clothes on the trunk: not on the arms, and on the legs where asked for."""
        on_trunk = (self._at.on_arm < 0.4) & (self._at.z_m < NECK_M + 0.1)
        if not legs:
            on_trunk &= self._at.z_m > 0
        kept = []
        for part in parts:
            if part.base_vertices is not None and part.name not in ("lips", "beard", "brows", "shoes", "soles"):
                kept.append(part.vertices_m[on_trunk[part.base_vertices]])
        return np.concatenate(kept)

    def _held(self, figure: _Figure, spec: PersonSpec, goals: PoseGoals) -> tuple[MeshPart, ...]:
        """Return what the pose's hands hold."""
        joints = joint_cube_centres(self._mesh, figure.shape_m)
        hands = {side: RestHand.of(joints, side) for side in SIDES}
        grips = {side: held.Grip.of(hands[side], figure.posed, side) for side in SIDES}
        found: list[MeshPart] = []
        for side, other, goal in zip(SIDES, SIDES[::-1], goals.hands, strict=True):
            things = [thing for thing in spec.outfit.owned if thing.kind == goal.holds]
            for thing in things:
                body_m = figure.vertices_m[self._parts.trunk.vertices]
                for number, (mesh, stuff) in enumerate(held.MAKERS[thing.kind](grips[side], grips[other], body_m)):
                    found.append(_thing_part(f"{thing.kind}_{number}", mesh, mesh, thing, stuff))
        return tuple(found)

    def _head_vertices(self, figure: _Figure, hair: tuple[MeshPart, ...]) -> NDArray[np.float32]:
        return np.concatenate([figure.vertices_m[self._head], *(part.vertices_m for part in hair)])


def _leg_m(figure: _Figure) -> float:
    hip, knee, ankle = (figure.pivots[f"{bone}.l"] for bone in ("upperleg01", "lowerleg01", "foot"))
    return float(np.linalg.norm(knee - hip) + np.linalg.norm(ankle - knee))


def _thing_part(name: str, posed: Mesh, rest: Mesh, thing: AccessorySpec, stuff: str) -> MeshPart:
    material = accessory_material(thing, stuff)
    return MeshPart(name, posed.vertices_m, posed.faces, rest.vertices_m, material, posed.smooth)


def _homogeneous(motion: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([motion, [[0.0, 0.0, 0.0, 1.0]]])


def with_pockets(goals: PoseGoals, outfit: OutfitSpec) -> PoseGoals:
    """Return the pose with hands on the hips where its clothes have no pockets to put them into."""
    if any(garment.kind in POCKET_KINDS for garment in outfit.garments):
        return goals
    hands = [attrs.evolve(hand, contact="touch") if hand.contact == "pocket" else hand for hand in goals.hands]
    return attrs.evolve(goals, hands=(hands[0], hands[1]))


def things_of(spec: PersonSpec) -> tuple[AccessorySpec, ...]:
    """Return what somebody wears over the clothes and has in the hands, in this pose."""
    goals = pose_goals(spec.pose)
    leant_on = goals.support not in ("none", "table before")
    on_body = [thing for thing in spec.outfit.accessories if not (leant_on and thing.kind in worn.ON_BACK)]
    in_hand = {hand.holds for hand in goals.hands}
    return (*on_body, *(thing for thing in spec.outfit.owned if thing.kind in in_hand))


def describe(spec: PersonSpec) -> dict[str, Any]:
    """Return what a label of the person may say, as plain JSON values."""
    identity, outfit = spec.identity, spec.outfit
    worn = {kind: [one.asset for one in outfit.worn if (one.kind == "shoes") == kind] for kind in (False, True)}
    ages = ((30, "young"), (55, "middle_aged"), (200, "old"))
    builds = ((0.4, "slim"), (0.62, "average"), (2.0, "heavy"))
    return {
        "sex": "male" if identity.sex >= 0.5 else "female",
        "age_years": round(identity.age_years),
        "age_group": next(name for limit, name in ages if identity.age_years < limit),
        "build": next(name for limit, name in builds if identity.weight < limit),
        "skin_tone": identity.skin_tone,
        "hair_style": identity.hair_asset or identity.hair_style,
        "hair_color": identity.hair_name,
        "beard": identity.beard,
        "expression": spec.expression.name,
        "pose": spec.pose.name,
        "clothes": [f"{garment.color_name} {garment.kind}" for garment in outfit.garments] + worn[False],
        "shoes": f"{outfit.shoes.color_name} {outfit.shoes.kind}" if outfit.shoes else worn[True][0],
        "accessories": [f"{thing.color_name} {thing.kind}" for thing in things_of(spec)],
    }


def raised(person: PosedPerson, by_m: float) -> PosedPerson:
    """Return somebody higher up."""
    up = np.array([0, 0, by_m], np.float32)
    return attrs.evolve(
        person,
        parts=tuple(attrs.evolve(part, vertices_m=part.vertices_m + up) for part in person.parts),
        joints_m={name: point + up for name, point in person.joints_m.items()},
        head_centre_m=person.head_centre_m + up,
        head_vertices_m=person.head_vertices_m + up,
        surface_vertices_m=person.surface_vertices_m + up,
    )
