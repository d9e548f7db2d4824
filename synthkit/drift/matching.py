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
        weight: (H, W) how much each pixel of ``first`` counts.
    """
    height, width = weight.shape
    down, across = _windows(height), _windows(width)
    padded = np.pad(second, ((0, 0), (_REACH_PX, _REACH_PX), (_REACH_PX, _REACH_PX)))
    energy = (padded**2).sum(axis=0)
    places = [(slice(_REACH_PX + y, _REACH_PX + y + height), slice(_REACH_PX + x, _REACH_PX + x + width))
              for x, y in _DISPLACEMENTS]  # fmt: skip
    products = np.stack([(first * padded[:, rows, columns]).sum(axis=0) * weight for rows, columns in places])
    theirs = np.stack([energy[place] * weight for place in places])
    own = down @ (weight * (first**2).sum(axis=0)) @ across.T
    correlation = (down @ products @ across.T) / np.sqrt(own * (down @ theirs @ across.T) + _NOTHING)
    return Agreement(correlation, np.hypot(*np.array(_DISPLACEMENTS, np.float32).T), own)


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
