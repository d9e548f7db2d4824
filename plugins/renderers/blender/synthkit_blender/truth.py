# SPDX-License-Identifier: Apache-2.0
"""What is known about the people of a frame, from its Cryptomatte, its depth and their meshes."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any

import attrs
import cv2
import numpy as np
from numpy.typing import NDArray

from synthkit.camera import FisheyeCamera
from synthkit.sample import Keypoint, Person, RotatedBox
from synthkit_blender.crowd import Figure
from synthkit_blender.develop import image_circle

Floats = NDArray[np.float64]
MIN_COVERAGE = 0.5
PIXEL_DECIMALS = 3
METRE_DECIMALS = 5
KEYPOINT_DEPTH_M = 0.14  # how deep below the skin a joint may lie and still count as seen


@attrs.frozen(eq=False)
class Truth:
    """People in the order of the scene's figures, and the layers they appear in.

    Args:
        instances: (H, W) uint8, ``Person.instance`` where a person covers at least half a pixel.
        coverage: (H, W) float32 in 0..1, of all people together; both are 0 outside the image circle.
    """

    people: tuple[Person, ...]
    instances: NDArray[np.uint8]
    coverage: NDArray[np.float32]


def annotate(
    figures: Sequence[Figure], camera: FisheyeCamera, ids: NDArray[np.float32], ranks: NDArray[np.float32],
    depth_m: NDArray[np.float32], min_visible_px: int,
) -> Truth:  # fmt: skip
    """Return the truth of a rendered frame.

    Args:
        ids, ranks: (R, H, W) Cryptomatte asset ids and coverages. depth_m: (H, W) along the ray.
        min_visible_px: people with fewer visible pixels stay in the list without box or instance and with
            ``visible_fraction`` 0.

    The visible fraction is of the pixels that a person would cover in the image if nothing stood in front.
    """
    instances, total = np.zeros(depth_m.shape, np.uint8), np.zeros(depth_m.shape, np.float32)
    if not figures:
        return Truth((), instances, total)
    # A little more is rendered than the image circle shows.
    circle, _ = image_circle(camera)
    shares = asset_coverage([figure.name for figure in figures], ids, ranks) * circle
    most = shares.argmax(axis=0)
    people: list[Person] = []
    number = 0
    for index, figure in enumerate(figures):
        mask = (shares[index] >= MIN_COVERAGE) & (most == index)
        if int(mask.sum()) < min_visible_px:
            people.append(_person(figure, camera, None, None, depth_m))
            continue
        number += 1
        instances[mask] = number
        people.append(_person(figure, camera, mask, number, depth_m))
    np.clip(shares.sum(axis=0), 0, 1, out=total)
    return Truth(tuple(people), instances, total)


def _person(
    figure: Figure, camera: FisheyeCamera, mask: NDArray[np.bool_] | None, number: int | None,
    depth_m: NDArray[np.float32],
) -> Person:  # fmt: skip
    head, head_valid = camera.project(figure.world(figure.body.head_vertices_m))
    centre, centre_valid = camera.project(figure.world(figure.body.head_centre_m))
    fraction = 0.0
    if mask is not None:
        fraction = min(1.0, float(mask.sum()) / max(1, int(silhouette(figure, camera).sum())))
    complete = bool(head_valid.all())
    return Person(
        instance=number,
        identity=figure.identity,
        head_px=_rounded(centre, PIXEL_DECIMALS) if centre_valid else None,
        head_box_xyxy_px=_rounded((*head.min(axis=0), *head.max(axis=0)), PIXEL_DECIMALS) if complete else None,
        box_xyxy_px=None if mask is None else upright_box(mask),
        rotated_box=None if mask is None else rotated_box(mask),
        keypoints=_keypoints(figure, camera, mask, depth_m),
        visible_fraction=round(fraction, 4),
        attributes={**figure.body.attributes, "posture": figure.body.posture},
    )


def asset_coverage(names: Sequence[str], ids: NDArray[np.float32], ranks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (N, H, W) how much of each pixel each of N assets covers, from their ids and coverages (R, H, W)."""
    wanted = [np.uint32(cryptomatte_id(name)) for name in names]
    shares = np.zeros((len(names), ranks[0].size), np.float32)
    for keys, coverage in zip(ids.reshape(len(ids), -1), ranks.reshape(len(ranks), -1), strict=True):
        # All but the first rank are empty nearly everywhere.
        filled = np.flatnonzero(coverage)
        # Ids are hashes that only look like floats: compare their bits.
        bits = keys.view(np.uint32)[filled]
        for share, key in zip(shares, wanted, strict=True):
            where = filled[bits == key]
            share[where] += coverage[where]
    return shares.reshape(len(names), *ranks.shape[1:])


def cryptomatte_id(name: str) -> int:
    """Return the bits of a name's id: MurmurHash3 x86 32 with seed 0, no exponent of 0 or 255.

    Source: Friedman and Jones, Cryptomatte specification 1.2.0 (Psyop), section on id generation.
    """
    value = murmur3(name.encode())
    exponent = value >> 23 & 0xFF
    return value ^ 1 << 23 if exponent in (0, 255) else value


def murmur3(data: bytes) -> int:
    """Return MurmurHash3 x86 32 with seed 0 (Appleby, public domain algorithm)."""
    mask = 0xFFFFFFFF

    def mixed(k: int) -> int:
        k = k * 0xCC9E2D51 & mask
        return (k << 15 | k >> 17) * 0x1B873593 & mask

    h = 0
    whole = len(data) // 4 * 4
    for (k,) in struct.iter_unpack("<I", data[:whole]):
        h ^= mixed(k)
        h = (h << 13 | h >> 19) & mask
        h = (h * 5 + 0xE6546B64) & mask
    if tail := data[whole:]:
        h ^= mixed(int.from_bytes(tail, "little"))
    h ^= len(data)
    h = (h ^ h >> 16) * 0x85EBCA6B & mask
    h = (h ^ h >> 13) * 0xC2B2AE35 & mask
    return h ^ h >> 16


def upright_box(mask: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """Return the edges (left, top, right, bottom) of a mask's pixels."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def rotated_box(mask: NDArray[np.bool_]) -> RotatedBox:
    """Return the smallest rotated rectangle around a mask's pixels, corners included."""
    y, x = np.nonzero(mask)
    corners = np.concatenate([np.column_stack([x + dx, y + dy]) for dx in (0, 1) for dy in (0, 1)])
    (cx, cy), (w, h), degrees = cv2.minAreaRect(cv2.convexHull(corners.astype(np.int32)))
    return RotatedBox.normalized(cx, cy, w, h, degrees)


def _keypoints(
    figure: Figure, camera: FisheyeCamera, mask: NDArray[np.bool_] | None, depth_m: NDArray[np.float32]
) -> dict[str, Keypoint]:
    names = sorted(figure.body.joints_m)
    world = figure.world(np.stack([figure.body.joints_m[name] for name in names]))
    pixels, valid = camera.project(world)
    distance = np.linalg.norm(world - camera.world_from_camera[:3, 3], axis=-1)
    found: dict[str, Keypoint] = {}
    for name, point, place, inside, far in zip(names, world, pixels, valid, distance, strict=True):
        if inside:
            visible = mask is not None and _seen(place, float(far), mask, depth_m)
            x, y = _rounded(place, PIXEL_DECIMALS)
            found[name] = Keypoint(x, y, visible, _rounded(point, METRE_DECIMALS))
    return found


def _rounded(values: Iterable[float], decimals: int) -> tuple[Any, ...]:
    """Round: NumPy's vector functions differ in the last bit with where in memory their operands lie."""
    return tuple(round(float(value), decimals) for value in values)


def _seen(pixel: Floats, distance_m: float, mask: NDArray[np.bool_], depth_m: NDArray[np.float32]) -> bool:
    x, y = int(np.floor(pixel[0])), int(np.floor(pixel[1]))
    if not (0 <= y < mask.shape[0] and 0 <= x < mask.shape[1]) or not mask[y, x]:
        return False
    return bool(distance_m - depth_m[y, x] < KEYPOINT_DEPTH_M)


def silhouette(figure: Figure, camera: FisheyeCamera) -> NDArray[np.bool_]:
    """Return (H, W) which pixel centres a person would cover if nothing stood in front."""
    mask = np.zeros((camera.height_px, camera.width_px), bool)
    for part in figure.body.parts:
        pixels, valid = camera.project(figure.world(part.vertices_m))
        a, b, c, d = part.faces.T
        triangles = np.concatenate([np.column_stack([a, b, c]), np.column_stack([a, c, d])[c != d]])
        first, second, third = valid[triangles.T]
        triangles = triangles[first & second & third]
        fill(mask, pixels[triangles])
    return mask


def fill(mask: NDArray[np.bool_], triangles_px: Floats) -> None:
    """Set the pixels of a mask (H, W) whose centres lie in any triangle (T, 3, 2), all of a size at once."""
    # Corner by corner: reductions over so short an axis are slow.
    corners = triangles_px[:, 0], triangles_px[:, 1], triangles_px[:, 2]
    low, high = np.minimum.reduce(corners), np.maximum.reduce(corners)
    # The first and last pixel, by column and row, whose centre is within the triangle's extent and the mask.
    first = np.maximum(np.ceil(low - 0.5), 0).astype(np.int64)
    last = np.minimum(np.floor(high - 0.5), np.array(mask.shape[::-1]) - 1).astype(np.int64)
    span = last - first + 1
    holds = (span[:, 0] > 0) & (span[:, 1] > 0)  # most triangles of a mesh lie between pixel centres
    triangles_px, first, last, span = triangles_px[holds], first[holds], last[holds], span[holds]
    side = 1 << np.ceil(np.log2(np.maximum(span[:, 0], span[:, 1]))).astype(np.int64)
    for size in np.unique(side):
        chosen = side == size
        _fill_alike(mask, triangles_px[chosen], first[chosen], last[chosen], int(size))


def _fill_alike(
    mask: NDArray[np.bool_], triangles: Floats, first: NDArray[np.int64], last: NDArray[np.int64], size: int
) -> None:
    at_once = max(1, (1 << 21) // (size * size))
    column, row = (grid.reshape(-1) for grid in np.meshgrid(np.arange(size), np.arange(size), indexing="xy"))
    for start in range(0, len(triangles), at_once):
        part = slice(start, start + at_once)
        x, y = first[part, :1] + column, first[part, 1:] + row
        sides = []
        for n in range(3):
            p, q = triangles[part, n], triangles[part, (n + 1) % 3]
            sides.append((q[:, :1] - p[:, :1]) * (y + 0.5 - p[:, 1:]) - (q[:, 1:] - p[:, 1:]) * (x + 0.5 - p[:, :1]))
        covered = (np.minimum.reduce(sides) >= 0) | (np.maximum.reduce(sides) <= 0)
        covered &= (x <= last[part, :1]) & (y <= last[part, 1:])
        mask[y[covered], x[covered]] = True


def plain_depth(depth_m: NDArray[Any], image_circle: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return depth with 0 where there is none: outside the image circle, or nothing was hit."""
    return np.where(image_circle & (depth_m < 1e4), depth_m, 0).astype(np.float32)
