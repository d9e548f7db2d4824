# SPDX-License-Identifier: Apache-2.0
"""A bounded search without derivatives: CMA-ES (Hansen 2016, arXiv:1604.00772), by the package ``cmaes``."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np

from synthkit.tuning.space import Vector


@attrs.frozen(eq=False)
class Found:
    """The best point, its value, and the values of all evaluations in their order."""

    vector: Vector
    value: float
    values: tuple[float, ...]


def minimise(
    evaluate: Callable[[int, Vector], float], start: Vector, *, evaluations: int, spread: float, seed: int
) -> Found:
    """Return the best of ``evaluations`` points of the unit cube, of which the first is ``start``.

    The points depend on the start, the seed and the values alone, so that a search whose values are known goes the
    same way again.

    Args:
        evaluate: takes the number of the evaluation, from 0, and a point. start: (d,) in 0..1; d may be 0.
        spread: standard deviation of the first points about the start. seed: below 2**32.
    """
    best, best_value = start, evaluate(0, start)
    values = [best_value]
    if not len(start):
        return Found(best, best_value, tuple(values))
    from cmaes import CMA

    bounds = np.tile([0.0, 1.0], (len(start), 1))
    optimiser = CMA(mean=np.clip(start, 0.0, 1.0), sigma=spread, bounds=bounds, seed=seed)
    told: list[tuple[Vector, float]] = []
    for number in range(1, evaluations):
        point = np.asarray(optimiser.ask(), np.float64)
        value = evaluate(number, point)
        values.append(value)
        if value < best_value:
            best, best_value = point, value
        told.append((point, value))
        if len(told) == optimiser.population_size:
            optimiser.tell(told)
            told = []
    return Found(best, best_value, tuple(values))
