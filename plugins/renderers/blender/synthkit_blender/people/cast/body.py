# SPDX-License-Identifier: Apache-2.0
"""A rigged body that takes our poses.

The bind pose is brought into the person frame (metres, z up, facing -y, soles at z = 0).  A pose's goals are solved on
joint places of the file by the solver of our own bodies, which gives every bone's rotation from rest.  For limbs that
is the rotation between frames made of rest and posed limb directions, so that A-poses, T-poses and any others end in
the same pose; the trunk is taken to be upright at rest.  The mesh follows by linear blend skinning.
"""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from synthkit_blender.people.cast.bones import BoneMap, map_bones, shared_out
from synthkit_blender.people.cast.rigged import Faces, Rigged
from synthkit_blender.people.goals import PoseGoals
from synthkit_blender.people.keypoints import FINGERS as FINGER_POINTS
from synthkit_blender.people.keypoints import limb_points, trunk_points
from synthkit_blender.people.posing import RestBody
from synthkit_blender.people.rotations import FORWARD, Vec, unit, upright_axes
from synthkit_blender.people.settling import BodyParts
from synthkit_blender.people.skeleton import BONES, NECK, SIDES, SPINE, PosedSkeleton, Skin, moved, rest_pivots
from synthkit_blender.people.types import FloatArray, IntArray, Material, MeshPart

HEIGHTS_M = (1.0, 2.4)
MOST_LEAN_DEG = 25.0
HEAD_WEIGHT = 0.6
ELBOW_BACK = 0.02  # of the arm, the least by which an elbow at rest lies behind the line from shoulder to hand
DIGIT_BONES_M = ((0.035, 0.03, 0.025), (0.04, 0.024, 0.02), (0.044, 0.028, 0.02), (0.04, 0.026, 0.02),
                 (0.032, 0.02, 0.018))  # fmt: skip
KNUCKLES_M = ((0.03, 0.03), (0.088, 0.024), (0.09, 0.003), (0.085, -0.017), (0.077, -0.035))  # along, to the thumb


class BodyError(ValueError):
    """A rig is no body that can be posed; `problems` says all that is wrong with it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@attrs.frozen(eq=False)
class Figure:
    """A posed body: its parts, its points by the names of `keypoints.py`, its head's vertices and seat."""

    parts: tuple[MeshPart, ...]
    points_m: dict[str, FloatArray]
    head_m: FloatArray
    seat_height_m: float | None
    leg_m: float


class RiggedBody:
    """A body of a file, ready for poses.

    Raises BodyError, which tells all that is wrong with the rig.
    """

    def __init__(self, rigged: Rigged) -> None:
        bones, problems = map_bones(rigged.names, rigged.parents)
        if bones is None:
            raise BodyError(problems)
        self.rest_m, places = _in_person_frame(rigged, bones)
        self._skin = _skin_of(rigged, bones)
        self._faces = rigged.parts
        self._head = np.flatnonzero(self._skin.dense("head") > HEAD_WEIGHT)
        feet = {s: np.flatnonzero(self._skin.dense(f"foot.{s}", f"toes.{s}") > 0.5) for s in SIDES}
        if not len(self._head) or not all(map(len, feet.values())):
            raise BodyError(["no vertices that hang on the bones of head and feet"])
        joints = _joints(bones, places)
        self._heels = {s: foot[self.rest_m[foot, 1].argmax()] for s, foot in feet.items()}
        self._body = RestBody(joints, _pivots(bones, joints, places), _soles(joints, self.rest_m, feet))
        self._fingers = {joint: f"{joint[2:8]}{joint[9:]}" for joint in bones.joints if "-finger-" in joint}
        self._has_toes = all(f"{s}-toe" in bones.joints for s in SIDES)
        self._top = int(self._head[self.rest_m[self._head, 2].argmax()])
        self._eyes = {s: places[bones.joints[f"{s}-eye"]] for s in SIDES if f"{s}-eye" in bones.joints}
        self._parts = BodyParts.of(self._skin, _quads(np.concatenate([f.triangles for f in self._faces])), self._seat())

    @property
    def height_m(self) -> float:
        """How high it stands, with its shoes and hair, from which a mesh does not tell the body."""
        return float(self.rest_m[self._top, 2])

    def posed(self, goals: PoseGoals, seat_m: float | None = None) -> Figure:
        """Return the body in a pose, on a seat of that height where there is one."""
        bare = np.zeros(len(self.rest_m), np.float32)
        if not self._has_toes:
            left, right = (attrs.evolve(foot, toe_bend=0.0) for foot in goals.feet)
            goals = attrs.evolve(goals, feet=(left, right))
        posed, seat_height_m = self._parts.settle(self._body, self.rest_m, goals, bare, seat_m)
        points_m = moved(self._skin.motions(self._body.pivots, posed), self.rest_m)
        parts = tuple(self._part(n, faces, points_m) for n, faces in enumerate(self._faces))
        leg_m = self._body.length("l-upper-leg", "l-knee", "l-ankle")
        return Figure(parts, self._points(posed, points_m), points_m[self._head], seat_height_m, leg_m)

    def _seat(self) -> NDArray[np.intp]:
        hip = self._body.joints["l-upper-leg"]
        behind_m, up_m = self.rest_m[:, 1] - hip[1], self.rest_m[:, 2] - hip[2]
        bones = [bone for bone in BONES if bone.startswith(("upperarm", "lowerarm", "wrist", "finger", "shoulder"))]
        seat = np.flatnonzero((np.abs(up_m + 0.02) < 0.12) & (behind_m > -0.02) & (self._skin.dense(*bones) < 0.01))
        if not len(seat):
            raise BodyError(["no vertices to sit on behind the hip joints"])
        return seat

    def _part(self, number: int, faces: Faces, points_m: FloatArray) -> MeshPart:
        used, flat = np.unique(faces.triangles, return_inverse=True)
        quads = _quads(flat.reshape(-1, 3).astype(np.int32))
        uv = None if faces.uv is None else faces.uv[:, [0, 1, 2, 2]]
        look = faces.look
        material = Material("cloth", look.color, roughness=look.roughness, specular=0.2, texture=look.texture)
        return MeshPart(f"cast_{number}", points_m[used], quads, self.rest_m[used], material, True, None, uv)

    def _points(self, posed: PosedSkeleton, points_m: FloatArray) -> dict[str, FloatArray]:
        points = {"head_top": points_m[self._top].astype(np.float64)}
        points |= self._face_points(posed, points_m)
        for s, side in zip(SIDES, ("left", "right"), strict=True):
            points |= limb_points(posed, side)
            points[f"{side}_heel"] = points_m[self._heels[s]]
            for joint, bone in self._fingers.items():
                if joint.startswith(s) and not joint.endswith("4"):
                    name = f"{side}_{FINGER_POINTS[int(joint[9]) - 1]}{joint[-1]}"
                    points[name] = posed.pivots[f"{bone}.{s}"]
        points |= trunk_points(posed)
        return {name: np.asarray(point, np.float32) for name, point in points.items()}

    def _face_points(self, posed: PosedSkeleton, points_m: FloatArray) -> dict[str, Vec]:
        """Return the eyes where they have bones, and then the nose, the foremost of the face's middle below them."""
        if len(self._eyes) < len(SIDES):
            return {}
        turn, rest = posed.rotations["head"], self._body.pivots["head"]
        found = {
            f"{side}_eye": posed.pivots["head"] + turn @ (self._eyes[s] - rest)
            for s, side in zip(SIDES, ("left", "right"), strict=True)
        }
        middle = (self._eyes["l"] + self._eyes["r"]) / 2
        face = self.rest_m[self._head] - middle
        near = np.flatnonzero((np.abs(face[:, 0]) < 0.012) & (face[:, 2] > -0.075) & (face[:, 2] < -0.01))
        if len(near):
            found["nose"] = points_m[self._head[near[face[near, 1].argmin()]]].astype(np.float64)
        return found


def _in_person_frame(rigged: Rigged, bones: BoneMap) -> tuple[FloatArray, NDArray[np.float64]]:
    """Return the vertices (V, 3) and the bones' places (N, 3) in the person frame."""
    hips, neck, left, right = (
        rigged.places_m[bones.joints[name]] for name in ("hips", "neck", "l-upper-leg", "r-upper-leg")
    )
    axes = upright_axes(neck - hips, left - right)
    if axes is None or np.linalg.norm(neck - hips) < 1e-6:
        raise BodyError(["the hips are above each other in the bind pose; expected somebody upright"])
    vertices, places = rigged.vertices_m @ axes.T, rigged.places_m @ axes.T
    low, high = vertices[:, 2].min(), vertices[:, 2].max()
    if not HEIGHTS_M[0] <= high - low <= HEIGHTS_M[1]:
        raise BodyError([f"is {high - low:.4g} m high in the bind pose; expected {HEIGHTS_M[0]} to {HEIGHTS_M[1]} m"])
    up = unit(places[bones.joints["neck"]] - places[bones.joints["hips"]])
    if np.degrees(np.arccos(np.clip(up[2], -1, 1))) > MOST_LEAN_DEG:
        raise BodyError(["the trunk leans in the bind pose; expected somebody upright"])
    shift = np.array([*places[bones.joints["hips"], :2], low])
    return (vertices - shift).astype(np.float32), places - shift


def _skin_of(rigged: Rigged, bones: BoneMap) -> Skin:
    index = np.array([BONES.index(driver) for driver in bones.drivers])
    dense = np.zeros((len(rigged.vertices_m), len(BONES)), np.float32)
    rows = np.arange(len(dense))
    for column in range(rigged.bones.shape[1]):
        np.add.at(dense, (rows, index[rigged.bones[:, column]]), rigged.weights[:, column])
    weights = {}
    for number, bone in enumerate(BONES):
        used = np.flatnonzero(dense[:, number] > 0).astype(np.int32)
        weights[bone] = (used, dense[used, number])
    return Skin(weights, len(dense))


def _joints(bones: BoneMap, places: NDArray[np.float64]) -> dict[str, Vec]:
    """Return joint places by the names of our body's; what a rig lacks of toes and fingers is made up."""
    joints = {name: places[number] for name, number in bones.joints.items()}
    joints["pelvis"] = joints["hips"]
    spine = dict(shared_out(bones.spine, SPINE))
    joints |= {f"spine-{n}": places[spine[f"spine0{n}"]] for n in (1, 2, 3, 4)}
    for s in SIDES:
        joints[f"{s}-elbow"] = _bent(*(joints[f"{s}-{name}"] for name in ("shoulder", "elbow", "hand")))
        toe = joints.get(f"{s}-toe", joints[f"{s}-ankle"] * [1, 1, 0.2] + 0.13 * FORWARD)
        joints |= {f"{s}-toe-1-1": toe, f"{s}-toe-4-1": toe}
        joints = _fingers(joints, s) | joints
    return joints


def _bent(shoulder: Vec, elbow: Vec, hand: Vec) -> Vec:
    """Return an elbow that tells which way it bends: one that is straight at rest lies a little behind the line."""
    line: Vec = hand - shoulder
    length = float(np.linalg.norm(line))
    back: Vec = -FORWARD - line * (-FORWARD @ line) / length**2
    if length < 1e-6 or np.linalg.norm(back) < 1e-3:
        raise BodyError(["the arms are bent together, or point forwards in the bind pose; expected a T-pose or A-pose"])
    behind = float((elbow - shoulder) @ unit(back))
    return np.asarray(elbow + unit(back) * max(ELBOW_BACK * length - behind, 0.0))


def _fingers(joints: dict[str, Vec], s: str) -> dict[str, Vec]:
    """Return the joints of a hand's digits, flat and along the forearm, the thumb's side in front."""
    hand = joints[f"{s}-hand"]
    along = unit(hand - joints[f"{s}-elbow"])
    radial = unit(FORWARD - along * (FORWARD @ along))
    made = {}
    for digit, (lengths, (ahead, aside)) in enumerate(zip(DIGIT_BONES_M, KNUCKLES_M, strict=True), start=1):
        start, bone = hand + along * ahead + radial * aside, along
        if digit == 1:
            bone = unit(along + 0.6 * radial)
        known = joints.get(f"{s}-finger-{digit}-1")
        if known is not None:
            start = known
        for n in (1, 2, 3, 4):
            name = f"{s}-finger-{digit}-{n}"
            made[name] = start = joints.get(name, start)
            if n > 1 and np.linalg.norm(start - made[f"{s}-finger-{digit}-{n - 1}"]) > 1e-4:
                bone = unit(start - made[f"{s}-finger-{digit}-{n - 1}"])
            if n < 4:
                start = start + bone * lengths[n - 1]
    return made


def _pivots(bones: BoneMap, joints: dict[str, Vec], places: NDArray[np.float64]) -> dict[str, Vec]:
    """Return the point about which each of our bones turns at rest: the file's joints, also where several share one."""
    pivots = rest_pivots(joints)
    for chain, ours in ((bones.spine, SPINE), (bones.neck, NECK[:-1])):
        pivots |= {bone: places[number] for bone, number in shared_out(chain, ours)}
    return pivots | {"head": joints["head"]}


def _soles(
    joints: dict[str, Vec], rest_m: FloatArray, feet: dict[str, NDArray[np.intp]]
) -> dict[str, tuple[Vec, Vec, Vec]]:
    soles = {}
    for s, vertices in feet.items():
        foot = rest_m[vertices]
        x, z = float(joints[f"{s}-ankle"][0]), float(foot[:, 2].min())
        ends = (float(foot[:, 1].max()), float(joints[f"{s}-toe-1-1"][1]), float(foot[:, 1].min()))
        heel, ball, tip = (np.array([x, y, z]) for y in ends)
        soles[s] = (heel, ball, tip)
    return soles


def _quads(triangles: IntArray) -> IntArray:
    return np.asarray(triangles[:, [0, 1, 2, 2]], np.int32)
