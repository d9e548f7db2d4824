# SPDX-License-Identifier: Apache-2.0
"""Triangles on pixel centres, and what a person alone would cover in an image: which face is seen where."""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from synthkit.camera import FisheyeCamera
from synthkit_blender.crowd import Figure

Floats = NDArray[np.float64]
Window = tuple[int, int, int, int]
BEYOND_RAD = 0.6  # how far beyond the lens's field of view bodies are followed
MAX_THETA_RAD = 3.0
REACH = 1.0  # of the image's size: how far beyond its edges bodies are followed


@attrs.frozen(eq=False)
class Hits:
    """Which pixel centres lie in which triangles, one entry (N,) each.

    Args:
        x, y: the pixel. triangle: an index. weights: (N, 3) barycentric, of the triangle's corners.
    """

    x: NDArray[np.int64]
    y: NDArray[np.int64]
    triangle: NDArray[np.int64]
    weights: Floats


def hits(triangles_px: Floats, width_px: int, height_px: int) -> Hits:
    """Return the pixels of an image whose centres lie in triangles (T, 3, 2), all of a size at once."""
    first, last = _centres(np.ascontiguousarray(triangles_px.transpose(1, 2, 0)), width_px, height_px)
    span = last - first + 1
    holds = np.flatnonzero((span > 0).all(axis=0))
    triangles_px, first, last, span = triangles_px[holds], first[:, holds], last[:, holds], span[:, holds]
    side = 1 << np.ceil(np.log2(span.max(axis=0))).astype(np.int64)
    found = []
    for size in np.unique(side).tolist():
        alike = np.flatnonzero(side == size)
        at_once = max(1, (1 << 21) // (size * size))
        for start in range(0, len(alike), at_once):
            some = alike[start : start + at_once]
            found.append(_hits_alike(triangles_px[some], first[:, some], last[:, some], size, holds[some]))
    if not found:
        nothing = np.zeros(0, np.int64)
        return Hits(nothing, nothing, nothing, np.zeros((0, 3)))
    return Hits(*(np.concatenate([getattr(one, f.name) for one in found]) for f in attrs.fields(Hits)))


def _centres(corners_px: Floats, width_px: int, height_px: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first and the last pixel (2, N), column and row, whose centre lies within the extent of corners.

    Args:
        corners_px: (K, 2, N) of what has K corners. Where the last comes before the first there is none.
    """
    # Corner by corner: reductions over so short an axis are slow.
    low, high = corners_px[0], corners_px[0]
    for corner in corners_px[1:]:
        low, high = np.minimum(low, corner), np.maximum(high, corner)
    first = np.maximum(np.ceil(low - 0.5), 0)
    last = np.minimum(np.floor(high - 0.5), np.array([[width_px - 1], [height_px - 1]]))
    return first.astype(np.int64), last.astype(np.int64)


def _hits_alike(
    triangles: Floats, first: NDArray[np.int64], last: NDArray[np.int64], size: int, numbers: NDArray[np.int64]
) -> Hits:
    column, row = (grid.reshape(-1) for grid in np.meshgrid(np.arange(size), np.arange(size), indexing="xy"))
    x, y = (first[0] + 0.5)[:, None] + column, (first[1] + 0.5)[:, None] + row
    sides = []
    for n in range(3):
        # The side opposite to corner n, whose weight it gives.
        p, q = triangles[:, (n + 1) % 3], triangles[:, (n + 2) % 3]
        along = q - p
        sides.append(along[:, :1] * (y - p[:, 1:]) - along[:, 1:] * (x - p[:, :1]))
    one, two, three = sides
    covered = (np.minimum(np.minimum(one, two), three) >= 0) | (np.maximum(np.maximum(one, two), three) <= 0)
    covered &= (x < (last[0] + 1)[:, None]) & (y < (last[1] + 1)[:, None])
    chosen, place = np.nonzero(covered)
    areas = np.stack([side[chosen, place] for side in sides], axis=1)
    total = areas.sum(axis=1, keepdims=True)
    weights = np.where(total != 0, areas / np.where(total != 0, total, 1), 1 / 3)
    return Hits(first[0][chosen] + column[place], first[1][chosen] + row[place], numbers[chosen], weights)


@attrs.frozen(eq=False)
class Footprint:
    """What a figure would cover if nothing stood in front, the image's rim neither.

    Args:
        left, top: the window's place in the image, pixels; it may reach beyond the image.
        vertex: (h, w) int32, of the front-most face at each pixel centre the corner nearest to it, an index into
            the figure's ``surface_vertices_m``; -1 where the figure is not.
        depth_m: (h, w) float32 along the ray, infinite there.
    """

    left: int
    top: int
    vertex: NDArray[np.int32]
    depth_m: NDArray[np.float32]

    @classmethod
    def of(cls, figure: Figure, camera: FisheyeCamera) -> Footprint:
        """Draw all of a figure's faces with a depth buffer."""
        points = figure.world(figure.body.surface_vertices_m)
        pixels, valid = project_beyond(camera, points)
        left, top, right, bottom = _window(pixels[valid], camera)
        width, height = right - left, bottom - top
        vertex, depth = np.full((height, width), -1, np.int32), np.full((height, width), np.inf, np.float32)
        pixels -= left, top
        triangles = _triangles(figure, pixels)
        if not valid.all():
            triangles = triangles[np.logical_and.reduce([valid[corner] for corner in triangles.T])]
        found = hits(pixels[triangles], width, height)
        corners = triangles[found.triangle]
        x, y, z = (points - camera.world_from_camera[:3, 3]).T
        a, b, c = (np.sqrt(x * x + y * y + z * z)[corners] * found.weights).T
        hit_m = a + b + c
        order = np.argsort(-hit_m, kind="stable")  # of each pixel's the nearest is written last
        y, x = found.y[order], found.x[order]
        vertex[y, x] = corners[order, found.weights[order].argmax(axis=1)]
        depth[y, x] = hit_m[order]
        return cls(left, top, vertex, depth)

    @property
    def covered(self) -> NDArray[np.bool_]:
        """Where in its window the figure is."""
        return self.vertex >= 0

    def cut(self, image: NDArray[np.generic], beyond: float = 0) -> NDArray[np.generic]:
        """Return the window's part of an image (H, W), ``beyond`` outside of it."""
        height, width = self.vertex.shape
        part = np.full((height, width), beyond, image.dtype)
        inside, window = self._overlap(image.shape[1], image.shape[0])
        part[window] = image[inside]
        return part

    def laid(self, part: NDArray[np.generic], width_px: int, height_px: int, beyond: float = 0) -> NDArray[np.generic]:
        """Return an image (H, W) with something of the window's size in its place, ``beyond`` around it."""
        image = np.full((height_px, width_px), beyond, part.dtype)
        inside, window = self._overlap(width_px, height_px)
        image[inside] = part[window]
        return image

    def _overlap(self, width_px: int, height_px: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Return the (rows, columns) that window and image share: in the image, in the window."""
        height, width = self.vertex.shape
        left, top = max(0, self.left), max(0, self.top)
        right, bottom = max(left, min(width_px, self.left + width)), max(top, min(height_px, self.top + height))
        image = slice(top, bottom), slice(left, right)
        return image, (slice(top - self.top, bottom - self.top), slice(left - self.left, right - self.left))


def project_beyond(camera: FisheyeCamera, points_world_m: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Project points (N, 3) as the camera does, and beyond its field of view as if the lens went on straight.

    There the radius grows with the angle as it does at the image circle's edge, up to ``BEYOND_RAD``.

    Returns:
        (N, 2) pixels and (N,) which points are that near.
    """
    local = (points_world_m - camera.world_from_camera[:3, 3]) @ camera.world_from_camera[:3, :3]
    across = np.hypot(local[:, 0], local[:, 1])
    # NumPy picks its loop for strided operands by where they lie in memory, and the loops differ in the last bit.
    theta = np.arctan2(across, np.array(local[:, 2], order="C"))
    edge, within = camera.max_theta_rad, camera.max_theta_rad * (1 - 1e-4)
    slope = (camera.max_radius_px - float(camera.radius_px(within))) / (edge - within)
    radius = camera.radius_px(np.minimum(theta, edge)) + np.maximum(theta - edge, 0) * slope
    scale = radius / np.where(across > 0, across, 1.0)
    pixels = np.stack([camera.cx_px + scale * local[:, 0], camera.cy_px + scale * local[:, 1]], axis=-1)
    return pixels, theta <= max(edge, min(edge + BEYOND_RAD, MAX_THETA_RAD))


def _triangles(figure: Figure, points_px: Floats) -> NDArray[np.int64]:
    """Return the faces of all parts that may hold the centre of a pixel, as triangles (T, 3) of ``surface_vertices_m``.

    Most faces of a mesh lie between pixels' centres: seen in a row or in a column, they are all of one pixel's.
    """
    first, last = np.ceil(points_px - 0.5).astype(np.int32).T, np.floor(points_px - 0.5).astype(np.int32).T
    found, offset = [], 0
    for part in figure.body.parts:
        faces = np.ascontiguousarray(part.faces.T, np.int64) + offset
        for low, high in zip(first, last, strict=True):
            a, b, c, d = faces
            lowest = np.minimum(np.minimum(low[a], low[b]), np.minimum(low[c], low[d]))
            highest = np.maximum(np.maximum(high[a], high[b]), np.maximum(high[c], high[d]))
            faces = faces[:, lowest <= highest]
        a, b, c, d = faces
        found += [np.column_stack([a, b, c]), np.column_stack([a, c, d])[c != d]]
        offset += len(part.vertices_m)
    return np.concatenate(found)


def _window(points_px: Floats, camera: FisheyeCamera) -> Window:
    """Return the pixels (left, top, right, bottom) around points, near the image at least."""
    if not len(points_px):
        return 0, 0, 0, 0
    size, (x, y) = np.array((camera.width_px, camera.height_px)), points_px.T
    low = np.maximum(np.floor((x.min(), y.min())), -REACH * size).astype(int)
    high = np.minimum(np.ceil((x.max(), y.max())), (1 + REACH) * size).astype(int)
    right, bottom = np.maximum(high, low).tolist()
    return int(low[0]), int(low[1]), int(right), int(bottom)
