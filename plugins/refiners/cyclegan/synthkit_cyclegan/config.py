# SPDX-License-Identifier: Apache-2.0
"""Settings of the CycleGAN refiner; no torch here."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import attrs

from synthkit.config import When, at_least, between, setting
from synthkit_cyclegan.crop_settings import ResnetSettings

POOLS = range(1, 6)
"""VGG16's max poolings."""


def _distinct_pools(_: object, __: object, value: tuple[int, ...]) -> None:
    if len(set(value)) < len(value) or not set(value) <= set(POOLS):
        raise ValueError(f"must name poolings from {POOLS[0]} to {POOLS[-1]}, each once, got {list(value)}")


_WASSERSTEIN = When("adversarial is wasserstein", lambda config: config.adversarial == "wasserstein")
_FEATURES = When(
    "a feature loss has a weight", lambda config: config.perceives or config.discriminator_feature_weight > 0
)


def _weight(what: str, equation: str) -> Any:
    return setting(0.0, help=f"weight of the {what} loss ({equation}); 0: not computed", validator=at_least(0))


@attrs.frozen
class CycleGANConfig(ResnetSettings):
    """How a CycleGAN is built, trained and applied; defaults are those of thesis 000, section 3.5.1.

    The losses and their weights are what the presets differ in. Equations are those of thesis 000.
    """

    adversarial: Literal["least_squares", "cross_entropy", "wasserstein"] = setting(
        "least_squares",
        help="the adversarial loss, of weight 1: CycleGAN's, that of the first GANs, or Wasserstein's with a penalty",
    )
    gradient_penalty_weight: float = setting(
        10.0,
        help="weight of the gradient penalty of wasserstein discriminators",
        validator=at_least(0),
        when=_WASSERSTEIN,
    )
    critic_steps: int = setting(
        5,
        help="steps of wasserstein discriminators to one of the generators (Gulrajani et al. 2017); others do one",
        validator=between(1, 100),
        when=_WASSERSTEIN,
    )
    cyclic_pixel_weight: float = _weight("cyclic pixel", "2.8")
    cyclic_feature_weight: float = _weight("cyclic feature", "2.18")
    identity_pixel_weight: float = _weight("identity pixel", "2.17")
    identity_feature_weight: float = _weight("identity feature", "2.19")
    mean_feature_weight: float = _weight("mean feature", "2.20")
    discriminator_feature_weight: float = _weight("cyclic discriminator feature", "2.21, 2.22")
    perceptual: Literal["auto", "vgg16", "mobilenet_v2"] = setting(
        "auto",
        help="the network of the feature losses; auto means vgg16, or mobilenet_v2 where vgg16's weights cannot be had",
    )
    perceptual_pools: tuple[int, ...] = setting(
        (2,),
        help="its layers, as VGG16's max poolings, 1 to 5; mobilenet_v2 is tapped where it has the same resolution",
        validator=_distinct_pools,
    )
    perceptual_scale: float | None = setting(
        None,
        help="factor on its squared distances; none means 1 for vgg16, and for another what makes them as large",
        validator=at_least(0),
    )
    perceptual_weights: Path | None = setting(
        None, help="its weights' file or folder; none means wherever they are found", decides="nothing"
    )
    feature_distance: Literal["squared", "norm"] = setting(
        "squared",
        help="feature losses as sums of squares over an image's features, or as the roots of these sums",
        when=_FEATURES,
    )

    def __attrs_post_init__(self) -> None:
        if self.perceives and not self.perceptual_pools:
            raise ValueError("perceptual_pools: a feature loss has a weight, but no layer to compare")

    @property
    def judgements(self) -> int:
        """Steps of the discriminators to one of the generators."""
        return self.critic_steps if self.adversarial == "wasserstein" else 1

    @property
    def perceives(self) -> bool:
        """Whether a loss needs the perceptual network."""
        return any((self.cyclic_feature_weight, self.identity_feature_weight, self.mean_feature_weight))
