# SPDX-License-Identifier: Apache-2.0
"""What this distribution brings: the metrics ``frechet`` and ``memorisation``."""

from __future__ import annotations

from collections.abc import Iterable

from synthkit.hookspecs import hookimpl
from synthkit.interfaces import Component
from synthkit_fidelity.config import FrechetConfig, MemorisationConfig


@hookimpl
def synthkit_components() -> Iterable[Component]:
    """Return the components of this plugin."""
    return [
        Component(
            kind="metric",
            name="frechet",
            summary="Frechet distance between two sets in the feature space of a named network",
            config=FrechetConfig,
            target="synthkit_fidelity.metric:FrechetMetric",
            demo={"settings": {"region": "crops", "layer": "stride16", "input_px": 128}},
        ),
        Component(
            kind="metric",
            name="memorisation",
            summary="share of people who are nearer to real ones than real people are to one another",
            config=MemorisationConfig,
            target="synthkit_fidelity.memorisation:MemorisationMetric",
        ),
    ]
