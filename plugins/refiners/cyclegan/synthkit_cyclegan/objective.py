# SPDX-License-Identifier: Apache-2.0
"""What generators are trained for: the losses that have a weight, and the mean features of a domain."""

from __future__ import annotations

import numpy as np
import torch

from synthkit.training import pictures
from synthkit_cyclegan import losses
from synthkit_cyclegan.config import CycleGANConfig
from synthkit_cyclegan.crop_learner import as_images
from synthkit_cyclegan.crop_store import Crops
from synthkit_cyclegan.losses import Features, FeatureSpace, Term

MEAN_CROPS = 1024
"""Crops of a domain, spread over it, whose features are averaged; more tell the mean no better."""

_BATCH = 8


def objective(config: CycleGANConfig) -> list[Term]:
    """Return the generators' losses: the adversarial one, and those that have a weight."""
    kind = config.feature_distance
    weighted = [
        Term("cyclic_pixels", config.cyclic_pixel_weight, losses.cyclic_pixels),
        Term("cyclic_features", config.cyclic_feature_weight, losses.cyclic_features),
        Term("identity_pixels", config.identity_pixel_weight, losses.identity_pixels),
        Term("identity_features", config.identity_feature_weight, losses.identity_features),
        Term("mean_features", config.mean_feature_weight, losses.mean_features),
        Term("discriminator_features", config.discriminator_feature_weight, losses.discriminator_features(kind)),
    ]
    deceit = losses.adversarial(losses.ADVERSARIAL[config.adversarial])
    return [Term("adversarial", 1.0, deceit), *(term for term in weighted if term.weight > 0)]


@torch.no_grad()
def mean_of(space: FeatureSpace, crops: Crops, *, flip: bool, device: torch.device) -> Features:
    """Return the mean features of a domain, (1, C, h, w) by layer: E[V(y)] of equation 2.20.

    Args:
        crops: the domain's, (N, h, w, 3) uint8. flip: whether training mirrors them, and the mean is over both.
    """
    chosen = pictures.spread(crops, MEAN_CROPS)
    sums: dict[str, torch.Tensor] = {}
    for first in range(0, len(chosen), _BATCH):
        images = as_images(np.asarray(chosen[first : first + _BATCH])).to(device)
        for view in (images, images.flip(-1)) if flip else (images,):
            for layer, found in space(view).items():
                exact = found.cpu().double().sum(0, keepdim=True)
                sums[layer] = sums[layer] + exact if layer in sums else exact
    count = len(chosen) * (2 if flip else 1)
    return {layer: (total / count).float().to(device) for layer, total in sums.items()}
