# SPDX-License-Identifier: Apache-2.0
"""Drawn dolls: a surface of two parts, and images in which every pixel of it is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from synthkit.interfaces import Runtime, silent
from synthkit.sample import Person, Sample
from synthkit.seeds import Seeds
from synthkit_surface_finder.surface import Surface

ROWS, COLUMNS = 12, 6  # vertices of a doll: a flat grid, the upper third of it its head
COLOURS = np.array([[220, 40, 40], [40, 60, 220]])


def _surface():
    y, x = np.mgrid[:ROWS, :COLUMNS]
    across, up = (x - (COLUMNS - 1) / 2) * 0.1, (ROWS - 1 - y) * 0.15
    vertices = np.stack([across, np.zeros_like(across), up], axis=-1).reshape(-1, 3).astype(np.float32)
    return Surface(("head", "trunk"), vertices, (y.ravel() >= ROWS // 3).astype(np.int64))


class Dolls:
    """Images of 96 x 96 pixels with one or two dolls, heads away from the middle; the same seed, the same images."""

    def __init__(self, count, seed):
        self.fingerprint = f"dolls-{count}-{seed}"
        self._samples = [_draw(f"{seed}_{n:03d}", np.random.default_rng([seed, n])) for n in range(count)]

    def __len__(self):
        return len(self._samples)

    def __getitem__(self, index):
        return self._samples[index]

    def __iter__(self):
        return iter(self._samples)


def _draw(key, random, size=96):
    image = cv2.resize(random.uniform(90, 170, (8, 8, 3)), (size, size))
    instances, vertices = np.zeros((size, size), np.uint8), np.zeros((size, size), np.uint16)
    first = random.uniform(0, 2 * np.pi)
    for number in range(1, int(random.integers(1, 3)) + 1):
        angle = first + np.pi * (number - 1) + random.uniform(-0.4, 0.4)
        up = np.array([np.cos(angle), np.sin(angle)])
        centre, (w, h) = np.full(2, size / 2) + random.uniform(24, 30) * up, random.uniform([9, 20], [13, 28])
        offset = np.stack(np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5), axis=-1) - centre
        across, along = offset @ [-up[1], up[0]] / w + 0.5, 0.5 - offset @ up / h
        inside = (across >= 0) & (across < 1) & (along >= 0) & (along < 1)
        rows, columns = (along[inside] * ROWS).astype(int), (across[inside] * COLUMNS).astype(int)
        instances[inside], vertices[inside] = number, 1 + rows * COLUMNS + columns
        shade = 0.6 + 0.4 * across[inside][:, None]
        image[inside] = COLOURS[(rows >= ROWS // 3).astype(int)] * shade
    people = [Person(instance=int(n)) for n in np.unique(instances) if n]
    layers = {"instances": instances, "surface": vertices}
    return Sample(key=key, image=np.clip(image, 0, 255).astype(np.uint8), people=people, layers=layers)


@pytest.fixture(scope="session")
def doll():
    """Return the surface of dolls."""
    return _surface()


@pytest.fixture(scope="session")
def dolls():
    """Return the class of drawn sets."""
    return Dolls


@pytest.fixture(scope="session")
def runtime(tmp_path_factory):
    """Return what makes a runtime of one thread."""
    folder = tmp_path_factory.mktemp("cache")
    return lambda progress=silent: Runtime(seeds=Seeds(1), cache_dir=folder, threads=1, progress=progress)
