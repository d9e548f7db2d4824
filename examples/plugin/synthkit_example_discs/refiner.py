# SPDX-License-Identifier: Apache-2.0
"""The refiner: a colour transfer inside the instance mask."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

import numpy as np

from synthkit.checkpoint import Checkpoint
from synthkit.interfaces import Runtime
from synthkit.sample import Sample, evolve
from synthkit_example_discs.config import TintConfig


class TintRefiner:
    """Moves the mean colour of the people in each image towards the configured one."""

    def __init__(self, config: TintConfig, checkpoint: Checkpoint | None, runtime: Runtime) -> None:
        self._config = config

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def refine(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        """Yield each sample with other colours, its key and truth as they were."""
        for sample in samples:
            yield self._tinted(sample)

    def _tinted(self, sample: Sample) -> Sample:
        mask = sample.layers["instances"] > 0
        if not mask.any():
            return sample
        image = sample.image.copy()
        people = image[mask].astype(np.float64)
        shift = (np.array(self._config.colour) - people.mean(axis=0)) * self._config.strength
        image[mask] = np.clip(np.rint(people + shift), 0, 255).astype(np.uint8)
        return evolve(sample, image=image)
