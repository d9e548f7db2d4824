# SPDX-License-Identifier: Apache-2.0
"""How far a refined picture of somebody is from the rendered one in place and shape, not in looks.

Both are cut by the same plan, so they would lie upon each other. Where windows of the rendered edges agree better
with the refined ones when these are displaced, something has moved; where they agree with nothing, it is gone.
Twice: over the person and the silhouette, which tells most, and inside the person alone, as a mask leaves the
silhouette where it was, whatever is drawn within. What is farther away counts for nothing, as refiners of crops may
draw there what they like.
"""

from __future__ import annotations

from typing import Any

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from synthkit.drift.fields import Field, edge_field
from synthkit.drift.matching import Agreement, agreement, windowed

CROP_PX = 128
"""Side of the crops that are compared: what is said in pixels here is of these."""

Floats = npt.NDArray[np.float32]

_EDGE_PX = 1.5  # standard deviation of the derivatives
_STAYED_PX = 1.5  # displacements that labels do not feel
_MOVED_PX = 3.0
_WINDOWS = 3  # a drift shows in neighbouring windows; noise in one
_FAINT = 0.2  # the share of windows with the least edges, of which nothing is concluded
_NEAR = 0.15  # of a window's weight is the person's
_NEAR_INSIDE = 0.05
_INSIDE_FACTOR = 0.6  # inside a person there are fewer edges, and chance displaces them more easily
_EDGELESS = 0.03  # of what is inside a person is edges: less is nothing that could be found again
_BESIDE_PX = (1.0, 4.0)  # outside the mask: up to here all pixels count, from there none
_EDGE_OF_MASK_PX = (2.0, 1.0)  # image and crop pixels inside the mask that show the silhouette still

_COARSE_PX = 32  # side that a person has in pictures that are searched for newcomers
_COARSE_EDGE_PX = 1.0
_AROUND_PX = 5  # of these beside the people is theirs too: who moves there is not new
_USUAL = 0.75  # the share of windows that differ less than what is taken for the refiner's own grain


@attrs.frozen
class PersonDrift:
    """What became of one person.

    Args:
        moved: how much more of the edges is found displaced than in place, as a difference of squared correlations,
            where it is most; about 0 or less when everything is in place. lost: 1 - the correlation of the edges in
            place; about 0 when all are there, 1 when none is.
    """

    moved: float
    lost: float


def measure_person(
    before: npt.NDArray[Any], after: npt.NDArray[Any], mask: npt.NDArray[np.bool_], scale: float
) -> PersonDrift:
    """Return the drift between a person's crops before and after refinement.

    Args:
        before, after: (CROP_PX, CROP_PX, 3), 0..255. mask: (CROP_PX, CROP_PX), the person's pixels.
        scale: crop pixels per pixel of the image.
    """
    if not mask.any() or np.array_equal(before, after):
        return PersonDrift(0.0, 0.0)
    first, second = edge_field(before, _EDGE_PX), edge_field(after, _EDGE_PX)
    person = mask.astype(np.float32)
    inside = _inside(mask, scale)
    whole = agreement(first, second, _around(mask))
    near, near_inside = windowed(person) > _NEAR, windowed(inside) > _NEAR_INSIDE
    moved, lost = _moved(whole, near), _lost(whole, near)
    if np.count_nonzero(near_inside) >= _WINDOWS:
        within = agreement(first, second, inside)
        if within.structure[near_inside].sum() > _EDGELESS * windowed(inside)[near_inside].sum():
            moved = max(moved, _INSIDE_FACTOR * _moved(within, near_inside, graded=True))
            lost = max(lost, _lost(within, near_inside))
    return PersonDrift(moved, lost)


def measure_newcomers(
    before: npt.NDArray[Any], after: npt.NDArray[Any], people: npt.NDArray[np.bool_], side_px: float
) -> float:
    """Return how much stands out beside the people in the refined image that did not in the rendered one, 0..1.

    It is measured where it is most, over windows of a person's size, beyond what is usual in the image: a refiner
    may give everything another grain.

    Args:
        before, after: (H, W, 3), 0..255. people: (H, W), their pixels. side_px: side of a box around a person.
    """
    factor = _COARSE_PX / side_px
    around = cv2.dilate((_resized(people.astype(np.float32), factor) > 0).astype(np.uint8), _disc(_AROUND_PX))
    beside = around == 0
    before, after = (_resized(image, factor) for image in (before, after))
    if np.array_equal(before[beside], after[beside]):
        return 0.0
    first, second = (edge_field(image, _COARSE_EDGE_PX) for image in (before, after))
    second = second * beside
    unexplained = _smooth((second**2).sum(axis=0)) - np.maximum(_best_nearby(first, second), 0)
    return float(max(0.0, unexplained[beside].max() - np.quantile(unexplained[beside], _USUAL)))


def _moved(found: Agreement, near: npt.NDArray[np.bool_], *, graded: bool = False) -> float:
    """Return the gain by displacement in the windows where it is most; ``graded``, less where edges are faint."""
    # By squares: what agrees but faintly agrees by chance, where a refiner drew something else behind the person.
    displaced, in_place = found.best(_MOVED_PX, np.inf), found.best(0, _STAYED_PX)
    gain = np.maximum(displaced, 0) ** 2 - np.maximum(in_place, 0) ** 2
    structure = found.structure
    if graded:
        gain = gain * np.sqrt(structure / max(float(structure[near].max()), 1e-6))
        counted = near
    else:
        counted = near & (structure >= np.quantile(structure[near], _FAINT)) if near.any() else near
    gains = np.sort(gain[counted])[-_WINDOWS:]
    return float(gains.mean()) if gains.size else 0.0


def _lost(found: Agreement, near: npt.NDArray[np.bool_]) -> float:
    weight = np.where(near, found.structure, 0)
    total = float(weight.sum())
    return 1 - float((weight * found.best(0, _STAYED_PX)).sum()) / total if total > 0 else 0.0


def _inside(mask: npt.NDArray[np.bool_], scale: float) -> Floats:
    """Return 1 inside a mask and 0 where its edge still shows."""
    distance_px = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    of_image, of_crop = _EDGE_OF_MASK_PX
    return np.asarray(np.clip(distance_px[1:-1, 1:-1] - of_image * scale - of_crop, 0, 1), dtype=np.float32)


def _around(mask: npt.NDArray[np.bool_]) -> Floats:
    """Return 1 in a mask and close to it, falling to 0 farther away."""
    distance_px = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    near, far = _BESIDE_PX
    return np.asarray(np.clip((far - distance_px) / (far - near), 0, 1), dtype=np.float32)


def _best_nearby(first: Field, second: Field) -> Floats:
    """Return the most that windows of two fields have in common when one is displaced by a pixel at most."""
    steps = (-1, 0, 1)
    common = [_smooth((np.roll(first, (y, x), (1, 2)) * second).sum(axis=0)) for y in steps for x in steps]
    return np.asarray(np.max(common, axis=0))


def _smooth(values: Floats) -> Floats:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), _COARSE_PX / 8), dtype=np.float32)


def _resized(image: npt.NDArray[Any], factor: float) -> npt.NDArray[Any]:
    height, width = image.shape[:2]
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR))


def _disc(radius_px: int) -> npt.NDArray[np.uint8]:
    side = 2 * radius_px + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), dtype=np.uint8)
