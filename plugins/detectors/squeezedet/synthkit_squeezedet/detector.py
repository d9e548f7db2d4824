# SPDX-License-Identifier: Apache-2.0
"""The components ``squeezedet`` and ``squeezedet-plus``: train, detect, leave as ONNX."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import torch

from synthkit.checkpoint import Checkpoint
from synthkit.errors import ConfigError, WeightsError
from synthkit.interfaces import OnnxForm, OnnxGraph, Runtime, SampleSet, Scored
from synthkit.sample import Detections, Sample
from synthkit.training.checkpoints import network_of
from synthkit.training.devices import set_up
from synthkit_squeezedet import training
from synthkit_squeezedet.config import SqueezeDetConfig
from synthkit_squeezedet.inference import detect_one
from synthkit_squeezedet.judging import judge
from synthkit_squeezedet.model import Design, WholeDetector
from synthkit_squeezedet.training import NAME


class SqueezeDetector:
    """SqueezeDet (arXiv 1612.01051; thesis 000, sections 2.9 and 3.5.2), for images of any size.

    An image is scaled to fit the network's input, centred in it on black, and boxes are given in its own
    pixels, best score first. ``fit`` needs ``train`` and takes ``validation``, by which it chooses the
    checkpoint.
    """

    def __init__(self, config: SqueezeDetConfig, checkpoint: Checkpoint | None, runtime: Runtime) -> None:
        self._config = config
        self._checkpoint = checkpoint
        self._runtime = runtime
        self._device = torch.device("cpu")
        self._loaded: tuple[Design, WholeDetector] | None = None

    def __enter__(self) -> Self:
        self._device = set_up(self._runtime)
        if self._checkpoint is not None:
            self._checkpoint.require("detector", NAME)
            design = Design.from_card(self._checkpoint.card, self._checkpoint.path)
            network = network_of(self._checkpoint, design.build)
            # Channels last is what CPU and GPU kernels are fastest with.
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            whole = WholeDetector(design, network, score=self._config.score_threshold, overlap=self._config.nms_iou)
            self._loaded = design, whole.eval().to(self._device)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loaded = None

    @property
    def class_names(self) -> Sequence[str]:
        """Names of the labels: those of the checkpoint, or those that training would give."""
        return self._loaded[0].classes if self._loaded else [item.name for item in self._config.object_classes]

    @property
    def operating_score(self) -> float | None:
        """The score at which it did best on the validation set, where it had one."""
        return None if self._checkpoint is None else self._checkpoint.card.get("operating_score")

    def fit(self, data: Mapping[str, SampleSet], workdir: Path) -> Checkpoint:
        """Train on ``data["train"]``; see ``training.fit``."""
        return training.fit(self._config, self._runtime, self._device, data, workdir)

    def detect(self, samples: Iterable[Sample]) -> Iterator[Detections]:
        """Yield what is found in each image; each is looked at alone, so its neighbours never matter."""
        design, whole = self._ready()
        for sample in samples:
            yield detect_one(design, whole, sample, self._device, self._config)

    def onnx_graph(self, form: OnnxForm) -> OnnxGraph:
        """Return the detector as an ONNX model; see ``export.onnx_graph``.

        Raises:
            ConfigError: when it looks four times.
        """
        if self._config.four_looks:
            raise ConfigError(["detector.four_looks: ONNX files look once: give --set detector.four_looks=false"])
        from synthkit_squeezedet.export import onnx_graph  # what it imports takes a second

        design, whole = self._ready()
        assert self._checkpoint is not None
        # A copy, because this detector goes on where it is: its device may be another.
        return onnx_graph(design, copy.deepcopy(whole).cpu(), self._checkpoint, form,
                          score=self._config.score_threshold, overlap=self._config.nms_iou)  # fmt: skip

    def judged(self, scored: Iterable[Scored], score: float | None = None) -> Mapping[str, float]:
        """Return precision, recall and F1 at IoU 0.5, and the score they are at; see ``judging.judge``."""
        return judge(self._config.object_classes, self._config.boxes, scored, self._runtime, score)

    def _ready(self) -> tuple[Design, WholeDetector]:
        if self._loaded is None:
            raise WeightsError(
                "squeezedet has no weights: give a checkpoint ('synthkit train' makes one) and enter the detector"
            )
        return self._loaded
