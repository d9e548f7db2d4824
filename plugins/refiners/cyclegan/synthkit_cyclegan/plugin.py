# SPDX-License-Identifier: Apache-2.0
"""What this plugin brings; light, so that listing it imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from synthkit.hookspecs import hookimpl
from synthkit.interfaces import Component
from synthkit_cyclegan.config import CycleGANConfig

SMALL = {
    "steps": 300,
    "generator_filters": 16,
    "discriminator_filters": 16,
    "perceptual": "mobilenet_v2",
    "picture_every": 100,
}
"""A sixteenth of the published networks' weights and a few hundred steps: what two cores show in minutes."""


@attrs.frozen
class Row:
    """A row of thesis 000's table 3.2: its symbol there, and its losses."""

    symbol: str
    about: str
    losses: Mapping[str, Any]
    noskip: Mapping[str, Any] = {}
    """What else differs without the skip connection."""


_CP = {"cyclic_pixel_weight": 10.0}
_CPCF = {**_CP, "cyclic_feature_weight": 1e-5}
_IF = {"identity_feature_weight": 5e-6}
_IP = {"identity_pixel_weight": 10.0}

ROWS = {
    "cyclegan-cp": Row("C_CP", "pixel cycles", _CP),
    "cyclegan-cpcf": Row("C_CPCF", "pixel and feature cycles", _CPCF),
    "cyclegan-cpcfif": Row("C_CPCFIF", "pixel and feature cycles, feature identity", {**_CPCF, **_IF}),
    "cyclegan-cpcfip": Row("C_CPCFIP", "pixel and feature cycles, pixel identity", {**_CPCF, **_IP}),
    "cyclegan-dfm": Row(
        "D", "discriminator-feature cycles, feature identity",
        {"discriminator_feature_weight": 1e-5, **_IF},
    ),
    "cyclegan-mean": Row(
        "M", "features towards the target's mean, feature identity",
        {"mean_feature_weight": 1e-5, "perceptual_pools": [2, 5], **_IF},
        noskip={"mean_feature_weight": 5e-5},
    ),
}  # fmt: skip
"""The CycleGAN rows of table 3.2, by preset."""


@hookimpl
def synthkit_components() -> list[Component]:
    """Return a preset for each row, with the skip connection and without."""
    return [component for name, row in ROWS.items() for component in _pair(name, row)]


def _pair(name: str, row: Row) -> list[Component]:
    shared: dict[str, Any] = {
        "kind": "refiner",
        "config": CycleGANConfig,
        "target": "synthkit_cyclegan.refiner:CycleGANRefiner",
        "revision": 2,
        "needs": frozenset({"instances"}),
        "trainable": True,
        "reads": frozenset({"instances"}),
    }
    shown: dict[str, Any] = {}
    if name == "cyclegan-dfm":
        shown = {
            "demo_checkpoint": "synthkit_cyclegan:weights/demo-dfm.safetensors",
            "demo": {"settings": SMALL},
        }
    about = f"CycleGAN with {row.about}"
    return [
        Component(
            name=name,
            summary=f"{about}, skip connection ({row.symbol}^S of thesis 000)",
            defaults=row.losses,
            **shared,
            **shown,
        ),
        Component(
            name=f"{name}-noskip",
            summary=f"{about} ({row.symbol} of thesis 000)",
            defaults={**row.losses, **row.noskip, "skip": False},
            **shared,
        ),
    ]
