# SPDX-License-Identifier: Apache-2.0
"""What the metric remembers of a set: outlines, scores and truth of each image, as plain arrays.

Keys of a state: ``key`` (I,) str and ``digest`` (I, 2) uint64, one per image, images sorted by digest; ``image`` and
``sequence`` (I,) str, what it is resampled with, see ``synthkit.resampling``; ``frame`` (I, 3) float64, x and y of what
is straight below the camera, and half the image's shorter side, in pixels; ``truths`` and ``detections`` (I,) int64,
how many rows of the following belong to each image; ``truth`` (G, K) float64, ``optional`` and ``region`` (G,) bool,
``visible`` (G,) float64, see ``Truth``; ``detected`` (D, K) and ``scores`` (D,) float64, each image's by falling score;
``unlabelled`` (1,) int64, images left out as their people are unknown; ``values`` (V,) str, what is known of the
attribute by which people are told apart, where they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import attrs
import numpy as np

from synthkit.interfaces import State
from synthkit_detection.geometry import Floats
from synthkit_detection.truth import Truth

Frame = tuple[float, float, float]
Names = tuple[str, str]


@attrs.frozen(eq=False)
class Image:
    """One judged image.

    Args:
        units: what it is resampled with: its image, its sequence. truth, detected, scores: its truth, and what was
            found, (D, K) and (D,), best first.
    """

    key: str
    units: Names
    digest: tuple[int, int]
    frame: Frame
    truth: Truth
    detected: Floats
    scores: Floats

    @classmethod
    def of(cls, key: str, units: Names, frame: Frame, truth: Truth, detected: Floats, scores: Floats) -> Image:
        """Return an image, named by the digest of its key and content, so that order cannot matter."""
        hasher = hashlib.blake2b(key.encode(), digest_size=16)
        for part in (np.array(frame), *attrs.astuple(truth, recurse=False), detected, scores):
            hasher.update(len(part).to_bytes(8, "little") + np.ascontiguousarray(part, dtype="<f8").tobytes())
        raw = hasher.digest()
        digest = int.from_bytes(raw[:8], "big"), int.from_bytes(raw[8:], "big")
        return cls(key, units, digest, frame, truth, detected, scores)


def pack(images: Sequence[Image], unlabelled: int, columns: int, values: Iterable[str] = ()) -> State:
    """Return the state of some images, whose outlines have ``columns`` numbers each."""
    ordered = sorted(images, key=lambda image: image.digest)
    truths = [image.truth for image in ordered]
    return {
        "key": np.array([image.key for image in ordered], dtype=np.str_),
        "digest": np.array([image.digest for image in ordered], dtype=np.uint64).reshape(-1, 2),
        "image": np.array([image.units[0] for image in ordered], dtype=np.str_),
        "sequence": np.array([image.units[1] for image in ordered], dtype=np.str_),
        "frame": np.array([image.frame for image in ordered], dtype=np.float64).reshape(-1, 3),
        "truths": np.array([len(truth.outlines) for truth in truths], dtype=np.int64),
        "truth": np.concatenate([np.zeros((0, columns)), *(truth.outlines for truth in truths)]),
        "optional": np.concatenate([np.zeros(0, bool), *(truth.optional for truth in truths)]),
        "region": np.concatenate([np.zeros(0, bool), *(truth.region for truth in truths)]),
        "visible": np.concatenate([np.zeros(0), *(truth.visible for truth in truths)]),
        "detections": np.array([len(image.scores) for image in ordered], dtype=np.int64),
        "detected": np.concatenate([np.zeros((0, columns)), *(image.detected for image in ordered)]),
        "scores": np.concatenate([np.zeros(0), *(image.scores for image in ordered)]),
        "unlabelled": np.array([unlabelled], dtype=np.int64),
        "values": np.array(sorted(set(values)), dtype=np.str_),
    }


def unpack(state: State) -> list[Image]:
    """Return the images of a state."""
    truth_ends, found_ends = np.cumsum(state["truths"]), np.cumsum(state["detections"])
    images = []
    for number, key in enumerate(state["key"]):
        rows = slice(truth_ends[number] - state["truths"][number], truth_ends[number])
        found = slice(found_ends[number] - state["detections"][number], found_ends[number])
        truth = Truth(*(state[name][rows] for name in ("truth", "optional", "region", "visible")))
        high, low = state["digest"][number]
        x, y, half = state["frame"][number].tolist()
        units = str(state["image"][number]), str(state["sequence"][number])
        digest, detected, scores = (int(high), int(low)), state["detected"][found], state["scores"][found]
        images.append(Image(str(key), units, digest, (x, y, half), truth, detected, scores))
    return images
