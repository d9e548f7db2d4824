# SPDX-License-Identifier: Apache-2.0
"""What this distribution brings: the metrics ``lpips``, ``ssim`` and ``psnr``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from synthkit.hookspecs import hookimpl
from synthkit.interfaces import Component
from synthkit_lpips.config import LpipsConfig, PairConfig


def _metric(name: str, target: str, summary: str, config: type[Any]) -> Component:
    return Component(
        kind="metric", name=name, summary=summary, config=config, target=f"synthkit_lpips.metric:{target}",
        reads={"instances"},
    )  # fmt: skip


@hookimpl
def synthkit_components() -> Iterable[Component]:
    """Return the components of this plugin."""
    return [
        _metric(
            "lpips", "LpipsMetric", "learned perceptual distance to the original, of a reconstruction, or between two"
            " draws", LpipsConfig,
        ),
        _metric("ssim", "SsimMetric", "structural similarity to the image of the same key", PairConfig),
        _metric("psnr", "PsnrMetric", "peak signal-to-noise ratio against the image of the same key", PairConfig),
    ]  # fmt: skip
