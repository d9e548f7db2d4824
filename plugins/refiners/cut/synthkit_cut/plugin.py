# SPDX-License-Identifier: Apache-2.0
"""What this plugin brings; light, so that listing it imports no torch."""

from __future__ import annotations

from synthkit.hookspecs import hookimpl
from synthkit.interfaces import Component
from synthkit_cut.config import CUTConfig

_TARGET = "synthkit_cut.refiner:CUTRefiner"
_NEEDS = frozenset({"instances"})


@hookimpl
def synthkit_components() -> list[Component]:
    """Declare CUT, and its faster variant."""
    return [
        Component(
            kind="refiner",
            name="cut",
            summary="contrastive unpaired translation: one generator, no cycle (Park et al. 2020)",
            config=CUTConfig,
            target=_TARGET,
            needs=_NEEDS,
            trainable=True,
            reads=_NEEDS,
        ),
        Component(
            kind="refiner",
            name="fastcut",
            summary="CUT without the loss on target crops, a stronger contrastive one, flip equivariance: faster",
            config=CUTConfig,
            target=_TARGET,
            defaults={"nce_weight": 10.0, "identity_nce": False, "flip_equivariance": True},
            needs=_NEEDS,
            trainable=True,
            reads=_NEEDS,
        ),
    ]
