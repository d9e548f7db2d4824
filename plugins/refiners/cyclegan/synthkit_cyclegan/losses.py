# SPDX-License-Identifier: Apache-2.0
"""The losses of thesis 000, sections 2.4 and 2.6, each a function of one direction of the cycle.

Thesis 000 prints some losses for one direction only; all are applied to both, x with G and y with F.

Pixel losses are mean absolute differences over all pixels and channels in -1..1, as CycleGAN computes the norms of
equations 2.8 and 2.17, so that a weight of 10 is the published 10.

Feature losses: reduction and scale. The thesis writes them as norms and weighs them by about 1e-5, without
saying how they are reduced. For the pairs of ``calibration``, about 8 % of the range apart, a fresh
discriminator at 128 x 128 with 64 filters gives a weighted cyclic loss of 0.002 when the norm is read as
the root of a sum, which is nothing beside an adversarial loss of up to 1, and with no pixel loss nothing
else would hold the cycle; and 0.19 when it is read as the sum of squares, as TensorFlow's ``l2_loss`` and
Johnson et al. compute it (measured). So they are sums of squared differences over all feature elements of an
image, averaged over the batch, unless the setting ``feature_distance`` says ``norm``: then they are the roots of
these sums. Several layers' distances are added up, as equation 2.22 does. Perceptual networks get images as they
were trained (RGB in 0..1, less ImageNet's mean, over its deviation). Sums grow with the crop and the network, which
the balance of the losses must not: each is taken as the mean times the number of elements at the thesis's size
(128 x 128, 64 filters), where it is exactly the sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Literal

import attrs
import torch
from torch.nn import functional

from synthkit.training.perceptual import FeatureNet
from synthkit.training.taps import tap
from synthkit_cyclegan.networks import Discriminator, full

REFERENCE_PX = 128
DISCRIMINATOR_ELEMENTS = (64 * 64 * 64, 128 * 32 * 32, 256 * 16 * 16, 512 * 15 * 15)
"""Elements of the discriminator's activations d_1 to d_4 at 128 x 128 pixels and 64 filters."""

Images = torch.Tensor
Translate = Callable[[Images], Images]
Features = Mapping[str, torch.Tensor]
Distance = Literal["squared", "norm"]
Adversarial = Callable[[torch.Tensor, bool], torch.Tensor]
"""From a discriminator's answers, and whether it should take the images for real, to a loss."""


@attrs.frozen(eq=False)
class FeatureSpace:
    """The space V in which perceptual losses compare images.

    Args:
        network: a perceptual network. scales: what makes its squared distances comparable, by layer (see
            ``calibration``). distance: how differences are reduced.
    """

    network: FeatureNet
    scales: Mapping[str, float]
    distance: Distance = "squared"

    def __call__(self, images: Images) -> Features:
        """Return V of images (N, 3, H, W) in -1..1, by layer."""
        return self.network((images + 1) / 2)  # type: ignore[no-any-return]

    def apart(self, a: Features, b: Features) -> torch.Tensor:
        """Return the distance of two results, summed over layers, averaged over the batch."""
        parts = []
        for layer, scale in self.scales.items():
            elements = elements_at_reference(self.network.name, layer)
            parts.append(distance(a[layer], b[layer], scale * elements, self.distance))
        return torch.stack(parts).sum()


@attrs.frozen(eq=False, slots=False)
class Direction:
    """One direction of the cycle: x -> G(x) -> F(G(x)), or the other way round; images (N, 3, H, W) in -1..1.

    What no loss asks for is not computed, and nothing twice.

    Args:
        real: x. to, fro: G and F.
        own, other: the discriminators of x's domain and of that of G(x).
        real_features: d_j(x) of ``own``.
        space: V, where a loss needs it. mean: the mean of V over the domain of G(x), where a loss needs it.
    """

    real: Images
    to: Translate
    fro: Translate
    own: Discriminator
    other: Discriminator
    real_features: Sequence[torch.Tensor]
    space: FeatureSpace | None = None
    mean: Features | None = None

    @cached_property
    def fake(self) -> Images:
        """G(x)."""
        return self.to(self.real)

    @cached_property
    def cycled(self) -> Images:
        """F(G(x))."""
        return self.fro(self.fake)

    @cached_property
    def real_seen(self) -> Features:
        """V(x)."""
        with torch.no_grad():
            return self.viewer(self.real)

    @cached_property
    def fake_seen(self) -> Features:
        """V(G(x))."""
        return self.viewer(self.fake)

    @property
    def viewer(self) -> FeatureSpace:
        """V, which is there for losses that need it."""
        assert self.space is not None
        return self.space


@attrs.frozen(eq=False)
class Term:
    """A weighted part of the generators' objective; ``loss`` is summed over both directions."""

    name: str
    weight: float
    loss: Callable[[Direction], torch.Tensor]


def least_squares(answers: torch.Tensor, real: bool) -> torch.Tensor:
    """Return mean (D - 1)^2 or mean D^2 (thesis 000, section 2.4; Mao et al. 2017)."""
    return ((answers - 1) if real else answers).square().mean()


def cross_entropy(answers: torch.Tensor, real: bool) -> torch.Tensor:
    """Return mean -log D or mean -log(1 - D), D being the answers' sigmoid (Goodfellow et al. 2014).

    For generators this is equation 2.6 of thesis 000, which does not saturate.
    """
    return functional.softplus(-answers if real else answers).mean()


def wasserstein(answers: torch.Tensor, real: bool) -> torch.Tensor:
    """Return -mean D or mean D (Arjovsky et al. 2017; recommended by thesis 000, section 5.12)."""
    return -answers.mean() if real else answers.mean()


ADVERSARIAL: Mapping[str, Adversarial] = {
    "least_squares": least_squares,
    "cross_entropy": cross_entropy,
    "wasserstein": wasserstein,
}
"""The adversarial losses by name."""


def discriminator(
    real_answers: torch.Tensor, fake_answers: torch.Tensor, kind: Adversarial = least_squares
) -> torch.Tensor:
    """Return the loss of a discriminator: halved, as in CycleGAN, to slow it against G; Wasserstein's is not.

    There the gradient penalty would have to be halved with it, which Gulrajani et al. do not do.
    """
    both = kind(real_answers, True) + kind(fake_answers, False)
    return both if kind is wasserstein else 0.5 * both


def gradient_penalty(judge: Translate, real: Images, fake: Images, share: torch.Tensor) -> torch.Tensor:
    """Return mean (|grad D(u)| - 1)^2 for u between real and fake (Gulrajani et al. 2017, equation 3).

    D answers by patches. As in CycleGAN's code the gradient is that of their sum: with that of their mean, D would be
    free to differ 196 times as much (at 128 x 128), and would outweigh every other loss.

    Args:
        judge: D. real, fake: (N, 3, H, W). share: of the real images in u, (N, 1, 1, 1) in 0..1.
    """
    mixed = (share * real + (1 - share) * fake).detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(judge(mixed).sum(), mixed, create_graph=True)
    slopes: torch.Tensor = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
    return (slopes - 1).square().mean()


def adversarial(kind: Adversarial) -> Callable[[Direction], torch.Tensor]:
    """Return the adversarial loss of a generator: its images should be taken for real."""
    return lambda direction: kind(direction.other(direction.fake), True)


def cyclic_pixels(direction: Direction) -> torch.Tensor:
    """Return the cyclic pixel loss |F(G(x)) - x| (thesis 000, equation 2.8; Zhu et al. 2017, equation 2)."""
    return (direction.cycled - direction.real).abs().mean()


def identity_pixels(direction: Direction) -> torch.Tensor:
    """Return the identity pixel loss |G(x) - x| (thesis 000, equation 2.17; Shrivastava et al. 2017).

    CycleGAN's own identity loss is another one: it compares G(y) with y.
    """
    return (direction.fake - direction.real).abs().mean()


def cyclic_features(direction: Direction) -> torch.Tensor:
    """Return the cyclic feature loss, V(F(G(x))) to V(x) (thesis 000, equation 2.18; Engin et al. 2018)."""
    return direction.viewer.apart(direction.viewer(direction.cycled), direction.real_seen)


def identity_features(direction: Direction) -> torch.Tensor:
    """Return the identity feature loss, V(G(x)) to V(x) (thesis 000, equation 2.19; Johnson et al. 2016)."""
    return direction.viewer.apart(direction.fake_seen, direction.real_seen)


def mean_features(direction: Direction) -> torch.Tensor:
    """Return the mean feature loss, V(G(x)) to the mean of V over the target domain (thesis 000, equation 2.20).

    The equation prints V(E[y]), the features of the mean image; the text says "the mean feature vector of the target
    dataset", E[V(y)], and that is computed. It has a place for every position: heads lie in one place in all crops.
    """
    assert direction.mean is not None
    return direction.viewer.apart(direction.fake_seen, direction.mean)


def discriminator_features(kind: Distance = "squared") -> Callable[[Direction], torch.Tensor]:
    """Return the cyclic loss in the discriminator's feature space (thesis 000, equations 2.21 and 2.22).

    The discriminator is that of the images' own domain, convolutions 1 to 4, after Wang et al. (2018). Equation
    2.21's last term prints G(F(x)); y is compared with its own cycle, G(F(y)).
    """

    def loss(direction: Direction) -> torch.Tensor:
        cycled = direction.own.features(direction.cycled)
        parts = zip(cycled, direction.real_features, DISCRIMINATOR_ELEMENTS, strict=True)
        return torch.stack([distance(a, b.detach(), elements, kind) for a, b, elements in parts]).sum()

    return loss


def distance(a: torch.Tensor, b: torch.Tensor, elements: float, kind: Distance = "squared") -> torch.Tensor:
    """Return the squared difference of features (N, ...), or its root, averaged over the batch.

    Args:
        elements: what the mean over an image's elements is multiplied with; their number at the reference size makes
            it a sum there.
    """
    difference = (full(a) - full(b)).flatten(1)
    if kind == "squared":
        return elements * difference.square().mean()
    # The norm has a gradient at zero, which the root of a sum has not.
    norm: torch.Tensor = torch.linalg.vector_norm(difference, dim=1).mean()
    return math.sqrt(elements / difference.shape[1]) * norm


def elements_at_reference(name: str, layer: str) -> int:
    """Return how many feature elements a tap has for one image of 128 x 128 pixels."""
    place = tap(name, layer)
    return place.channels * (REFERENCE_PX // place.stride) ** 2
