# SPDX-License-Identifier: Apache-2.0
"""From motion capture to poses: which frames stand and walk, and what they ask of any body.

A captured frame becomes goals, as the library's own poses are: turns of pelvis, chest and head, and where hands and
feet are relative to shoulders and hips in units of the limbs. So bodies of other proportions keep their feet on the
floor and their arms out of themselves.

Rest poses differ between files. Turns are corrected for it: with F the frame (up, left) of a part at rest, a rotation
G of the file turns our part by G F_file F_ours^-1, and F_ours is the identity for the upright trunk. Limbs are read off
joint positions, which no rest pose enters. Axes are found from the rest pose: up from hips to neck, left from hip to
hip.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray

from synthkit_blender.people.assets import licences
from synthkit_blender.people.assets.files import AssetError, AssetFolder
from synthkit_blender.people.bvh import BvhError, Motion, read_bvh
from synthkit_blender.people.goals import FootGoal, HandGoal, PoseGoals, Triple
from synthkit_blender.people.hands import RELAXED
from synthkit_blender.people.rotations import Mat, Vec, about, cross, unit, upright_axes

# Joints by the names of CMU's and Mixamo's files and of MakeHuman's default rig, lower case, without a prefix.
NAMES = {
    "hips": ("hips", "root", "pelvis"), "chest": ("spine2", "spine1", "chest", "spine01"),
    "neck": ("neck", "neck01"), "head": ("head",),
}  # fmt: skip
SIDED = {
    "upleg": ("{s}upleg", "upperleg01.{i}"), "leg": ("{s}leg", "lowerleg01.{i}"), "foot": ("{s}foot", "foot.{i}"),
    "toe": ("{s}toebase", "toe2-1.{i}"), "arm": ("{s}arm", "upperarm01.{i}"),
    "forearm": ("{s}forearm", "lowerarm01.{i}"), "hand": ("{s}hand", "wrist.{i}"),
}  # fmt: skip
STEP_S = 0.1  # between frames that are looked at
WALKING_LEGS_S = 0.55  # leg lengths a second
STANDING_LEGS_S = 0.12
UPRIGHT = 0.86  # of the leg's length, the least height of the hips over the lower ankle
LIFTED = 0.07  # of the leg's length, how much higher than the other a foot on the floor may be
MOST_TRUNK_LEAN_DEG = 35.0
MOST_FRAMES_A_FILE = 400


@attrs.frozen
class Captured:
    """A frame that can be posed: its file's name, its number there, and its goals."""

    file: str
    frame: int
    goals: PoseGoals


@attrs.frozen
class Repertoire:
    """Captured poses by posture, each posture's by file.

    `left_out` tells why files have none; `licence` is that of the files, "unknown" where the folder states none.
    """

    frames: dict[str, dict[str, tuple[Captured, ...]]]
    left_out: dict[str, str]
    licence: str = licences.UNKNOWN

    @classmethod
    def of(cls, folder: Path) -> Repertoire:
        """Read a folder of .bvh files, in the order of their names.

        Raises:
            BvhError: when there is no such folder, no file in it, or none with a person who stands or walks.
        """
        paths = sorted(path for path in folder.glob("*.[bB][vV][hH]") if path.is_file()) if folder.is_dir() else []
        if not paths:
            raise BvhError(f"{folder}: has no .bvh files; give a folder of motion capture as renderer.people.motions")
        frames: dict[str, dict[str, tuple[Captured, ...]]] = {"standing": {}, "walking": {}}
        left_out = {}
        for path in paths:
            try:
                found = captured(read_bvh(path), path.name)
            except BvhError as error:
                left_out[path.name] = str(error)
                continue
            if not any(found.values()):
                left_out[path.name] = f"{path}: nobody stands or walks in it"
            for posture, poses in found.items():
                if poses:
                    frames[posture][path.name] = poses
        if not any(frames.values()):
            raise BvhError("\n".join(left_out.values()))
        return cls(frames, left_out, _licence(folder))


def _licence(folder: Path) -> str:
    """Return what a licence file in a folder is about; one that cannot be read tells nothing."""
    try:
        inside = AssetFolder(folder)
        return licences.beside(inside, inside.root / "any.bvh") or licences.UNKNOWN
    except AssetError:
        return licences.UNKNOWN


class _Actor:
    """A file's person in some frames: joint positions (F, 3) by our names, in our axes, turned to face forwards."""

    def __init__(self, motion: Motion, name: str, frames: NDArray[np.intp]) -> None:
        index = _joints(motion, name)
        rest = motion.rest()
        axes = _axes(rest, index)
        positions, rotations = motion.posed(frames)
        at = {joint: positions[number] @ axes.T for joint, number in index.items()}
        self.hips_m = at["hips"]
        across = at["left_upleg"] - at["right_upleg"]
        yaw = np.arctan2(across[:, 1], across[:, 0])
        self._unturn = np.stack([about(np.array([0, 0, 1.0]), -float(np.degrees(a))) for a in yaw])
        self.at = {joint: (self._unturn @ points[..., None])[..., 0] for joint, points in at.items()}
        upright = _frame(
            rest[index["neck"]] - rest[index["hips"]], rest[index["left_upleg"]] - rest[index["right_upleg"]]
        )
        ours = axes @ upright
        self.turns = {
            part: self._unturn @ axes @ rotations[index[part]] @ axes.T @ ours for part in ("hips", "chest", "head")
        }
        self.leg_m = _length(rest, index, "left_upleg", "left_leg", "left_foot")
        self.arm_m = _length(rest, index, "left_arm", "left_forearm", "left_hand")


def captured(motion: Motion, name: str) -> dict[str, tuple[Captured, ...]]:
    """Return a file's standing and walking frames, a tenth of a second or more apart.

    Raises:
        BvhError: when joints are missing.
    """
    count = len(motion.values)
    step = max(1, round(STEP_S / motion.frame_s), -(-count // MOST_FRAMES_A_FILE))
    frames = np.arange(0, count, step)
    actor = _Actor(motion, name, frames)
    speed = _speeds(actor, step * motion.frame_s)
    ankle_z = np.minimum(actor.at["left_foot"][:, 2], actor.at["right_foot"][:, 2])
    hip_z = (actor.at["left_upleg"][:, 2] + actor.at["right_upleg"][:, 2]) / 2
    lean = np.degrees(np.arccos(np.clip(actor.turns["chest"][:, 2, 2], -1, 1)))
    upright = (hip_z - ankle_z > UPRIGHT * actor.leg_m) & (lean < MOST_TRUNK_LEAN_DEG)
    apart = np.abs(actor.at["left_foot"][:, 2] - actor.at["right_foot"][:, 2])
    on_both = apart < LIFTED * actor.leg_m
    masks = {"standing": upright & on_both & (speed < STANDING_LEGS_S), "walking": upright & (speed > WALKING_LEGS_S)}
    return {
        posture: tuple(Captured(name, int(frames[n]), _goals(actor, n)) for n in np.flatnonzero(mask))
        for posture, mask in masks.items()
    }


def _joints(motion: Motion, name: str) -> dict[str, int]:
    known: dict[str, int] = {}
    for number, joint in enumerate(motion.joints):
        known.setdefault(joint.name.rsplit(":", 1)[-1].lower().replace("mixamorig_", ""), number)
    wanted = dict(NAMES)
    for side in ("left", "right"):
        wanted |= {
            f"{side}_{part}": tuple(spelt.format(s=side, i=side[0]) for spelt in spellings)
            for part, spellings in SIDED.items()
        }
    found = {part: next((known[n] for n in spellings if n in known), -1) for part, spellings in wanted.items()}
    if missing := [wanted[part][0] for part, number in found.items() if number < 0]:
        raise BvhError(f"{name}: no joint named {', '.join(missing)}; names are CMU's, Mixamo's or MakeHuman's")
    return found


def _axes(rest: NDArray[np.float64], index: dict[str, int]) -> Mat:
    """Return the rotation from the file's axes to ours: x left, z up."""
    hips, neck, left, right = (rest[index[joint]] for joint in ("hips", "neck", "left_upleg", "right_upleg"))
    axes = upright_axes(neck - hips, left - right)
    if axes is None:
        raise BvhError("the rest pose has hips above each other; expected an upright one")
    return axes


def _frame(up: Vec, left: Vec) -> Mat:
    """Return the upright frame's columns (left, back, up) for a trunk at rest, in the file's axes."""
    z = unit(up)
    x = unit(left - z * (left @ z))
    return np.stack([x, cross(z, x), z], axis=1)


def _length(rest: NDArray[np.float64], index: dict[str, int], *joints: str) -> float:
    points = [rest[index[joint]] for joint in joints]
    length = sum(float(np.linalg.norm(b - a)) for a, b in itertools.pairwise(points))
    if length < 1e-6:
        raise BvhError(f"the limb {' - '.join(joints)} has no length at rest")
    return length


def _speeds(actor: _Actor, step_s: float) -> NDArray[np.float64]:
    """Return how fast the hips go over the floor, in leg lengths a second, over half a second around each frame."""
    around = max(1, round(0.25 / step_s))
    count = len(actor.hips_m)
    before, after = np.maximum(np.arange(count) - around, 0), np.minimum(np.arange(count) + around, count - 1)
    gone = np.linalg.norm((actor.hips_m[after] - actor.hips_m[before])[:, :2], axis=1)
    return np.asarray(gone / np.maximum((after - before) * step_s, step_s) / actor.leg_m)


def _goals(actor: _Actor, n: int) -> PoseGoals:
    hips, chest, head = (actor.turns[part][n] for part in ("hips", "chest", "head"))
    lowest = min(float(actor.at[f"{side}_foot"][n, 2]) for side in ("left", "right"))
    reach = max(
        float(np.linalg.norm(actor.at[f"{side}_foot"][n] - actor.at[f"{side}_upleg"][n])) for side in ("left", "right")
    )
    return PoseGoals(
        pelvis=_lean(hips),
        spine=_lean(hips.T @ chest),
        head=_lean(chest.T @ head),
        hands=(_hand(actor, n, "left", chest), _hand(actor, n, "right", chest)),
        feet=(_foot(actor, n, "left", lowest), _foot(actor, n, "right", lowest)),
        leg_extension=float(np.clip(reach / actor.leg_m, 0.8, 0.99)),
    )


def _lean(turn: Mat) -> Triple:
    """Return the angles of `rotations.lean` for a rotation: Rz(turn) Ry(left) Rx(forward)."""
    forward = np.degrees(np.arctan2(turn[2, 1], turn[2, 2]))
    left = np.degrees(np.arcsin(np.clip(-turn[2, 0], -1, 1)))
    turned = np.degrees(np.arctan2(turn[1, 0], turn[0, 0]))
    return (_round(forward), _round(left), _round(turned))


def _round(value: float) -> float:
    return round(float(value), 5)


def _goal_axes(vector: Vec, side: str) -> Triple:
    """Return a vector as goals have it: outwards, forwards, up."""
    return (_round(vector[0] if side == "left" else -vector[0]), _round(-vector[1]), _round(vector[2]))


def _hand(actor: _Actor, n: int, side: str, chest: Mat) -> HandGoal:
    shoulder, elbow, wrist = (actor.at[f"{side}_{part}"][n] for part in ("arm", "forearm", "hand"))
    line = unit(wrist - shoulder)
    bulge = elbow - shoulder - line * ((elbow - shoulder) @ line)
    back = cross(line, cross(np.array([0.0, 1.0, 0.0]), line))  # a straight arm's elbow points backwards
    pole = chest.T @ (bulge if np.linalg.norm(bulge) > 0.02 * actor.arm_m else back)
    return HandGoal(
        "drop", _goal_axes((wrist - shoulder) / actor.arm_m, side), _goal_axes(unit(pole), side), shape=RELAXED
    )


def _foot(actor: _Actor, n: int, side: str, lowest: float) -> FootGoal:
    hip, knee, ankle, toe = (actor.at[f"{side}_{part}"][n] for part in ("upleg", "leg", "foot", "toe"))
    offset = (ankle - hip) / actor.leg_m
    offset[2] = max(float(ankle[2]) - lowest, 0.0) / actor.leg_m
    line = unit(ankle - hip)
    bulge = knee - hip - line * ((knee - hip) @ line)
    pole = bulge if np.linalg.norm(bulge) > 0.02 * actor.leg_m else np.array([0.0, -1.0, 0.0])
    ahead = toe - ankle
    out, forward, _ = _goal_axes(ahead, side)
    # By how much the toe joint lies below the ankle of a flat foot is the feet's own.
    flat = float(np.hypot(out, forward))
    rise = float(np.degrees(np.arctan2(ahead[2], max(flat, 1e-6)))) - _flat_deg(actor, side)
    return FootGoal(
        _goal_axes(offset, side), None, _goal_axes(unit(pole), side),
        toe_out=_round(np.clip(np.degrees(np.arctan2(out, forward)), -30, 50)), toe_up=_round(np.clip(rise, -50, 30)),
    )  # fmt: skip


def _flat_deg(actor: _Actor, side: str) -> float:
    """Return how far, in degrees, a foot's toe joint lies below its ankle in the frames where the foot is lowest."""
    foot, toe = actor.at[f"{side}_foot"], actor.at[f"{side}_toe"]
    low = foot[:, 2] <= np.quantile(foot[:, 2], 0.3) + 1e-9
    ahead = (toe - foot)[low]
    return float(np.median(np.degrees(np.arctan2(ahead[:, 2], np.hypot(ahead[:, 0], ahead[:, 1])))))
