# SPDX-License-Identifier: Apache-2.0
"""Who of the rigged people comes into a scene, under which licence, and where the truth says they are."""

from __future__ import annotations

import made_rigs
import numpy as np
import pytest

from synthkit.config import structure
from synthkit.interfaces import Runtime
from synthkit.seeds import Seeds
from synthkit_blender.casting import Casting, holds_things, uses_table
from synthkit_blender.config import BlenderConfig
from synthkit_blender.crowd import person_ranges
from synthkit_blender.people import PersonRanges
from synthkit_blender.people.cast.company import Cast
from synthkit_blender.people.types import CastSpec
from synthkit_blender.renderer import BlenderRenderer


def test_licences_are_what_files_say(library, rigged_identity, tmp_path):
    said = {
        "extras": {"extras": {"license": "SKETCHFAB Standard"}},
        "copyright": {"copyright": "2021 A. Body, CC BY-NC 4.0"},
        "nothing": {"copyright": "2021 A. Body"},
    }
    for name, asset in said.items():
        made_rigs.write_rig(tmp_path / f"{name}.glb", library, rigged_identity, "unreal", asset=asset)
    (tmp_path / "mit").mkdir()
    made_rigs.write_rig(tmp_path / "mit" / "her.glb", library, rigged_identity, "unreal")
    (tmp_path / "mit" / "LICENSE.md").write_text("Permission is hereby granted, free of charge, to any person ...")
    cast = Cast.open(tmp_path)
    wanted = {"extras": "SKETCHFAB Standard", "copyright": "CC-BY-NC-4.0", "nothing": "unknown", "mit/her": "MIT"}
    assert cast.licences == wanted
    assert cast.build(CastSpec("mit/her", made_rigs.posed("walk"))).licences == {"mit/her": "MIT"}


def test_licences_that_matter_are_told_at_the_start(library, rigged_identity, tmp_path, caplog):
    root = tmp_path / "cast"
    root.mkdir()
    made_rigs.write_rig(root / "who.glb", library, rigged_identity, "unreal")
    made_rigs.write_rig(root / "nc.glb", library, rigged_identity, "unreal", asset={"copyright": "CC BY-NC 4.0"})
    (root / "old.fbx").touch()
    config = structure(BlenderConfig, {"people": {"cast": str(root)}})
    with BlenderRenderer(config, None, Runtime(Seeds(1), tmp_path, threads=1)):
        pass
    assert "1 people state no licence, such as who: records say unknown" in caplog.text
    assert "1 people allow no commercial use, such as nc (CC-BY-NC-4.0)" in caplog.text
    assert "1 .fbx files are not read; convert each once with Blender" in caplog.text


def casting_of(library, cast, share: float = 1.0) -> tuple[Casting, PersonRanges]:
    config = structure(BlenderConfig, {"people": {"cast_share": share}}).people
    return Casting(library, config, Seeds(1), None, cast), person_ranges(config)


def test_the_share_and_who_is_there_decide_who_comes(library, cast):
    casting, _ = casting_of(library, cast, 0.5)
    drawn = [casting.identity(Seeds(n), ()) for n in range(200)]
    assert sum(name in cast.names for name in drawn) / 200 == pytest.approx(0.5, abs=0.12)
    assert set(drawn) >= set(cast.names)
    everybody, _ = casting_of(library, cast)
    assert everybody.identity(Seeds(3), cast.names[1:]) == cast.names[0]
    assert int(everybody.identity(Seeds(3), cast.names), 16) >= 0  # nobody is left, so anybody else
    plain = Casting(library, structure(BlenderConfig, {}).people, Seeds(1))
    assert next(name for name in drawn if name not in cast.names) in [plain.identity(Seeds(n), ()) for n in range(20)]


def test_hands_of_the_cast_are_empty_and_know_about_tables(library, cast):
    casting, ranges = casting_of(library, cast)
    for n in range(12):
        table = bool(n % 2)
        person = casting.person(Seeds(n), "own-", "sitting", ranges, table=table)
        assert not holds_things(person.spec.pose)
        assert uses_table(person.spec.pose) == table


def test_the_cast_walks_on_in_clips(library, cast):
    casting, ranges = casting_of(library, cast)
    first = casting.person(Seeds(1), "biped-A", "walking", ranges, table=None)
    assert first.stride_m > 0.5
    later = casting.moved(first, 0.5, first.stride_m / 2)
    assert later.attributes == first.attributes
    ahead = [p.joints_m["left_ankle"][1] - p.joints_m["right_ankle"][1] for p in (first, later)]
    assert ahead[0] * ahead[1] < 0 or abs(ahead[0]) < 0.1


@pytest.mark.blender
def test_the_truth_sits_on_rendered_people(tiny_renderer, library, cast):
    casting, _ = casting_of(library, cast)
    people = {"sitting": [1, 1], "standing": [1, 1], "leaning_share": 0.0}
    layers = ["surface", "depth", "amodal"]
    with tiny_renderer(source=casting, people=people, layers=layers, width_px=128, height_px=96) as renderer:
        (sample,) = renderer.render(0, Seeds(4))
    assert {person.identity for person in sample.people} <= set(cast.names)
    assert all(sample.meta["licences"][person.identity] == "CC-BY-4.0" for person in sample.people)
    assert not sample.layers["surface"].any()
    for person in sample.people:
        assert person.instance is not None
        mask = sample.layers["instances"] == person.instance
        inside = [mask[int(p.y_px), int(p.x_px)] for p in person.keypoints.values() if p.visible]
        assert len(inside) >= 2
        assert np.mean(inside) > 0.9
        rows, columns = np.nonzero(mask)
        x, y = person.head_px
        assert columns.min() - 2 <= x <= columns.max() + 2
        assert rows.min() - 2 <= y <= rows.max() + 2
