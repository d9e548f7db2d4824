# SPDX-License-Identifier: Apache-2.0
"""The refiner: G where A_X attends, the rendered person elsewhere (thesis 000, equation 2.10)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

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
from synthkit_aggan.attention import blend
from synthkit_aggan.config import AGGANConfig
from synthkit_aggan.networks import AttentionNetwork, AttentiveGenerator
from synthkit_cyclegan import whole_images
from synthkit_cyclegan.crop_learner import as_images
from synthkit_cyclegan.crop_settings import MOST_FILTERS
from synthkit_cyclegan.crop_store import Crops
from synthkit_cyclegan.networks import Generator
from synthkit_cyclegan.resnet_refiner import Layers, ResnetRefiner, shape_of

Map = npt.NDArray[np.uint8]


class AGGANRefiner(ResnetRefiner[AGGANConfig]):
    """Refines people, or whole images, with the generator from the source to the target, as far as they are attended.

    Where masks stood for attention, there is a generator alone: people are put back through these masks anyway.
    """

    family = fitting.FAMILY

    def fit(self, data: Mapping[str, SampleSet], workdir: Path) -> Checkpoint:
        """Train on crops of ``data["source"]`` and ``data["target"]``; see ``fitting.fit``."""
        return fitting.fit(self.config, data, workdir, self.runtime)

    def network_of(self, checkpoint: Checkpoint) -> torch.nn.Module:
        """Return G and, where it was learned, A X, which says how far G is applied.

        Raises:
            WeightsError: also when images as a whole are to be refined, and nothing says where.
        """
        shape, attention = shape_of(checkpoint), _attention_filters(checkpoint)
        if attention is None and self.config.region == "image":
            raise WeightsError(
                f"checkpoint {checkpoint.path}: learned with people's masks for attention, so it refines people only:"
                " leave region=image out"
            )

        def build() -> torch.nn.ModuleDict:
            learned = {} if attention is None else {"A X": AttentionNetwork(attention, generator=torch.Generator())}
            return torch.nn.ModuleDict({"G": shape.build(), **learned})

        networks = checkpoints.network_of(checkpoint, build)
        generator = cast(Generator, networks["G"])
        return (
            generator if attention is None else AttentiveGenerator(generator, cast(AttentionNetwork, networks["A X"]))
        )

    def layers(self, sample: Sample, plans: list[crops.CropPlan], cut: Crops) -> Layers:
        """Return, on request, the layer ``attention`` (H, W) uint8: 255 is attended fully, 0 not at all.

        It covers the crops, people and what is around them; where crops overlap, it is the most that any had. Outside
        the crops, where nothing was looked at, it is 0.
        """
        if not self.config.attention_layer:
            return {}
        layer = np.zeros(sample.image.shape[:2], np.uint8)
        if not isinstance(self.network, AttentiveGenerator):
            for plan in plans:
                layer[sample.layers["instances"] == plan.instance] = 255
            return {"attention": layer}
        for plan, crop in zip(plans, cut, strict=True):
            with torch.inference_mode():
                attention = self.network.attention(as_images(crop[None]).to(self.device))
            put_back(_as_layer(attention), plan, layer)
        return {"attention": layer}

    def whole(self, image: Map) -> tuple[Map, Layers]:
        """Return a whole image refined and, on request, its attention, which covers all of it."""
        assert isinstance(self.network, AttentiveGenerator)
        seen, (height, width) = whole_images.as_seen(image), image.shape[:2]
        translated, attention = (
            whole_images.apply(part, seen, self.config.tile_px, self.device)
            for part in (self.network.generator, self.network.attention)
        )
        refined = whole_images.as_pixels(blend(translated, seen, attention), (height, width))
        layers = {"attention": _as_layer(attention)[:height, :width]} if self.config.attention_layer else {}
        return refined, layers


def _as_layer(attention: torch.Tensor) -> Map:
    """Return attention (1, 1, h, w) in 0..1 as (h, w) in 0..255."""
    return np.asarray(np.rint(255 * attention[0, 0].cpu().numpy()), np.uint8)


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
