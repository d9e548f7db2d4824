# SPDX-License-Identifier: Apache-2.0
"""Carrying any training through: going on where it stopped, curves, pictures, and the checkpoint at the end.

A component describes what it learns as a ``Learner`` and what decides about that as a card; ``train`` does
the rest, in the component's working folder:

- ``state.safetensors``, every few steps: all that changes, to go on from; gone when training is finished
- ``latest.safetensors``, beside each state: the checkpoint as it would be then; gone when training is finished
- ``curves.jsonl``: losses as means over a few steps, and scores of evaluations
- ``samples/``: pictures
- ``tensorboard/``: both again, where the settings want it
- ``checkpoint.safetensors``: the end
- ``last.safetensors``: the weights after the last step, where the learner chose those of another for the checkpoint
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from synthkit import config as configs
from synthkit.checkpoint import CHECKPOINT_FILE, Checkpoint
from synthkit.dataset import storage
from synthkit.errors import ConfigError, DatasetError, WorkError
from synthkit.interfaces import Runtime
from synthkit.training import checkpoints, distributed, pictures
from synthkit.training.averages import Average
from synthkit.training.board import Board
from synthkit.training.curves import Curves
from synthkit.training.interrupts import Interrupts
from synthkit.training.meter import Meter
from synthkit.training.settings import TrainingSettings

CHECKPOINT, LATEST, STATE = CHECKPOINT_FILE, "latest.safetensors", "state.safetensors"
LAST = "last.safetensors"
CURVES, PICTURES, BOARD = "curves.jsonl", "samples", "tensorboard"
"""Names in the working folder."""

_AVERAGE = "average/"


class Learner(ABC):
    """What changes in a training.

    Every random draw is addressed by its step, so that ``tensors`` and ``notes`` after ``step`` steps are
    the whole state: restored, the learner goes on to the same weights.
    """

    step: int
    """Steps done."""

    steps: int
    """Steps in all."""

    parallel: bool = False
    """Whether it can learn in several processes, by the functions of ``distributed``."""

    evaluate_every: int = 0
    """Steps between evaluations, of which one comes after the last step; 0 for none."""

    @abstractmethod
    def advance(self) -> Mapping[str, float]:
        """Do one step, count it in ``step``, and return its losses by name.

        Losses that are not finite stop the training; the learner need not look.
        """

    @abstractmethod
    def tensors(self) -> Mapping[str, torch.Tensor]:
        """Return all tensors that change, by name, on any device."""

    @abstractmethod
    def restore(self, tensors: dict[str, torch.Tensor], step: int) -> None:
        """Take back what ``tensors`` gave after ``step`` steps; they come on the CPU."""

    @abstractmethod
    def weights(self) -> Mapping[str, torch.Tensor]:
        """Return what the checkpoint would hold now: the live tensors, not copies, or what ``evaluate`` kept."""

    def last(self) -> tuple[Mapping[str, torch.Tensor], Mapping[str, Any]] | None:
        """Return the weights after the last step with their ``findings``, where ``weights`` chose among evaluations."""
        return None

    def averages(self) -> Mapping[str, torch.Tensor]:
        """Return the live tensors of which averages are taken where the settings want them.

        The averages stand in their place while ``weights``, ``picture`` and ``evaluate`` are called.
        """
        return self.weights()

    def picture(self) -> npt.NDArray[np.uint8] | None:
        """Return a picture (H, W, 3) of what is learned so far, or None where there is nothing to see."""
        return None

    def evaluate(self) -> Mapping[str, float]:
        """Return the scores of an evaluation by name; see ``Trainable.fit``."""
        return {}

    def notes(self) -> Mapping[str, Any]:
        """Return plain JSON to be kept with each state; ``notes_of`` reads it before a learner is made."""
        return {}

    def findings(self) -> Mapping[str, Any]:
        """Return what the card says beyond what decided about the training, such as scores: plain JSON."""
        return {}


def identified(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return a card with its ``identity``: a fingerprint of all that it says, which must be all that decides."""
    return {**card, "identity": configs.fingerprint(card)}


def finished(workdir: Path, card: Mapping[str, Any]) -> Checkpoint | None:
    """Return the checkpoint of a training that came to its end in the folder, if it did.

    Raises:
        DatasetError: when it is of another training. WeightsError: when it is damaged.
    """
    path = workdir / CHECKPOINT
    if not path.exists():
        return None
    checkpoint = Checkpoint.open(path)
    _require_same(path, checkpoint.card.get("identity"), card)
    return checkpoint


def notes_of(workdir: Path, card: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the notes of the learner whose training can go on in the folder, or None where nothing was begun.

    Raises:
        DatasetError: when it is another training. WeightsError: when the state is damaged.
    """
    path = workdir / STATE
    state = checkpoints.peek_state(path)
    if state is None:
        return None
    _require_same(path, state.get("identity"), card)
    return dict(state["notes"])


def train(
    learner: Learner, workdir: Path, card: Mapping[str, Any], settings: TrainingSettings, runtime: Runtime,
    *, stage: str = "training",
) -> Checkpoint:  # fmt: skip
    """Bring a learner to its last step, from where its training in the folder stopped, and keep its checkpoint.

    Ctrl-C keeps the step in which it comes; ``kill -9`` or a full disk cost the steps since the last state.

    Args:
        learner: as made, before its first step.
        card: what decides about the training, from ``identified``.
        stage: how progress calls the work.

    Raises:
        ConfigError: when several processes train what learns in one only. DatasetError: when the folder holds
        another training. WeightsError: when its state is damaged. WorkError: when losses or weights are no
        longer finite, or the disk is full.
    """
    if distributed.size() > 1 and not learner.parallel:
        raise ConfigError([f"{card['kind']} {card['name']!r} learns in one process only: start it without torchrun"])
    done = finished(workdir, card)
    if done is not None:
        return done
    average = Average(learner.averages(), settings.ema) if settings.ema else None
    kept = _resume(learner, average, workdir, card)
    distributed.wait_for_all()
    if distributed.rank() > 0:
        _Steps(learner, workdir, card).run()
    else:
        with ExitStack() as files:
            board = Board(workdir / BOARD, learner.step) if settings.tensorboard else None
            also = files.enter_context(closing(board)).line if board else None
            curves = files.enter_context(closing(Curves(workdir / CURVES, settings.log_every, kept, also)))
            meter = Meter(runtime.progress, stage, learner.step, learner.steps)
            _Kept(learner, average, workdir, card, settings, curves, board, meter).run()
        for name in (LATEST, STATE):
            storage.remove(workdir / name)
    distributed.wait_for_all()
    return Checkpoint.open(workdir / CHECKPOINT)


class _Steps:
    """A training under way, of which nothing is kept: what it is in all processes but the first."""

    def __init__(self, learner: Learner, workdir: Path, card: Mapping[str, Any]) -> None:
        self._learner, self._workdir, self._card = learner, workdir, card

    def run(self) -> None:
        with Interrupts() as interrupts:
            while self._learner.step < self._learner.steps:
                values = self._learner.advance()
                self._check_losses(values)
                self._record(values)
                stop = distributed.any_of(interrupts.requested)
                self._keep(stop)
                if stop:
                    raise KeyboardInterrupt
        self._finish()

    def _record(self, values: Mapping[str, float]) -> None:
        """Show what a step brought."""

    def _keep(self, stop: bool) -> None:
        """Keep what is needed to go on from here, if it is time to, or if training stops."""

    def _finish(self) -> None:
        """Keep what was learned."""

    def _check_losses(self, values: Mapping[str, float]) -> None:
        wrong = [name for name, value in values.items() if not math.isfinite(value)]
        if wrong:
            shown = ", ".join(f"{name} {value:.3g}" for name, value in values.items())
            raise self._diverged(f"{' and '.join(wrong)} not finite ({shown})")

    def _diverged(self, what: str) -> WorkError:
        path, good = self._workdir / LATEST, "no state was kept before"
        latest = Checkpoint.open(path).card if path.exists() else {}
        if latest.get("identity") == self._card["identity"]:
            good = f"{path} is a checkpoint of the last sound weights, those after step {latest['steps_done']}"
        return WorkError(
            f"training stopped at step {self._learner.step} of {self._learner.steps}: {what}; {good}."
            " Run again it would most likely end the same: try a lower learning_rate, or precision float32, in another"
            f" folder; {self._workdir / CURVES} shows what led there"
        )


class _Kept(_Steps):
    """A training under way, with all that is kept and shown of it."""

    def __init__(
        self, learner: Learner, average: Average | None, workdir: Path, card: Mapping[str, Any],
        settings: TrainingSettings, curves: Curves, board: Board | None, meter: Meter,
    ) -> None:  # fmt: skip
        super().__init__(learner, workdir, card)
        self._average, self._settings, self._meter = average, settings, meter
        self._curves, self._board = curves, board

    def _record(self, values: Mapping[str, float]) -> None:
        step = self._learner.step
        self._curves.add(step, values)
        self._meter(step, "  ".join(f"{name} {value:.3g}" for name, value in values.items()))
        if self._average:
            self._average.follow(step)
        self._show()
        if step == self._learner.steps:
            self._curves.finish(step)

    def _keep(self, stop: bool) -> None:
        if not stop and not self._due(self._settings.checkpoint_every):
            return
        tensors = dict(self._learner.tensors())
        if self._average:
            tensors |= {f"{_AVERAGE}{name}": tensor for name, tensor in self._average.tensors().items()}
        self._check_tensors(tensors)
        state = {
            "identity": self._card["identity"],
            "step": self._learner.step,
            "curves": self._curves.state(),
            "notes": dict(self._learner.notes()),
        }
        self._save(LATEST)
        checkpoints.save_state(self._workdir / STATE, tensors, state)

    def _finish(self) -> None:
        with self._as_kept():
            last = self._learner.last()
            if last is not None:  # before the checkpoint, which says that all is done
                checkpoints.save_checkpoint(self._workdir / LAST, last[0], self._card_with(last[1]))
        self._save(CHECKPOINT)

    def _due(self, every: int) -> bool:
        """Tell whether something is to be done after this step: every so many, never for 0, and after the last."""
        return bool(every) and (self._learner.step % every == 0 or self._learner.step == self._learner.steps)

    def _as_kept(self) -> AbstractContextManager[None]:
        """Have the weights in the learner that a checkpoint would get."""
        return self._average.in_place() if self._average else nullcontext()

    def _show(self) -> None:
        evaluated, drawn = self._due(self._learner.evaluate_every), self._due(self._settings.picture_every)
        if not evaluated and not drawn:
            return
        with self._as_kept():
            scores = self._learner.evaluate() if evaluated else {}
            picture = self._learner.picture() if drawn else None
        if scores:
            self._curves.note(self._learner.step, scores)
        if picture is not None:
            pictures.write_png(self._workdir / PICTURES / f"step-{self._learner.step:07d}.png", picture)
        if picture is not None and self._board:
            self._board.picture(self._learner.step, picture)

    def _save(self, name: str) -> None:
        card = self._card_with(self._learner.findings())
        if name != CHECKPOINT:
            card["steps_done"] = self._learner.step
        with self._as_kept():
            checkpoints.save_checkpoint(self._workdir / name, self._learner.weights(), card)

    def _card_with(self, findings: Mapping[str, Any]) -> dict[str, Any]:
        card = {**self._card, **findings}
        if self._average:
            card["averaged"] = f"exponential moving average of the weights, decay {self._settings.ema:g}"
        return card

    def _check_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Losses tell of weights one step late; a state of spoilt ones must not replace a sound one."""
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                raise self._diverged(f"{name} not finite")


def _resume(
    learner: Learner, average: Average | None, workdir: Path, card: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """Put the learner where its training stopped, and return the state of its curves; None at the beginning."""
    path = workdir / STATE
    kept = checkpoints.load_state(path)
    if kept is None:
        return None
    tensors, state = kept
    _require_same(path, state.get("identity"), card)
    averages = {name: tensors.pop(name) for name in list(tensors) if name.startswith(_AVERAGE)}
    learner.restore(tensors, state["step"])
    if average:
        average.restore({name.removeprefix(_AVERAGE): tensor for name, tensor in averages.items()})
    return dict(state["curves"])


def _require_same(path: Path, identity: str | None, card: Mapping[str, Any]) -> None:
    if identity != card["identity"]:
        raise DatasetError(
            f"{path}: is of a training with other settings or data; choose another folder, or remove this one"
        )
