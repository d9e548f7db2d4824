# SPDX-License-Identifier: Apache-2.0
"""Which of a file's bones is which of ours, by the names of the usual rigs.

Known are Mixamo's (`mixamorig:LeftForeArm`, also CMU's and Ready Player Me's), 3ds Max Biped's (`Bip01 L Forearm`, as
Rocketbox has them), Unreal's (`lowerarm_l`), and MPFB's default rig (`lowerarm01.L`).  Of trunk and neck only the ends
are named: whatever bones lie between hips, neck and head take their part in the bending.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import attrs

from synthkit_blender.people.skeleton import BONES, NECK, SIDES, SPINE, driven_bone

TRUNK = {"hips": ("hips", "bippelvis", "pelvis", "root"), "neck": ("neck", "bipneck", "neck01"),
         "head": ("head", "biphead")}  # fmt: skip
# With {s} the side's letter and {side} its word.
LIMBS = {
    "clavicle": ("{side}shoulder", "bip{s}clavicle", "clavicle{s}"),
    "shoulder": ("{side}arm", "bip{s}upperarm", "upperarm{s}", "upperarm01{s}"),
    "elbow": ("{side}forearm", "bip{s}forearm", "lowerarm{s}", "forearm{s}", "lowerarm01{s}"),
    "hand": ("{side}hand", "bip{s}hand", "hand{s}", "wrist{s}"),
    "upper-leg": ("{side}upleg", "bip{s}thigh", "thigh{s}", "upperleg01{s}"),
    "knee": ("{side}leg", "bip{s}calf", "calf{s}", "shin{s}", "lowerleg01{s}"),
    "ankle": ("{side}foot", "bip{s}foot", "foot{s}"),
}
FURTHER = {
    "toe": ("{side}toebase", "bip{s}toe0", "ball{s}", "toe{s}", "toe21{s}"),
    "eye": ("{side}eye", "bip{s}eye", "eye{s}"),
}
DIGITS = ("thumb", "index", "middle", "ring", "pinky")
_DRIVERS = {
    "clavicle": "clavicle", "shoulder": "upperarm02", "elbow": "lowerarm01", "hand": "wrist",
    "upper-leg": "upperleg02", "knee": "lowerleg01", "ankle": "foot", "toe": "toes",
}  # fmt: skip
_TWISTS = {"upperarm02": "upperarm01", "lowerarm01": "lowerarm02", "upperleg02": "upperleg01"}
_NAMESPACE = re.compile(r"^(?:.*[:|])?(?:mixamorig\d*_?)?")
_BIPED = re.compile(r"^bip\d+")
_OURS = re.compile(r"^([a-z0-9-]+?)(?:\.([lr]))?$")


@attrs.frozen
class BoneMap:
    """The bones of a file: its numbers by our joints' names (`l-elbow`, ...), and which bone of ours moves each.

    `spine` and `neck` are the chains from the lowest bone upwards, without hips and head; of fingers and toes those
    are in `joints` that are there.  `drivers` has one of `skeleton.BONES` for every bone of the file.
    """

    joints: dict[str, int]
    spine: tuple[int, ...]
    neck: tuple[int, ...]
    drivers: tuple[str, ...]


def map_bones(names: Sequence[str], parents: Sequence[int]) -> tuple[BoneMap | None, list[str]]:
    """Return the map of a rig's bones; or None, and all that is missing or in the wrong place."""
    known: dict[str, int] = {}
    for number, name in enumerate(names):
        known.setdefault(plain_name(name), number)
    joints, problems = {}, []
    for joint, spellings, needed in _wanted():
        found = next((known[name] for name in spellings if name in known), None)
        if found is not None:
            joints[joint] = found
        elif needed:
            problems.append(f"no bone for {joint} (such as {spellings[0]} or {spellings[1]})")
    if problems:
        return None, problems
    spine, neck = (_between(parents, joints[low], joints[high]) for low, high in (("hips", "neck"), ("neck", "head")))
    if not spine:
        problems.append("no spine bones between hips and neck")
    if neck is None:
        problems.append("the head is not above the neck in the hierarchy")
    if not spine or neck is None:
        return None, problems
    neck = (joints["neck"], *neck)
    return BoneMap(joints, spine, neck, _drivers(names, parents, joints, spine, neck)), []


def plain_name(name: str) -> str:
    """Return a bone's name in lower case, without namespace, separators and a biped's number."""
    return _BIPED.sub("bip", re.sub(r"[\s_.\-]", "", _NAMESPACE.sub("", name.lower())))


def shared_out(chain: Sequence[int], ours: Sequence[str]) -> list[tuple[str, int]]:
    """Pair our bones of a chain, from below, with the file's; where it has fewer, several of ours share one."""
    if len(chain) >= len(ours):
        return [(bone, chain[-(-n * len(chain) // len(ours))]) for n, bone in enumerate(ours)]
    return [(bone, chain[n * len(chain) // len(ours)]) for n, bone in enumerate(ours)]


def _wanted() -> list[tuple[str, tuple[str, ...], bool]]:
    """Return (joint, spellings, whether it is needed)."""
    wanted = [(joint, spellings, True) for joint, spellings in TRUNK.items()]
    for s, side in zip(SIDES, ("left", "right"), strict=True):
        for table, needed in ((LIMBS, True), (FURTHER, False)):
            for joint, spellings in table.items():
                spelt = tuple(spelling.format(s=s, side=side) for spelling in spellings)
                wanted.append((f"{s}-{joint}", spelt, needed))
        for digit, word in enumerate(DIGITS):
            for n in (1, 2, 3, 4):
                biped = f"bip{s}finger{digit}{'' if n == 1 else 'nub' if n == 4 else n - 1}"
                spelt = (f"{side}hand{word}{n}", biped, f"{word}0{n}{s}", f"finger{digit + 1}{n}{s}")
                wanted.append((f"{s}-finger-{digit + 1}-{n}", spelt, False))
    return wanted


def _between(parents: Sequence[int], low: int, high: int) -> tuple[int, ...] | None:
    """Return the bones from below `high` down to above `low`, the lowest first; None where `low` is not above it."""
    chain: list[int] = []
    at = parents[high]
    while at >= 0 and at != low:
        chain.append(at)
        at = parents[at]
    return tuple(reversed(chain)) if at == low else None


def _drivers(
    names: Sequence[str], parents: Sequence[int], joints: dict[str, int], spine: tuple[int, ...], neck: tuple[int, ...]
) -> tuple[str, ...]:
    drivers: dict[int, str] = {}
    # The last of ours that shares a bone has turned by all that the bone has to.
    drivers |= {number: bone for bone, number in shared_out(spine, SPINE)}
    drivers |= {number: bone for bone, number in shared_out(neck, NECK[:-1])}
    for joint, number in joints.items():
        side, _, part = joint.partition("-")
        if part in _DRIVERS:
            drivers[number] = f"{_DRIVERS[part]}.{side}"
        elif part.startswith("finger") and not part.endswith("4"):
            drivers[number] = f"finger{part[7:]}.{side}"
    drivers |= {joints["hips"]: "root", joints["head"]: "head"}
    found: dict[int, str] = {-1: "root"}
    for number in range(len(names)):
        above, chain = number, []
        while above not in found:
            chain.append(above)
            above = parents[above]
        for bone in reversed(chain):
            found[bone] = _driver(names[bone], drivers.get(bone), found[parents[bone]])
    return tuple(found[number] for number in range(len(names)))


def _driver(name: str, mapped: str | None, parent: str) -> str:
    """Return what moves a bone: MPFB's know it by their own names, others by the map, the rest go with their parent."""
    if (match := _OURS.match(name.lower())) and re.search(r"\d", name):
        ours = driven_bone(f"{match[1]}.{match[2].upper()}" if match[2] else match[1])
        if ours in BONES and not ours.startswith(("spine", "neck")):
            return ours
    if mapped is not None:
        return mapped
    stem, _, side = parent.partition(".")
    return f"{_TWISTS[stem]}.{side}" if "twist" in name.lower() and stem in _TWISTS else parent
