# SPDX-License-Identifier: Apache-2.0
"""Spaces in which crops of people are near one another when they show the same."""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
import torch

from synthkit import crops
from synthkit.training.perceptual import FeatureNet

CROP_PX = 128
"""Side of the crops that go into a space."""

Crops = npt.NDArray[np.uint8]
Maps = npt.NDArray[np.float32]

SIDE = 16
"""Places along each side of a map."""

PLACES = SIDE * SIDE

PIXELS = f"coarse pixels {SIDE}x{SIDE}"
"""What results call the space of ``Pixels``."""

_CENTRE = (crops.HEAD_AT[0], 0.42)  # of where people are in their crops
_SPREAD = (0.14, 0.22)


class Space(Protocol):
    """Turns crops into maps of features."""

    def maps(self, cut: Crops) -> Maps:
        """Return (N, PLACES, c) for crops (N, CROP_PX, CROP_PX, 3)."""


class Pixels:
    """Coarse colours: a stand-in where no network is at hand."""

    def maps(self, cut: Crops) -> Maps:
        """Return (N, PLACES, 3) colours, 0..1."""
        small = [cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for crop in cut]
        return np.asarray(np.stack(small).reshape(len(cut), PLACES, 3) / 255, dtype=np.float32)


class Network:
    """The activations of a network, place by place: crops are aligned, and so are the places."""

    def __init__(self, network: FeatureNet, layer: str, device: torch.device) -> None:
        self._network, self._layer, self._device = network, layer, device

    def maps(self, cut: Crops) -> Maps:
        """Return (N, PLACES, c) activations."""
        images = torch.from_numpy(cut).to(self._device).permute(0, 3, 1, 2).float() / 255.0
        with torch.inference_mode():
            found = self._network(images)[self._layer]
        return np.asarray(found.permute(0, 2, 3, 1).reshape(len(cut), PLACES, -1).cpu().numpy())


def weight_of(mask: npt.NDArray[np.bool_] | None) -> Maps:
    """Return how much each place of a map is the person's, (PLACES,); without a mask, where people usually are."""
    if mask is None:
        return person_weight(SIDE, SIDE).reshape(-1)
    small = cv2.resize(mask.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.float32).reshape(-1)


def person_weight(height: int, width: int) -> Maps:
    """Return how much of a crop each place is the person's, (height, width) with the sum 1."""
    y, x = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width
    across = np.exp(-0.5 * ((x - _CENTRE[0]) / _SPREAD[0]) ** 2)
    down = np.exp(-0.5 * ((y - _CENTRE[1]) / _SPREAD[1]) ** 2)
    weight = down[:, None] * across
    return np.asarray(weight / weight.sum(), dtype=np.float32)
