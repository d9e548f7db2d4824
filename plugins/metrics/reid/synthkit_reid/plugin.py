# SPDX-License-Identifier: Apache-2.0
"""What this distribution brings: the metrics ``reid``, ``consistency`` and ``leakage``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from synthkit.hookspecs import hookimpl
from synthkit.interfaces import Component
from synthkit_reid.config import ConsistencyConfig, LeakageConfig, ReidConfig


def _metric(name: str, target: str, config: type[Any], summary: str) -> Component:
    return Component(
        kind="metric", name=name, summary=summary, config=config, target=f"synthkit_reid.{target}",
        reads={"instances"},
    )  # fmt: skip


@hookimpl
def synthkit_components() -> Iterable[Component]:
    """Return the components of this plugin."""
    return [
        _metric(
            "reid", "metrics:ReidMetric", ReidConfig,
            "how well people are found again in a set: mAP and ranks by Market-1501's protocol",
        ),
        _metric(
            "consistency", "anonymized:ConsistencyMetric", ConsistencyConfig,
            "whether an identity stays one identity after anonymization: mAP and ranks before and after",
        ),
        _metric(
            "leakage", "anonymized:LeakageMetric", LeakageConfig,
            "whether the original person can be found from the anonymized one: an attack, against chance",
        ),
    ]  # fmt: skip
