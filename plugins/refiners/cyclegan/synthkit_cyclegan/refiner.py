# SPDX-License-Identifier: Apache-2.0
"""The refiner of the CycleGAN family."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from synthkit.checkpoint import Checkpoint
from synthkit.interfaces import SampleSet
from synthkit_cyclegan import fitting
from synthkit_cyclegan.config import CycleGANConfig
from synthkit_cyclegan.resnet_refiner import ResnetRefiner


class CycleGANRefiner(ResnetRefiner[CycleGANConfig]):
    """Refines people with the generator from the source to the target domain."""

    family = fitting.FAMILY

    def fit(self, data: Mapping[str, SampleSet], workdir: Path) -> Checkpoint:
        """Train on crops of ``data["source"]`` and ``data["target"]``; see ``fitting.fit``."""
        return fitting.fit(self.config, data, workdir, self.runtime)
