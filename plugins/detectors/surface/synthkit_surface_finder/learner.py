# SPDX-License-Identifier: Apache-2.0
"""The network while it learns: steps, evaluations, and the best weights so far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from synthkit.interfaces import Runtime
from synthkit.training.choosing import ChoosingLearner, Evaluation
from synthkit.training.devices import generator
from synthkit.training.feed import Feed
from synthkit.training.pictures import Pixels, sheet, spread
from synthkit_squeezedet.config import SqueezeDetConfig
from synthkit_squeezedet.descent import Descent
from synthkit_surface_finder.config import SurfaceFinderConfig
from synthkit_surface_finder.drawing import coloured
from synthkit_surface_finder.examples import Crop, Subjects
from synthkit_surface_finder.judging import Judged, judge, means
from synthkit_surface_finder.losses import Batch, chosen, losses
from synthkit_surface_finder.model import Design, Finder, ready
from synthkit_surface_finder.network import OUTPUT_STRIDE, BodyNet
from synthkit_surface_finder.start import Start
from synthkit_surface_finder.surface import SPACE, Surface
from synthkit_surface_finder.variation import Variation

_PICTURES = 12
_CHOSEN_BY = "part_iou"


class SurfaceLearner(ChoosingLearner):
    """What changes in a training: network, optimizer, and the best weights so far.

    Args:
        config, runtime, device: of the training. surface: that is learned. subjects: what it learns from.
        validation: by it the weights with the best ``part_iou`` are kept, the earliest of equal ones; without it
            the last.
        start: what it starts from. best, last: evaluations of a training that goes on, from its notes.
    """

    _network: BodyNet
    _descent: Descent

    def __init__(
        self,
        config: SurfaceFinderConfig,
        runtime: Runtime,
        device: torch.device,
        surface: Surface,
        subjects: Subjects,
        validation: Subjects | None,
        start: Start,
        best: Evaluation | None = None,
        last: Evaluation | None = None,
    ) -> None:
        super().__init__(best, last)
        self.step, self.steps = 0, config.steps
        self.evaluate_every = config.evaluate_every if validation else 0
        self._config, self._runtime = config, runtime
        self._subjects, self._validation = subjects, validation
        self._begin = start
        self._design = Design.of(config, surface)
        self._network = self._start(surface, device)
        self._finder = Finder(self._design, self._network, surface, device)
        self._feeds = _feeds(subjects, runtime)
        self._variation = Variation.of(config)
        rates = SqueezeDetConfig(
            steps=config.steps, learning_rate=config.learning_rate, weight_decay=config.weight_decay
        )
        self._descent = Descent(rates, dict(self._network.named_parameters()))

    def advance(self) -> dict[str, float]:
        """Do one step; return the parts of its loss."""
        batch = Batch.of(self._varied(), self._finder.device)
        self._network.train()
        parts = losses(self._network(batch.images, batch.boxes), batch)
        self._descent.clear()
        torch.stack(list(parts.values())).sum().backward()  # type: ignore[no-untyped-call]
        self._descent.step(self.step)
        self.step += 1
        return {name: float(value.detach()) for name, value in parts.items()}

    def evaluate(self) -> dict[str, float]:
        """Return how good it is on the validation set; the best weights are kept."""
        assert self._validation is not None
        scores = means(self._judged(self._validation))
        self._evaluated(scores, _CHOSEN_BY)
        return {f"val_{name}": value for name, value in scores.items()}

    def picture(self) -> Pixels:
        """Return a picture: crops, and below the true parts of the body and those that are found so far."""
        source = self._validation or self._subjects
        known = np.flatnonzero([source[index].on_surface for index in range(len(source))])
        crops = [self._misplaced(source, int(index)) for index in spread(known, _PICTURES)]
        answers = [self._answer(crop) for crop in crops]
        count, shown = len(self._design.parts), [crop.image[::OUTPUT_STRIDE, ::OUTPUT_STRIDE] for crop in crops]
        truth = [coloured(image, crop.parts, count) for image, crop in zip(shown, crops, strict=True)]
        found = [coloured(image, np.where(m, p, -1), count) for image, (m, p, _) in zip(shown, answers, strict=True)]
        return sheet([np.stack(shown), np.stack(truth), np.stack(found)])

    def notes(self) -> dict[str, Any]:
        """Return what was found, so that a training that goes on knows it."""
        return {**super().notes(), "start": dict(self._begin.card)}

    def findings(self) -> dict[str, Any]:
        """Return what the card says besides settings and data."""
        if self._best is None:
            return self._findings("last step, no validation set", None)
        return self._findings(f"best {_CHOSEN_BY} on the validation set, boxes moved as in training", self._best)

    def _findings(self, chosen_by: str, evaluation: Evaluation | None) -> dict[str, Any]:
        return {
            "space": SPACE.name,
            "start": dict(self._begin.card),
            "design": self._design.plain(),
            "steps": evaluation.step if evaluation else self.step,
            "chosen_by": chosen_by,
            "validation": dict(evaluation.scores) if evaluation else None,
        }

    def _start(self, surface: Surface, device: torch.device) -> BodyNet:
        network = self._design.build()
        network.initialize(generator(self._runtime.seeds, "weights"))
        self._begin.give(network)
        network.carry(surface.vertices_m, surface.parts)
        return ready(network, device)

    def _varied(self) -> Sequence[Crop]:
        """Return the crops of the current step."""
        return [
            self._variation.draw(
                self._subjects,
                self._subjects[index],
                self._finder.surface,
                self._runtime.seeds.stream("vary", self.step, number),
            )
            for number, index in enumerate(self._drawn())
        ]

    def _drawn(self) -> list[int]:
        """Return the subjects of the current step: as many from each feed, the last one's more where they are odd."""
        drawn: list[int] = []
        for number, (members, feed) in enumerate(self._feeds, start=1):
            count = self._config.batch * number // len(self._feeds) - len(drawn)
            drawn += [members[place] for place in feed.indices(self.step, count)]
        return drawn

    def _misplaced(self, subjects: Subjects, index: int) -> Crop:
        """Return the crop about the box of a subject, always the same, as a detector may find it."""
        stream = self._runtime.seeds.stream("misplace", index)
        return self._variation.misplaced(subjects, subjects[index], stream)

    def _judged(self, subjects: Subjects) -> list[Judged]:
        judged, surface = [], self._finder.surface
        for index in range(len(subjects)):
            crop = self._misplaced(subjects, index)
            self._runtime.progress("evaluating", index + 1, len(subjects))
            if not crop.mask.any():
                continue
            mask, parts, places = self._answer(crop)
            vertices, truth = (np.full(mask.shape, -1, np.int64) for _ in range(2))
            vertices[mask] = surface.nearest(parts[mask], places[mask])
            known = crop.parts >= 0
            truth[known] = surface.nearest(crop.parts[known], crop.places[known])
            judged.append(judge(mask, vertices, crop.mask, truth, surface))
        return judged

    def _answer(self, crop: Crop) -> tuple[Any, Any, Any]:
        """Return of a crop what the network says: mask (h, w) bool, parts (h, w) int64, and places (h, w, 3)."""
        self._network.eval()
        batch = Batch.of([crop], self._finder.device)
        with torch.inference_mode():
            answers = self._network(batch.images, batch.boxes)
            parts, places = chosen(answers)
        mask = torch.sigmoid(answers.mask[0]) >= self._config.mask_threshold
        return mask.cpu().numpy(), parts[0].cpu().numpy(), places[0].permute(1, 2, 0).cpu().numpy()


def _feeds(subjects: Subjects, runtime: Runtime) -> list[tuple[list[int], Feed]]:
    """Return those whose surfaces are known and, if there are any, the others, each with its order.

    Half of each step's crops are of the former, however few they are beside the others, who teach masks alone.
    """
    groups = {True: list[int](), False: list[int]()}
    for index in range(len(subjects)):
        groups[subjects[index].on_surface].append(index)
    seeds = runtime.seeds.child("feed")
    return [(members, Feed(len(members), seeds.child(str(on)))) for on, members in groups.items() if members]
