# SPDX-License-Identifier: Apache-2.0
"""Which latents people get: one for each identity, drawn towards the middle as far as is wanted."""

from __future__ import annotations

from typing import Literal

import attrs
import numpy as np
import numpy.typing as npt
import torch

from synthkit.seeds import Seeds
from synthkit_anonymizer_gan.looks import Spread
from synthkit_anonymizer_gan.networks import Mapping

Draws = Literal["looks", "normal"]
Truncate = Literal["z", "w", "modes"]

_SAMPLES = 10_000  # of w, for its mean and its modes
_AT_ONCE = 1000
_ITERATIONS = 30


def of_identity(seeds: Seeds, identity: str, width: int) -> npt.NDArray[np.float32]:
    """Return the draw of somebody, (width,), from the standard normal distribution; see ``Maker.drawn``.

    It is a function of the seed and the name: ``Seeds`` hashes both (BLAKE2b). Who knows both can compute it.
    """
    return seeds.child("latent").child(identity).stream("z").standard_normal(width, np.float32)


@attrs.frozen(eq=False)
class Truncation:
    """Draws latents towards a middle: t = 1 leaves them, t = 0 takes the middle itself.

    Args:
        t: in 0..1. middles: (M, latent), of which each takes the nearest. of_z: whether they are z's, not w's.
    """

    t: float
    middles: torch.Tensor
    of_z: bool

    def of(self, mapping: Mapping, z: torch.Tensor) -> torch.Tensor:
        """Return w for latents z, (N, latent) both."""
        w: torch.Tensor = mapping(self._truncated(z) if self.of_z else z)
        return w if self.of_z else self._truncated(w)

    def _truncated(self, latents: torch.Tensor) -> torch.Tensor:
        if self.t == 1:
            return latents
        nearest = self.middles[torch.cdist(latents, self.middles).argmin(dim=1)]
        return torch.lerp(nearest, latents, self.t)


def truncation(mapping: Mapping, spread: Spread, t: float, how: Truncate, modes: int) -> Truncation:
    """Return a truncation for a trained mapping network and the distribution that its latents are drawn from.

    ``z``: towards the mean of z, of standard normal ones the zero vector (thesis 002, section 2.11). ``w``: towards the
    mean of w (Karras et al. 2019, section B). ``modes``: towards the nearest of several middles of w (Mokady et al.
    2022; thesis 002, section 2.11.1).
    """
    if t == 1 or how == "z":
        return Truncation(t, spread.mean[None], of_z=True)
    drawn = samples_of_w(mapping, spread)
    middles = drawn.mean(axis=0, keepdims=True) if how == "w" else middles_of(drawn, modes)
    return Truncation(t, torch.from_numpy(middles.astype(np.float32)).to(spread.mean.device), of_z=False)


@torch.no_grad()
def samples_of_w(mapping: Mapping, spread: Spread) -> npt.NDArray[np.float64]:
    """Return many w, (10000, latent), of draws that are always the same."""
    latent, parts = len(spread.mean), []
    for place in range(_SAMPLES // _AT_ONCE):
        z = Seeds(0).child("truncation").stream("z", place).standard_normal((_AT_ONCE, latent), np.float32)
        parts.append(mapping(spread.of(torch.from_numpy(z).to(spread.mean.device))).cpu().double().numpy())
    return np.concatenate(parts)


def middles_of(points: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64]:
    """Return middles by k-means (Lloyd 1982; begun by Arthur and Vassilvitskii 2007), (count, D), always the same."""
    from scipy.cluster.vq import kmeans2

    stream = Seeds(0).child("truncation").stream("modes")
    middles, _ = kmeans2(points, count, iter=_ITERATIONS, minit="++", rng=stream, missing="warn")
    return np.asarray(middles)


def between(first: npt.NDArray[np.float32], last: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.float32]:
    """Return latents z from one to another, (count, latent), along the arc between them.

    Numbers from the normal distribution lie about on a sphere, and a straight line would lead through its inside, where
    hardly any are (White: Sampling Generative Networks, 2016).
    """
    lengths = np.linalg.norm(first), np.linalg.norm(last)
    cosine = float(np.dot(first, last) / max(float(lengths[0] * lengths[1]), 1e-12))
    angle = float(np.arccos(np.clip(cosine, -1, 1)))
    shares = np.linspace(0, 1, count)[:, None]
    if np.sin(angle) < 1e-6:
        return ((1 - shares) * first + shares * last).astype(np.float32)
    arc = (np.sin((1 - shares) * angle) * first + np.sin(shares * angle) * last) / np.sin(angle)
    return np.asarray(arc, dtype=np.float32)
