# SPDX-License-Identifier: Apache-2.0
"""What this distribution brings: the curves of an experiment's trainings, and its scores, for TensorBoard."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthkit.hookspecs import hookimpl
from synthkit.interfaces import TrackedExperiment, TrackedStep

if TYPE_CHECKING:
    from synthkit.training.board import Board

_FOLDER = "tensorboard"


class TensorBoardTracker:
    """Writes a run for each training, named like its step's folder, and one for each row with a score for each seed."""

    def __init__(self) -> None:
        self._boards: dict[str, Board] = {}

    @hookimpl
    def synthkit_experiment_began(self) -> None:
        """Check that there is what writes, so that it is told at once."""
        _library()

    @hookimpl
    def synthkit_curves(self, experiment: TrackedExperiment, step: TrackedStep, line: Mapping[str, float]) -> None:
        """Write a line; the first one of a training that goes on lets TensorBoard drop what was told before."""
        if step.id not in self._boards:
            self._boards[step.id] = _library()(experiment.folder / _FOLDER / step.folder.name, 0)
        values = {name: value for name, value in line.items() if name != "step"}
        self._boards[step.id].line(int(line["step"]), values)

    @hookimpl
    def synthkit_step_ended(self, step: TrackedStep) -> None:
        """Close a training's file."""
        board = self._boards.pop(step.id, None)
        if board is not None:
            board.close()

    @hookimpl
    def synthkit_experiment_ended(self, experiment: TrackedExperiment, results: Mapping[str, Any]) -> None:
        """Close all files, and write the scores."""
        for board in self._boards.values():
            board.close()
        self._boards.clear()
        for number, row in enumerate(results.get("rows", ())):
            board = _library()(experiment.folder / _FOLDER / _name(number, row), 0)
            for name, told in row["numbers"].items():
                for seed, value in told["by_seed"].items():
                    board.line(int(seed), {f"test/{name}": value})
            board.close()


def _library() -> type[Board]:
    from synthkit.training.board import Board

    return Board


def _name(number: int, row: Mapping[str, Any]) -> Path:
    label = re.sub(r"[^A-Za-z0-9.+-]+", "-", f"{row['label']}-{row['detector']}").strip("-.")
    return Path(f"row-{number + 1:02d}-{label[:48]}")


tracker = TensorBoardTracker()
