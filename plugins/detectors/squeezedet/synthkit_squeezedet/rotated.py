# SPDX-License-Identifier: Apache-2.0
"""Rotated boxes in the network's numbers: their deltas, what the deltas mean, and how two boxes overlap.

A box here is (cx, cy, w, h, degrees), clockwise on the screen, w <= h, as in ``synthkit.sample``; an anchor is
(cx, cy, w, h) without an angle, and stands for boxes of its size in any direction.

A box turned by 180 degrees is the same box. RAPiD (Duan et al., arXiv 2005.11623, section 3.2) therefore lets its angle
run through 360 degrees and takes a loss of period 180. Still, one number cannot follow a person around the image
without a jump somewhere. Two can: the angle is told as a vector in the direction of twice the angle, which comes
back to itself after half a turn, and the squared distance of two such vectors is the periodic loss, 4 m^2 sin^2 of the
difference for vectors of length m. The length is the log of the aspect ratio, so that the less the angle of a box
matters, the less it weighs, and a square, whose sides may change places, has none: position, size and this vector are
the logarithm of the box as a covariance (Arsigny et al., Log-Euclidean metrics, 2006), continuous everywhere.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from synthkit_squeezedet.anchors import Floats

NUMBERS = 6
"""Of a rotated box: dx, dy, dw, dh and the vector of its angle."""

_LONGEST_VECTOR = 1.0  # that of a box e times as long as wide: longer ones should not outweigh all else
_MARGIN_PX = 1e-3  # edges nearer than this lie on one another
_TINY = 1e-9


def encode(truth: Floats, anchors: Floats) -> Floats:
    """Return the deltas (N, 6) that take (N, 4) anchors to (N, 5) boxes.

    Centres are measured in the geometric mean of the anchor's sides, as it has no direction.
    """
    shift = (truth[:, :2] - anchors[:, :2]) / np.sqrt(anchors[:, 2:].prod(axis=1, keepdims=True))
    length = np.minimum(np.log(truth[:, 3] / truth[:, 2]), _LONGEST_VECTOR)
    twice = 2.0 * np.radians(truth[:, 4])
    vector = length[:, None] * np.stack([np.cos(twice), np.sin(twice)], axis=1)
    return np.concatenate([shift, np.log(truth[:, 2:4] / anchors[:, 2:]), vector], axis=1)


def decode(centre: Tensor, sides: Tensor, vector: Tensor) -> Tensor:
    """Return the boxes (..., 5) of centres (..., 2), sides (..., 2) in any order, and vectors (..., 2)."""
    # A box whose sides changed places is the same, turned by 90 degrees: twice that is a half turn.
    swapped = (sides[..., :1] > sides[..., 1:]).to(vector.dtype)
    vector = vector * (1.0 - 2.0 * swapped)
    degrees = torch.atan2(vector[..., 1:], vector[..., :1]) * (90.0 / math.pi)
    degrees = torch.where(degrees >= 90.0, degrees - 180.0, degrees)
    short, long = torch.minimum(sides[..., :1], sides[..., 1:]), torch.maximum(sides[..., :1], sides[..., 1:])
    return torch.cat([centre, short, long, degrees], dim=-1)


def iou(first: Tensor, second: Tensor) -> Tensor:
    """Return the overlap of boxes (..., 5) that broadcast against each other, exactly, and without sorting corners.

    By Green's theorem an area is half the sum of p x q over the pieces p to q of its border, and the border of what two
    boxes share is made of the pieces of each one's edges within the other. Edges that lie on one another count
    for the first box only. All is plain arithmetic, so any runtime can do it.
    """
    origin = second[..., :2]  # near both: small numbers lose less
    border = _border_within(first, second, origin, _MARGIN_PX) + _border_within(second, first, origin, -_MARGIN_PX)
    shared = torch.clamp(border / 2.0, min=0.0)
    areas = [boxes[..., 2] * boxes[..., 3] for boxes in (first, second)]
    return shared / torch.clamp(areas[0] + areas[1] - shared, min=1e-6)


def _border_within(box: Tensor, other: Tensor, origin: Tensor, margin_px: float) -> Tensor:
    """Return the sum of p x q over the pieces of a box's edges within another box; p and q are seen from ``origin``.

    In the other's own axes its inside is |x| <= w / 2, |y| <= h / 2, which cuts one piece out of each edge (Liang and
    Barsky 1984): the edge from start to start + edge is within from ``low`` to ``high``.
    """
    across, along = _axes(box)
    across, along = across * box[..., 2:3] / 2.0, along * box[..., 3:4] / 2.0
    corners = [-across - along, across - along, across + along, along - across]
    starts = torch.stack(corners, dim=-2) + (box[..., :2] - origin).unsqueeze(-2)
    edges = torch.stack([2.0 * across, 2.0 * along, -2.0 * across, -2.0 * along], dim=-2)
    axes = torch.stack(_axes(other), dim=-1).unsqueeze(-3)
    start, edge = (
        (points.unsqueeze(-1) * axes).sum(dim=-2)
        for points in (starts - (other[..., :2] - origin).unsqueeze(-2), edges)
    )
    edge = torch.where(edge.abs() < _TINY, _TINY, edge)
    half = other[..., 2:4].unsqueeze(-2) / 2.0 + margin_px
    enter, leave = (-half - start) / edge, (half - start) / edge
    low = torch.clamp(torch.minimum(enter, leave).amax(dim=-1), min=0.0)
    high = torch.clamp(torch.maximum(enter, leave).amin(dim=-1), max=1.0)
    crossed = starts[..., 0] * edges[..., 1] - starts[..., 1] * edges[..., 0]
    return (torch.clamp(high - low, min=0.0) * crossed).sum(dim=-1)


def _axes(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Return the directions of the width and of the height of boxes (..., 5): (..., 2) each."""
    angle = boxes[..., 4] * (math.pi / 180.0)
    cos, sin = torch.cos(angle), torch.sin(angle)
    return torch.stack([cos, sin], dim=-1), torch.stack([-sin, cos], dim=-1)
