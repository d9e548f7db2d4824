# SPDX-License-Identifier: Apache-2.0
"""The refiner: CycleGAN's generator, learned by contrast."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from synthkit.checkpoint import Checkpoint
from synthkit.interfaces import SampleSet
from synthkit.training import devices, loop
from synthkit_cut.config import CUTConfig
from synthkit_cut.training import CUTLearner
from synthkit_cyclegan import crop_training
from synthkit_cyclegan.resnet_refiner import ResnetRefiner, architecture_of

REVISION = 1
"""Raised when the same settings and data train to other weights."""


class CUTRefiner(ResnetRefiner[CUTConfig]):
    """Refines people with the generator from the source to the target domain."""

    family = "cut"

    def fit(self, data: Mapping[str, SampleSet], workdir: Path) -> Checkpoint:
        """Train, or go on training, on crops of ``data["source"]`` and ``data["target"]``.

        Raises:
            DatasetError: when a set has nobody to crop, or the folder holds another training. WorkError: when
            the losses diverge.
        """
        device = devices.set_up(self.runtime)
        pair = crop_training.load_pair(self.config, data, workdir, self.runtime.progress)
        card = crop_training.card_of(
            self.family, REVISION, self.config, pair, self.runtime,
            architecture=architecture_of(self.config),
        )  # fmt: skip
        learner = CUTLearner(self.config, pair.source, pair.target, self.runtime.seeds, device)
        return loop.train(learner, workdir, card, self.config, self.runtime, stage="train refiner")
