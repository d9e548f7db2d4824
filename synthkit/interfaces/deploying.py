# SPDX-License-Identifier: Apache-2.0
"""What leaves as ONNX."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import attrs

from synthkit.interfaces.judging import Scored


@runtime_checkable
class Exportable(Protocol):
    """A refiner of images, or a detector that has no card for runners, that can leave as one ONNX file."""

    def export_onnx(self, path: Path) -> Mapping[str, Any]:
        """Write the ONNX file; return its card: inputs, outputs, sizes, how to decode, checks made."""


@attrs.frozen
class OnnxForm:
    """In which form a detector is to leave.

    Args:
        variant: ``complete``: from pixels to boxes; ``network``: what devices compute fast, and no more: convolution,
            ReLU, max-pooling, concatenation, sigmoid. The rest is the card's to tell.
        dynamic: whether any number of images goes in and, for the network, any height and width in whole strides.
        opset: the newest operators it may use.
    """

    variant: Literal["complete", "network"] = "complete"
    dynamic: bool = False
    opset: int = 17


@attrs.frozen(eq=False)
class OnnxGraph:
    """A detector as an ONNX model.

    Args:
        model: its bytes, weights and all. card: plain values of a ``synthkit.deployment.cards.DetectorCard``.
        about: what else the model's card shall tell: plain JSON.
        ranges: least and greatest value that matter of tensors for which these are known, by name: of pixels, or of
            logits beyond which a score is as good as 0 or 1. 8 bits are spread over them.
    """

    model: bytes
    card: Mapping[str, Any]
    about: Mapping[str, Any]
    ranges: Mapping[str, tuple[float, float]] = attrs.field(factory=dict)


@runtime_checkable
class Deployable(Protocol):
    """A detector whose network leaves as an ONNX file for devices; synthkit quantises, compares and describes it."""

    def onnx_graph(self, form: OnnxForm) -> OnnxGraph:
        """Return the fitted network in a form."""

    def judged(self, scored: Iterable[Scored], score: float | None = None) -> Mapping[str, float]:
        """Return how good answers are, by the measure that chose the checkpoint.

        Args:
            score: the least that counts; None takes the one with the best F1.

        Returns:
            ``precision``, ``recall``, ``f1`` and ``score``, the one that was taken.

        Raises:
            DatasetError: when no sample says who is in it.
        """
