# SPDX-License-Identifier: Apache-2.0
"""What this distribution brings: the metrics ``lpips``, ``ssim`` and ``psnr``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from synthkit.hookspecs import hookimpl
from synthkit.interfaces import Component
from synthkit_lpips.config import LpipsConfig, PairConfig


def _metric(name: str, target: str, config: type[Any], summary: str) -> Component:
    return Component(
        kind="metric", name=name, summary=summary, config=config, target=f"synthkit_lpips.metric:{target}",
        reads={"instances"},
    )  # fmt: skip


@hookimpl
def synthkit_components() -> Iterable[Component]:
    """Return the components of this plugin."""
    return [
        _metric(
            "lpips", "LpipsMetric", LpipsConfig,
            "learned perceptual distance to the original, of a reconstruction, or between two draws",
        ),
        _metric("ssim", "SsimMetric", PairConfig, "structural similarity to the image of the same key"),
        _metric("psnr", "PsnrMetric", PairConfig, "peak signal-to-noise ratio against the image of the same key"),
    ]  # fmt: skip
