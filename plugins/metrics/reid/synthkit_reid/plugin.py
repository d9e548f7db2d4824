# SPDX-License-Identifier: Apache-2.0
"""What this distribution brings: the metrics ``reid``, ``consistency`` and ``leakage``."""

from __future__ import annotations

from collections.abc import Iterable

from synthkit.hookspecs import hookimpl
from synthkit.interfaces import Component
from synthkit_reid.config import ConsistencyConfig, LeakageConfig, ReidConfig


@hookimpl
def synthkit_components() -> Iterable[Component]:
    """Return the components of this plugin."""
    return [
        Component(
            kind="metric",
            name="reid",
            summary="how well people are found again in a set: mAP and ranks by Market-1501's protocol",
            config=ReidConfig,
            target="synthkit_reid.metrics:ReidMetric",
            reads={"instances"},
        ),
        Component(
            kind="metric",
            name="consistency",
            summary="whether an identity stays one identity after anonymization: mAP and ranks before and after",
            config=ConsistencyConfig,
            target="synthkit_reid.metrics:ConsistencyMetric",
            reads={"instances"},
        ),
        Component(
            kind="metric",
            name="leakage",
            summary="whether the original person can be found from the anonymized one: an attack, against chance",
            config=LeakageConfig,
            target="synthkit_reid.metrics:LeakageMetric",
            reads={"instances"},
        ),
    ]
