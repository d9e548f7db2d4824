# SPDX-License-Identifier: Apache-2.0
"""The losses of thesis 000, section 2.6, each a function of one direction of the cycle.

Reduction and scale. The thesis writes its feature losses as norms and weighs them by about 1e-5, without
saying how they are reduced. For the pairs of ``calibration``, about 8 % of the range apart, a fresh
discriminator at 128 x 128 with 64 filters gives a weighted cyclic loss of 0.002 when the norm is read as
the root of a sum, which is nothing beside an adversarial loss of up to 1, and with no pixel loss nothing
else would hold the cycle; and 0.19 when it is read as the sum of squares, as TensorFlow's ``l2_loss`` and
Johnson et al. compute it (measured). So both feature losses are sums of squared differences over all
feature elements of an image, averaged over the batch. Perceptual networks get images as they were trained
(RGB in 0..1, less ImageNet's mean, over its deviation). Sums grow with the crop and the network, which the
balance of the losses must not: each is taken as the mean times the number of elements at the thesis's size
(128 x 128, 64 filters), where it is exactly the sum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
import torch

from synthkit.training.perceptual import FeatureNet
from synthkit.training.taps import tap

REFERENCE_PX = 128
DISCRIMINATOR_ELEMENTS = (64 * 64 * 64, 128 * 32 * 32, 256 * 16 * 16, 512 * 15 * 15)
"""Elements of the discriminator's activations d_1 to d_4 at 128 x 128 pixels and 64 filters."""

Features = Callable[[torch.Tensor], list[torch.Tensor]]


@attrs.frozen(eq=False)
class Direction:
    """One direction of the cycle: x -> G(x) -> F(G(x)), or the other way round.

    Args:
        real: x. fake: G(x). cycled: F(G(x)); (N, 3, H, W) in -1..1.
        fake_answers: what the target's discriminator says to ``fake``.
        real_features: d_j(x) of the discriminator of x's own domain, without gradient.
        features: that discriminator's d_j of any image.
    """

    real: torch.Tensor
    fake: torch.Tensor
    cycled: torch.Tensor
    fake_answers: torch.Tensor
    real_features: Sequence[torch.Tensor]
    features: Features


@attrs.frozen(eq=False)
class Term:
    """A weighted part of the generators' objective; ``loss`` is summed over both directions."""

    name: str
    weight: float
    loss: Callable[[Direction], torch.Tensor]


def adversarial(direction: Direction) -> torch.Tensor:
    """Return the least-squares loss of a generator, mean (D(G(x)) - 1)^2 (thesis 000, section 2.4)."""
    return (direction.fake_answers - 1).square().mean()


def discriminator(real_answers: torch.Tensor, fake_answers: torch.Tensor) -> torch.Tensor:
    """Return the least-squares loss of a discriminator, halved as in CycleGAN to slow it against G."""
    return 0.5 * ((real_answers - 1).square().mean() + fake_answers.square().mean())


def discriminator_cycle(direction: Direction) -> torch.Tensor:
    """Return the cyclic loss in the discriminator's feature space (thesis 000, equations 2.21 and 2.22).

    The discriminator is that of the images' own domain, convolutions 1 to 4. Equation 2.21's last term
    prints G(F(x)); y is compared with its own cycle, G(F(y)).
    """
    cycled = direction.features(direction.cycled)
    parts = zip(cycled, direction.real_features, DISCRIMINATOR_ELEMENTS, strict=True)
    return torch.stack([squared_distance(a, b, elements) for a, b, elements in parts]).sum()


def identity_features(network: FeatureNet, layer: str, scale: float) -> Callable[[Direction], torch.Tensor]:
    """Return the identity loss in a perceptual feature space, V(G(x)) to V(x) (thesis 000, equation 2.19).

    Args:
        network, layer: V. scale: what makes this network's distances comparable (see ``calibration``).
    """
    elements = elements_at_reference(network.name, layer)

    def loss(direction: Direction) -> torch.Tensor:
        with torch.no_grad():
            before = network((direction.real + 1) / 2)[layer]
        after = network((direction.fake + 1) / 2)[layer]
        return scale * squared_distance(after, before, elements)

    return loss


def squared_distance(a: torch.Tensor, b: torch.Tensor, elements: int) -> torch.Tensor:
    """Return the mean squared difference times ``elements``: a sum of squares at the reference size."""
    return elements * (a.float() - b.float()).square().mean()


def elements_at_reference(name: str, layer: str) -> int:
    """Return how many feature elements a tap has for one image of 128 x 128 pixels."""
    place = tap(name, layer)
    return place.channels * (REFERENCE_PX // place.stride) ** 2
