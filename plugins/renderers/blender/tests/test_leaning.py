# SPDX-License-Identifier: Apache-2.0
"""People who lean do so on a wall or a table that is there, and reach into neither."""

from __future__ import annotations

import math

import numpy as np
import pytest

from synthkit.config import structure
from synthkit.seeds import Seeds
from synthkit_blender.casting import Casting
from synthkit_blender.config import BlenderConfig
from synthkit_blender.crowd import Stage, populate
from synthkit_blender.people import BodyLibrary
from synthkit_blender.placement import anywhere
from synthkit_blender.rooms import RoomPlan, furnish

PEOPLE = {"sitting": [0, 0], "standing": [4, 4], "leaning_share": 1.0}


@pytest.fixture(scope="module")
def crowds(library: BodyLibrary):
    """Return rooms with their crowds of leaning people."""
    config = structure(BlenderConfig, {"people": PEOPLE}).people
    casting = Casting(library, config, Seeds(1))
    found = []
    for seed in range(4):
        room = furnish(RoomPlan(7.5, 6.0, 2.9, (0.2, -0.1), "modern", "meeting"), Seeds(seed))
        stage = Stage(room.floor, room.seats, room.decor, True, anywhere, empty_chairs=True, free_walls=room.free_walls)
        found.append((room, populate(stage, config, casting, Seeds(seed), 0.0)))
    return found


def leaning(crowds, *supports):
    return [(room, f) for room, crowd in crowds for f in crowd.figures if f.body.support in supports]


def test_backs_are_at_the_wall(crowds) -> None:
    against = leaning(crowds, "wall")
    assert against
    for room, figure in against:
        points = figure.world(figure.body.surface_vertices_m)
        corners = room.floor.area_m
        (low_x, low_y), (high_x, high_y) = corners.min(axis=0), corners.max(axis=0)
        gaps = [points[:, 0].min() - low_x, high_x - points[:, 0].max()]
        gaps += [points[:, 1].min() - low_y, high_y - points[:, 1].max()]
        assert 0.0 < min(gaps) < 0.02
        # What touches is the back: it lies behind the head's middle as one faces.
        facing = np.array([math.sin(figure.pose.yaw_rad), -math.cos(figure.pose.yaw_rad)])
        wall = [(-1, 0), (1, 0), (0, -1), (0, 1)][int(np.argmin(gaps))]
        assert facing @ wall < -0.99


def test_who_leans_on_a_table_is_at_its_edge_and_not_in_it(crowds) -> None:
    at_tables = leaning(crowds, "table behind", "table before")
    assert at_tables
    for room, figure in at_tables:
        points = figure.world(figure.body.surface_vertices_m)
        tables = {id(seat.table): seat.table for seat in room.seats}.values()
        assert not any(table.holds(points) for table in tables)
        # A little further and one would be in it.
        step = 0.03 if figure.body.support == "table before" else -0.03
        forward = np.array([math.sin(figure.pose.yaw_rad), -math.cos(figure.pose.yaw_rad), 0.0]) * step
        assert any(table.holds(points + forward) for table in tables)


def test_nobody_leans_into_furniture(crowds) -> None:
    for room, crowd in crowds:
        for figure in crowd.figures:
            points = figure.world(figure.body.surface_vertices_m)
            assert not any(thing.holds(points) for thing in room.placed if thing.group == "furniture")


def test_without_walls_or_tables_people_stand(crowds, mannequins) -> None:
    room, _ = crowds[0]
    config = structure(BlenderConfig, {"people": PEOPLE}).people

    bare = Stage(room.floor, (), room.decor, True, anywhere, empty_chairs=False)
    crowd = populate(bare, config, mannequins, Seeds(3), 0.0)
    assert {figure.body.posture for figure in crowd.figures} <= {"standing", "walking"}
