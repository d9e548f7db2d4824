# SPDX-License-Identifier: Apache-2.0
"""Bringing the colours of one domain to those of another, before a network learns the rest.

Pitié and Kokaram, The linear Monge-Kantorovitch linear colour mapping for example-based colour transfer (CVMP 2007),
section 2.4: of all linear maps that give colours with covariance A the covariance B, the one that moves them least is
A^(-1/2) (A^(1/2) B A^(1/2))^(1/2) A^(-1/2).
"""

from __future__ import annotations

import math

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.training import pictures
from synthkit_cyclegan.crop_store import Crops

Floats = npt.NDArray[np.float64]

_ROWS, _COLUMNS = (0.2, 0.6), (0.4, 0.6)
"""Of a crop whose head is at ``crops.HEAD_AT``: where head and trunk are, and hardly anything of the background."""

_MOST_CROPS, _MOST_PIXELS = 1000, 1_000_000
_LEAST_VARIANCE = 1e-5  # of values in -1..1, of 0.4 grey levels: sets of one colour have maps too


@attrs.frozen(eq=False)
class ColourMap:
    """A linear map of colours in -1..1: x to ``matrix`` x + ``offset``, (3, 3) and (3,)."""

    matrix: Floats
    offset: Floats

    @property
    def inverse(self) -> ColourMap:
        """The map back."""
        matrix = np.linalg.inv(self.matrix)
        return ColourMap(matrix, -matrix @ self.offset)


def between(source: Crops, target: Crops, *, whole: bool) -> ColourMap:
    """Return the map that gives people of ``source`` mean and covariance of the colours of people of ``target``.

    Where people are in a crop is known from how it was cut, not from masks, which photos seldom have; it is the same
    place in both sets.

    Args:
        source, target: crops (N, h, w, 3 or 4) uint8. whole: whether all of a crop counts, as in windows of images.
    """
    first, last = (_colours(one, whole) for one in (source, target))
    root, back = _powers(_covariance(first))
    matrix = back @ _powers(root @ _covariance(last) @ root)[0] @ back
    return ColourMap(matrix, last.mean(axis=0) - matrix @ first.mean(axis=0))


def _colours(kept: Crops, whole: bool) -> Floats:
    """Return colours (P, 3) in -1..1 of crops that are spread over a set."""
    shares = ((0.0, 1.0), (0.0, 1.0)) if whole else (_ROWS, _COLUMNS)
    rows, columns = (
        slice(round(low * side), round(high * side))
        for side, (low, high) in zip(kept.shape[1:3], shares, strict=True)
    )  # fmt: skip
    part = kept[:, rows, columns, :3]
    pixels = min(len(part), _MOST_CROPS) * part.shape[1] * part.shape[2]
    step = math.ceil(math.sqrt(pixels / _MOST_PIXELS))
    return np.asarray(pictures.spread(part[:, ::step, ::step], _MOST_CROPS).reshape(-1, 3) / 127.5 - 1)


def _covariance(colours: Floats) -> Floats:
    return np.cov(colours.T) + _LEAST_VARIANCE * np.eye(3)


def _powers(covariance: Floats) -> tuple[Floats, Floats]:
    """Return a covariance's root, and that of its inverse."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(values)) @ vectors.T, (vectors / np.sqrt(values)) @ vectors.T
