# SPDX-License-Identifier: Apache-2.0
"""Perceptual path length on generators whose paths are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from synthkit.seeds import Seeds
from synthkit_lpips.path_length import path_length, slerp


class Colours:
    """A generator of flat pictures: three numbers of the latent, mapped linearly, are the colour."""

    latent_size = 3

    def __init__(self, gain=0.05, size=4):
        self.gain, self.size = gain, size

    def mapped(self, latents):
        return self.gain * latents

    def images(self, mapped):
        return mapped[:, :, None, None].expand(-1, -1, self.size, self.size)


def square(first, second):
    """A distance whose path length is known: the squared speed of the colour."""
    return (first - second).square().mean(dim=(2, 3)).sum(dim=1)


def test_straight_ways_have_the_length_of_their_ends():
    """E |w2 - w1|^2 of the straight way between normal latents: 2 D gain^2, less the trimmed tails."""
    found = path_length(Colours(), square, Seeds(0), samples=4000, batch=500)
    ends = Seeds(0).stream("latents").standard_normal((4000, 2, 3))
    speeds = (0.05**2 * (ends[:, 1] - ends[:, 0]) ** 2).sum(axis=1)
    low, high = np.percentile(speeds, [1, 99])
    assert found.value == pytest.approx(speeds[(speeds >= low) & (speeds <= high)].mean(), rel=1e-3)
    assert found.value == pytest.approx(2 * 3 * 0.05**2, rel=0.1)
    assert (found.samples, found.kept) == (4000, 3922)


def test_ways_on_the_sphere_have_the_length_of_their_arc():
    found = path_length(Colours(), square, Seeds(0), space="z", sampling="full", samples=2000, batch=100)
    ends = Seeds(0).stream("latents").standard_normal((2000, 2, 3))
    unit = ends / np.linalg.norm(ends, axis=2, keepdims=True)
    speeds = 0.05**2 * 3 * np.arccos((unit[:, 0] * unit[:, 1]).sum(axis=1)) ** 2
    low, high = np.percentile(speeds, [1, 99])
    assert found.value == pytest.approx(speeds[(speeds >= low) & (speeds <= high)].mean(), rel=1e-3)


def test_batches_change_nothing():
    values = [path_length(Colours(), square, Seeds(3), samples=30, batch=batch).value for batch in (1, 7, 30)]
    assert values == pytest.approx([values[0]] * 3, rel=1e-12)


def test_large_images_are_shrunk():
    sizes = []

    def seen(first, second):
        sizes.append(first.shape[-1])
        return square(first, second)

    path_length(Colours(size=512), seen, Seeds(0), samples=4, batch=2)
    assert sizes == [256, 256]


def test_the_way_on_the_sphere_by_hand():
    first, last = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 5.0]])
    half = slerp(first, last, torch.tensor([[0.5]]))
    assert torch.allclose(half, torch.tensor([[1.0, 1.0]]))
    assert torch.allclose(slerp(first, last, torch.tensor([[1.0]])), torch.tensor([[0.0, 2**0.5]]), atol=1e-6)
