# SPDX-License-Identifier: Apache-2.0
"""Things in a scene: what stands in a room, and people with their clothes on."""

from __future__ import annotations

import attrs
import numpy as np

from synthkit_blender.crowd import Figure
from synthkit_blender.geometry import Matrix, Mesh
from synthkit_blender.people.creases import slackness
from synthkit_blender.people.types import FloatArray, MeshPart
from synthkit_blender.placement import Floats, Placed
from synthkit_blender.surfaces import Surface, of_person


@attrs.frozen(eq=False)
class Thing:
    """A body in the world: its meshes and what they are made of, which pass sees it (``group``), and whose it is.

    Args:
        rest_m: (V, 3) where the vertices of all meshes, one after the other, are at rest; None for where they are.
        slack: (V,) how slack cloth is there, 0 to 1; None without cloth.
        only_seen: whether nothing but the camera meets it: it throws no shadow and no light.
    """

    parts: tuple[tuple[Mesh, Surface], ...]
    matrix: Matrix
    group: str
    owner: str | None = None
    rest_m: FloatArray | None = None
    slack: FloatArray | None = None
    only_seen: bool = False


def placed_things(placed: tuple[Placed, ...]) -> list[Thing]:
    """Return what stands in a room as things."""
    return [Thing(thing.piece.parts, thing.pose.matrix, thing.group) for thing in placed]


def people_things(figures: tuple[Figure, ...]) -> list[Thing]:
    """Return figures as things, with their clothes on."""
    things = []
    for figure in figures:
        parts = figure.body.parts
        meshes = tuple(
            (Mesh(part.vertices_m, part.faces, part.smooth, part.uv), of_person(part.material)) for part in parts
        )
        rest_m = np.concatenate([part.rest_m for part in parts])
        slack = np.concatenate([_slack(part) for part in parts])
        things.append(Thing(meshes, figure.pose.matrix, "people", figure.name, rest_m, slack))
    return things


def _slack(part: MeshPart) -> FloatArray:
    if part.material.crease_m == 0:
        return np.zeros(len(part.rest_m), np.float32)
    return slackness(part.rest_m, part.vertices_m, part.faces)


def out_of_the_way(placed: tuple[Placed, ...], figures: tuple[Figure, ...]) -> tuple[Placed, ...]:
    """Return what stands in a room but for the clutter that somebody reaches into, now or later in the clip."""
    bodies = [_Body.of(figure) for figure in figures]
    return tuple(
        thing for thing in placed if thing.group != "clutter" or not any(body.touches(thing) for body in bodies)
    )


@attrs.frozen(eq=False)
class _Body:
    """Where a figure's surface (N, 3) gets to in the world, and the box around it."""

    points_m: Floats
    low_m: Floats
    high_m: Floats

    @classmethod
    def of(cls, figure: Figure) -> _Body:
        points = figure.world(figure.reach_m)
        return cls(points, points.min(axis=0), points.max(axis=0))

    def touches(self, thing: Placed) -> bool:
        """Return whether it reaches into a thing."""
        low, high = thing.extent_m
        if (low > self.high_m).any() or (high < self.low_m).any():
            return False
        near = ((self.points_m >= low) & (self.points_m <= high)).all(axis=1)
        return thing.holds(self.points_m[near]) > 0
