# SPDX-License-Identifier: Apache-2.0
"""The notes on empty rooms that an experiment makes for itself say what the rooms are."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synthkit.interfaces import ComponentSpec
from synthkit.plugins import discover
from synthkit.seeds import Seeds

FILE = Path(__file__).parents[1] / "experiments" / "rendered_plates.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("rendered_plates", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("layout", ["meeting", "lobby"])
def test_a_plate_is_read_as_the_room_that_it_shows(script, layout, tmp_path):
    from synthkit_blender.plates import Plates
    from synthkit_blender.plates.notes import FILE as NOTES
    from synthkit_blender.plates.notes import FolderNotes, as_toml
    from synthkit_blender.scene import plate_camera, plate_space

    options = {
        "width_px": 96, "height_px": 96, "people": {"sitting": [0, 0], "standing": [0, 0]}, "room": {"layout": layout},
        "camera": {"lens": "stereographic", "circle_share": [1.3, 1.4]},
    }  # fmt: skip
    config = discover().configure(ComponentSpec("renderer", "blender-dusk", options))
    scene = script.empty_scene(config, Seeds(1))
    notes = script.notes_of(scene, config.camera.lens)
    Image.new("RGB", (96, 96), (90, 90, 90)).save(tmp_path / "room.png")
    (tmp_path / NOTES).write_text(as_toml(FolderNotes({}, {"room.png": notes})))
    plate = Plates.open(tmp_path, 96, 96)[0]
    camera = plate_camera(config, plate, Seeds(2))
    space = plate_space(config, plate, camera)
    floor = scene.things[0].parts[0][0].vertices_m
    sides = np.ptp(floor[:, :2], axis=0)
    # The plate's axes are the image's: sizes are the room's, and so is the height.
    edges = np.linalg.norm(space.floor_m - np.roll(space.floor_m, -1, axis=0), axis=1)
    assert sorted(edges) == pytest.approx(sorted([*sides, *sides]), rel=0.02)
    assert camera.world_from_camera[2, 3] == pytest.approx(scene.camera.world_from_camera[2, 3])
    chairs = sum(thing.group == "chairs" for thing in scene.things)
    assert len(space.seats) == chairs
    assert (chairs > 0) == (layout == "meeting")
    assert len(space.solids) > chairs


def test_other_lenses_are_refused(script):
    with pytest.raises(SystemExit, match="must be one of stereographic, equidistant, equisolid, got 'mixed'"):
        script.notes_of(None, "mixed")
