# SPDX-License-Identifier: Apache-2.0
"""Images with what was found in them as a data set of its own, to be learned from, merged and filtered as any other."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synthkit import inputs
from synthkit.dataset import Dataset, codec
from synthkit.dataset.codec import CodecConfig, Encoded
from synthkit.dataset.sidecars import SIDECAR_OF
from synthkit.dataset.tools.copying import inherited, whole, write
from synthkit.dataset.tools.outputs import check_apart
from synthkit.errors import DatasetError, WorkError
from synthkit.execution import Executor, JobSpec
from synthkit.execution.scenes import Maker
from synthkit.found import Found
from synthkit.interfaces import Progress, silent
from synthkit.sample import Skipped
from synthkit.stage import seen_from

_REVISION = 1  # of what becomes of images and finds: to be raised when samples change
_CODEC = CodecConfig(image_format="png")  # of what has no file of its own, such as frames of videos: nothing is lost


def label(finds: Dataset, out: Path | str, *, executor: Executor | None = None, progress: Progress = silent) -> Dataset:
    """Write the images that finds are of, with these, as a data set at ``out``, or do the rest of it.

    People and layers are the finds'; of the images come pixels (the bytes of their files, where they have such),
    camera, sequence, frame, time and meta. An image that could not be looked at is a hole, with its reason.

    Args:
        finds: a set of them, as ``detection.detect`` makes it. out: a folder, or a URL that fsspec reaches.

    Raises:
        DatasetError: when the images are not where they were, are others or change meanwhile, when ``out`` holds
            something else, or there is not one sample.
    """
    found = Found.beside(finds)
    check_apart([finds], out)
    parents = [{"path": seen_from(one.location, out), "fingerprint": one.fingerprint} for one in (found.images, finds)]
    notes = inherited(finds, out, parents=parents)
    del notes[SIDECAR_OF]  # it has the images itself
    write(
        out,
        JobSpec("synthkit.labelling:LabelJob", {
            "images": found.images.to_plain(),
            "finds": whole(finds.location),
            "fingerprint": finds.fingerprint,
        }),
        len(finds.slots()),
        identity={"label": _REVISION, "images": found.images.identity, "finds": finds.fingerprint},
        notes=notes,
        codec=_CODEC,
        verb="convert",
        executor=executor,
        progress=progress,
        check=found.images.check_unchanged,
    )  # fmt: skip
    return Dataset.open(out)


class LabelJob(Maker):
    """Task n brings the image and the finds of place n together.

    Args:
        images: an ``inputs.Images``, plain. finds: their place. fingerprint: of the finds that were sent.
    """

    def __init__(self, images: Mapping[str, Any], finds: str, fingerprint: str) -> None:
        self._found = Found(Dataset.open(finds), inputs.reopened(images))
        self._slots = self._found.sidecars.data.slots()
        self._fingerprint = fingerprint

    def check_machine(self) -> None:
        """Check that images and finds are those that were sent.

        Raises:
            WorkError: when they are not.
        """
        self._found.images.check_machine()
        if self._found.fingerprint != self._fingerprint:
            raise WorkError(f"{self._found.location}: is another data set on {socket.gethostname()}")

    def __call__(self, place: int) -> list[Encoded | Skipped]:
        """Return one sample as it is to be stored, or one hole."""
        slot = self._slots[place]
        if isinstance(slot, Skipped):
            return [slot]
        try:
            sample, stored = self._found.stored(slot)
        except DatasetError:  # tells where images and finds lie, and a record is the same wherever they do
            key = self._found.sidecars.data.key(slot)
            return [Skipped(key, "it cannot be read: the images or the finds are damaged there")]
        return [codec.encode(sample, _CODEC, stored)]
