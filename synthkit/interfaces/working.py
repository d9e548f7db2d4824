# SPDX-License-Identifier: Apache-2.0
"""What renders, refines and detects, and what learns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from synthkit.checkpoint import Checkpoint
from synthkit.interfaces.running import Entered, SampleSet
from synthkit.sample import Detections, Sample, Skipped
from synthkit.seeds import Seeds


@runtime_checkable
class Renderer(Entered, Protocol):
    """Makes samples from nothing but its configuration and seeds."""

    @property
    def samples_per_scene(self) -> int:
        """How many samples each scene yields; fixed by the configuration."""

    def render(self, scene: int, seeds: Seeds) -> Iterator[Sample | Skipped]:
        """Yield exactly ``samples_per_scene`` results, keyed by ``sample_key(scene, n)``.

        Args:
            scene: index >= 0. seeds: the scene's own streams. Nothing else may matter.
        """


@runtime_checkable
class Finishing(Protocol):
    """A renderer that can do its last steps again, with other settings of them, upon what an earlier render kept."""

    def finish(self, sample: Sample, seeds: Seeds) -> Sample:
        """Return the sample as rendering the scene with this renderer's settings would give it.

        The renderer need not be entered for it, and may be asked from several threads.

        Args:
            sample: rendered with ``Component.finish_keeps``, and else with settings that differ at most in those
                which are declared as finishing. seeds: the scene's.
        """


@runtime_checkable
class Refiner(Entered, Protocol):
    """Turns samples into other samples, one for one."""

    def refine(self, samples: Iterable[Sample]) -> Iterator[Sample | Skipped]:
        """Yield one result per sample, in order, with its key and its truth.

        Each output depends on its own sample alone, never on its neighbours.
        """


@runtime_checkable
class Detector(Entered, Protocol):
    """Finds people (or heads) in images."""

    @property
    def class_names(self) -> Sequence[str]:
        """Names of the labels in ``Detections.labels``: ``head``, ``person``."""

    def detect(self, samples: Iterable[Sample]) -> Iterator[Detections]:
        """Yield one result per sample, in order; only the image is looked at."""


@runtime_checkable
class Calibrated(Protocol):
    """A detector that knows from which score on its finds are to be believed."""

    @property
    def operating_score(self) -> float | None:
        """The least score that counts, known once the detector is entered; None where nobody found it out."""


@runtime_checkable
class Trainable(Entered, Protocol):
    """A component that learns before it works."""

    def fit(self, data: Mapping[str, SampleSet], workdir: Path) -> Checkpoint:
        """Train and return the checkpoint.

        Resumes from what an interrupted call left in ``workdir``, to the same weights on a CPU. Refiners
        get ``source`` and ``target``, or what their component ``learns_from``; detectors ``train`` and, when there is
        one, ``validation``. Training curves are written to ``workdir/curves.jsonl``, one JSON object a line:
        ``step``, losses by name, and scores of an evaluation with names that begin with ``val_``. A detector's card may
        tell its ``operating_score``, the least score at which it did best on the validation set.

        The card's ``name`` is the component's, or, where presets apply one another's checkpoints, that of their
        target's attribute ``family``.
        """


def empty_detections(key: str) -> Detections:
    """Return a detector's answer for an image without finds."""
    return Detections(
        key=key,
        boxes_xyxy_px=np.zeros((0, 4), np.float32),
        scores=np.zeros(0, np.float32),
        labels=np.zeros(0, np.int32),
    )
