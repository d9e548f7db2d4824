# SPDX-License-Identifier: Apache-2.0
"""Which pixels of a sample are compared: all of it, crops of the people in it, or these without what is around them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt

from synthkit import crops
from synthkit.errors import DatasetError
from synthkit.sample import Sample

Pixels = npt.NDArray[np.uint8]
Region = Literal["image", "crops", "masked-crops"]

REVISION = 1
_GREY = 128


def regions(samples: Iterable[Sample], region: Region, crop_px: int) -> Iterator[tuple[str, Pixels]]:
    """Yield a key and (H, W, 3) pixels of each image, or of each person who can be cropped.

    Raises:
        DatasetError: when masks are asked for and a sample with people has no layer of instances.
    """
    for sample in samples:
        image = np.asarray(sample.image)
        if region == "image":
            yield sample.key, image
            continue
        instances = sample.layers.get("instances")
        for plan in crops.plan_crops(sample, (crop_px, crop_px)):
            crop = crops.extract(image, plan)
            if region == "masked-crops":
                if instances is None:
                    raise DatasetError(
                        f"sample {sample.key}: has no layer 'instances', and region=masked-crops needs it; take"
                        " region=crops"
                    )
                if plan.instance is None:
                    continue
                mask = crops.extract_mask(instances, plan)
                if not mask.any():
                    continue
                crop = np.where(mask[..., None], crop, np.uint8(_GREY))
            yield f"{sample.key}#{plan.person}", crop


def told(region: Region, crop_px: int) -> str:
    """Return how results name a region."""
    return region if region == "image" else f"{region}, {crop_px} px"


def described(region: Region, crop_px: int) -> str:
    """Return what a region is."""
    if region == "image":
        return "whole images"
    around = "" if region == "crops" else f"; what is not the person's own mask is grey ({_GREY})"
    return f"head-aligned crops of each person, {crop_px} px (cropping revision {crops.REVISION}){around}"
