# SPDX-License-Identifier: Apache-2.0
"""Decoders alone, in one thread, without any container."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sides.common import Measured, samples, timed


def limit(decoder: str, source: Path) -> Measured:
    """Decode the JPEGs alone, from memory, with one decoder in one thread."""
    data = [image for _, image, _ in samples(source)]
    if decoder == "pillow":

        def decode(jpeg: bytes) -> Any:
            return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))
    elif decoder == "opencv":
        import cv2

        cv2.setNumThreads(1)

        def decode(jpeg: bytes) -> Any:
            return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
    else:
        from synthkit.dataset import images

        def decode(jpeg: bytes) -> Any:
            return images.decode(jpeg, rgb=True)

    return timed(decode(jpeg).nbytes for jpeg in data)
