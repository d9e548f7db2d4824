# SPDX-License-Identifier: Apache-2.0
"""The Inception Score (Salimans et al., Improved techniques for training GANs, NeurIPS 2016)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

Floats = npt.NDArray[np.float64]


def inception_scores(logits: npt.NDArray[Any], splits: int) -> Floats:
    """Return exp(mean KL(p(y|x) || p(y))) of each of ``splits`` parts of (N, classes) logits, in their order."""
    told = log_softmax(logits.astype(np.float64), axis=1)
    count = len(told)
    parts = (told[n * count // splits : (n + 1) * count // splits] for n in range(splits))
    return np.array([_score(part) for part in parts])


def _score(told: Floats) -> float:
    shares = np.exp(told)
    marginal = np.log(shares.mean(axis=0))
    return float(np.exp((shares * (told - marginal)).sum(axis=1).mean()))
