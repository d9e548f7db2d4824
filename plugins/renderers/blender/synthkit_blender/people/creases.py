# SPDX-License-Identifier: Apache-2.0
"""Where posed cloth is slack and creases, and where it is taut."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthkit_blender.people.types import FloatArray, IntArray

SLACK_AT_REST = 0.45  # cloth is never quite smooth
SLACK_PER_SHORTENING = 2.5
CORNERS = ((0, 1), (1, 2), (2, 3), (3, 0))


def slackness(rest_m: FloatArray, posed_m: FloatArray, faces: IntArray) -> FloatArray:
    """Return how slack cloth is at each vertex (V,), 0 taut to 1: most where its edges are shorter than at rest.

    Args:
        rest_m, posed_m: (V, 3). faces: (F, 4); a triangle repeats its last vertex.
    """
    edges = np.concatenate([faces[:, pair] for pair in CORNERS]).astype(np.intp)
    a, b = np.ascontiguousarray(edges[edges[:, 0] != edges[:, 1]].T)
    long_m, now_m = (_lengths(points, a, b) for points in (rest_m, posed_m))
    shorter = np.clip(1 - now_m / np.maximum(long_m, 1e-6), -0.5, 0.8)
    ends, others = np.concatenate([a, b]), np.concatenate([b, a])
    each = np.maximum(np.bincount(ends, minlength=len(rest_m)), 1)
    around = _mean_at(ends, np.concatenate([shorter, shorter]), each)
    around = _mean_at(ends, around[others], each)  # no speckles
    return np.clip(SLACK_AT_REST + SLACK_PER_SHORTENING * around, 0, 1).astype(np.float32)


def _lengths(points_m: FloatArray, a: NDArray[np.intp], b: NDArray[np.intp]) -> FloatArray:
    """Return the lengths (E,) of edges, axis by axis: NumPy's functions for short axes take several times as long."""
    x, y, z = ((column[a] - column[b]) ** 2 for column in np.ascontiguousarray(points_m.T))
    return np.asarray(np.sqrt(x + y + z))


def _mean_at(vertices: NDArray[np.intp], values: FloatArray, each: NDArray[np.intp]) -> FloatArray:
    """Return the mean (V,) of the values that fall on each vertex, so many on each."""
    return np.asarray(np.bincount(vertices, values, len(each)) / each, np.float32)
