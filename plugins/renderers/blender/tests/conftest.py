# SPDX-License-Identifier: Apache-2.0
"""Stand-in people, quick to build, and a renderer at a tiny size."""

from __future__ import annotations

from pathlib import Path

import made_rigs
import numpy as np
import pytest

from synthkit.config import structure
from synthkit.interfaces import Runtime
from synthkit.seeds import Seeds
from synthkit_blender.config import BlenderConfig
from synthkit_blender.geometry import cylinder, ellipsoid, merged
from synthkit_blender.people import BodyLibrary, Material, MeshPart, PersonRanges, PosedPerson, sample_identity
from synthkit_blender.people.cast.company import Cast
from synthkit_blender.renderer import BlenderRenderer

TINY = {"width_px": 96, "height_px": 72, "samples": 2, "min_visible_px": 3}


class Mannequins:
    """People of ellipsoids, of several sizes."""

    def identity(self, seeds, taken):
        return f"{seeds.integer('identity'):016x}"

    def person(self, seeds, identity, posture, ranges, *, table, seat_m=None):
        rng = seeds.stream("mannequin")
        size = float(rng.uniform(0.85, 1.15))
        if posture == "sitting":
            trunk = [ellipsoid((0.18, 0.13, 0.3)).at(0, 0, 0.77)]
            trunk += [ellipsoid((0.07, 0.24, 0.06)).at(x, -0.2, 0.53) for x in (-0.1, 0.1)]
            trunk += [cylinder(0.05, 0.5).at(x, -0.4) for x in (-0.1, 0.1)]
            head, seat = ellipsoid((0.09, 0.1, 0.12), 16, 10).at(0, 0, 1.19), 0.47 * size
            if seat_m is not None:
                seat = min(max(seat_m, seat - 0.1), seat + 0.07)
        else:
            trunk = [ellipsoid((0.2, 0.13, 0.35)).at(0, 0, 1.15)]
            trunk += [cylinder(0.07, 0.9).at(x, 0) for x in (-0.1, 0.1)]
            head, seat = ellipsoid((0.09, 0.1, 0.12), 16, 10).at(0, 0, 1.62), None
        parts = []
        for name, mesh, kind in (("body", merged(trunk), "cloth"), ("head", head, "skin")):
            vertices = (mesh.vertices_m * size).astype(np.float32)
            vertices[:, 2] += 0.0 if seat is None else seat - 0.47 * size
            color = tuple(float(c) for c in rng.uniform(0.05, 0.6, 3))
            parts.append(MeshPart(name, vertices, mesh.faces, vertices, Material(kind, color)))
        crown = parts[1].vertices_m
        centre = (crown.max(axis=0) + crown.min(axis=0)) / 2
        joints = {"head_top": crown[crown[:, 2].argmax()], "pelvis": parts[0].vertices_m.mean(axis=0)}
        everything = np.concatenate([part.vertices_m for part in parts])
        return PosedPerson(
            tuple(parts), joints, centre, crown, everything, posture, 1.75 * size, seat, {"pose": posture}
        )

    def moved(self, body, time_s, walked_m, stood=0.0):
        return body


@pytest.fixture(scope="session")
def mannequins():
    return Mannequins()


@pytest.fixture(scope="session")
def library() -> BodyLibrary:
    return BodyLibrary()


@pytest.fixture(scope="session")
def rigged_identity():
    """Return whom the rigged people are made of."""
    return sample_identity(Seeds(2), PersonRanges())


@pytest.fixture(scope="session")
def rigs(library: BodyLibrary, rigged_identity, tmp_path_factory) -> Path:
    """Return a folder with a person rigged in each usual way."""
    folder = tmp_path_factory.mktemp("rigs")
    made_rigs.write_rigs(folder, library, rigged_identity)
    return folder


@pytest.fixture(scope="session")
def cast(rigs: Path) -> Cast:
    return Cast.open(rigs)


@pytest.fixture
def tiny_renderer(tmp_path: Path):
    """Return a function that makes a renderer from settings over the tiny ones."""

    def make(source=None, **settings) -> BlenderRenderer:
        config = structure(BlenderConfig, {**TINY, **settings})
        return BlenderRenderer(config, None, Runtime(Seeds(1), tmp_path, threads=1), people=source or Mannequins())

    return make


@pytest.fixture(scope="session")
def windings():
    """Return the function that counts how often a closed surface goes round points."""
    return count_windings


def count_windings(points, vertices, faces):
    """Return how often a closed surface goes round each point (van Oosterom and Strackee 1983, equation 8)."""
    a, b, c, d = (vertices[faces[:, n]].astype(np.float64) for n in range(4))
    first = np.concatenate([a, a])
    second, third = np.concatenate([b, c]), np.concatenate([c, d])
    total = []
    for point in points:
        p, q, r = first - point, second - point, third - point
        lp, lq, lr = (np.sqrt(np.einsum("ij,ij->i", v, v)) for v in (p, q, r))
        volume = np.einsum("ij,ij->i", p, np.cross(q, r))
        dots = [np.einsum("ij,ij->i", v, w) for v, w in ((p, q), (q, r), (r, p))]
        total.append(2 * np.arctan2(volume, lp * lq * lr + dots[0] * lr + dots[1] * lp + dots[2] * lq).sum())
    return np.array(total) / (4 * np.pi)
