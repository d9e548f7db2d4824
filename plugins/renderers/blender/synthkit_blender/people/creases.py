# SPDX-License-Identifier: Apache-2.0
"""Where posed cloth is slack and creases, and where it is taut."""

from __future__ import annotations

import numpy as np

from synthkit_blender.people.types import FloatArray, IntArray

SLACK_AT_REST = 0.45  # cloth is never quite smooth
SLACK_PER_SHORTENING = 2.5
CORNERS = ((0, 1), (1, 2), (2, 3), (3, 0))


def slackness(rest_m: FloatArray, posed_m: FloatArray, faces: IntArray) -> FloatArray:
    """Return how slack cloth is at each vertex (V,), 0 taut to 1: most where its edges are shorter than at rest.

    Args:
        rest_m, posed_m: (V, 3). faces: (F, 4); a triangle repeats its last vertex.
    """
    edges = np.concatenate([faces[:, pair] for pair in CORNERS])
    a, b = edges[edges[:, 0] != edges[:, 1]].T
    long_m, now_m = (np.linalg.norm(points[a] - points[b], axis=1) for points in (rest_m, posed_m))
    shorter = np.clip(1 - now_m / np.maximum(long_m, 1e-6), -0.5, 0.8)
    around = _mean_at(np.concatenate([a, b]), np.concatenate([shorter, shorter]), len(rest_m))
    around = _mean_at(np.concatenate([a, b]), around[np.concatenate([b, a])], len(rest_m))  # no speckles
    return np.clip(SLACK_AT_REST + SLACK_PER_SHORTENING * around, 0, 1).astype(np.float32)


def _mean_at(vertices: IntArray, values: FloatArray, count: int) -> FloatArray:
    """Return the mean (count,) of the values that fall on each vertex."""
    sums, each = np.bincount(vertices, values, count), np.bincount(vertices, minlength=count)
    return np.asarray(sums / np.maximum(each, 1), np.float32)
