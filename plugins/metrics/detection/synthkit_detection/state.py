# SPDX-License-Identifier: Apache-2.0
"""What the metric remembers of a set: boxes, scores and truth of each image, as plain arrays.

Keys of a state: ``digest`` (I, 2) uint64, one per image, by which images are sorted; ``truth`` (G, 4) and
``detected`` (D, 5) float64 (box and score), rows of one image together; ``truths`` and ``detections`` (I,)
int64, how many rows belong to each image; ``unlabelled`` (1,) int64, images left out as their people are
unknown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import attrs
import numpy as np

from synthkit.interfaces import State
from synthkit_detection.matching import Floats, Ranked, iou_matrix, match


@attrs.frozen(eq=False)
class Image:
    """One judged image: ``truth`` (G, 4) and ``detected`` (D, 5), sorted by falling score."""

    digest: tuple[int, int]
    truth: Floats
    detected: Floats

    @classmethod
    def of(cls, key: str, truth: Floats, detected: Floats) -> Image:
        """Return an image, named by the digest of its key and content, so that order cannot matter."""
        hasher = hashlib.blake2b(key.encode(), digest_size=16)
        for part in (truth, detected):
            hasher.update(len(part).to_bytes(8, "little") + np.ascontiguousarray(part, dtype="<f8").tobytes())
        raw = hasher.digest()
        return cls((int.from_bytes(raw[:8], "big"), int.from_bytes(raw[8:], "big")), truth, detected)


def pack(images: Sequence[Image], unlabelled: int) -> State:
    """Return the state of some images."""
    ordered = sorted(images, key=lambda image: image.digest)
    return {
        "digest": np.array([image.digest for image in ordered], dtype=np.uint64).reshape(-1, 2),
        "truth": _stack([image.truth for image in ordered], 4),
        "truths": np.array([len(image.truth) for image in ordered], dtype=np.int64),
        "detected": _stack([image.detected for image in ordered], 5),
        "detections": np.array([len(image.detected) for image in ordered], dtype=np.int64),
        "unlabelled": np.array([unlabelled], dtype=np.int64),
    }


def unpack(state: State) -> list[Image]:
    """Return the images of a state."""
    truth = np.split(state["truth"], np.cumsum(state["truths"])[:-1]) if len(state["truths"]) else []
    detected = np.split(state["detected"], np.cumsum(state["detections"])[:-1]) if len(state["truths"]) else []
    digests = [(int(high), int(low)) for high, low in state["digest"]]
    return [Image(*parts) for parts in zip(digests, truth, detected, strict=True)]


def rank(images: Sequence[Image], iou: float) -> Ranked:
    """Return all detections of some images, judged at one overlap, best score first."""
    right = [match(iou_matrix(image.detected[:, :4], image.truth), iou) for image in images]
    scores = np.concatenate([np.zeros(0), *(image.detected[:, 4] for image in images)])
    owner = np.repeat(np.arange(len(images)), [len(image.detected) for image in images])
    order = np.argsort(-scores, kind="stable")
    return Ranked(
        scores=scores[order],
        right=np.concatenate([np.zeros(0, dtype=bool), *right])[order],
        image=owner[order].astype(np.int64),
        truths=np.array([len(image.truth) for image in images], dtype=np.int64),
    )


def _stack(parts: list[Floats], columns: int) -> Floats:
    return np.concatenate([np.zeros((0, columns)), *parts])
