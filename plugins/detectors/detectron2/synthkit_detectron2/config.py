# SPDX-License-Identifier: Apache-2.0
"""The settings of the detector ``detectron2``."""

from __future__ import annotations

from pathlib import Path

import attrs

from synthkit.config import When, all_of, at_least, between, setting
from synthkit.finds import SAME_PERSON_IOU

MASK_CONFIG = "COCO-InstanceSegmentation/mask_rcnn_X_101_32x8d_FPN_3x.yaml"


@attrs.frozen
class Detectron2Config:
    """Which networks are run; the defaults are those of FDH and DeepPrivacy2, besides the files of weights."""

    mask_weights: Path = setting(help="weights of Mask R-CNN: .pkl of detectron2, or .safetensors", decides="content")
    surface_weights: Path | None = setting(
        None, help="weights of DensePose CSE; without them there are masks but no surface maps", decides="content"
    )
    mask_model: str = setting(
        MASK_CONFIG,
        help="Mask R-CNN's name in detectron2's model zoo",
        when=When("mask_config is none", lambda config: config.mask_config is None),
    )
    mask_config: Path | None = setting(
        None, help="of Mask R-CNN: a .yaml file; none is that of mask_model", decides="content"
    )
    surface_config: Path | None = setting(
        None, help="of DensePose CSE: a .yaml file; none is that of R_101_FPN_DL_soft_s1x", decides="content"
    )
    score: float = setting(0.3, help="least score of a find of either network", validator=between(0, 1))
    iou: float = setting(
        SAME_PERSON_IOU,
        help="overlap of their masks from which on finds of both networks are one person",
        validator=all_of(between(0, 1), at_least(1e-6)),
    )
    shorter_px: int = setting(800, help="length of the shorter side of what the networks see", validator=at_least(16))
    longer_px: int = setting(1333, help="most of the longer side", validator=at_least(16))
    lookup_px: int = setting(
        288, help="vertices of larger people are looked up at this length of their longer side", validator=at_least(16)
    )
