# SPDX-License-Identifier: Apache-2.0
"""What people have about them: what they wear over their clothes, and what they hold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthkit_blender.geometry import Mesh
from synthkit_blender.people import held, worn
from synthkit_blender.people.bodies import PosedBody, Sculptor
from synthkit_blender.people.clothing import NECK_M
from synthkit_blender.people.fields import BodyCoordinates
from synthkit_blender.people.goals import PoseGoals
from synthkit_blender.people.hands import RestHand
from synthkit_blender.people.materials import accessory_material
from synthkit_blender.people.poses import pose_goals
from synthkit_blender.people.skeleton import SIDES, joint_cube_centres
from synthkit_blender.people.types import AccessorySpec, MeshPart, PersonSpec


def things_of(spec: PersonSpec) -> tuple[AccessorySpec, ...]:
    """Return what somebody wears over the clothes and has in the hands, in this pose."""
    goals = pose_goals(spec.pose)
    leant_on = goals.support not in ("none", "table before")
    on_body = [thing for thing in spec.outfit.accessories if not (leant_on and thing.kind in worn.ON_BACK)]
    in_hand = {hand.holds for hand in goals.hands}
    return (*on_body, *(thing for thing in spec.outfit.owned if thing.kind in in_hand))


class Outfitter:
    """Makes the meshes of things, fitted to whom they are on.

    Args:
        head: (K,) vertices of the head. ears: the vertices of both.
    """

    def __init__(
        self, sculptor: Sculptor, at: BodyCoordinates, head: NDArray[np.intp], ears: tuple[int, int]
    ) -> None:  # fmt: skip
        self._sculptor, self._at, self._head, self._ears = sculptor, at, head, ears

    def caps(self, figure: PosedBody, spec: PersonSpec, hair: tuple[MeshPart, ...]) -> tuple[MeshPart, ...]:
        """Return what is worn on the head, over the hair."""
        caps = [thing for thing in things_of(spec) if thing.kind == "cap"]
        if not caps:
            return ()
        loose = [part.vertices_m for part in hair if part.name != "hair_tail"]
        below_m = np.concatenate([figure.vertices_m[self._head], *loose])
        between_ears = figure.shape_m[list(self._ears)].mean(axis=0)
        at = (between_ears + np.array([0, -0.018, 0.03]), np.zeros(3))
        return tuple(part for thing in caps for part in _fitted(thing, figure.bone_motion("head"), below_m, at))

    def on_trunk(self, figure: PosedBody, spec: PersonSpec, parts: tuple[MeshPart, ...]) -> tuple[MeshPart, ...]:
        """Return what is worn over the clothes.

        Args:
            parts: skin and clothes.
        """
        at, found = (figure.pivots["neck01"], figure.pivots["root"]), list[MeshPart]()
        for thing in things_of(spec):
            if thing.kind in worn.MAKERS and thing.kind != "cap":
                below_m = self._trunk_surface(parts, legs=thing.kind in worn.BESIDE_LEGS)
                found += _fitted(thing, figure.bone_motion("spine02"), below_m, at)
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

    def in_hands(self, figure: PosedBody, spec: PersonSpec, goals: PoseGoals) -> tuple[MeshPart, ...]:
        """Return what the pose's hands hold."""
        if not any(hand.holds for hand in goals.hands):
            return ()
        joints = joint_cube_centres(self._sculptor.mesh, figure.shape_m)
        hands = {side: RestHand.of(joints, side) for side in SIDES}
        grips = {side: held.Grip.of(hands[side], figure.posed, side) for side in SIDES}
        body_m, found = figure.vertices_m[self._sculptor.trunk], list[MeshPart]()
        for side, other, goal in zip(SIDES, SIDES[::-1], goals.hands, strict=True):
            for thing in spec.outfit.owned:
                if thing.kind == goal.holds:
                    made = held.MAKERS[thing.kind](grips[side], grips[other], body_m)
                    found += [_part(thing, number, mesh, mesh, stuff) for number, (mesh, stuff) in enumerate(made)]
        return tuple(found)


def _fitted(
    thing: AccessorySpec, motion: NDArray[np.float32], below_m: NDArray[np.float32],
    at: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> list[MeshPart]:  # fmt: skip
    """Return the meshes of a thing that moves with a bone.

    Args:
        motion: (3, 4) of the bone. below_m: (N, 3) what is below the thing. at: landmarks at rest, as its maker wants.
    """
    exact = motion.astype(np.float64)
    turn, shift = exact[:, :3], exact[:, 3]
    upright_m = (below_m.astype(np.float64) - shift) @ turn
    matrix = np.concatenate([exact, [[0.0, 0.0, 0.0, 1.0]]])
    made = worn.MAKERS[thing.kind](upright_m, *at)
    return [_part(thing, number, mesh.moved(matrix), mesh, stuff) for number, (mesh, stuff) in enumerate(made)]


def _part(thing: AccessorySpec, number: int, posed: Mesh, rest: Mesh, stuff: str) -> MeshPart:
    material = accessory_material(thing, stuff)
    return MeshPart(
        f"{thing.kind}_{number}", posed.vertices_m, posed.faces, rest.vertices_m, material, posed.smooth
    )  # fmt: skip
