# SPDX-License-Identifier: Apache-2.0
"""What this distribution brings: metrics of how like real images others are, by features of named networks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from synthkit.hookspecs import hookimpl
from synthkit.interfaces import Component
from synthkit_fidelity.config import (
    FrechetConfig,
    InceptionScoreConfig,
    KidConfig,
    MemorisationConfig,
    PcaConfig,
    PrdcConfig,
)

_INCEPTION = {"extractor": "inception"}


def _metric(name: str, summary: str, config: type[Any], target: str, **more: Any) -> Component:
    return Component(
        kind="metric", name=name, summary=summary, config=config, target=f"synthkit_fidelity.{target}",
        reads={"instances"}, **more,
    )  # fmt: skip


def _frechet(name: str, summary: str, **defaults: Any) -> Component:
    return _metric(name, summary, FrechetConfig, "metrics:FrechetMetric", revision=3, defaults=defaults)


@hookimpl
def synthkit_components() -> Iterable[Component]:
    """Return the components of this plugin."""
    return [
        _frechet("fid", "Frechet Inception Distance, as its authors' TensorFlow code has it", **_INCEPTION),
        _frechet(
            "clean-fid", "the same behind Pillow's antialiased resizing (clean-fid)", **_INCEPTION,
            preprocessing="clean",
        ),
        _frechet("fid-clip", "Frechet distance in the space of CLIP ViT-B/32", extractor="clip"),
        _metric(
            "frechet",
            "Frechet distance between two sets in the feature space of a named network",
            FrechetConfig,
            "metrics:FrechetMetric",
            revision=3,
            demo={"settings": {"region": "crops", "layer": "stride16", "input_px": 128, "infinity_points": 0}},
        ),
        _metric(
            "kid", "Kernel Inception Distance, unbiased, with the interval of its subsets", KidConfig,
            "metrics:KidMetric", defaults=_INCEPTION,
        ),
        _metric(
            "inception-score", "how sure and how various Inception's classes are, without a reference",
            InceptionScoreConfig, "metrics:InceptionScoreMetric",
        ),
        _metric(
            "prdc", "precision, recall, density and coverage of one set by another", PrdcConfig,
            "metrics:PrdcMetric", defaults=_INCEPTION,
        ),
        _metric(
            "pca", "principal components of a layer for real, refined and synthetic images together", PcaConfig,
            "pca:PcaMetric", defaults={"extractor": "vgg16"},
        ),
        _metric(
            "memorisation", "share of people who are nearer to real ones than real people are to one another",
            MemorisationConfig, "memorisation:MemorisationMetric",
        ),
    ]  # fmt: skip
