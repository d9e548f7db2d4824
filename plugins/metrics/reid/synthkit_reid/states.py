# SPDX-License-Identifier: Apache-2.0
"""What the metrics keep of people: embeddings, who they are, and where they were seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.embedders.people import Picture, Pixels
from synthkit.errors import DatasetError
from synthkit.interfaces import State
from synthkit.sample import Sample
from synthkit_reid.config import View
from synthkit_reid.ranking import STRANGER, Integers, Labels

Texts = npt.NDArray[np.str_]

REASONS = ("junk", "unknown", "unseen")
"""Why people are left out."""

THUMB_PX = (64, 128)

_TEXTS = ("key", "identity", "camera", "sequence", "image", "split")


@attrs.frozen(eq=False)
class Seen:
    """People who were observed, in the order of their keys.

    Args:
        key, identity, camera, sequence, image, split: (N,) texts, empty where unknown.
        vectors: (N, R, d) float32, an embedding for each of the images that a sample had.
        thumbs: (N, R, h, w, 3) uint8 small pictures, or none of them: (N, 0).
        untouched: (N,) whether all pictures are the same, where there are several.
        left_out: how many people were, in the order of ``REASONS``.
    """

    key: Texts
    identity: Texts
    camera: Texts
    sequence: Texts
    image: Texts
    split: Texts
    vectors: npt.NDArray[np.float32]
    thumbs: npt.NDArray[np.uint8]
    untouched: npt.NDArray[np.bool_]
    left_out: Integers

    def __len__(self) -> int:
        return len(self.key)

    @property
    def state(self) -> State:
        """As a metric's state."""
        return {field.name: getattr(self, field.name) for field in attrs.fields(Seen)}

    @classmethod
    def of(cls, state: State) -> Seen:
        """Return what a state holds."""
        return cls(**{field.name: np.asarray(state[field.name]) for field in attrs.fields(Seen)})

    def view(self, wanted: View) -> str:
        """Return by what views are told apart: the first of camera, sequence and image of which there are several.

        Raises:
            DatasetError: when no picture tells which of those that are asked for it is of.
        """
        if wanted in ("camera", "sequence") and len(self) and not self.told(wanted).any():
            raise DatasetError(f"view: no sample tells which {wanted} it is of; set metric.view=auto or image")
        if wanted != "auto":
            return wanted
        known = [name for name in ("camera", "sequence") if len(np.unique(getattr(self, name)[self.told(name)])) > 1]
        return known[0] if known else "image"

    def told(self, name: str) -> npt.NDArray[np.bool_]:
        """Return of whom something is known, (N,)."""
        return np.asarray(getattr(self, name) != "")

    def labels(self, view: str) -> Labels:
        """Return who and in which view everybody is; of whom the view is not known, the image stands for it."""
        numbers = np.unique(self.identity, return_inverse=True)[1]
        identity = np.where(self.told("identity"), numbers, STRANGER)
        values = np.where(self.told(view), getattr(self, view), np.char.add("image ", self.image))
        return Labels(identity, np.unique(values, return_inverse=True)[1])

    def clusters(self, wanted: Literal["person", "sequence"]) -> Texts:
        """Return names, (N,), of what would be drawn anew: people, or sequences and images that are in none.

        Raises:
            DatasetError: when no picture is of a sequence.
        """
        if wanted == "person":
            return self.identity
        if not self.told("sequence").any():
            raise DatasetError("resample: no sample tells which sequence it is of; set metric.resample=person")
        images = np.char.add("image ", self.image)
        return np.where(self.told("sequence"), np.char.add("sequence ", self.sequence), images)

    def asked(self) -> tuple[Integers, Integers]:
        """Return who is a query and who is in the gallery, by its splits ``query`` and ``test`` if it has these."""
        everybody = np.arange(len(self))
        queries = np.flatnonzero(self.split == "query")
        if not len(queries):
            return everybody[self.told("identity")], everybody
        return queries[self.told("identity")[queries]], np.flatnonzero(self.split == "test")


Row = tuple[Sample, Picture, Sequence[Any], Sequence[Pixels]]
"""A sample, somebody in it, the embeddings of the pictures, and these made small if they are wanted."""


def collect(rows: Sequence[Row], left_out: Mapping[str, int]) -> Seen:
    """Return people as they were observed.

    Args:
        rows: who they are. left_out: how many people were, by reason.
    """
    texts = [
        (
            picture.key, picture.identity, _text(sample.meta.get("camera")), sample.sequence or "", sample.key,
            _text(sample.meta.get("split")),
        )
        for sample, picture, _, _ in rows
    ]  # fmt: skip
    columns = zip(*texts, strict=True) if texts else [()] * len(_TEXTS)
    pixels = [picture.pixels for _, picture, _, _ in rows]
    return Seen(
        **{name: np.array(values, dtype=np.str_) for name, values in zip(_TEXTS, columns, strict=True)},
        vectors=np.array([vectors for _, _, vectors, _ in rows], np.float32),
        thumbs=np.array([thumbs for _, _, _, thumbs in rows], np.uint8),
        untouched=np.array([len(p) > 1 and all(np.array_equal(p[0], other) for other in p[1:]) for p in pixels], bool),
        left_out=np.array([left_out.get(reason, 0) for reason in REASONS], np.int64),
    )


def joined(parts: Sequence[Seen]) -> Seen:
    """Return all people of several parts, sorted by key: how they were parted never matters."""
    left_out = np.sum([part.left_out for part in parts], axis=0)
    filled = [part for part in parts if len(part)] or [parts[0]]
    fields = [field.name for field in attrs.fields(Seen) if field.name != "left_out"]
    values = {name: np.concatenate([getattr(part, name) for part in filled]) for name in fields}
    order = np.argsort(values["key"], kind="stable")
    return Seen(**{name: array[order] for name, array in values.items()}, left_out=left_out)


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | int) else ""
