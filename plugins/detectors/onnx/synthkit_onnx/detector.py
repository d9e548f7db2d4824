# SPDX-License-Identifier: Apache-2.0
"""The component ``onnx``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Self

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.checkpoint import Checkpoint
from synthkit.deployment.cards import DetectorCard, parse_card, read_card
from synthkit.deployment.files import OnnxFile
from synthkit.deployment.runner import Runner
from synthkit.errors import WeightsError
from synthkit.interfaces import Runtime
from synthkit.sample import Detections, Sample
from synthkit_onnx import windows
from synthkit_onnx.config import OnnxConfig
from synthkit_onnx.masks import MaskNetwork


class OnnxDetector:
    """A detector in an ONNX file, run by ONNX Runtime on the CPU, one image at a time.

    File and card may be a stranger's: they are read with limits, what keeps weights in other files, brings operators of
    its own, or may loop for ever is refused, and nothing that comes out of it is taken for boxes before it was looked
    at.
    """

    def __init__(self, config: OnnxConfig, checkpoint: Checkpoint | None, runtime: Runtime) -> None:
        self._config = config
        self._checkpoint = checkpoint
        self._threads = runtime.threads
        self._card: DetectorCard | None = None
        self._runner: Runner | None = None
        self._masks: MaskNetwork | None = None

    def __enter__(self) -> Self:
        if self._checkpoint is not None:
            raise WeightsError("detector 'onnx' has its weights in the file of its setting model: give no checkpoint")
        file = OnnxFile.read(self._config.model)
        self._card = self._adjusted(self._card_of(file))
        self._runner = Runner.of(self._card, file.data, str(self._config.model), self._threads)
        if self._config.masks is not None:
            self._masks = MaskNetwork.open(self._config.masks, self._config.masks_card, self._threads)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner, self._masks = None, None

    @property
    def class_names(self) -> Sequence[str]:
        """Names of the labels, known once the detector is entered."""
        return () if self._card is None else self._card.classes

    @property
    def operating_score(self) -> float | None:
        """The score at which the card says that it did best, known once the detector is entered."""
        return None if self._card is None else self._card.operating_score

    def detect(self, samples: Iterable[Sample]) -> Iterator[Detections]:
        """Yield what is found in each image, in its own pixels, best score first."""
        if self._runner is None:
            raise WeightsError("detector 'onnx' is not entered")
        for sample in samples:
            if self._config.windows:
                found = windows.look(sample, self._config.windows, self._look_at_window)
            else:
                found = self._runner.detect(sample.key, np.asarray(sample.image))
            yield found if self._masks is None else self._masks.with_masks(sample, found)

    def _look_at_window(self, image: npt.NDArray[np.uint8]) -> Detections:
        assert self._runner is not None
        found = self._runner.detect("window", image)
        if found.rotated_boxes is not None:
            raise WeightsError(f"{self._config.model}: gives rotated boxes, and needs no windows: set windows=0")
        return found

    def _card_of(self, file: OnnxFile) -> DetectorCard:
        """Return the card: that of the settings, in the file, or beside it."""
        model = self._config.model
        if self._config.card is not None:
            return read_card(self._config.card)
        if file.card is not None:
            return parse_card(file.card, f"{model}: the card in it")
        for beside in (model.with_suffix(".toml"), model.with_suffix(".json")):
            if beside.is_file():
                return read_card(beside)
        raise WeightsError(
            f"{model}: has no card, and neither has its folder; write {model.with_suffix('.toml').name}"
            " (docs/detecting.md shows what it tells) or name one with detector.card"
        )

    def _adjusted(self, card: DetectorCard) -> DetectorCard:
        score, overlap = self._config.score_threshold, self._config.nms_iou
        return attrs.evolve(
            card,
            score_threshold=card.score_threshold if score is None else score,
            nms_iou=card.nms_iou if overlap is None else overlap,
        )
