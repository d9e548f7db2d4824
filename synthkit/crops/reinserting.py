# SPDX-License-Identifier: Apache-2.0
"""Putting refined crops back (thesis 000, appendix, algorithm 6, by differences and coverage).

Algorithm 6 pastes whole crops one over the other and then puts the background back through one mask of all
people. So a crop is pasted over whoever else stands in it (figure 5.14), and a body that is larger than its
crop changes its look in the middle (figure 5.15); all edges are jagged, and everything has the resolution of
the crops. Here instead

* not the crop is put back but its difference from the unrefined one: what the refiner leaves alone keeps every
  pixel and the image's full resolution;
* each person's difference counts as far as that person covers a pixel, so what is behind keeps its part of the
  pixels at the edges, whether background or somebody else;
* a pixel at an edge shows a mixture, and what a refiner does to the mixture is not what it does to the person:
  there the difference continues that of the pixels which the person fills, by pull and push (Gortler, Grzeszczuk,
  Szeliski, Cohen: The Lumigraph, SIGGRAPH 1996, section 3.5);
* where a body leaves its crop, which plans of ``plan_crops`` never let it, the difference fades out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from synthkit.crops.coverage import Coverage, Window
from synthkit.crops.cutting import Picture, Pixels, as_pixels, extract, warp
from synthkit.crops.planning import CropPlan, Floats, apply
from synthkit.crops.watching import Reinsertion, told
from synthkit.errors import DatasetError
from synthkit.sample import Sample

_FADE = 0.12  # of the crop's shorter side: how softly a difference ends where a body leaves the crop
_DISTRUST = 8  # a pixel's own difference counts by this power of the person's part in it


def reinsert(
    sample: Sample,
    refined: Iterable[tuple[CropPlan, npt.NDArray[Any]]],
    *,
    feather_px: float = 0.5,
) -> Pixels:
    """Return the sample's image with refined crops put back; their order does not matter.

    Whoever called ``watched`` sees the crops as they are here, whole.

    Args:
        sample: with the ``instances`` layer. With the layer ``alpha``, edges change as people cover them.
            Without, nothing changes outside the people's masks.
        refined: plans of this sample with crops (h, w, 3), uint8 or float in 0..255.
        feather_px: without ``alpha``, the width of the ramp inside the masks' edge over which the change sets
            in; 0 for none.

    Raises:
        DatasetError: when the sample has no instance layer, or a plan's person has no instance number.
        ValueError: when a crop is not of its plan's size, or holds what is no number.
    """
    if "instances" not in sample.layers:
        raise DatasetError(
            f"sample {sample.key}: crops are put back through the 'instances' layer, and it has none,"
            f" only {', '.join(sorted(sample.layers)) or 'no layers'}. refine rendered samples instead"
        )
    coverage = Coverage.of(sample, feather_px)
    result = sample.image.astype(np.float32)
    put_back = tuple(refined)
    for plan, crop in put_back:
        width, height = plan.size_px
        if crop.shape != (height, width, 3):
            raise ValueError(f"sample {sample.key}: a crop must be {(height, width, 3)}, got {crop.shape}")
        if not np.isfinite(crop).all():  # it would become black, and no comparison would find that
            raise ValueError(f"sample {sample.key}: the crop of person {plan.person} holds values that are not finite")
        if plan.instance is None:
            raise DatasetError(f"sample {sample.key}: person {plan.person} has no instance number: no mask")
        window, covered = coverage.of_person(plan.instance)
        if covered.size:
            difference = crop.astype(np.float32) - extract(sample.image, plan)
            mask = coverage.instances[window] == plan.instance
            result[window] += _change(difference, plan, window, covered, mask)
    image = as_pixels(result)
    told(Reinsertion(sample, put_back, image))
    return image


def _change(
    difference: Picture, plan: CropPlan, window: Window, covered: Picture, mask: npt.NDArray[np.bool_]
) -> Picture:
    """Return what a crop's difference (h, w, 3) adds to a window of the image.

    Args:
        covered: how much of each of the window's pixels the person covers.
        mask: the window's pixels that are the person's.
    """
    (height, width), (top, left) = covered.shape, (part.start for part in window)
    to_crop = plan.crop_from_image.copy()
    to_crop[:, 2] += to_crop[:, :2] @ (left, top)
    from_crop = plan.image_from_crop - np.array([[0, 0, left], [0, 0, top]])
    certainty = warp(covered, to_crop, plan.size_px, plan.scale) ** _DISTRUST
    filled = continued(difference, certainty)
    back = warp(filled, from_crop, (width, height), 1 / plan.scale, border=cv2.BORDER_REPLICATE)
    return (covered * _fade(plan, to_crop, mask))[..., None] * back


def _fade(plan: CropPlan, to_crop: Floats, mask: npt.NDArray[np.bool_]) -> Picture:
    """Return 1 in a window, falling to 0 towards pixels of the person that lie beyond the crop."""
    rows, columns = np.nonzero(mask)
    places = apply(to_crop, np.stack([columns, rows], axis=1) + 0.5)
    out = ((places < 0) | (places > plan.size_px)).any(axis=1)
    if not out.any():
        return np.ones(mask.shape, np.float32)
    within = np.ones(mask.shape, np.uint8)
    within[rows[out], columns[out]] = 0
    distance_px = cv2.distanceTransform(within, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(np.clip(distance_px * plan.scale / (_FADE * min(plan.size_px)), 0, 1), dtype=np.float32)


def continued(values: Picture, certainty: Picture) -> Picture:
    """Return values (h, w, 3) where they are certain (1), elsewhere what the certain ones around them are.

    Pull: each coarser level has the mean of what is certain, and is as certain as all of it together. Push: what
    a level lacks comes from the next coarser one.
    """
    height, width = certainty.shape
    if height == width == 1:
        return values
    weight = np.minimum(certainty, 1)
    coarse_weight = np.asarray(cv2.pyrDown(weight), dtype=np.float32)[..., None]
    sums = np.asarray(cv2.pyrDown(weight[..., None] * values), dtype=np.float32)
    coarse = np.divide(sums, coarse_weight, out=np.zeros_like(sums), where=coarse_weight > 0)
    below = cv2.pyrUp(continued(coarse, 4 * coarse_weight[..., 0]), dstsize=(width, height))
    return np.asarray(below + weight[..., None] * (values - below), dtype=np.float32)
