# SPDX-License-Identifier: Apache-2.0
"""Windows of whole images: they cover small images, are drawn from large ones, and none is empty."""

from __future__ import annotations

import numpy as np

from synthkit.crops.windows import MOST_WINDOWS, cut_windows
from synthkit.sample import Sample
from synthkit.seeds import Seeds


def sample_of(height: int, width: int, key: str = "photo") -> Sample:
    """Return an image whose pixels tell their places."""
    rows, columns = np.mgrid[:height, :width]
    noise = Seeds(1).stream("pixels").integers(0, 256, (height, width))
    return Sample(key, np.stack([rows % 256, columns % 256, noise], axis=-1).astype(np.uint8))


def places(sample: Sample, side_px: int) -> list[tuple[int, int]]:
    return [(int(window[0, 0, 0]), int(window[0, 0, 1])) for window in cut_windows(sample, side_px)]


def test_windows_cover_an_image_that_needs_few():
    sample = sample_of(100, 140)
    assert places(sample, 50) == [(row, column) for row in (0, 50) for column in (0, 45, 90)]
    for window in cut_windows(sample, 50):
        row, column = window[0, 0, :2]
        assert np.array_equal(window, sample.image[row : row + 50, column : column + 50])


def test_from_large_images_as_many_are_drawn_by_the_key():
    first, again, other = (places(sample_of(250, 250, key), 32) for key in ("a", "a", "b"))
    assert len(first) == MOST_WINDOWS
    assert first == again
    assert first != other


def test_what_shows_nothing_and_what_is_too_small_is_left_out():
    image = np.array(sample_of(100, 100).image)
    image[:50, :50] = 1
    assert places(Sample("dark corner", image), 50) == [(0, 50), (50, 0), (50, 50)]
    assert places(sample_of(40, 100), 50) == []
