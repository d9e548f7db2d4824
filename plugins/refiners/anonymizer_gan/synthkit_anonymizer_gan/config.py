# SPDX-License-Identifier: Apache-2.0
"""Settings of the generative anonymizers; no torch here."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import attrs

from synthkit.config import When, all_of, at_least, between, setting
from synthkit.training.settings import TrainingSettings

MOST_CHANNELS, MOST_LATENT, MOST_MAPPING = 256, 4096, 16
LEAST_SIDE_PX, MOST_SIDE_PX = 16, 1024
"""What networks may be, as settings and in the cards of checkpoints."""

LEAST_COARSE_PX, MOST_COARSE_PX = 4, 32
"""Sides of the coarsest resolution: where crops are halved less, layers that take all of it grow without bounds."""

_MAPPED = When("appearance is true", lambda config: config.appearance)
_TRUNCATED = When("truncation is below 1", lambda config: config.truncation < 1)

SHIPPED = "synthkit_anonymizer_gan:weights/small.safetensors"
"""The checkpoint that comes with this package, as ``Component.demo_checkpoint`` names it."""

SAMPLING = ("draws", "truncation", "truncate", "modes")
"""Settings that say who is made with a checkpoint."""

APPLY_ONLY = frozenset({*SAMPLING, "look", "feather_px"})
"""Settings that say how people are made with a checkpoint, and have no part in training."""


def _halves(_: object, __: object, value: tuple[int, int]) -> None:
    if any(side % 4 for side in value):
        raise ValueError(f"must be multiples of 4 (networks halve them), got {list(value)}")
    width, height = value
    while not (width % 2 or height % 2 or min(width, height) // 2 < LEAST_COARSE_PX):
        width, height = width // 2, height // 2
    if max(width, height) > MOST_COARSE_PX:
        raise ValueError(
            f"networks halve them as long as both are even, {list(value)} to {width} x {height}, which is more than"
            f" {MOST_COARSE_PX}: take multiples of 16 or 32"
        )


def _maps(_: object, __: object, value: tuple[int, ...]) -> None:
    if len(set(value)) < len(value):
        raise ValueError(f"must name each resolution once, got {list(value)}")


@attrs.frozen
class GeneratingConfig(TrainingSettings):
    """How people are generated, and how that is learned; defaults are thesis 002's, but for its final size."""

    # How people are cut out.
    crop_px: tuple[int, int] = setting(
        (160, 288),
        help="width and height of the crops, multiples of 4; the thesis's, of which a CPU can do [40, 72]",
        validator=all_of(between(LEAST_SIDE_PX, MOST_SIDE_PX), _halves),
    )
    alignment: Literal["head", "box", "image"] = setting(
        "head",
        help="how crops lie: head, turned upright with the head always at one place, as under ceiling cameras; box,"
        " around the person as the image stands, for ordinary photos; image, images are crops of one person already"
        " (docs/fdh.md)",
    )
    margin: float = setting(
        0.02,
        help="how far beyond their masks people are made anew, of the root of the crop's area",
        validator=between(0, 0.2),
    )
    feather_px: float = setting(
        0.5, help="width of the soft edge where made people are put back", validator=between(0, 50)
    )

    # Networks.
    surface: Literal["mpfb", "smpl", "keypoints", "none"] = setting(
        "mpfb",
        help="what tells the pose: mpfb, the layer surface (rendered people), with an embedding of MPFB's base mesh;"
        " smpl, the layer surface_smpl (FDH, DensePose), with the table of embedding_file; keypoints, COCO's 17, which"
        " tell less of the body (section 7.2.4); none, the mask alone",
    )
    embedding_file: Path | None = setting(
        None,
        help="FDH's embed_map.torch",
        decides="content",
        when=When("surface is smpl", lambda config: config.surface == "smpl"),
    )
    channels: int = setting(
        32, help="channels of the generator at the finest resolution", validator=between(1, MOST_CHANNELS)
    )
    discriminator_channels: int = setting(
        32, help="channels of the discriminator at the finest resolution", validator=between(1, MOST_CHANNELS)
    )
    latent: int = setting(512, help="width of the latents z and w", validator=between(2, MOST_LATENT))
    mapping_layers: int = setting(2, help="layers of the mapping network", validator=between(1, MOST_MAPPING))
    appearance: bool = setting(
        True,
        help="learn to make people again from a latent that an appearance mapper made of their pixels (section 4.7);"
        " false: latents are drawn, as StyleGAN's",
    )
    co_modulation: bool = setting(True, help="let the surroundings modulate too (section 4.9)")
    discriminator_sees: Literal["mask", "surface"] = setting(
        "surface",
        help="the discriminator's condition: mask, of what is to be made; surface, where the surface is known instead,"
        " and noise in place of what is to be made, so that it cannot rely on outlines (section 4.10)",
    )

    # Training.
    images: int = setting(12_000_000, help="training images, over all steps", validator=at_least(1))
    batch: int = setting(32, help="crops per step", validator=at_least(1))
    learning_rate: float = setting(1e-3, help="Adam's rate", validator=between(1e-8, 1))
    ema: float = setting(
        0.998,
        help="the checkpoint gets a moving average of the weights with this decay; 0: the last",
        validator=between(0, 0.999999),
    )
    leave_out: Path | None = setting(
        None,
        help="a list of 'synthkit generator outliers': people who are not learned from (section 7.2.6)",
        decides="content",
    )
    flip: bool = setting(True, help="mirror crops at random while training")
    feature_weight: float = setting(
        5.0, help="weight of feature matching (equation 4.6)", validator=at_least(0), when=_MAPPED
    )
    feature_maps: tuple[int, ...] = setting(
        (0, 1, 2, 3, 4),
        help="the discriminator's resolutions that are compared, 0 is the finest; those that smaller crops lack are"
        " left out",
        validator=all_of(between(0, 8), _maps),
        when=_MAPPED,
    )
    feature_normalised: bool = setting(
        True, help="normalise features by their statistics before they are compared (section 4.8)", when=_MAPPED
    )
    kl_weight: float = setting(
        0.01, help="weight of the Kullback-Leibler divergence (equation 4.6)", validator=at_least(0), when=_MAPPED
    )
    pairs: float = setting(
        0.0,
        help="part of each batch whose latents come from another crop of the same person, where there is one"
        " (section 7.2.1)",
        validator=between(0, 1),
        when=_MAPPED,
    )
    augmented: float = setting(
        0.0,
        help="how much pictures that latents come from are changed first, in 0..1: mirrored, turned, scaled, moved, in"
        " another light (section 7.2.1); after training they are seen as they are",
        validator=between(0, 1),
        when=_MAPPED,
    )
    mask_growth: float = setting(
        0.0,
        help="masks are grown at random by up to so much more than the margin while training, of the root of the crop's"
        " area (section 7.2.4)",
        validator=between(0, 0.5),
    )
    r1_weight: float = setting(
        5.0, help="weight of the discriminator's gradient penalty R1; half of it counts", validator=at_least(0)
    )
    r1_every: int = setting(16, help="steps between two gradient penalties", validator=between(1, 1000))
    epsilon_weight: float = setting(1e-3, help="weight of the penalty on real images' scores", validator=at_least(0))
    precision: Literal["float32", "tfloat32", "bfloat16"] = setting(
        "float32", help="precision of training: bfloat16 forward passes are faster where the device has them"
    )

    # Sampling.
    draws: Literal["looks", "normal"] = setting(
        "looks",
        help="what people are drawn from: looks, the distribution of those that were learned from; normal, the standard"
        " normal distribution, as in the thesis, which makes duller people; without an appearance mapper always normal",
    )
    truncation: float = setting(
        1.0,
        help="t: how far latents keep away from the middle; 1: not truncated, 0: all the same",
        validator=between(0, 1),
    )
    truncate: Literal["z", "w", "modes"] = setting(
        "w",
        help="what t draws latents towards: z, their mean, the zero vector where draws are normal (thesis 002); w, the"
        " mean of w (StyleGAN2); modes, of several middles of w the nearest (Mokady et al. 2022)",
        when=_TRUNCATED,
    )
    modes: int = setting(
        16,
        help="how many middles there are, by k-means of w",
        validator=between(1, 1000),
        when=When("truncate is modes", lambda config: config.truncation < 1 and config.truncate == "modes"),
    )
    look: Path | None = setting(
        None,
        help="a picture of somebody, whose look everybody gets (section 5.3.2); where it is transparent they are not",
        decides="content",
        when=_MAPPED,
    )

    def __attrs_post_init__(self) -> None:
        if self.surface == "none" and self.discriminator_sees == "surface":
            raise ValueError("discriminator_sees: with surface=none there is none to be seen; take mask")
        if self.surface == "smpl" and self.embedding_file is None:
            raise ValueError("embedding_file: surface=smpl needs FDH's embed_map.torch")
        if self.appearance and self.feature_weight and not self.feature_maps:
            raise ValueError("feature_maps: feature_weight is not 0, but no resolution is to be compared")

    @property
    def needs(self) -> frozenset[str]:
        """The layer without which everybody would be left blank."""
        return frozenset({"mpfb": {"surface"}, "smpl": {"surface_smpl"}}.get(self.surface, ()))

    @property
    def steps(self) -> int:
        """Training steps."""
        return -(-self.images // self.batch)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the crops."""
        return self.crop_px[1], self.crop_px[0]
