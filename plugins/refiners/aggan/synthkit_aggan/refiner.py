# SPDX-License-Identifier: Apache-2.0
"""The refiner: G where A_X attends, the rendered person elsewhere (thesis 000, equation 2.10)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from synthkit import crops
from synthkit.checkpoint import Checkpoint
from synthkit.errors import WeightsError
from synthkit.interfaces import SampleSet
from synthkit.sample import Sample
from synthkit.training import checkpoints
from synthkit_aggan import fitting
from synthkit_aggan.config import AGGANConfig
from synthkit_aggan.networks import AttentionNetwork, AttentiveGenerator
from synthkit_cyclegan.crop_learner import as_images
from synthkit_cyclegan.crop_refiner import CropRefiner, Translated, cut_of, one_by_one
from synthkit_cyclegan.crop_settings import MOST_FILTERS
from synthkit_cyclegan.crop_store import Crops
from synthkit_cyclegan.networks import Generator
from synthkit_cyclegan.resnet_refiner import described_generator

Map = npt.NDArray[np.uint8]


class AGGANRefiner(CropRefiner[AGGANConfig]):
    """Refines people with the generator from the source to the target domain, as far as they are attended."""

    family = fitting.FAMILY

    def fit(self, data: Mapping[str, SampleSet], workdir: Path) -> Checkpoint:
        """Train on crops of ``data["source"]`` and ``data["target"]``; see ``fitting.fit``."""
        return fitting.fit(self.config, data, workdir, self.runtime)

    def load(self, checkpoint: Checkpoint, device: torch.device) -> None:
        """Build the generator and, where it was learned, the attention network."""
        self._networks, self._device = _networks(checkpoint).to(device), device
        self._applied = _applied(self._networks)

    def translate(self, cut: Crops) -> Translated:
        """Return the crops as G makes them where they are attended.

        Where masks stood for attention, crops are put back through these masks anyway.
        """
        return one_by_one(self._applied, cut, self._device)

    def export_onnx(self, path: Path) -> Mapping[str, Any]:
        """Write what ``translate`` applies, attention and all, as one ONNX file and return its card.

        See ``synthkit_cyclegan.export.export_onnx``.
        """
        from synthkit_cyclegan.export import export_onnx  # what it imports takes a second

        checkpoint = self.ready()
        return export_onnx(_applied(_networks(checkpoint)), cut_of(checkpoint), path, checkpoint, self.runtime.seeds)

    def layers(self, sample: Sample, plans: list[crops.CropPlan], cut: Crops) -> Mapping[str, npt.NDArray[Any]]:
        """Return, on request, the layer ``attention`` (H, W) uint8: 255 is attended fully, 0 not at all.

        It covers the crops, people and what is around them; where crops overlap, it is the most that any had. Outside
        the crops, where nothing was looked at, it is 0.
        """
        if not self.config.attention_layer:
            return {}
        if "A X" not in self._networks:
            attended = np.isin(sample.layers["instances"], np.array([plan.instance for plan in plans]))
            return {"attention": np.where(attended, np.uint8(255), np.uint8(0))}
        layer = np.zeros(sample.image.shape[:2], np.uint8)
        for plan, crop in zip(plans, cut, strict=True):
            with torch.inference_mode():
                attention = self._networks["A X"](as_images(crop[None]).to(self._device))
            put_back(np.rint(255 * attention[0, 0].cpu().numpy()).astype(np.uint8), plan, layer)
        return {"attention": layer}


def put_back(attention: Map, plan: crops.CropPlan, layer: Map) -> None:
    """Raise a layer (H, W) to a crop's attention (h, w) where that is higher."""
    (height, width), (crop_height, crop_width) = layer.shape, attention.shape
    corners = plan.to_image([[0, 0], [crop_width, 0], [crop_width, crop_height], [0, crop_height]])
    left, top = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, (width, height))
    right, bottom = np.clip(np.ceil(corners.max(axis=0)).astype(int), 0, (width, height))
    if left >= right or top >= bottom:
        return
    centres = np.stack(np.meshgrid(np.arange(left, right) + 0.5, np.arange(top, bottom) + 0.5), axis=-1)
    # OpenCV counts pixels from the centre of the top-left one.
    places = (plan.to_crop(centres) - 0.5).astype(np.float32)
    window = layer[top:bottom, left:right]
    np.maximum(window, cv2.remap(attention, places[..., 0], places[..., 1], cv2.INTER_LINEAR), out=window)


def _networks(checkpoint: Checkpoint) -> torch.nn.ModuleDict:
    """Return a checkpoint's G and, where it was learned, A X, on the CPU, to be applied."""
    filters, skip = described_generator(checkpoint)
    attention, start = _attention_filters(checkpoint), torch.Generator()
    networks = torch.nn.ModuleDict({"G": Generator(filters, skip=skip, generator=start)})
    if attention is not None:
        networks["A X"] = AttentionNetwork(attention, generator=start)
    checkpoints.load_into(networks, checkpoints.load_tensors(checkpoint), checkpoint.path)
    return networks.eval().requires_grad_(False)


def _applied(networks: torch.nn.ModuleDict) -> torch.nn.Module:
    """Return what makes refined images (N, 3, h, w) of images, both in -1..1."""
    return AttentiveGenerator(networks["G"], networks["A X"]) if "A X" in networks else networks["G"]


def _attention_filters(checkpoint: Checkpoint) -> int | None:
    """Return the attention network's filters from a card, checked before use; None where masks stood for it."""
    try:
        card = checkpoint.card["architecture"]["attention"]
        filters = None if card is None else card["filters"]
    except (KeyError, TypeError):
        raise WeightsError(f"checkpoint {checkpoint.path}: its card does not describe an AGGAN") from None
    if filters is not None and not (type(filters) is int and 1 <= filters <= MOST_FILTERS):
        raise WeightsError(f"checkpoint {checkpoint.path}: its card describes no network that could be built")
    return filters
