# SPDX-License-Identifier: Apache-2.0
"""Curves and pictures as TensorBoard reads them, beside ``curves.jsonl``, which is the truth; without torch."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from synthkit.dataset import storage
from synthkit.errors import ConfigError

_VERSION = "brain.Event:2"  # the first to which TensorBoard's rule about restarts applies


class Board:
    """Writes one event file for each call of a training.

    Where an earlier call had come further than the state from which this one goes on, TensorBoard drops what it
    told of later steps. The library's own writer is not used: its thread hangs when the disk is full.

    Args:
        folder: for the event files; made when missing. step: steps done.

    Raises:
        ConfigError: when ``tensorboardX`` is not installed. WorkError, DatasetError: when the disk is full, or
        the folder cannot be written.
    """

    def __init__(self, folder: Path, step: int) -> None:
        try:
            from tensorboardX import record_writer, summary
            from tensorboardX.proto import event_pb2
        except ImportError:
            raise ConfigError(
                ["tensorboard: the package tensorboardX is missing: pip install 'synthkit-core[tensorboard]'"]
            ) from None
        self._path = folder / f"events.out.tfevents.{time.time_ns():020d}.{os.getpid()}"
        self._summary, self._events = summary, event_pb2
        with storage.disk_errors(self._path):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = record_writer.RecordWriter(str(self._path))
        self._write(0, file_version=_VERSION)
        self._write(step, session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START))

    def line(self, step: int, values: Mapping[str, float]) -> None:
        """Take a line of the curves."""
        for name, value in values.items():
            self._write(step, summary=self._summary.scalar(name, value))

    def picture(self, step: int, picture: npt.NDArray[np.uint8]) -> None:
        """Take a picture (H, W, 3)."""
        self._write(step, summary=self._summary.image("samples", picture, dataformats="HWC"))

    def close(self) -> None:
        """Close the file."""
        with storage.disk_errors(self._path):
            self._file.close()

    def _write(self, step: int, **what: Any) -> None:
        event = self._events.Event(wall_time=time.time(), step=step, **what)
        with storage.disk_errors(self._path):
            self._file.write(event.SerializeToString())
            self._file.flush()
