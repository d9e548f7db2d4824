# SPDX-License-Identifier: Apache-2.0
"""How well two edge fields agree about each place when one of them is displaced, for every displacement."""

from __future__ import annotations

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.drift.fields import Field

Floats = npt.NDArray[np.float32]

_REACH_PX = 8  # how far structure is looked for
_STEP_PX = 8  # from window to window
_WINDOW_PX = 7.0  # standard deviation of a window's weights
_FINE_PX = 2  # displacements up to here are tried by the pixel, longer ones by two
_NOTHING = 1e-6


@attrs.frozen(eq=False)
class Agreement:
    """Correlations of windows of one field with another field at displacements.

    Args:
        by_displacement: (D, h, w) in -1..1, for a lattice of h x w windows.
        distances_px: (D,) lengths of the displacements.
        structure: (h, w) how much of an edge the first field has in each window, 0..1.
    """

    by_displacement: Floats
    distances_px: Floats
    structure: Floats

    def best(self, low_px: float, high_px: float) -> Floats:
        """Return the best correlation of each window, (h, w), over displacements of ``low_px`` to ``high_px``."""
        wanted = (self.distances_px >= low_px) & (self.distances_px <= high_px)
        return np.asarray(self.by_displacement[wanted].max(axis=0))


def agreement(first: Field, second: Field, weight: Floats) -> Agreement:
    """Compare windows of ``first`` (2, H, W) with ``second``, displaced.

    Args:
        weight: (H, W) how much each pixel of ``first`` counts; some do.
    """
    rows, columns = (_span(weight.any(axis=axis)) for axis in (1, 0))
    down, across = _windows(weight.shape[0])[:, rows], _windows(weight.shape[1])[:, columns]
    counted = weight[rows, columns]
    mine = first[:, rows, columns] * counted
    theirs = np.pad(second, ((0, 0), (_REACH_PX, _REACH_PX), (_REACH_PX, _REACH_PX)))
    energy = np.square(theirs).sum(axis=0)
    products, energies = np.empty((2, len(_DISPLACEMENTS), *counted.shape), np.float32)
    for n, (x, y) in enumerate(_DISPLACEMENTS):
        place = _displaced(rows, y), _displaced(columns, x)
        np.einsum("cij,cij->ij", mine, theirs[:, *place], out=products[n])
        np.multiply(energy[place], counted, out=energies[n])
    own = down @ (mine * first[:, rows, columns]).sum(axis=0) @ across.T
    correlation = (down @ products @ across.T) / np.sqrt(own * (down @ energies @ across.T) + _NOTHING)
    return Agreement(correlation, np.hypot(*np.array(_DISPLACEMENTS, np.float32).T), own)


def _span(there: npt.NDArray[np.bool_]) -> slice:
    """Return from the first to the last that is there; something is."""
    places = np.flatnonzero(there)
    return slice(int(places[0]), int(places[-1]) + 1)


def _displaced(span: slice, by_px: int) -> slice:
    """Return a span, displaced, in an array with a border of the reach's width."""
    return slice(span.start + by_px + _REACH_PX, span.stop + by_px + _REACH_PX)


def windowed(values: Floats) -> Floats:
    """Return the means of (H, W) values in the windows of ``agreement``, (h, w)."""
    return np.asarray(_windows(values.shape[0]) @ values @ _windows(values.shape[1]).T)


def _windows(length: int) -> Floats:
    """Return (n, length) weights of Gaussian windows along one axis, each with the sum 1."""
    centres = np.arange(_STEP_PX / 2, length, _STEP_PX)
    weights = np.exp(-0.5 * ((np.arange(length) + 0.5 - centres[:, None]) / _WINDOW_PX) ** 2)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)


def _lattice() -> list[tuple[int, int]]:
    reach = range(-_REACH_PX, _REACH_PX + 1)
    near = [(x, y) for x in reach for y in reach if x * x + y * y <= _FINE_PX**2]
    far = [(x, y) for x in reach[::2] for y in reach[::2] if _FINE_PX**2 < x * x + y * y <= _REACH_PX**2]
    return near + far


_DISPLACEMENTS = _lattice()
