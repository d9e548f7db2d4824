# SPDX-License-Identifier: Apache-2.0
"""Where looks lie among the latents, so that people are drawn from there.

With an appearance mapper a generator learns from the latents of real people's looks alone (thesis 002, section 4.7).
The divergence of equation 4.5 does not make these a standard normal distribution together: along some directions they
reach several times as far. People drawn from the standard normal distribution, as the thesis's are, are then duller and
more alike than those the generator learned from. Ghosh et al., From Variational to Deterministic Autoencoders (ICLR
2020), section 4: fit a simple distribution to the latents, and draw from that.
"""

from __future__ import annotations

import attrs
import torch
from torch import nn

from synthkit.training import distributed

_KEPT = 0.999  # of the moments in a step, once training goes on for a while
_ROUNDED = 0.02  # of the largest variance: how far below zero half precision may round others
_LEAST_SHARE = 1e-4  # of the largest variance, which every direction has


@attrs.frozen(eq=False)
class Spread:
    """A normal distribution of latents.

    Args:
        mean: (latent,).
        factor: (latent, latent), the lower triangle L with L L^T = covariance (Cholesky), of which there is but one, so
            that a draw is the same person on every machine.
    """

    mean: torch.Tensor
    factor: torch.Tensor

    @classmethod
    def standard(cls, latent: int) -> Spread:
        """Return the standard normal distribution."""
        return cls(torch.zeros(latent), torch.eye(latent))

    def of(self, normal: torch.Tensor) -> torch.Tensor:
        """Return draws of this distribution, (N, latent), for those of the standard normal one."""
        return self.mean + normal @ self.factor.T

    def to(self, device: torch.device) -> Spread:
        """Return the same on a device."""
        return Spread(self.mean.to(device), self.factor.to(device))


class Looks(nn.Module):
    """Follows the moments of the looks that a generator learns from, by exponential moving averages.

    A look is a distribution itself; of all together the second moments are those of the means and the mean variance of
    each. At first they are those of the standard normal distribution.
    """

    mean: torch.Tensor
    second: torch.Tensor

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(latent))
        self.register_buffer("second", torch.eye(latent))

    @torch.no_grad()
    def follow(self, means: torch.Tensor, log_variances: torch.Tensor, step: int) -> None:
        """Take the looks of a step's batch in, (N, latent) both, of all processes; ``step`` counts from 1.

        The first looks are of a mapper that has learned nothing, and are soon forgotten, as ``training.averages`` does.
        """
        means, variances = means.detach().float(), log_variances.detach().float().exp()
        second = means.T @ means / len(means) + torch.diag(variances.mean(dim=0))
        weight = 1.0 - min(_KEPT, (1 + step) / (10 + step))
        self.mean.lerp_(distributed.mean(means.mean(dim=0)), weight)
        self.second.lerp_(distributed.mean(second), weight)

    def spread(self) -> Spread:
        """Return the normal distribution that has these moments, on the CPU, whatever they were rounded to.

        Raises:
            ValueError: when no distribution has them.
        """
        mean, second = self.mean.cpu().double(), self.second.cpu().double()
        variances, directions = torch.linalg.eigh((second + second.T) / 2 - torch.outer(mean, mean))
        most = float(variances[-1])
        if not most > 0 or float(variances[0]) < -_ROUNDED * most:
            raise ValueError("the looks that it learned from have moments that no distribution has")
        covariance = (directions * variances.clamp(min=_LEAST_SHARE * most)) @ directions.T
        return Spread(mean.float(), torch.linalg.cholesky(covariance).float())
