# SPDX-License-Identifier: Apache-2.0
"""Running a detector from an ONNX file by its card: image in, boxes in the image's own pixels out."""

from __future__ import annotations

import functools
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import onnxruntime

from synthkit.deployment.cards import DetectorCard, InputCard
from synthkit.deployment.decoding import Found, decode
from synthkit.deployment.overlaps import around
from synthkit.errors import WeightsError
from synthkit.letterbox import Letterbox
from synthkit.sample import Detections

MOST_TENSOR_BYTES = 1 << 32
"""Of all tensors that are alive while detectors run; what needs more is refused."""

_SILENT = 4  # of ONNX Runtime's log levels: errors come as exceptions too
_DTYPES = {"uint8": "tensor(uint8)", "float32": "tensor(float)"}


@attrs.frozen(eq=False)
class Runner:
    """A detector in ONNX Runtime.

    Args:
        card: what goes in and comes out. session: what runs. origin: what it is called in messages.
    """

    card: DetectorCard
    session: Any
    origin: str

    @classmethod
    def of(cls, card: DetectorCard, data: bytes, origin: str, threads: int = 1) -> Runner:
        """Return what runs a model's bytes, which have been looked at (``OnnxFile``).

        Raises:
            WeightsError: when ONNX Runtime refuses them, or the card does not fit them.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _SILENT
        options.add_session_config_entry("session.use_env_allocators", "1")
        _limit_memory()
        try:
            session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime has an exception for each of its codes
            reason = " ".join(str(error).split())[:300]
            raise WeightsError(f"{origin}: ONNX Runtime refuses it: {reason}") from None
        _check(card.input, session, origin)
        return cls(card, session, origin)

    def detect(self, key: str, image: npt.NDArray[np.uint8]) -> Detections:
        """Return what is found in an image (H, W, 3) sRGB.

        Raises:
            WeightsError: when what comes out is not what the card tells.
        """
        fit = Letterbox((image.shape[1], image.shape[0]), self.card.input.size_px, self.card.input.fit,
                        self.card.input.grey)  # fmt: skip
        found = self._found(as_input(self.card.input, fit.apply(image)))
        rotated = None
        if found.boxes_px.shape[1] == 5:
            rotated = found.boxes_px.copy()
            rotated[:, :2] = (rotated[:, :2] - fit.offset_px) / fit.scale_xy
            rotated[:, 2:4] /= fit.scale_xy[0]
        upright = fit.boxes_to_image(found.boxes_px) if rotated is None else around(rotated, fit.image_px)
        return Detections(
            key=key,
            boxes_xyxy_px=upright.astype(np.float32),
            scores=np.clip(found.scores, 0.0, 1.0).astype(np.float32),
            labels=found.labels.astype(np.int32),
            rotated_boxes=None if rotated is None else rotated.astype(np.float32),
        )

    def run(self, batch: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        """Return all outputs of an input as the card tells it.

        Raises:
            WeightsError: when ONNX Runtime fails.
        """
        names = [output.name for output in self.session.get_outputs()]
        try:
            return dict(zip(names, self.session.run(names, {self.card.input.name: batch}), strict=True))
        except Exception as error:  # as above
            reason = " ".join(str(error).split())[:300]
            raise WeightsError(f"{self.origin}: ONNX Runtime cannot run it: {reason}") from None

    def _found(self, batch: npt.NDArray[Any]) -> Found:
        """Return what is found in an input, in its pixels."""
        try:
            found = decode(self.card, self.run(batch))
        except ValueError as error:
            raise WeightsError(f"{self.origin}: {error}") from None
        if found.boxes_px.shape[1] == 5 and self.card.input.fit == "stretch":
            raise WeightsError(f"{self.origin}: gives rotated boxes, which images that are stretched cannot have")
        return found


@functools.cache
def _limit_memory() -> None:
    """Make the allocator of this process's sessions, once: a few bytes of a graph may ask for any size."""
    place = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    onnxruntime.create_and_register_allocator(place, onnxruntime.OrtArenaCfg({"max_mem": MOST_TENSOR_BYTES}))


def as_input(card: InputCard, image: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    """Return a fitted image (height, width, 3) sRGB as a batch of one, as a card tells it."""
    values: npt.NDArray[Any] = image[..., ::-1] if card.colour == "BGR" else image
    if card.dtype == "float32":
        mean, deviation = np.array(card.mean, np.float32), np.array(card.deviation, np.float32)
        values = (values.astype(np.float32) - mean) / deviation
    if card.layout == "NCHW":
        values = values.transpose(2, 0, 1)
    return np.ascontiguousarray(values[np.newaxis])


def _check(card: InputCard, session: Any, origin: str) -> None:
    """Compare a card's input with the graph's."""
    inputs = {item.name: item for item in session.get_inputs()}
    if set(inputs) != {card.name}:
        raise WeightsError(f"{origin}: its inputs are {', '.join(sorted(inputs))}, the card tells {card.name!r} alone")
    item = inputs[card.name]
    width, height = card.size_px
    wanted = [1, 3, height, width] if card.layout == "NCHW" else [1, height, width, 3]
    fits = len(item.shape) == 4 and all(
        type(side) is not int or side == want for side, want in zip(item.shape, wanted, strict=True)
    )
    if not fits or item.type != _DTYPES[card.dtype]:
        raise WeightsError(
            f"{origin}: its input {card.name!r} is {item.type} {item.shape}, the card tells {card.dtype} {wanted}"
        )
