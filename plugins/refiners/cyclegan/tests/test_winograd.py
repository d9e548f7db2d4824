# SPDX-License-Identifier: Apache-2.0
"""The quicker generator gives what the plain one gives, up to rounding, and each image by itself."""

from __future__ import annotations

import pytest
import torch

from synthkit_cyclegan import winograd
from synthkit_cyclegan.networks import Generator


def generator(filters: int, *, skip: bool) -> Generator:
    """Return a generator whose blocks and last layer all do something."""
    random = torch.Generator().manual_seed(3)
    network = Generator(filters, skip=skip, generator=random)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=random))
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize(("size", "skip"), [((32, 32), True), ((48, 16), False), ((64, 80), False)])
def test_results_differ_by_hundredths_of_a_grey_level(size, skip):
    plain = generator(8, skip=skip)
    images = torch.rand(2, 3, *size) * 2 - 1
    expected = plain.double()(images.double())
    result = winograd.quickened(plain.float())(images)
    assert result.shape == expected.shape
    assert expected.std() > 0.2
    assert float((result - expected).abs().max()) * 127.5 < 0.05


def test_other_images_of_a_batch_change_no_bit():
    quick = winograd.quickened(generator(4, skip=True))
    images = torch.rand(3, 3, 32, 32) * 2 - 1
    blocks = next(m for m in quick.layers if isinstance(m, winograd.WinogradBlocks))
    flow = torch.rand(3, 16, 8, 8)
    assert torch.equal(blocks(flow)[1], blocks(flow[1:2])[0])
    assert torch.allclose(quick(images)[1], quick(images[1:2])[0], atol=1e-5)


@pytest.mark.parametrize(("size", "answer"), [((128, 128), True), ((16, 48), True), ((132, 128), False)])
def test_which_sizes_fit(size, answer):
    assert winograd.fits(*size) is answer
