# SPDX-License-Identifier: Apache-2.0
"""Learning rates over a training."""

from __future__ import annotations


def constant_then_linear(step: int, steps: int) -> float:
    """Return the factor on the learning rate: 1 for the first half, then linear to zero.

    Thesis 000, algorithm 8, lines 4 to 7, by step rather than by epoch: (steps - step) / (steps / 2) from
    the middle on. The last step, ``steps - 1``, still has a rate above zero.
    """
    half = steps / 2
    return 1.0 if step < half else (steps - step) / half
