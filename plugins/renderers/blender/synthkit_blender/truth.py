# SPDX-License-Identifier: Apache-2.0
"""What is known about the people of a frame, from its Cryptomatte and their meshes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import attrs
import cv2
import numpy as np
from numpy.typing import NDArray

from synthkit.camera import FisheyeCamera
from synthkit.crops import camera_nadir_px
from synthkit.sample import FRAME, SCENERY, Box, Keypoint, Person
from synthkit_blender.boxes import radial_box, rotated_box, upright_box
from synthkit_blender.crowd import Figure
from synthkit_blender.cryptomatte import asset_coverage
from synthkit_blender.light import image_circle
from synthkit_blender.people.keypoints import below_skin_m
from synthkit_blender.people.surface import skin_vertices
from synthkit_blender.raster import Footprint

Mask = NDArray[np.bool_]
MIN_COVERAGE = 0.5
PIXEL_DECIMALS = 3
METRE_DECIMALS = 5
LEAST_HIDDEN = 0.02  # of a person: less is told of nobody
_OUTSIDE = -1


@attrs.frozen(eq=False)
class Truth:
    """People in the order of the scene's figures, and the layers they appear in.

    Args:
        instances: (H, W) uint8, ``Person.instance`` where a person covers at least half a pixel.
        coverage: (H, W) float32 in 0..1, of all people together; both are 0 outside the image circle.
        circle: (H, W) which pixels see anything.
        figures, footprints: of each of the people: what was drawn, and where it would be seen if nothing hid it.
    """

    people: tuple[Person, ...]
    instances: NDArray[np.uint8]
    coverage: NDArray[np.float32]
    circle: Mask
    figures: tuple[Figure, ...] = ()
    footprints: tuple[Footprint, ...] = ()

    def amodal(self) -> NDArray[Any]:
        """Return (H, W) in which pixels each instance is, seen or hidden: bit n - 1 for instance n.

        The dtype is the least of uint8, 16, 32 and 64 that has bits for all.
        """
        seen = [(person, footprint) for person, footprint in self._numbered()]
        bits = next(bits for bits in (8, 16, 32, 64) if bits >= len(seen))
        planes = np.zeros(self.instances.shape, f"uint{bits}")
        height, width = planes.shape
        for bit, (person, footprint) in enumerate(seen):  # instances are dense from 1, in this order
            whole = footprint.laid(footprint.covered, width, height) | (self.instances == person.instance)
            planes[whole & self.circle] |= planes.dtype.type(1 << bit)
        return planes

    def surface(self) -> NDArray[np.uint16]:
        """Return (H, W) 1 + the vertex of the MPFB base mesh that is seen in each pixel, 0 where there is none.

        It is that of the skin: what is worn takes the skin's vertex that is nearest at rest. Pixels of a person
        whose centre the body misses by less than a pixel take their neighbour's.
        """
        surface = np.zeros(self.instances.shape, np.uint16)
        height, width = surface.shape
        for figure, (person, footprint) in zip(self.figures, self._paired(), strict=True):
            if person.instance is None:
                continue
            labels = (1 + skin_vertices_of(figure)[_spread(footprint.vertex)]).astype(np.uint16)
            mine = self.instances == person.instance
            surface[mine] = footprint.laid(labels, width, height)[mine]
        return surface

    def _paired(self) -> Iterable[tuple[Person, Footprint]]:
        return zip(self.people, self.footprints, strict=True)

    def _numbered(self) -> Iterable[tuple[Person, Footprint]]:
        return ((person, footprint) for person, footprint in self._paired() if person.instance is not None)


def annotate(
    figures: Sequence[Figure], camera: FisheyeCamera, ids: NDArray[np.float32], ranks: NDArray[np.float32],
    min_visible_px: int, points: Collection[str] | None = None, footprints: Sequence[Footprint] | None = None,
) -> Truth:  # fmt: skip
    """Return the truth of a rendered frame.

    Args:
        ids, ranks: (R, H, W) Cryptomatte asset ids and coverages.
        min_visible_px: people with fewer visible pixels stay in the list without box or instance and with
            ``visible_fraction`` 0.
        points: names of the key points that are wanted; None for all.
        footprints: of the figures, where they are known already.
    """
    shape = ranks.shape[1:]
    instances, total = np.zeros(shape, np.uint8), np.zeros(shape, np.float32)
    circle, _ = image_circle(camera)
    if not figures:
        return Truth((), instances, total, circle)
    # A little more is rendered than the image circle shows.
    shares = asset_coverage([figure.name for figure in figures], ids, ranks) * circle
    most = shares.argmax(axis=0)
    numbers: list[int | None] = []
    for index in range(len(figures)):
        mask = (shares[index] >= MIN_COVERAGE) & (most == index)
        seen = int(mask.sum()) >= min_visible_px
        numbers.append(1 + sum(number is not None for number in numbers) if seen else None)
        if seen:
            instances[mask] = numbers[-1]
    np.clip(shares.sum(axis=0), 0, 1, out=total)
    owners = np.where(circle, instances.astype(np.int16), np.int16(_OUTSIDE))
    footprints = footprints or [Footprint.of(figure, camera) for figure in figures]
    people = tuple(
        _person(figure, camera, number, footprint, owners, points)
        for figure, number, footprint in zip(figures, numbers, footprints, strict=True)
    )
    return Truth(people, instances, total, circle, tuple(figures), tuple(footprints))


def _person(
    figure: Figure, camera: FisheyeCamera, number: int | None, footprint: Footprint, owners: NDArray[np.int16],
    points: Collection[str] | None,
) -> Person:  # fmt: skip
    """Describe one person; ``owners`` (H, W) are the instances, and -1 outside the image circle."""
    head, head_valid = camera.project(figure.world(figure.body.head_vertices_m))
    centre, centre_valid = camera.project(figure.world(figure.body.head_centre_m))
    mask = None if number is None else owners == number
    covered, seen = int(footprint.covered.sum()), 0 if mask is None else int(mask.sum())
    fraction = round(min(1.0, seen / max(1, covered)), 4)
    box = None if mask is None else upright_box(mask)
    return Person(
        instance=number,
        identity=figure.identity,
        head_px=_rounded(centre, PIXEL_DECIMALS) if centre_valid else None,
        head_box_xyxy_px=_rounded((*head.min(axis=0), *head.max(axis=0)), PIXEL_DECIMALS) if head_valid.all() else None,
        box_xyxy_px=box,
        rotated_box=None if mask is None else rotated_box(mask),
        radial_box=None if mask is None else radial_box(mask, camera_nadir_px(camera)),
        full_box_xyxy_px=_full_box(footprint, box),
        floor_m=_rounded((figure.pose.x_m, figure.pose.y_m, 0.0), METRE_DECIMALS),
        keypoints=_keypoints(figure, camera, mask, footprint, points),
        visible_fraction=fraction,
        occluder=None if fraction > 1 - LEAST_HIDDEN else _occluder(footprint, owners, number),
        attributes={**figure.body.attributes, "posture": figure.body.posture},
    )


def _full_box(footprint: Footprint, box: Box | None) -> Box | None:
    if not footprint.covered.any():
        return box
    left, top, right, bottom = upright_box(footprint.covered)
    x, y = footprint.left, footprint.top
    whole = left + x, top + y, right + x, bottom + y
    if box is None:
        return whole
    return min(whole[0], box[0]), min(whole[1], box[1]), max(whole[2], box[2]), max(whole[3], box[3])


def _occluder(footprint: Footprint, owners: NDArray[np.int16], number: int | None) -> int | str | None:
    """Return what is seen in most of the pixels where the person is and is not seen."""
    at = footprint.cut(owners, _OUTSIDE)
    hidden = footprint.covered
    if number is not None:
        # At the outline nothing hides a pixel that is covered by less than half.
        near = cv2.dilate((at == number).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        hidden = hidden & ~(near & (at == 0)) & (at != number)
    values, counts = np.unique(at[hidden], return_counts=True)
    if not len(counts):
        return None
    most = int(values[counts.argmax()])
    return {_OUTSIDE: FRAME, 0: SCENERY}.get(most, most)


def _keypoints(
    figure: Figure, camera: FisheyeCamera, mask: Mask | None, footprint: Footprint, wanted: Collection[str] | None
) -> dict[str, Keypoint]:
    joints = figure.body.joints_m
    names = sorted(name for name in joints if wanted is None or name in wanted)
    world = figure.world(np.stack([joints[name] for name in names]))
    pixels, valid = camera.project(world)
    distance = np.linalg.norm(world - camera.world_from_camera[:3, 3], axis=-1)
    found: dict[str, Keypoint] = {}
    for name, point, place, inside, far in zip(names, world, pixels, valid, distance, strict=True):
        if inside:
            x, y = _rounded(place, PIXEL_DECIMALS)
            seen = mask is not None and _seen(x, y, float(far) - below_skin_m(name), mask, footprint)
            found[name] = Keypoint(x, y, seen, _rounded(point, METRE_DECIMALS))
    return found


def _seen(x_px: float, y_px: float, distance_m: float, mask: Mask, footprint: Footprint) -> bool:
    """Return whether a person is seen at a point's pixel, at least as far off as ``distance_m``."""
    x, y = int(np.floor(x_px)), int(np.floor(y_px))
    if not (0 <= y < mask.shape[0] and 0 <= x < mask.shape[1]) or not mask[y, x]:
        return False
    row, column = y - footprint.top, x - footprint.left
    height, width = footprint.depth_m.shape
    return 0 <= row < height and 0 <= column < width and bool(distance_m < footprint.depth_m[row, column])


def skin_vertices_of(figure: Figure) -> NDArray[np.int32]:
    """Return the skin's vertex of the base mesh for each of ``surface_vertices_m``, and a last -1 for none."""
    found = []
    for part in figure.body.parts:
        bases = part.base_vertices
        found.append(np.full(len(part.vertices_m), -1, np.int32) if bases is None else skin_vertices()[bases])
    return np.concatenate([*found, np.array([-1], np.int32)])


def _spread(vertex: NDArray[np.int32]) -> NDArray[np.int32]:
    """Give pixels without a vertex (-1) the greatest of their neighbours'."""
    wider = cv2.dilate(vertex.astype(np.float64), np.ones((3, 3), np.uint8)).astype(np.int32)
    return np.where(vertex < 0, wider, vertex)


def _rounded(values: Iterable[float], decimals: int) -> tuple[Any, ...]:
    """Round: NumPy's vector functions differ in the last bit with where in memory their operands lie."""
    return tuple(round(float(value), decimals) for value in values)


def plain_depth(depth_m: NDArray[np.float32], there: Mask) -> NDArray[np.float32]:
    """Return depth with 0 where nothing is ``there``."""
    return np.where(there, depth_m, 0).astype(np.float32)


def plain_normals(normals: NDArray[np.float32], there: Mask, camera: FisheyeCamera) -> NDArray[np.uint8]:
    """Return unit normals (H, W, 3) of world axes in camera axes, as 128 + 127 n; 0 0 0 where nothing is ``there``."""
    local = normals.astype(np.float64) @ camera.world_from_camera[:3, :3]
    length = np.sqrt((local * local).sum(axis=-1, keepdims=True))
    levels = np.rint(128 + 127 * local / np.maximum(length, 1e-9))
    return np.where(there[..., None] & (length > 0.5), levels, 0).astype(np.uint8)
