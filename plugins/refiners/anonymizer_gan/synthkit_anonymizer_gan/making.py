# SPDX-License-Identifier: Apache-2.0
"""A trained generator at work: people made from crops and latents."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps

from synthkit import crops
from synthkit.checkpoint import Checkpoint
from synthkit.dataset import images
from synthkit.errors import ConfigError, WeightsError
from synthkit.files import small_file
from synthkit.seeds import Seeds
from synthkit.training import checkpoints
from synthkit_anonymizer_gan import fitting, latents, people, surface
from synthkit_anonymizer_gan.conditions import views_of
from synthkit_anonymizer_gan.config import GeneratingConfig
from synthkit_anonymizer_gan.latents import truncation
from synthkit_anonymizer_gan.looks import Spread
from synthkit_anonymizer_gan.networks import Generator
from synthkit_anonymizer_gan.people import OWN, Crop
from synthkit_anonymizer_gan.quick import quicken

Made = npt.NDArray[np.float32]
Latent = npt.NDArray[np.float32]

_MOST_PICTURE_BYTES = 50_000_000
_DAMAGE = (OSError, SyntaxError, EOFError, Image.DecompressionBombError)


class Maker:
    """Makes people, one at a time: others in an image change nothing of anybody, not a bit.

    Args:
        checkpoint: of this family. config: how latents are drawn and truncated. device: where to compute.

    Raises:
        WeightsError: when the card describes no such networks, or the weights do not fit them.
    """

    def __init__(self, checkpoint: Checkpoint, config: GeneratingConfig, device: torch.device) -> None:
        self._path = checkpoint.path
        self.shape, self.cut = fitting.described(checkpoint)
        if self.shape.appearance and checkpoint.card.get("revision") in (1, 2):
            raise WeightsError(
                f"checkpoint {checkpoint.path}: was trained before checkpoints told where looks lie: train it again"
            )
        made = checkpoints.network_of(
            checkpoint,
            lambda: Generator(self.shape, places=surface.places_of(self.cut.surface), generator=torch.Generator()),
        )
        made.eval().requires_grad_(False).to(device)
        self.device = device
        self.size_px = self.shape.size[1], self.shape.size[0]
        self.margin_px = people.margin_px(self.cut.margin, self.size_px)
        # Sets of crops had been cut around boxes before; whole images have to be.
        self.alignment: people.Alignment = "head" if self.cut.alignment == "head" else "box"
        self.spread = self._spread(made, config.draws).to(device)
        self._truncation = truncation(made.mapping, self.spread, config.truncation, config.truncate, config.modes)
        quicken(made)
        self.generator = made

    def drawn(self, seeds: Seeds, name: str) -> Latent:
        """Return the z of somebody, (latent,), a function of seeds and name."""
        return self.spread_out(latents.of_identity(seeds, name, self.shape.latent))

    def spread_out(self, normal: Latent) -> Latent:
        """Return z for draws of the standard normal distribution, (latent,) or (N, latent) both."""
        return np.asarray(self.spread.of(torch.from_numpy(normal).to(self.device)).cpu().numpy())

    @torch.inference_mode()
    def make(self, crop: Crop, z: Latent) -> Made:
        """Return a crop with somebody made in it, (h, w, 3) float32 in 0..255; of people it sees nothing.

        Raises:
            WeightsError: when the weights make values that are not finite, which would be black in an image.
        """
        views = views_of([crop], [self.margin_px]).to(self.device)
        w = self._truncation.of(self.generator.mapping, torch.from_numpy(z[None]).to(self.device))
        made = views.completed(self.generator(views.seen(self.generator.embedding), w))
        if not bool(torch.isfinite(made).all()):
            raise WeightsError(f"checkpoint {self._path}: makes people of values that are not finite")
        return ((made[0].float().cpu() + 1) * 127.5).permute(1, 2, 0).contiguous().numpy()

    @torch.inference_mode()
    def look_of(self, crop: Crop) -> Latent:
        """Return the z that stands for how somebody looks, the mean of its distribution (section 5.3.2).

        Raises:
            WeightsError: when the checkpoint has no appearance mapper.
        """
        if self.generator.appearance is None:
            raise WeightsError(
                "this checkpoint has no appearance mapper, so nobody's look can be taken: train with appearance=true"
            )
        views = views_of([crop], [self.margin_px]).to(self.device)
        mean, _ = self.generator.appearance(views.people())
        return np.asarray(mean[0].float().cpu().numpy())

    def look_in(self, picture: Path) -> Latent:
        """Return the z of who is in a picture; where it is transparent they are not.

        Raises:
            ConfigError: when it is no picture, or nobody is left of it.
        """
        return self.look_of(picture_of(picture, self.size_px))

    def _spread(self, generator: Generator, draws: latents.Draws) -> Spread:
        if generator.appearance is None or draws == "normal":
            return Spread.standard(self.shape.latent)
        try:
            return generator.appearance.looks.spread()
        except ValueError as error:
            raise WeightsError(f"checkpoint {self._path}: {error}") from None

    def strip(self, crop: Crop, people: Sequence[Latent]) -> npt.NDArray[np.uint8]:
        """Return a picture (h, N w, 3): somebody made with each latent, side by side."""
        made = [np.clip(np.rint(self.make(crop, z)), 0, 255).astype(np.uint8) for z in people]
        return np.concatenate(made, axis=1)


def picture_of(path: Path, size_px: tuple[int, int]) -> Crop:
    """Return a picture as a crop, as large as fits and in the middle.

    Raises:
        ConfigError: when it is no picture, or nobody is left of it.
    """
    try:
        picture = _decoded(small_file(path, _MOST_PICTURE_BYTES, "a picture"))
    except (*_DAMAGE, ValueError) as error:
        raise ConfigError([f"refiner.look: {path}: is no picture, PNG or JPEG: {error}"]) from None
    colours, opaque = np.ascontiguousarray(picture[..., :3]), picture[..., 3]
    scale = min(size_px[0] / picture.shape[1], size_px[1] / picture.shape[0])
    offset = (np.array(size_px) - np.array(picture.shape[1::-1]) * scale) / 2
    matrix = np.column_stack([np.eye(2) * scale, offset])
    plan = crops.CropPlan(0, 1, size_px, matrix)
    mask = crops.extract(np.repeat(opaque[..., None], 3, axis=2), plan)[..., 0] > 127
    if not mask.any():
        raise ConfigError([f"refiner.look: {path}: is transparent everywhere: nobody is in it"])
    return Crop(crops.extract(colours, plan), np.where(mask, OWN, 0).astype(np.uint8), np.zeros(mask.shape, np.uint16))


def _decoded(data: bytes) -> people.Pixels:
    """Return a picture as it is to be seen, (H, W, 4) sRGB and how opaque it is.

    Raises:
        ValueError: when it is neither PNG nor JPEG, or too large; or as ``_DAMAGE`` says.
    """
    images.size_px(data)  # before anything is unpacked
    with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGBA"))
