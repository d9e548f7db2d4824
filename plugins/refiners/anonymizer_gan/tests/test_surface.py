# SPDX-License-Identifier: Apache-2.0
"""The embedding of the body's surface."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from synthkit.errors import DatasetError
from synthkit.sample import Sample
from synthkit.surfaces import MPFB
from synthkit_anonymizer_gan import surface


def _sphere(cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a unit sphere of quadrilaterals: a cube that was blown up."""
    numbers: dict[tuple[int, ...], int] = {}
    quads = []
    for axis, side in itertools.product(range(3), (0, cells)):
        for u, v in itertools.product(range(cells), range(cells)):
            corners = [(u, v), (u + 1, v), (u + 1, v + 1), (u, v + 1)]
            points = [tuple(np.insert(corner, axis, side)) for corner in corners]
            quads.append([numbers.setdefault(point, len(numbers)) for point in points])
    vertices = np.tan((np.array(list(numbers)) / cells - 0.5) * np.pi / 2)
    return vertices / np.linalg.norm(vertices, axis=1, keepdims=True), np.array(quads)


def test_eigenfunctions_of_a_sphere_are_its_harmonics():
    vertices, quads = _sphere(12)
    found = surface.eigenfunctions(vertices, quads, 8)
    # The first three span x, y and z, the next five polynomials of degree 2.
    x, y, z = vertices.T
    second = np.stack([x * y, y * z, z * x, x**2 - y**2, z**2 - 1 / 3], axis=1)
    for basis, part in ((vertices, found[:, :3]), (second, found[:, 3:])):
        known, *_ = np.linalg.lstsq(basis, part, rcond=None)
        assert np.abs(basis @ known - part).max() < 0.03 * np.abs(part).max()
    assert (found**2).mean(axis=0) == pytest.approx(1, abs=0.08)  # cells are of about one size
    assert np.corrcoef(found.T) == pytest.approx(np.eye(8), abs=0.08)
    assert np.array_equal(found, surface.eigenfunctions(vertices, quads, 8))


def test_the_mesh_has_an_embedding_that_knows_left_from_right(real_mesh):
    table = surface.table_of("mpfb", None)
    assert table.shape == (1 + MPFB.vertices, 16)
    assert not table[0].any()
    mirrored = table[surface.mirror_of("mpfb")]
    alike = [float(np.corrcoef(table[1:, n], mirrored[1:, n])[0, 1]) for n in range(16)]
    assert np.abs(alike) == pytest.approx(1, abs=1e-3)  # each is even or odd
    assert min(alike) < 0 < max(alike)
    assert len(np.unique(table, axis=0)) > 13_000  # places are told apart


def test_maps_of_each_mesh_are_read_from_their_own_layer():
    image = np.zeros((2, 3, 3), np.uint8)
    rows = np.array([[0, 5, 0], [9, 0, 0]], np.uint16)
    sample = Sample(key="a", image=image, layers={"surface": rows, "surface_smpl": rows + 1})
    assert np.array_equal(surface.places(sample, "mpfb"), rows)
    assert np.array_equal(surface.places(sample, "smpl"), rows + 1)
    assert surface.places(sample, "none") is None
    assert surface.places(Sample(key="a", image=image), "mpfb") is None
    with pytest.raises(DatasetError, match=r"sample a: has a layer surface with 0\.\.20000, expected 0\.\.19158"):
        surface.places(Sample(key="a", image=image, layers={"surface": rows // 9 * 20_000}), "mpfb")


def test_smpl_has_the_table_that_is_given(tmp_path):
    rows = torch.arange(27_554 * 16, dtype=torch.float32).reshape(27_554, 16)
    torch.save(rows, tmp_path / "embed_map.torch")
    table = surface.table_of("smpl", tmp_path / "embed_map.torch")
    assert np.array_equal(table[1:], rows.numpy())
    assert surface.table_of("none", None).shape == (1, 0)
    assert np.array_equal(surface.mirror_of("smpl"), np.arange(27_555))
