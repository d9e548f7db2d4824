# SPDX-License-Identifier: Apache-2.0
"""The losses of thesis 002, chapter 4, each a mean over the batch."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch.nn import functional

_EPSILON = 1e-8


def generator(fake_scores: torch.Tensor) -> torch.Tensor:
    """Return the generator's part of equation 4.1, in the form that does not saturate: -log D(G) of scores (N,).

    Goodfellow et al. 2014, section 3. A score is the logit of D.
    """
    return functional.softplus(-fake_scores).mean()


def discriminator(real_scores: torch.Tensor, fake_scores: torch.Tensor) -> torch.Tensor:
    """Return the discriminator's part of equation 4.1, -log D(x) - log(1 - D(G)), of scores (N,)."""
    return (functional.softplus(-real_scores) + functional.softplus(fake_scores)).mean()


def epsilon_penalty(real_scores: torch.Tensor) -> torch.Tensor:
    """Return D(x)^2, which keeps scores from drifting (Karras et al. 2018, appendix A.1)."""
    return real_scores.square().mean()


def gradient_penalty(real_scores: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Return ||grad D(x)||^2 at real images x (N, ...), which need a gradient: R1 without its weight.

    Mescheder et al. 2018, equation 9.
    """
    (gradient,) = torch.autograd.grad(real_scores.sum(), images, create_graph=True)
    return gradient.square().flatten(1).sum(dim=1).mean()


def feature_matching(
    real: Sequence[torch.Tensor], fake: Sequence[torch.Tensor], chosen: Collection[int], *, normalised: bool = True
) -> torch.Tensor:
    """Return the discriminator feature matching loss (equations 4.2 and 4.3, their weights 0 and 1).

    Of each chosen map it is the mean absolute difference. ``normalised`` (section 4.8): maps are brought to mean 0 and
    deviation 1 first, by the statistics of both images' maps together, so that a discriminator whose features grow
    does not make the loss grow. The mean cancels in the difference; the deviation is a yardstick and gets no gradient:
    else features that scatter more would make the loss less.

    Args:
        real, fake: maps (N, C, h, w) of both images, the finest first. chosen: which of them.
    """
    parts = []
    for number in chosen:
        ours, theirs = fake[number].float(), real[number].float().detach()
        difference = (ours - theirs).abs().flatten(1).mean(dim=1)
        if normalised:
            difference = difference / (_deviation(ours.detach(), theirs) + _EPSILON)
        parts.append(difference.mean())
    return torch.stack(parts).sum()


def _deviation(ours: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    """Return the deviation of the numbers of two maps (N, C, h, w) together, (N,), without a copy of both."""
    middle = (ours.mean(dim=(1, 2, 3)) + theirs.mean(dim=(1, 2, 3))) / 2
    squares = [(part - middle[:, None, None, None]).square().mean(dim=(1, 2, 3)) for part in (ours, theirs)]
    return torch.sqrt((squares[0] + squares[1]) / 2)


def divergence(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """Return the Kullback-Leibler divergence of z from the standard normal distribution (equation 4.5).

    Args:
        mean, log_variance: (N, J).
    """
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(dim=1).mean()
