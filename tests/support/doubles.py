# SPDX-License-Identifier: Apache-2.0
"""Components that stand in for real ones, and registries of them."""

from __future__ import annotations

from typing import ClassVar

import attrs
import numpy as np

from synthkit.config import setting
from synthkit.hookspecs import hookimpl
from synthkit.interfaces import Component, MetricResult
from synthkit.plugins import Origin, Registry


@attrs.frozen
class Config:
    level: int = setting(1, help="how much")


class Double:
    """What every component has."""

    def __init__(self, config, checkpoint, runtime):
        self.config, self.checkpoint, self.runtime = config, checkpoint, runtime

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


class Counting(Double):
    """A metric that counts, and knows nothing of where samples come from."""

    roles: ClassVar = {"reference": "samples", "candidate": "samples"}

    def observe(self, role, items):
        return {"count": np.array([len(list(items))])}

    def merge(self, states):
        raise NotImplementedError

    def compute(self, states):
        counts = {role: int(state["count"][0]) for role, state in states.items()}
        return [MetricResult("count", counts["candidate"], "higher", 1, {"by": "hand", **counts})]


def plugin_of(**kinds: dict[str, type]):
    """Return a plugin with doubles as components: ``metric={"counting": Counting}``, ``refiner=...``."""

    class Plugin:
        @hookimpl
        def synthkit_components(self):
            return [
                Component(
                    kind,
                    name,
                    "s",
                    Config,
                    f"{d.__module__}:{d.__name__}",
                    trainable=hasattr(d, "fit"),
                    reads=getattr(d, "reads", None),
                )
                for kind, doubles in kinds.items()
                for name, d in doubles.items()
            ]

    return Plugin()


def registry_of(**kinds: dict[str, type]) -> Registry:
    """Return a registry of such a plugin alone."""
    registry = Registry()
    registry.add(plugin_of(**kinds), Origin("test", "1", "test"))
    assert not registry.broken, registry.broken
    return registry
