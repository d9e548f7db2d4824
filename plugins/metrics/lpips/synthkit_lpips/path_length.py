# SPDX-License-Identifier: Apache-2.0
"""Perceptual path length: how much a generator's images change where its latent changes a little.

Karras, Laine and Aila, A Style-Based Generator Architecture for Generative Adversarial Networks (CVPR 2019), section
4.1, equations 2 and 3, with what StyleGAN2's code adds: images larger than 256 px are shrunk by whole factors, and the
lowest and highest hundredth of the distances are left out. The number compares with published ones when the distance is
LPIPS with VGG16.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, Protocol

import attrs
import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from synthkit.seeds import Seeds

Distance = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Takes two batches of RGB images in 0..1, (N, 3, H, W), to distances, (N,)."""

_SIDE_PX = 256
_TRIM_PERCENT = 1.0


class Interpolating(Protocol):
    """A generator whose images follow its latent continuously; all else that it depends on stays the same."""

    latent_size: int

    def mapped(self, latents: torch.Tensor) -> torch.Tensor:
        """Take normal latents, (N, ``latent_size``) float64 on the CPU, to the space W; without one, return them."""

    def images(self, mapped: torch.Tensor) -> torch.Tensor:
        """Return images of mapped latents, float64, as (N, 3, H, W) RGB in 0..1."""


@attrs.frozen
class PathLength:
    """A perceptual path length: the mean of ``kept`` out of ``samples`` squared path speeds."""

    value: float
    kept: int
    samples: int


def path_length(
    generator: Interpolating,
    distance: Distance,
    seeds: Seeds,
    *,
    space: Literal["z", "w"] = "w",
    sampling: Literal["full", "end"] = "end",
    samples: int = 50_000,
    epsilon: float = 1e-4,
    batch: int = 8,
) -> PathLength:
    """Return the perceptual path length of a generator.

    Args:
        distance: of images, such as ``synthkit_lpips.distance.load_distance("vgg")``.
        seeds: latents come from their stream ``latents``, places on the way from ``places``; batches change nothing.
        space: where is interpolated: spherically among latents, or straight in W.
        sampling: anywhere on the way between two latents, or at its beginning, as StyleGAN2 has it.
        samples, epsilon: how many ways, and how far apart the two images of each are, of the way.
    """
    ends = seeds.stream("latents").standard_normal((samples, 2, generator.latent_size))
    places = seeds.stream("places").random(samples) if sampling == "full" else np.zeros(samples)
    speeds = []
    with torch.inference_mode():
        for start in range(0, samples, batch):
            some = slice(start, start + batch)
            at = torch.from_numpy(places[some])[:, None]
            first, last = torch.from_numpy(ends[some]).unbind(dim=1)
            pair = torch.cat([_between(generator, space, first, last, at + step) for step in (0.0, epsilon)])
            one, other = _shrunk(generator.images(pair)).chunk(2)
            speeds.append(distance(one, other).double().cpu().numpy() / epsilon**2)
    return _trimmed_mean(np.concatenate(speeds))


def slerp(first: torch.Tensor, last: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """Interpolate between the directions of (N, D) on the sphere of radius sqrt(D), where normal latents are.

    StyleGAN does so on the unit sphere, of which its mapping keeps the direction alone. ``at``: (N, 1) in 0..1.
    """
    one, other = functional.normalize(first, dim=-1), functional.normalize(last, dim=-1)
    cosine = (one * other).sum(dim=-1, keepdim=True)
    angle = at * torch.acos(cosine)
    aside = functional.normalize(other - cosine * one, dim=-1)
    radius = math.sqrt(first.shape[-1])
    return radius * functional.normalize(one * torch.cos(angle) + aside * torch.sin(angle), dim=-1)


def _between(
    generator: Interpolating, space: Literal["z", "w"], first: torch.Tensor, last: torch.Tensor, at: torch.Tensor
) -> torch.Tensor:
    """Return mapped latents on the way, in float64: a step of 1e-4 is little in float32."""
    if space == "z":
        return generator.mapped(slerp(first, last, at)).double()
    mapped = [generator.mapped(end).double() for end in (first, last)]
    return torch.lerp(mapped[0], mapped[1], at.to(mapped[0].device).reshape(-1, *[1] * (mapped[0].ndim - 1)))


def _shrunk(images: torch.Tensor) -> torch.Tensor:
    factor = images.shape[-2] // _SIDE_PX
    return functional.avg_pool2d(images, factor) if factor > 1 else images


def _trimmed_mean(speeds: npt.NDArray[np.float64]) -> PathLength:
    low = np.percentile(speeds, _TRIM_PERCENT, method="lower")
    high = np.percentile(speeds, 100 - _TRIM_PERCENT, method="higher")
    kept = speeds[(speeds >= low) & (speeds <= high)]
    return PathLength(float(kept.mean()), len(kept), len(speeds))
