# SPDX-License-Identifier: Apache-2.0
"""From goals to bones: where every bone of one body turns so that trunk, hands and feet meet a pose's goals."""

from __future__ import annotations

import itertools

import attrs
import numpy as np

from synthkit_blender.people.contact import CLOSE_M, SKIN_ROUNDS, Flesh
from synthkit_blender.people.goals import FootGoal, HandGoal, PoseGoals, Triple
from synthkit_blender.people.hands import RestHand
from synthkit_blender.people.limits import MOST_ELBOW_DEG, MOST_KNEE_DEG, within_wrist
from synthkit_blender.people.rotations import (
    FORWARD,
    Mat,
    Vec,
    X,
    Y,
    Z,
    about,
    cross,
    frame,
    lean,
    length,
    partial,
    shortest,
    turn_between,
    two_bone_reach,
    unit,
    within,
)
from synthkit_blender.people.skeleton import FINGERS, NECK, SIDES, SPINE, PosedSkeleton

SPINE_SHARES = (0.14, 0.26, 0.28, 0.2, 0.12)
NECK_SHARES = (0.2, 0.2, 0.2, 0.4)
SIGN = {"l": 1.0, "r": -1.0}
TABLE_HEIGHT_M = 0.74
# Balls around an arm that keep it out of the body: (from, to, share of the way, radius in metres).
HAND_BALLS = (
    ("lowerarm01", "wrist", 0.75, 0.03), ("lowerarm01", "wrist", 1.0, 0.026), ("finger3-1", "finger3-1", 0.0, 0.019),
    ("finger3-2", "finger3-2", 0.0, 0.011), ("finger2-3", "finger2-3", 0.0, 0.01),
    ("finger3-3", "finger3-3", 0.0, 0.01), ("finger5-2", "finger5-2", 0.0, 0.011),
    ("finger1-3", "finger1-3", 0.0, 0.01),
)  # fmt: skip
ARM_BALLS = (
    ("lowerarm01", "wrist", 0.4, 0.036), ("lowerarm01", "wrist", 0.0, 0.04), ("upperarm01", "lowerarm01", 0.75, 0.042),
)  # fmt: skip
PALM_BALLS = slice(2, 4)
POCKET_M = 0.03
FARTHEST_TOUCH_M = 0.1


@attrs.frozen(eq=False)
class RestBody:
    """What posing needs of a shape at rest: joint centres, bone pivots, and the soles.

    `sole` gives per side the heel, ball and toe tip on the underside of the shoe.
    """

    joints: dict[str, Vec]
    pivots: dict[str, Vec]
    sole: dict[str, tuple[Vec, Vec, Vec]]
    hands: dict[str, RestHand] = attrs.field(init=False)

    @hands.default
    def _hands(self) -> dict[str, RestHand]:
        return {side: RestHand.of(self.joints, side) for side in SIDES}

    def length(self, *joints: str) -> float:
        """Return the length of a chain of joints in metres."""
        points = [self.joints[name] for name in joints]
        return sum(length(b - a) for a, b in itertools.pairwise(points))


class Poser:
    """Solves one pose on one body: first `place` for trunk and legs, then `reach` with each arm."""

    def __init__(self, body: RestBody, goals: PoseGoals) -> None:
        self._body = body
        self._goals = goals
        self._turn: dict[str, Mat] = {}
        self._at: dict[str, Vec] = {}
        self._led_m = np.zeros(3)
        self._arm_m = {
            s: (body.length(f"{s}-shoulder", f"{s}-elbow"), body.length(f"{s}-elbow", f"{s}-hand")) for s in SIDES
        }
        self._fingers = {
            side: body.hands[side].finger_turns(goal.shape) for side, goal in zip(SIDES, goals.hands, strict=True)
        }

    @property
    def order(self) -> tuple[str, str]:
        """The sides of the arms, the first to be posed first: a hand that lies on the body lies under the other."""
        under = [hand.contact != "free" for hand in self._goals.hands]
        return ("r", "l") if under == [False, True] else ("l", "r")

    def place(self, pelvis_z_m: float | None) -> PosedSkeleton:
        """Return trunk and legs in their pose, with the pelvis over the origin.

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
            self._clavicle(side, 0.0, 0.0, 0.0)
        return self._skeleton()

    def reach(self, side: str, flesh: Flesh) -> PosedSkeleton:
        """Return the skeleton with an arm in its pose as well, moved as far as it takes to stay out of `flesh`."""
        index = SIDES.index(side)
        goal, shrug = self._goals.hands[index], self._goals.shrug[index]
        self._clavicle(side, shrug, 0.0, 0.0)
        target = self._hand_target(side, goal, sum(self._arm_m[side]))
        if self._goals.together:
            target = target + self._led_m * [0, 1, 1]
        wanted = target
        pole = self._turn["spine01"] @ self._side(goal.elbow, side)
        self._bend_arm(side, goal, shrug, target, pole)
        for _ in range(SKIN_ROUNDS):
            moved_by, poled_by = self._way_out(side, goal, flesh)
            if max(np.abs(moved_by).max(), np.abs(poled_by).max()) < CLOSE_M:
                break
            # From where the hand came to lie: a target out of reach would take several rounds to come near.
            target = self._at[f"wrist.{side}"] + moved_by
            pole = unit(pole) + poled_by / sum(self._arm_m[side]) * 4
            self._bend_arm(side, goal, shrug, target, pole)
        self._led_m = self._at[f"wrist.{side}"] - wanted
        return self._skeleton()

    def _skeleton(self) -> PosedSkeleton:
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
        knee, ankle = two_bone_reach(hip, target, lengths, self._side(foot.knee, side), MOST_KNEE_DEG)
        rest_thigh = self._rest(f"{side}-knee", f"{side}-upper-leg")
        rest_shin = self._rest(f"{side}-ankle", f"{side}-knee")
        rest_hinge = cross(FORWARD, unit(rest_thigh + rest_shin))
        hinge = cross(self._side(foot.knee, side), unit(ankle - hip))
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
        if goal.anchor == "ledge":
            return self._at[f"upperleg01.{side}"] * [1, 1, 0] + [0, 0, TABLE_HEIGHT_M] + offset
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

    def _clavicle(self, side: str, shrug: float, raised: float, drawn: float) -> None:
        """Turn the collar bone up by `shrug` and `raised`, and its outer end forwards by `drawn` degrees."""
        turn = about(Z, -SIGN[side] * drawn) @ about(Y, -SIGN[side] * (shrug + raised))
        self._attach(f"clavicle.{side}", "spine01", self._turn["spine01"] @ turn)
        self._attach(f"shoulder01.{side}", f"clavicle.{side}", self._turn[f"clavicle.{side}"])
        self._attach(f"upperarm01.{side}", f"clavicle.{side}", np.eye(3))

    def _follow_arm(self, side: str, shrug: float, elbow: Vec) -> None:
        """Let the collar bone follow a raised arm: a third of what is over 30 degrees (Inman et al. 1944)."""
        upper = self._turn["spine01"].T @ unit(elbow - self._at[f"upperarm01.{side}"])
        raised = float(np.degrees(np.arccos(within(-float(upper[2]), -1.0, 1.0))))
        forward, inward = -float(upper[1]), -float(upper[0]) * SIGN[side]
        self._clavicle(side, shrug, within((raised - 30) * 0.22, 0.0, 24.0), 14 * max(forward + inward, 0.0) / 1.4)

    def _bend_arm(self, side: str, goal: HandGoal, shrug: float, target: Vec, pole: Vec) -> None:
        lengths = self._arm_m[side]
        elbow, _ = two_bone_reach(self._at[f"upperarm01.{side}"], target, lengths, pole, MOST_ELBOW_DEG)
        self._follow_arm(side, shrug, elbow)
        shoulder = self._at[f"upperarm01.{side}"]
        elbow, wrist = two_bone_reach(shoulder, target, lengths, pole, MOST_ELBOW_DEG)
        rest_upper = self._rest(f"{side}-elbow", f"{side}-shoulder")
        rest_fore = self._rest(f"{side}-hand", f"{side}-elbow")
        rest_hinge = cross(rest_upper, rest_fore)
        hinge = cross(pole, unit(wrist - shoulder))
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
        rest = self._body.hands[side]
        hand = fore
        if goal.palm is not None:
            palm = self._side(goal.palm, side)
            along = fore_axis if goal.fingers is None else self._side(goal.fingers, side)
            hand = rest.turned(palm, along)
        rest_fore = self._rest(f"{side}-hand", f"{side}-elbow")
        swing, twist = within_wrist(fore.T @ hand, unit(rest_fore), rest.axes)
        self._turn[f"wrist.{side}"] = fore @ swing @ twist
        self._turn[f"lowerarm01.{side}"] = fore @ partial(twist, 0.3)
        self._turn[f"lowerarm02.{side}"] = fore @ partial(twist, 0.7)
        self._bend_fingers(side)

    def _bend_fingers(self, side: str) -> None:
        hand = self._turn[f"wrist.{side}"]
        turns = self._fingers[side]
        for finger in FINGERS:
            digit, joint = int(finger[6]), int(finger[8])
            parent = f"finger{digit}-{joint - 1}.{side}" if joint > 1 else f"wrist.{side}"
            self._attach(f"{finger}.{side}", parent, hand @ turns[finger])

    def _way_out(self, side: str, goal: HandGoal, flesh: Flesh) -> tuple[Vec, Vec]:
        """Return by how much the hand and the elbow have to move to be where they may be, in metres."""
        hand, out = flesh.depths(*self._balls(side, HAND_BALLS))
        hand = hand + goal.clear_m
        arm, arm_out = flesh.depths(*self._balls(side, ARM_BALLS))
        elbow = arm_out[arm.argmax()] * max(float(arm.max()), 0.0)
        if goal.contact == "pocket":
            hand = hand[PALM_BALLS] - POCKET_M
            out = out[PALM_BALLS]
        worst = int(hand.argmax())
        depth = float(hand[worst])
        if goal.contact == "free" or depth < -FARTHEST_TOUCH_M:
            depth = max(depth, 0.0)
        return out[worst] * depth + elbow * 0.5, elbow

    def _balls(self, side: str, balls: tuple[tuple[str, str, float, float], ...]) -> tuple[Mat, Vec]:
        near, far = (np.stack([self._at[f"{ball[n]}.{side}"] for ball in balls]) for n in (0, 1))
        share = np.array([[ball[2]] for ball in balls])
        return near + share * (far - near), np.array([ball[3] for ball in balls])
