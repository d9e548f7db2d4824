# SPDX-License-Identifier: Apache-2.0
"""From goals to bones: where every bone of one body turns so that trunk, hands and feet meet a pose's goals."""

from __future__ import annotations

import itertools

import attrs
import numpy as np

from synthkit_blender.people.goals import FootGoal, HandGoal, PoseGoals, Triple
from synthkit_blender.people.rotations import (
    FORWARD,
    Mat,
    Vec,
    X,
    Y,
    Z,
    about,
    frame,
    lean,
    partial,
    shortest,
    turn_between,
    two_bone_reach,
    unit,
)
from synthkit_blender.people.skeleton import FINGERS, NECK, SIDES, SPINE, PosedSkeleton

SPINE_SHARES = (0.14, 0.26, 0.28, 0.2, 0.12)
NECK_SHARES = (0.2, 0.2, 0.2, 0.4)
SIGN = {"l": 1.0, "r": -1.0}
TABLE_HEIGHT_M = 0.74


@attrs.frozen(eq=False)
class RestBody:
    """What posing needs of a shape at rest: joint centres, bone pivots, and the soles.

    `sole` gives per side the heel, ball and toe tip on the underside of the shoe.
    """

    joints: dict[str, Vec]
    pivots: dict[str, Vec]
    sole: dict[str, tuple[Vec, Vec, Vec]]

    def length(self, *joints: str) -> float:
        """Return the length of a chain of joints in metres."""
        points = [self.joints[name] for name in joints]
        return float(sum(np.linalg.norm(b - a) for a, b in itertools.pairwise(points)))


class Poser:
    """Solves one pose on one body: trunk first, then legs, then arms."""

    def __init__(self, body: RestBody, goals: PoseGoals) -> None:
        self._body = body
        self._goals = goals
        self._turn: dict[str, Mat] = {}
        self._at: dict[str, Vec] = {}

    def solve(self, pelvis_z_m: float | None) -> PosedSkeleton:
        """Return the posed skeleton with the pelvis over the origin.

        Without `pelvis_z_m` the pelvis is as high as the legs allow (standing).
        """
        root_turn = lean(*self._goals.pelvis)
        self._turn["root"] = root_turn
        hips = {s: root_turn @ self._rest(f"{s}-upper-leg", "pelvis") for s in SIDES}
        if pelvis_z_m is None:
            pelvis_z_m = min(self._reach_height(hips[s], s) for s in SIDES)
        self._at["root"] = np.array([0.0, 0.0, pelvis_z_m])
        self._solve_trunk()
        for side, foot in zip(SIDES, self._goals.feet, strict=True):
            self._solve_leg(side, foot, self._at["root"] + hips[side])
        for number, side in enumerate(SIDES):
            self._solve_arm(side, self._goals.hands[number], self._goals.shrug[number])
        return PosedSkeleton(dict(self._turn), dict(self._at))

    def _rest(self, joint: str, origin: str) -> Vec:
        return self._body.joints[joint] - self._body.joints[origin]

    def _leg_length(self, side: str) -> float:
        return self._body.length(f"{side}-upper-leg", f"{side}-knee", f"{side}-ankle")

    def _side(self, vector: Triple, side: str) -> Vec:
        return np.array([vector[0] * SIGN[side], -vector[1], vector[2]])

    def _foot_turn(self, side: str, foot: FootGoal) -> Mat:
        return np.asarray(about(Z, foot.toe_out * SIGN[side]) @ about(X, -foot.toe_up))

    def _ankle_height(self, side: str, foot: FootGoal) -> float:
        heel, ball, tip = (point - self._body.joints[f"{side}-ankle"] for point in self._body.sole[side])
        contacts = (heel, ball) if foot.toe_bend else (heel, tip)
        turn = self._foot_turn(side, foot)
        return -min(float((turn @ point)[2]) for point in contacts) + foot.offset[2] * self._leg_length(side)

    def _ankle_offset(self, side: str, foot: FootGoal, hip_z_m: float) -> Vec:
        """Return the ankle relative to the floor under its hip."""
        length = self._leg_length(side)
        out, forward, _ = foot.offset
        height = self._ankle_height(side, foot)
        if foot.extension is not None:
            flat = (foot.extension * length) ** 2 - (hip_z_m - height) ** 2 - (out * length) ** 2
            forward = np.sqrt(max(flat, 0.0)) / length
        return np.array([out * length * SIGN[side], -forward * length, height])

    def _reach_height(self, hip: Vec, side: str) -> float:
        index = SIDES.index(side)
        foot = self._goals.feet[index]
        ankle = self._ankle_offset(side, foot, 0.0)
        reach = self._goals.leg_extension * self._leg_length(side)
        flat = ankle[0] ** 2 + ankle[1] ** 2
        return float(ankle[2] + np.sqrt(max(reach**2 - flat, 0.1 * reach**2)) - hip[2])

    def _attach(self, bone: str, parent: str, turn: Mat) -> None:
        rest = self._body.pivots
        self._turn[bone] = turn
        self._at[bone] = self._at[parent] + self._turn[parent] @ (rest[bone] - rest[parent])

    def _solve_trunk(self) -> None:
        parent = "root"
        for bones, shares, angles in (
            (SPINE, SPINE_SHARES, self._goals.spine),
            (NECK, NECK_SHARES, self._goals.head),
        ):
            for bone, share in zip(bones, shares, strict=True):
                step = lean(*(angle * share for angle in angles))
                self._attach(bone, parent, self._turn[parent] @ step)
                parent = bone

    def _solve_leg(self, side: str, foot: FootGoal, hip: Vec) -> None:
        body = self._body
        floor_hip = np.array([hip[0], hip[1], 0.0])
        target = floor_hip + self._ankle_offset(side, foot, float(hip[2]))
        lengths = (body.length(f"{side}-upper-leg", f"{side}-knee"), body.length(f"{side}-knee", f"{side}-ankle"))
        knee, ankle = two_bone_reach(hip, target, lengths, self._side(foot.knee, side))
        rest_thigh = self._rest(f"{side}-knee", f"{side}-upper-leg")
        rest_shin = self._rest(f"{side}-ankle", f"{side}-knee")
        rest_hinge = np.cross(FORWARD, unit(rest_thigh + rest_shin))
        hinge = np.cross(self._side(foot.knee, side), unit(ankle - hip))
        thigh = turn_between(frame(rest_thigh, rest_hinge), frame(knee - hip, hinge))
        shin = turn_between(frame(rest_shin, rest_hinge), frame(ankle - knee, hinge))
        self._turn[f"upperleg01.{side}"] = self._half_twist(self._turn["root"], thigh, rest_thigh)
        self._turn[f"upperleg02.{side}"] = thigh
        self._turn[f"lowerleg01.{side}"] = self._turn[f"lowerleg02.{side}"] = shin
        foot_turn = self._turn[f"foot.{side}"] = self._foot_turn(side, foot)
        self._at |= {f"upperleg01.{side}": hip, f"upperleg02.{side}": hip}
        self._at |= {f"lowerleg01.{side}": knee, f"lowerleg02.{side}": knee, f"foot.{side}": ankle}
        self._attach(f"toes.{side}", f"foot.{side}", foot_turn @ about(X, -foot.toe_bend))

    def _half_twist(self, parent: Mat, child: Mat, rest_axis: Vec) -> Mat:
        """Return the child's swing with half its twist: the near half of an upper limb."""
        swing = shortest(parent @ rest_axis, child @ rest_axis) @ parent
        return np.asarray(partial(child @ swing.T, 0.5) @ swing)

    def _hand_target(self, side: str, goal: HandGoal, arm_m: float) -> Vec:
        offset = self._side(goal.offset, side)
        if goal.anchor == "table":
            return np.array([0.0, 0.0, TABLE_HEIGHT_M]) + offset
        hip, knee = self._at[f"upperleg01.{side}"], self._at[f"lowerleg01.{side}"]
        places = {
            "shoulder": (self._at[f"upperarm01.{side}"], self._turn["spine01"]),
            "drop": (self._at[f"upperarm01.{side}"], np.eye(3)),
            "chest": (self._at["spine01"], self._turn["spine01"]),
            "head": (self._at["head"], self._turn["head"]),
            "hip": (hip, self._turn["root"]),
            "thigh": ((hip + knee) / 2, np.eye(3)),
            "knee": (knee, np.eye(3)),
        }
        anchor, turn = places[goal.anchor]
        return np.asarray(anchor + turn @ offset * arm_m)

    def _solve_arm(self, side: str, goal: HandGoal, shrug: float) -> None:
        body, chest = self._body, self._turn["spine01"]
        self._attach(f"clavicle.{side}", "spine01", chest @ about(Y, -SIGN[side] * shrug))
        self._attach(f"upperarm01.{side}", f"clavicle.{side}", np.eye(3))
        shoulder = self._at[f"upperarm01.{side}"]
        lengths = (body.length(f"{side}-shoulder", f"{side}-elbow"), body.length(f"{side}-elbow", f"{side}-hand"))
        target = self._hand_target(side, goal, sum(lengths))
        pole = chest @ self._side(goal.elbow, side)
        elbow, wrist = two_bone_reach(shoulder, target, lengths, pole)
        rest_upper = self._rest(f"{side}-elbow", f"{side}-shoulder")
        rest_fore = self._rest(f"{side}-hand", f"{side}-elbow")
        rest_hinge = np.cross(rest_upper, rest_fore)
        hinge = np.cross(pole, unit(wrist - shoulder))
        upper = turn_between(frame(rest_upper, rest_hinge), frame(elbow - shoulder, hinge))
        fore = turn_between(frame(rest_fore, rest_hinge), frame(wrist - elbow, hinge))
        clavicle = self._turn[f"clavicle.{side}"]
        near = self._half_twist(clavicle, upper, rest_upper)
        self._turn |= {f"upperarm01.{side}": near, f"upperarm02.{side}": upper}
        self._turn[f"shoulder01.{side}"] = partial(near @ clavicle.T, 0.35) @ clavicle
        self._at |= {f"upperarm02.{side}": shoulder, f"shoulder01.{side}": shoulder}
        self._at |= {f"{bone}.{side}": elbow for bone in ("lowerarm01", "lowerarm02")}
        self._at[f"wrist.{side}"] = wrist
        self._solve_hand(side, goal, fore, wrist - elbow)

    def _solve_hand(self, side: str, goal: HandGoal, fore: Mat, fore_axis: Vec) -> None:
        fingers = self._rest(f"{side}-finger-3-1", f"{side}-hand")
        across = self._rest(f"{side}-finger-2-1", f"{side}-finger-5-1") * SIGN[side]
        palm = np.cross(fingers, across)
        hand = fore
        if goal.palm is not None:
            palm_now = self._side(goal.palm, side)
            along = fore_axis if goal.fingers is None else self._side(goal.fingers, side)
            along = along - unit(palm_now) * (along @ unit(palm_now)) * 0.85
            hand = turn_between(frame(fingers, palm), frame(along, palm_now))
        rest_fore = self._rest(f"{side}-hand", f"{side}-elbow")
        swing = shortest(fore @ rest_fore, hand @ rest_fore) @ fore
        twist = swing.T @ hand
        self._turn[f"wrist.{side}"] = hand
        self._turn[f"lowerarm01.{side}"] = fore @ partial(twist, 0.3)
        self._turn[f"lowerarm02.{side}"] = fore @ partial(twist, 0.7)
        self._curl_fingers(side, goal, np.cross(fingers, palm))

    def _curl_fingers(self, side: str, goal: HandGoal, hinge: Vec) -> None:
        hand = self._turn[f"wrist.{side}"]
        for finger in FINGERS:
            digit, joint = int(finger[6]), int(finger[8])
            curl = goal.curl * (0.45 if digit == 1 else 0.85 + 0.08 * digit)
            if goal.point_index and digit == 2:
                curl = 4.0
            parent = f"finger{digit}-{joint - 1}.{side}" if joint > 1 else f"wrist.{side}"
            self._attach(f"{finger}.{side}", parent, hand @ about(hinge, curl * joint))
