# SPDX-License-Identifier: Apache-2.0
"""Detectors' trainings: one network, of which the weights with the best evaluation are kept."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol

import attrs
import torch

from synthkit import __version__
from synthkit import config as configs
from synthkit.dataset.mixture import Mixture
from synthkit.interfaces import Runtime, SampleSet
from synthkit.training import loop


@attrs.frozen
class Evaluation:
    """After how many steps, and what was found."""

    step: int
    scores: Mapping[str, float]


class Descending(Protocol):
    """An optimizer whose tensors can be taken out and put back."""

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return all that changes."""

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take back what ``tensors`` gave."""


class ChoosingLearner(loop.Learner):
    """A learner whose checkpoint has the weights with the best evaluation, the earliest of equal ones.

    Without evaluations it has the last. Subclasses set ``_network`` and ``_descent``, and call ``_evaluated``.

    Args:
        best, last: evaluations of a training that goes on; see ``evaluations_of``.
    """

    _network: torch.nn.Module
    _descent: Descending

    def __init__(self, best: Evaluation | None, last: Evaluation | None) -> None:
        self._best, self._last = best, last
        self._kept: dict[str, torch.Tensor] = {}

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the best weights found, or, where nothing was evaluated, the last."""
        return self._kept or dict(self._network.state_dict())

    def averages(self) -> dict[str, torch.Tensor]:
        """Return the network's weights: of the best there is no average."""
        return dict(self._network.state_dict())

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return all that changes, for a state of training."""
        result = {f"network.{name}": tensor for name, tensor in self._network.state_dict().items()}
        result.update({f"best.{name}": tensor for name, tensor in self._kept.items()})
        result.update({f"descent.{name}": tensor for name, tensor in self._descent.tensors().items()})
        return result

    def restore(self, tensors: dict[str, torch.Tensor], step: int) -> None:
        """Take back what ``tensors`` gave."""
        parts: dict[str, dict[str, torch.Tensor]] = {"network": {}, "best": {}, "descent": {}}
        for name, tensor in tensors.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = tensor
        self._network.load_state_dict(parts["network"])
        self._descent.restore(parts["descent"])
        self._kept = parts["best"]
        self.step = step

    def notes(self) -> dict[str, Any]:
        """Return the evaluations, so that a training that goes on knows them."""
        return {"best": _plain(self._best), "last": _plain(self._last)}

    def last(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
        """Return the weights after the last step and what their card says, where the best were chosen."""
        if self._best is None:
            return None
        return dict(self._network.state_dict()), self._findings("last step", self._last)

    @abstractmethod
    def _findings(self, chosen_by: str, evaluation: Evaluation | None) -> dict[str, Any]:
        """Return what a card says besides settings and data, of weights and the evaluation that they had."""

    def _evaluated(self, scores: Mapping[str, float], chosen_by: str) -> None:
        """Take in an evaluation of the current weights, which are kept if one of the scores is the best so far."""
        self._last = Evaluation(self.step, scores)
        if self._best is None or scores[chosen_by] > self._best.scores[chosen_by]:
            self._best = self._last
            self._kept = {n: t.detach().cpu().clone() for n, t in self._network.state_dict().items()}


def evaluations_of(notes: Mapping[str, Any] | None) -> tuple[Evaluation | None, Evaluation | None]:
    """Return the best evaluation and the last one, of a learner's notes if there are some."""
    best, last = (one and Evaluation(**one) for one in (notes["best"], notes["last"])) if notes else (None, None)
    return best, last


def card_of(
    name: str, config: Any, runtime: Runtime, data: Mapping[str, SampleSet], *, begun_with: str
) -> dict[str, Any]:
    """Return what decides about a detector's weights; the learner adds what it found.

    Args:
        begun_with: what of others the weights began with, such as ``the backbone``.
    """
    return loop.identified(
        {
            "kind": "detector",
            "name": name,
            "synthkit": __version__,
            "config": configs.identity(config),
            "seed": runtime.seeds.root,
            "seeds": repr(runtime.seeds),
            "data": {role: _told(part) for role, part in data.items()},
            "licence": f"the weights were learned from the data sets and {begun_with} named here; their licences apply",
        }
    )


def _told(data: SampleSet) -> dict[str, Any]:
    told = {"fingerprint": data.fingerprint, "samples": len(data)}
    return told | ({"parts": data.parts} if isinstance(data, Mixture) else {})


def _plain(evaluation: Evaluation | None) -> dict[str, Any] | None:
    return None if evaluation is None else attrs.asdict(evaluation)
