# SPDX-License-Identifier: Apache-2.0
"""People whom a generator cannot make again, found to be left out of the next training (thesis 002, section 7.2.6).

Mokady et al. (2022): Self-Distilled StyleGAN, section 3.1: what is rare in a set, or cut out or labelled wrongly, is
reconstructed worst, and a set without it is easier to learn.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from synthkit.checkpoint import Checkpoint
from synthkit.dataset import Dataset
from synthkit.errors import ConfigError
from synthkit.interfaces import ComponentSpec
from synthkit.observing import Subject, states_of
from synthkit.session import Session
from synthkit.training import pictures
from synthkit.training.checkpoints import write_atomic
from synthkit_anonymizer_gan import drawing, fitting, judging

FILE = "outliers.json"
METRICS = ("lpips", "ssim", "psnr")
"""Those that compare image by image."""

_SHOWN = 12


@attrs.frozen
class Outlier:
    """Somebody in a sample, and how far from them they are when they are made again."""

    sample: str
    person: int
    distance: float


def find(
    session: Session, data: Path | str, checkpoint: Checkpoint, metric: ComponentSpec, share: float, out: Path
) -> list[Outlier]:
    """Return the share of a set's people who are made again worst, the worst first, and write them to ``out``.

    It gets ``outliers.json``, for the setting ``leave_out``, and ``outliers.png``: the worst, and what they became.

    Raises:
        ConfigError: when the checkpoint has no appearance mapper, or the metric is none of ``METRICS``. WeightsError:
        when the metric's weights cannot be had, before anything is made.
    """
    shape, _ = fitting.described(checkpoint)
    if not shape.appearance:
        raise ConfigError([f"--checkpoint {checkpoint.path}: has no appearance mapper, and makes nobody again"])
    if metric.name not in METRICS:
        raise ConfigError([f"--metric {metric.name}: compares no two images: take {', '.join(METRICS)}"])
    judging.check(session, [metric])
    originals = drawing.crops_of(session, data, checkpoint, out / "originals")
    made = drawing.draw(session, originals, checkpoint, "reconstructed", out / "reconstructed")
    assert made is not None
    distances = _distances(session, metric, made, originals)
    worst = sorted(distances, key=lambda key: (-distances[key], key))[: round(share * len(distances))]
    found = [Outlier(*drawing.told(originals.by_key(key)), round(distances[key], 6)) for key in worst]
    record = {"of": Dataset.open(data).fingerprint, "checkpoint_sha256": checkpoint.sha256, "metric": metric.name}
    told = {**record, "crops": len(distances), "outliers": [attrs.asdict(one) for one in found]}
    write_atomic(out / FILE, (json.dumps(told, indent=1) + "\n").encode())
    if worst:
        rows = [np.stack([part.by_key(key).image for key in worst[:_SHOWN]]) for part in (originals, made)]
        pictures.write_png(out / "outliers.png", pictures.sheet(rows))
    return found


def _distances(session: Session, metric: ComponentSpec, made: Dataset, originals: Dataset) -> dict[str, float]:
    """Return how far the samples of two sets are apart, by key; greater is farther."""
    with session.entered(metric) as entered:
        (states,) = states_of(session, Subject(made, originals), [(metric, entered)])
        if isinstance(states, Exception):
            raise states
        state: Mapping[str, Any] = states["pairs"]
        sign = 1.0 if entered.better == "lower" else -1.0
        return {str(key): sign * float(value) for key, value in zip(state["key"], state["value"], strict=True)}
