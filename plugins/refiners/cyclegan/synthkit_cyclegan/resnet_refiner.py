# SPDX-License-Identifier: Apache-2.0
"""Refining crops with a ResNet generator: what CycleGAN has in common with other ways to train one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import attrs
import numpy as np
import numpy.typing as npt
import torch

from synthkit.checkpoint import Checkpoint
from synthkit.errors import WeightsError
from synthkit.sample import Sample, evolve
from synthkit.training import checkpoints
from synthkit_cyclegan import whole_images, winograd
from synthkit_cyclegan.crop_refiner import CropRefiner, Cut, Translated, cut_of, one_by_one
from synthkit_cyclegan.crop_settings import MOST_FILTERS, AdversarialSettings, ResnetSettings
from synthkit_cyclegan.crop_store import Crops
from synthkit_cyclegan.networks import RESIDUAL_BLOCKS, Generator

C = TypeVar("C", bound=ResnetSettings)
Layers = Mapping[str, npt.NDArray[Any]]


class ResnetRefiner(CropRefiner[C], Generic[C]):
    """Refines people, or whole images, with a ``Generator``; a subclass names its family and says how it learns.

    A family that applies more than a generator says what, by ``network_of`` and, for whole images, ``whole``.
    """

    def network_of(self, checkpoint: Checkpoint) -> torch.nn.Module:
        """Return what makes refined images of images, (N, 3, h, w) in -1..1 both, on the CPU.

        Raises:
            WeightsError: when the card describes no such network, or the weights do not fit it.
        """
        return checkpoints.network_of(checkpoint, shape_of(checkpoint).build)

    def load(self, checkpoint: Checkpoint, device: torch.device) -> None:
        """Build the network."""
        network = self.network_of(checkpoint).eval().requires_grad_(False).to(device)
        crop_px = cut_of(checkpoint).crop_px
        quick = self.config.region == "people" and device.type == "cpu" and winograd.fits(crop_px, crop_px)
        self.network, self.device = winograd.quickened(network) if quick else network, device

    def export_onnx(self, path: Path) -> Mapping[str, Any]:
        """Write the network as one ONNX file and return its card; see ``export.export_onnx``."""
        from synthkit_cyclegan.export import export_onnx  # what it imports takes a second

        checkpoint = self.ready()
        network = self.network_of(checkpoint).requires_grad_(False)
        return export_onnx(network, cut_of(checkpoint), path, checkpoint, self.runtime.seeds)

    def translate(self, cut: Crops) -> Translated:
        """Return the crops as the network makes them."""
        return one_by_one(self.network, cut, self.device)

    def refined(self, sample: Sample, how: Cut) -> Sample:
        """Return a sample with its people refined, or all of its image, as the settings say."""
        if self.config.region == "people":
            return super().refined(sample, how)
        image, layers = self.whole(sample.image)
        meta = self.noted(sample, {"region": "image"})
        return evolve(sample, image=image, layers={**sample.layers, **layers}, meta=meta)

    def whole(self, image: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], Layers]:
        """Return a whole image (H, W, 3) refined, and layers (H, W, ...) to be added to its sample."""
        assert isinstance(self.network, Generator)
        return whole_images.translate(self.network, image, self.config.tile_px, self.device), {}


@attrs.frozen
class Shape:
    """What a generator looks like."""

    filters: int
    skip: bool
    colours: bool
    antialias: bool

    def build(self) -> Generator:
        """Return such a generator, for the weights of a checkpoint."""
        return Generator(
            self.filters, skip=self.skip, colours=self.colours, antialias=self.antialias, generator=torch.Generator()
        )


def architecture_of(config: AdversarialSettings) -> dict[str, Any]:
    """Return what a card says of the generator that is trained."""
    shape = Shape(config.generator_filters, config.skip, config.skip and config.match_colours, config.antialias)
    return {"generator": {**attrs.asdict(shape), "blocks": RESIDUAL_BLOCKS}}


def shape_of(checkpoint: Checkpoint) -> Shape:
    """Return what the generator looks like that a card describes, checked before it is used.

    Cards that do not tell of ``colours`` or ``antialias`` are from before there were any.

    Raises:
        WeightsError: when it describes none, or none that could be built.
    """
    try:
        generator = checkpoint.card["architecture"]["generator"]
        shape = Shape(
            generator["filters"], generator["skip"], generator.get("colours", False), generator.get("antialias", False)
        )
        blocks = generator["blocks"]
    except (KeyError, TypeError, AttributeError):
        raise WeightsError(f"checkpoint {checkpoint.path}: its card does not describe a ResNet generator") from None
    flags = all(type(flag) is bool for flag in (shape.skip, shape.colours, shape.antialias))
    sound = flags and type(shape.filters) is int and 1 <= shape.filters <= MOST_FILTERS and blocks == RESIDUAL_BLOCKS
    if not sound:
        raise WeightsError(f"checkpoint {checkpoint.path}: its card describes no network that could be built")
    return shape
