# SPDX-License-Identifier: Apache-2.0
"""Motion capture: files are read strictly, and their poses arrive on our bodies."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import pytest

from synthkit.config import structure
from synthkit.seeds import Seeds
from synthkit_blender.casting import Casting
from synthkit_blender.config import BlenderConfig
from synthkit_blender.inputs import motions
from synthkit_blender.people import (
    BodyLibrary,
    PersonRanges,
    PersonSpec,
    pose_names,
    sample_identity,
    sample_outfit,
    sample_pose,
)
from synthkit_blender.people import bvh as bvh_module
from synthkit_blender.people.bvh import BvhError, read_bvh
from synthkit_blender.people.capture import Repertoire, captured
from synthkit_blender.people.poses import pose_goals

ASSETS = Path(__file__).parents[5] / "shared" / "assets"
RANGES = PersonRanges(motions_share=1.0)
LIMB = "{i}JOINT {n}\n{i}{{\n{i}OFFSET {o}\n{i}CHANNELS 3 Zrotation Yrotation Xrotation\n"


def limb(*joints: tuple[str, str], end: str) -> str:
    """Return a chain of joints, each the only child of the one before."""
    opened = "".join(LIMB.format(i="\t", n=name, o=offset) for name, offset in joints)
    return opened + f"\tEnd Site\n\t{{\n\tOFFSET {end}\n\t}}\n" + "\t}\n" * len(joints)


def person_bvh(frames: list[dict[str, tuple[float, ...]]], frame_s: float = 0.1, prefix: str = "") -> str:
    """Return a person in a T-pose, arms and legs of two units, y up, facing +z, moved by some joints' channels."""
    arms, legs = [], []
    for side, x in (("Left", 1), ("Right", -1)):
        joints = ((f"{prefix}{side}UpLeg", f"{x * 0.3} 0 0"), (f"{prefix}{side}Leg", "0 -1 0"))
        joints += ((f"{prefix}{side}Foot", "0 -1 0"), (f"{prefix}{side}ToeBase", "0 -0.1 0.3"))
        legs.append(limb(*joints, end="0 0 0.1"))
        arms.append(limb((f"{prefix}{side}Arm", f"{x * 0.4} 0.4 0"), (f"{prefix}{side}ForeArm", f"{x} 0 0"),
                         (f"{prefix}{side}Hand", f"{x} 0 0"), end=f"{x * 0.4} 0 0"))  # fmt: skip
    head = limb((f"{prefix}Neck", "0 0.5 0"), (f"{prefix}Head", "0 0.2 0"), end="0 0.3 0")
    chest = limb((f"{prefix}Spine1", "0 0.6 0"), end="0 0 0")
    chest = chest.replace("\tEnd Site\n\t{\n\tOFFSET 0 0 0\n\t}\n", "".join(arms) + head)
    text = f"HIERARCHY\nROOT {prefix}Hips\n{{\nOFFSET 0 0 0\n"
    text += "CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation\n"
    text += "".join(legs) + chest + "}\nMOTION\n"
    order = [line.split()[1].removeprefix(prefix) for line in text.splitlines() if "JOINT" in line]
    rows = []
    for frame in frames:
        row = [*frame.get("at", (0, 2, 0)), *frame.get("Hips", (0, 0, 0))]
        for name in order:
            row += frame.get(name, (0, 0, 0))
        rows.append(" ".join(map(str, row)))
    return text + f"Frames: {len(rows)}\nFrame Time: {frame_s}\n" + "\n".join(rows) + "\n"


def written(tmp_path: Path, text: str, name: str = "try.bvh") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def body_in(library: BodyLibrary, goals, posture: str = "standing"):
    identity = sample_identity(Seeds(2), RANGES)
    pose = attrs.evolve(sample_pose(Seeds(2), posture, RANGES), captured=goals, mirrored=False)
    return library.build(PersonSpec(identity, sample_outfit(Seeds(2), identity, RANGES), pose))


def test_an_elbow_turned_by_ninety_degrees_arrives(tmp_path: Path, library: BodyLibrary) -> None:
    # The left forearm points along +x; 90 degrees about z turn it up: from (1, 0) to (1, 1) of two units of arm.
    path = written(tmp_path, person_bvh([{"LeftForeArm": (90, 0, 0)}] * 8))
    pose = captured(read_bvh(path), path.name)["standing"][0]
    left, right = pose.goals.hands
    assert left.offset == pytest.approx((0.5, 0.0, 0.5), abs=1e-5)
    assert right.offset == pytest.approx((1.0, 0.0, 0.0), abs=1e-5)
    assert pose.goals.pelvis == pytest.approx((0, 0, 0), abs=1e-4)
    assert pose.goals.spine == pytest.approx((0, 0, 0), abs=1e-4)
    joints = body_in(library, pose.goals).joints_m
    upper = joints["left_elbow"] - joints["left_shoulder"]
    fore = joints["left_wrist"] - joints["left_elbow"]
    assert upper[0] / np.linalg.norm(upper) > 0.97
    assert fore[2] / np.linalg.norm(fore) > 0.97
    straight = joints["right_wrist"] - joints["right_shoulder"]
    assert straight[0] / np.linalg.norm(straight) < -0.97


def test_turns_of_the_trunk_arrive_in_degrees(tmp_path: Path) -> None:
    # In the file's axes (x left, y up, z ahead): leaning forward is about +x, turning left about +y.
    frame = {"Hips": (0, 30, 0), "Spine1": (0, 0, 20), "Head": (0, 25, 0)}
    path = written(tmp_path, person_bvh([frame] * 8))
    goals = captured(read_bvh(path), path.name)["standing"][0].goals
    assert goals.pelvis == pytest.approx((0, 0, 0), abs=1e-4)  # whither one faces is the scene's
    assert goals.spine == pytest.approx((20, 0, 0), abs=1e-4)
    assert goals.head == pytest.approx((0, 0, 25), abs=1e-4)


def test_who_goes_walks_and_who_stays_stands_and_who_sits_does_neither(tmp_path: Path) -> None:
    going = [{"at": (0, 2, 0.15 * n)} for n in range(20)]
    sitting = [{"LeftUpLeg": (0, 0, -90), "RightUpLeg": (0, 0, -90), "LeftLeg": (0, 0, 90), "RightLeg": (0, 0, 90)}] * 9
    kicking = [{"LeftUpLeg": (0, 0, -60)}] * 9
    for frames, standing, walking in ((going, 0, 20), ([{}] * 9, 9, 0), (sitting, 0, 0), (kicking, 0, 0)):
        path = written(tmp_path, person_bvh(frames))
        found = captured(read_bvh(path), path.name)
        assert (len(found["standing"]), len(found["walking"])) == (standing, walking)


def test_feet_of_a_captured_pose_are_on_the_floor(tmp_path: Path, library: BodyLibrary) -> None:
    frame = {"LeftUpLeg": (0, 0, -25), "LeftLeg": (0, 0, 35), "LeftFoot": (0, 0, -10)}
    path = written(tmp_path, person_bvh([frame | {"at": (0, 7, 0.15 * n)} for n in range(9)]))
    pose = captured(read_bvh(path), path.name)["walking"][3]
    person = body_in(library, pose.goals, "walking")
    assert abs(float(person.surface_vertices_m[:, 2].min())) < 0.015
    assert person.joints_m["left_ankle"][1] < person.joints_m["right_ankle"][1]


@pytest.mark.parametrize("prefix", ["", "mixamorig:"])
def test_names_of_cmu_and_mixamo_are_known(tmp_path: Path, prefix: str) -> None:
    path = written(tmp_path, person_bvh([{}] * 3, prefix=prefix))
    assert captured(read_bvh(path), path.name)["standing"]


GOOD = person_bvh([{}] * 3)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "try.bvh:0: ends where HIERARCHY"),
        ("hello\n", "try.bvh:1: expected HIERARCHY, got 'hello'"),
        (GOOD.replace("OFFSET 0 0 0", "OFFSET 0 0", 1), "try.bvh:4: expected OFFSET 3 numbers"),
        (GOOD.replace("OFFSET 0 0 0", "OFFSET 0 nan 0", 1), "try.bvh:4: expected OFFSET 3 numbers"),
        (GOOD.replace("CHANNELS 6", "CHANNELS 5", 1), "try.bvh:5: expected CHANNELS"),
        (GOOD.replace("Xposition", "Wposition", 1), "try.bvh:5: expected CHANNELS"),
        (GOOD.replace("Frames: 3", "Frames: 4"), "ends where .* numbers was expected"),
        (GOOD.replace("Frames: 3", "Frames: 99999999999999"), "expected some, and up to"),
        (GOOD.replace("Frames: 3", "Frames: -3"), "expected 'Frames:' and their count"),
        (GOOD.replace("Frame Time: 0.1", "Frame Time: 0"), "frames at 0.0 s"),
        (GOOD[:-3] + "x\n", "expected .* numbers below a million"),
        ("HIERARCHY\nROOT a\n{\nOFFSET 0 0 0\nCHANNELS 3 Zrotation Yrotation Xrotation\n"
         + "JOINT b\n{\nOFFSET 0 0 0\nCHANNELS 1 Zrotation\n" * 200, "nested deeper"),
    ],
)  # fmt: skip
def test_files_that_are_none_are_refused_with_their_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BvhError, match=says):
        read_bvh(written(tmp_path, text))


def test_no_more_than_the_bound_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bvh_module, "MAX_BYTES", 1000)
    with pytest.raises(BvhError, match="larger than"):
        read_bvh(written(tmp_path, GOOD))


def test_a_folder_tells_what_it_leaves_out(tmp_path: Path) -> None:
    with pytest.raises(BvhError, match=r"no \.bvh files"):
        Repertoire.of(tmp_path)
    written(tmp_path, GOOD.replace("LeftHand", "Hook"), "b.bvh")
    with pytest.raises(BvhError, match="no joint named lefthand"):
        Repertoire.of(tmp_path)
    written(tmp_path, GOOD, "a.bvh")
    repertoire = Repertoire.of(tmp_path)
    assert list(repertoire.frames["standing"]) == ["a.bvh"]
    assert list(repertoire.left_out) == ["b.bvh"]


def test_poses_come_from_the_folder_by_the_share(tmp_path: Path) -> None:
    written(tmp_path, GOOD, "a.bvh")
    repertoire = Repertoire.of(tmp_path)
    drawn = [sample_pose(Seeds(n), "standing", PersonRanges(motions_share=0.5), repertoire) for n in range(300)]
    share = sum(pose.captured is not None for pose in drawn) / 300
    assert share == pytest.approx(0.5, abs=0.1)
    assert {pose.name for pose in drawn if pose.captured} <= {f"a.bvh:{n}" for n in range(3)}
    assert {pose.name for pose in drawn if not pose.captured} <= set(pose_names("standing"))
    for posture in ("sitting", "walking", "leaning"):
        assert sample_pose(Seeds(1), posture, RANGES, repertoire).captured is None
    plain = [sample_pose(Seeds(n), "standing", PersonRanges()) for n in range(20)]
    assert [pose.jitter for pose in plain] == [pose.jitter for pose in drawn[:20]]


@pytest.mark.parametrize(
    ("text", "licence", "told"),
    [(None, "unknown", ["records say unknown"]), ("Creative Commons CC BY 4.0", "CC-BY-4.0", []),
     ("CC BY-NC 4.0", "CC-BY-NC-4.0", ["no commercial use"])],
)  # fmt: skip
def test_the_licence_of_motions_is_in_the_records_and_told_once(
    tmp_path: Path, library: BodyLibrary, caplog: pytest.LogCaptureFixture, text: str | None, licence: str, told
) -> None:
    written(tmp_path, GOOD, "a.bvh")
    if text is not None:
        (tmp_path / "LICENSE.txt").write_text(text)
    repertoire = motions(tmp_path, clips=False)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == len(told)
    assert all(part in message for part, message in zip(told, messages, strict=True))
    casting = Casting(library, structure(BlenderConfig, {}).people, Seeds(1), repertoire)
    person = casting.person(Seeds(3), "ab", "standing", RANGES, table=None)
    assert person.attributes["pose"].startswith("a.bvh:")
    assert person.licences == {"a.bvh": licence}
    assert casting.moved(person, 0.5, 0.0).licences == person.licences
    assert not casting.person(Seeds(3), "ab", "sitting", RANGES, table=None).licences


def test_a_mirrored_capture_is_mirrored(tmp_path: Path) -> None:
    written(tmp_path, person_bvh([{"LeftForeArm": (90, 0, 0)}] * 3), "a.bvh")
    pose = sample_pose(Seeds(1), "standing", RANGES, Repertoire.of(tmp_path))
    hands = [pose_goals(attrs.evolve(pose, mirrored=flag)).hands for flag in (False, True)]
    assert hands[0] == hands[1][::-1]


@pytest.mark.assets
@pytest.mark.skipif(not ASSETS.is_dir(), reason="no shared assets here")
def test_real_motion_capture_walks_and_stands(library: BodyLibrary) -> None:
    cmu = Repertoire.of(ASSETS / "cmu_bvh")
    assert not cmu.left_out
    assert {"02_01.bvh", "07_01.bvh", "08_01.bvh", "35_01.bvh"} <= set(cmu.frames["walking"])
    makehuman = Repertoire.of(ASSETS / "makehuman" / "poses")
    assert {f"standing0{n}.bvh" for n in range(1, 6)} <= set(makehuman.frames["standing"])
    assert "sit01.bvh" in makehuman.left_out
    for posture, repertoire in (("walking", cmu), ("standing", makehuman)):
        for poses in list(repertoire.frames[posture].values())[:4]:
            person = body_in(library, poses[len(poses) // 2].goals, posture)
            assert abs(float(person.surface_vertices_m[:, 2].min())) < 0.03
