# SPDX-License-Identifier: Apache-2.0
"""Spaces in which crops of people are near one another when they show the same."""

from __future__ import annotations

from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt
import torch

from synthkit import crops
from synthkit.training.perceptual import FeatureNet

CROP_PX = 128
"""Side of the crops that go into a space."""

Crops = npt.NDArray[np.uint8]
Vectors = npt.NDArray[np.float32]

_CELLS = 16  # of colour along each side
_CENTRE = (crops.HEAD_AT[0], 0.42)  # of where people are in their crops
_SPREAD = (0.14, 0.22)


class Space(Protocol):
    """Turns crops into unit vectors."""

    @property
    def name(self) -> str:
        """What results are named after."""

    def vectors(self, cut: Crops) -> Vectors:
        """Return (N, d) for crops (N, CROP_PX, CROP_PX, 3)."""


class Pixels:
    """Coarse colours, without each crop's mean colour and contrast: a stand-in where no network is at hand."""

    name = f"coarse pixels {_CELLS}x{_CELLS}"

    def vectors(self, cut: Crops) -> Vectors:
        """Return (N, d) unit vectors."""
        small = [cv2.resize(crop, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA) for crop in cut]
        return _unit(np.stack(small).astype(np.float32))


class Network:
    """The activations of a network, place by place: crops are aligned, and so are the places."""

    def __init__(self, network: FeatureNet, layer: str, device: torch.device) -> None:
        self._network, self._layer, self._device = network, layer, device
        self.name = f"{network.name} {layer}"

    def vectors(self, cut: Crops) -> Vectors:
        """Return (N, d) unit vectors."""
        images = torch.from_numpy(cut).to(self._device).permute(0, 3, 1, 2).float() / 255.0
        with torch.inference_mode():
            found = self._network(images)[self._layer]
        return _unit(found.permute(0, 2, 3, 1).cpu().numpy())


def _unit(maps: npt.NDArray[Any]) -> Vectors:
    """Return maps (N, h, w, c) as unit vectors, weighted by where people are, without each map's own mean."""
    weight = person_weight(maps.shape[1], maps.shape[2])[..., None]
    centred = (maps - (weight * maps).sum(axis=(1, 2), keepdims=True)) * np.sqrt(weight)
    flat = centred.reshape(len(maps), -1)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6), dtype=np.float32)


def person_weight(height: int, width: int) -> Vectors:
    """Return how much of a crop each place is the person's, (height, width) with the sum 1."""
    y, x = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width
    across = np.exp(-0.5 * ((x - _CENTRE[0]) / _SPREAD[0]) ** 2)
    down = np.exp(-0.5 * ((y - _CENTRE[1]) / _SPREAD[1]) ** 2)
    weight = down[:, None] * across
    return np.asarray(weight / weight.sum(), dtype=np.float32)
