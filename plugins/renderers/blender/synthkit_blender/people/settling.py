# SPDX-License-Identifier: Apache-2.0
"""A body into a pose: trunk and legs on floor or seat, then the arms, each out of the flesh posed before it."""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from synthkit_blender.people.contact import FleshPart
from synthkit_blender.people.goals import PoseGoals
from synthkit_blender.people.posing import Poser, RestBody
from synthkit_blender.people.skeleton import ARM, FINGERS, SIDES, PosedSkeleton, Skin, moved

SEAT_LOWER_M, SEAT_HIGHER_M = 0.1, 0.07  # than what suits the legs: what a seat that is there may be


@attrs.frozen(eq=False)
class BodyParts:
    """The vertices of a mesh that posing looks at: the seat; as flesh, the trunk with head and legs, and the arms."""

    seat: NDArray[np.intp]
    seat_skin: Skin
    trunk: FleshPart
    arms: dict[str, FleshPart]

    @classmethod
    def of(cls, skin: Skin, faces: NDArray[np.int32], seat: NDArray[np.intp]) -> BodyParts:
        """Divide a mesh by its weights; `faces` (F, 4) are its skin's, `seat` (N,) the vertices one sits on."""
        bones = {side: [f"{bone}.{side}" for bone in (*ARM[2:], *FINGERS)] for side in SIDES}
        on_arm = {side: skin.dense(*bones[side]) for side in SIDES}
        arms = {side: FleshPart.of(skin, faces, on_arm[side] > 0.98) for side in SIDES}
        return cls(seat, skin.only(seat), FleshPart.of(skin, faces, on_arm["l"] + on_arm["r"] == 0), arms)

    def settle(
        self, body: RestBody, shape_m: NDArray[np.float32], goals: PoseGoals, over_m: NDArray[np.float32],
        seat_m: float | None = None,
    ) -> tuple[PosedSkeleton, float | None]:  # fmt: skip
        """Return the skeleton of a shape (V, 3) in a pose, and the height of the seat where one is under it.

        `over_m` (V,) is how far clothes stand off the mesh; `seat_m` is how high the seat is that is there, None for
        one that suits the legs.
        """
        poser = Poser(body, goals)
        seat_height_m, pelvis_m = None, None
        if goals.support == "seat":
            shin = body.length("l-knee", "l-ankle") + float(body.joints["l-ankle"][2]) - float(body.sole["l"][0][2])
            own_m = float(np.clip(shin - 0.055, 0.42, 0.5))
            low_m, high_m = own_m - SEAT_LOWER_M, own_m + SEAT_HIGHER_M
            seat_height_m = own_m if seat_m is None else min(max(seat_m, low_m), high_m)
            motions = self.seat_skin.motions(body.pivots, poser.place(seat_height_m + 0.1))
            lowest = float(moved(motions, shape_m[self.seat])[:, 2].min())
            pelvis_m = seat_height_m + 0.1 + (seat_height_m - lowest) - 0.012
        flesh = self.trunk.posed(shape_m, body.pivots, poser.place(pelvis_m), over_m)
        first, second = poser.order
        posed = poser.reach(first, flesh)
        posed = poser.reach(second, flesh.joined(self.arms[first].posed(shape_m, body.pivots, posed, over_m)))
        return posed, seat_height_m
