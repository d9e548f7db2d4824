# SPDX-License-Identifier: Apache-2.0
"""Bones of rigged people are known by their names, whatever their trappings."""

from __future__ import annotations

import made_rigs
import pytest

from synthkit_blender.people.cast.bones import map_bones, plain_name, shared_out


def test_names_are_told_apart_from_their_trappings():
    assert plain_name("mixamorig:LeftForeArm") == plain_name("mixamorigLeftForeArm") == "leftforearm"
    assert plain_name("mixamorig7_Hips") == "hips"
    assert plain_name("Bip01 L UpperArm") == plain_name("Bip001_L_UpperArm") == "biplupperarm"
    assert plain_name("someone|lowerarm_l") == "lowerarml"


def test_chains_are_shared_out_from_below():
    assert [number for _, number in shared_out((7,), "abcde")] == [7] * 5
    assert [number for _, number in shared_out((1, 2, 3), "abcde")] == [1, 1, 2, 2, 3]
    assert [number for _, number in shared_out((1, 2, 3, 4, 5), "abcde")] == [1, 2, 3, 4, 5]
    assert [number for _, number in shared_out((1, 2, 3, 4, 5, 6, 7), "abcde")][::4] == [1, 7]


@pytest.mark.parametrize("style", made_rigs.STYLES)
def test_every_bone_is_moved_by_the_one_that_it_is(style):
    table = made_rigs.STYLES[style]()
    above = dict(table.values())
    names = sorted({*above, *above.values()} - {""}, reverse=True)  # the order must not matter
    parents = [names.index(above[name]) if above.get(name) else -1 for name in names]
    bones, problems = map_bones(names, parents)
    assert not problems
    for bone, (name, _) in table.items():
        if not (style == "unreal" and bone.startswith("finger")):
            driver = bones.drivers[names.index(name)]
            assert table[driver][0] == name, (bone, driver)


def test_twist_bones_take_their_share_and_others_follow():
    table = {**dict(made_rigs.unreal().values()), "root": ""}
    table |= {"upperarm_twist_01_l": "upperarm_l", "lowerarm_twist_01_r": "lowerarm_r", "hair_03": "head"}
    names = list(table)
    bones, _ = map_bones(names, [names.index(above) if above else -1 for above in table.values()])
    drivers = dict(zip(names, bones.drivers, strict=True))
    assert drivers["upperarm_twist_01_l"] == "upperarm01.l"
    assert drivers["upperarm_l"] == "upperarm02.l"
    assert drivers["lowerarm_twist_01_r"] == "lowerarm02.r"
    assert drivers["hair_03"] == "head"
    assert drivers["root"] == "root"
