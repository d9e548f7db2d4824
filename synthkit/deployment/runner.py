# SPDX-License-Identifier: Apache-2.0
"""Running a detector from an ONNX file by its card: image in, boxes in the image's own pixels out."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.deployment.cards import DetectorCard
from synthkit.deployment.decoding import Found, decode
from synthkit.deployment.overlaps import around
from synthkit.deployment.sessions import as_input, check_input, open_session, run_session
from synthkit.errors import WeightsError
from synthkit.letterbox import Letterbox
from synthkit.sample import Detections


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
        session = open_session(data, origin, threads)
        check_input(card.input, session, origin)
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
        return run_session(self.session, self.card.input.name, batch, self.origin)

    def _found(self, batch: npt.NDArray[Any]) -> Found:
        """Return what is found in an input, in its pixels."""
        try:
            found = decode(self.card, self.run(batch))
        except ValueError as error:
            raise WeightsError(f"{self.origin}: {error}") from None
        if found.boxes_px.shape[1] == 5 and self.card.input.fit == "stretch":
            raise WeightsError(f"{self.origin}: gives rotated boxes, which images that are stretched cannot have")
        return found
