# SPDX-License-Identifier: Apache-2.0
"""Converting, on any machine: scene n of the new set is image n of the source."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path

from synthkit import config
from synthkit.dataset import codec, formats
from synthkit.dataset.codec import CodecConfig, Encoded
from synthkit.dataset.formats.source import Source
from synthkit.errors import DatasetError, WorkError
from synthkit.execution.scenes import Maker
from synthkit.sample import Skipped

CODEC = CodecConfig(image_format="jpg")  # photos come as JPEG, and are larger as PNG


class ConvertJob(Maker):
    """A source of another format, opened once per process.

    Args:
        source: its whole path. keys: fingerprint of what whoever sent the job found there, as ``fingerprint`` gives it.
        The rest as ``Format.open`` takes it.
    """

    def __init__(
        self,
        source: str,
        form: str,
        keys: str,
        max_size_px: int | None,
        every: int,
        person_classes: Sequence[str],
    ) -> None:
        self._path, self._keys = Path(source), keys
        self._source = formats.find(self._path, form).open(self._path, max_size_px, every, person_classes)

    def check_machine(self) -> None:
        """Check that the source has the same images here; to hash them all in each process would take too long.

        Raises:
            WorkError: when it has others.
        """
        if fingerprint(self._source) != self._keys:
            raise WorkError(f"{self._path}: has other images on {socket.gethostname()}")

    def __call__(self, index: int) -> list[Encoded | Skipped]:
        """Return one sample, with its photo's own bytes where they need not be changed; or why it is damaged."""
        try:
            sample, stored = self._source.read(index)
        except DatasetError as error:
            # The same record wherever the source lies.
            return [Skipped(self._source.key(index), str(error).replace(f"{self._path.parent}{os.sep}", ""))]
        return [codec.encode(sample, CODEC, stored)]


def fingerprint(source: Source) -> str:
    """Return what tells the images of a source from others without reading them."""
    return config.fingerprint([source.key(index) for index in range(len(source))])
