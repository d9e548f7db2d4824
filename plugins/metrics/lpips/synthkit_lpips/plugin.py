# SPDX-License-Identifier: Apache-2.0
"""What this distribution brings: the metrics ``lpips``, ``ssim`` and ``psnr``."""

from __future__ import annotations

from collections.abc import Iterable

from synthkit.hookspecs import hookimpl
from synthkit.interfaces import Component
from synthkit_lpips.config import LpipsConfig, PairConfig


@hookimpl
def synthkit_components() -> Iterable[Component]:
    """Return the components of this plugin."""
    return [
        Component(
            kind="metric",
            name="lpips",
            summary="learned perceptual distance to the original, of a reconstruction, or between two draws",
            config=LpipsConfig,
            target="synthkit_lpips.metric:LpipsMetric",
            reads={"instances"},
        ),
        Component(
            kind="metric",
            name="ssim",
            summary="structural similarity to the image of the same key",
            config=PairConfig,
            target="synthkit_lpips.metric:SsimMetric",
            reads={"instances"},
        ),
        Component(
            kind="metric",
            name="psnr",
            summary="peak signal-to-noise ratio against the image of the same key",
            config=PairConfig,
            target="synthkit_lpips.metric:PsnrMetric",
            reads={"instances"},
        ),
    ]
