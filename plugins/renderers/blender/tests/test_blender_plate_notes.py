# SPDX-License-Identifier: Apache-2.0
"""What is noted about plates in ``plates.toml``: read, checked, merged, written."""

from __future__ import annotations

import math
import tomllib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit.errors import ConfigError
from synthkit_blender.plates.notes import FolderNotes, as_toml

NOTES = """
floor_px = [[20, 20], [180, 20], [180, 180], [20, 180]]
[camera]
height_m = 2.5
[[furniture]]
kind = "table"
height_m = 0.74
outline_px = [[60, 60], [100, 60], [100, 90], [60, 90]]
[photos."b.png".camera]
height_m = 3.0
[photos."c.png"]
furniture = []
"""


def test_notes_of_a_photo_go_before_those_of_all():
    notes = FolderNotes.of(tomllib.loads(NOTES), ["a.png", "b.png", "c.png"], problems := [])
    assert not problems
    a, b, c = (notes.of_photo(name, (200, 200)) for name in ("a.png", "b.png", "c.png"))
    assert (a.camera.height_m, b.camera.height_m, c.camera.height_m) == (2.5, 3.0, 2.5)
    assert (len(a.furniture), len(b.furniture), len(c.furniture)) == (1, 1, 0)
    assert a.floor_px == b.floor_px == c.floor_px


def test_all_that_is_wrong_with_notes_is_told_at_once(tmp_path):
    (tmp_path / "plates.toml").write_text("""
        florr_px = []
        floor_px = [[0, 0], [100, 100], [100, 0], [0, 100]]
        [camera]
        fov_degrees = 500
        [[furniture]]
        kind = "sofa"
        height_m = 0.5
        outline_px = [[0, 0], [1, 0], [1, 1]]
        [[furniture]]
        kind = "seat"
        height_m = 0.5
        outline_px = [[0, 0], [10, 0], [10, 10]]
        [photos."romo.png"]
        """)
    with pytest.raises(ConfigError) as caught:
        FolderNotes.read(tmp_path, ["room.png"])
    text = "\n".join(caught.value.problems)
    for part in ("florr_px: unknown setting; did you mean 'floor_px'", "floor_px: its edges", "camera.fov_degrees",
                 "furniture[0].kind", "furniture[1]: a seat needs facing_px", "did you mean 'room.png'"):  # fmt: skip
        assert part in text
    assert len(caught.value.problems) == 6
    assert all(str(tmp_path / "plates.toml") in problem for problem in caught.value.problems)


def test_notes_drawn_on_a_smaller_copy_are_scaled_and_on_another_shape_refused():
    notes = FolderNotes.of({"size_px": [100, 80], "floor_px": [[10, 10], [90, 10], [90, 70]]}, [], [])
    assert notes.of_photo("a.png", (200, 160)).floor_px == ((20, 20), (180, 20), (180, 140))
    with pytest.raises(ConfigError, match=r"100x80, and a\.png is 100x100"):
        notes.of_photo("a.png", (100, 100))


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@settings(deadline=None)
@given(names, names, st.lists(st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4)), min_size=1, max_size=4))
def test_written_notes_are_read_again(photo, label, points):
    common = {"walls": False, "camera": {"height_m": 2.5}, "furniture": [{"name": label, "outline_px": points}]}
    notes = FolderNotes(common, {photo: {"floor_px": points, "furniture": [{"name": label}, {"name": "x"}]}})
    plain = tomllib.loads(as_toml(notes))
    points = [list(point) for point in points]
    assert plain["furniture"] == [{"name": label, "outline_px": points}]
    assert plain["photos"] == {photo: {"floor_px": points, "furniture": [{"name": label}, {"name": "x"}]}}
    assert (plain["walls"], plain["camera"]) == (False, {"height_m": 2.5})


def test_outlines_of_too_many_corners_are_refused(tmp_path):
    angles = np.arange(201) * (2 * math.pi / 201)
    corners = (np.column_stack([np.cos(angles), np.sin(angles)]) * 20 + 32).tolist()
    (tmp_path / "plates.toml").write_text(f"floor_px = {corners}")
    with pytest.raises(ConfigError, match="floor_px: must have at most 200 corners, got 201"):
        FolderNotes.read(tmp_path, [])
