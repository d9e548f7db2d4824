# SPDX-License-Identifier: Apache-2.0
"""What this plugin brings; light, so that listing it imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synthkit.hookspecs import hookimpl
from synthkit.interfaces import Component
from synthkit_aggan.config import AGGANConfig


@hookimpl
def synthkit_components() -> list[Component]:
    """Return rows A^S and A of thesis 000, table 3.2, and the same with the usual weight of the cyclic loss."""
    usual = {"cyclic_pixel_weight": 10.0}
    return [
        _preset("aggan", "AGGAN: attends what it translates; cyclic loss as printed (A^S of thesis 000)", {}),
        _preset("aggan-noskip", "aggan without the skip connection (A of thesis 000)", {"skip": False}),
        _preset("aggan-cyclic10", "aggan with the usual weight of the cyclic loss, 10", usual),
        _preset("aggan-cyclic10-noskip", "aggan-cyclic10 without the skip connection", {**usual, "skip": False}),
    ]


def _preset(name: str, summary: str, defaults: Mapping[str, Any]) -> Component:
    return Component(
        kind="refiner",
        name=name,
        summary=summary,
        config=AGGANConfig,
        target="synthkit_aggan.refiner:AGGANRefiner",
        revision=3,
        defaults=defaults,
        needs={"instances"},
        trainable=True,
        reads={"instances"},
    )
