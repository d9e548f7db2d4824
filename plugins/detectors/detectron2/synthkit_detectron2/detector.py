# SPDX-License-Identifier: Apache-2.0
"""The component ``detectron2``: Mask R-CNN's finds and CSE's, brought together (thesis 002, section 4.3.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self

import attrs
import numpy as np
import numpy.typing as npt
import torch

from synthkit.checkpoint import Checkpoint
from synthkit.errors import WeightsError
from synthkit.finds import best_pairs
from synthkit.interfaces import Runtime
from synthkit.sample import Detections, Sample
from synthkit.surfaces import SMPL
from synthkit.training.devices import set_up
from synthkit_detectron2 import networks
from synthkit_detectron2.config import Detectron2Config
from synthkit_detectron2.networks import PERSON, Network
from synthkit_detectron2.surfaces import Surface, array, surfaces_of

Mask = npt.NDArray[np.bool_]


@attrs.frozen(eq=False)
class Find:
    """Somebody.

    Args:
        score, box_xyxy_px: of the network that is surer. mask: (H, W), of both. surface: (H, W) uint16, where both
            networks found them.
    """

    score: float
    box_xyxy_px: npt.NDArray[np.float64]
    mask: Mask
    surface: npt.NDArray[np.uint16] | None = None


class Detectron2Detector:
    """People with masks, and with surface maps where both networks found them.

    Who is who is told by the overlap of masks, the greatest first, nobody twice. Somebody's mask is the union of both:
    Mask R-CNN's covers clothes and hair, which CSE's passes over. Whom one network alone found has no surface map, so
    that nothing is generated there, and is a find nevertheless; so is somebody with a box and an empty mask.
    """

    def __init__(self, config: Detectron2Config, checkpoint: Checkpoint | None, runtime: Runtime) -> None:
        self._config = config
        self._checkpoint = checkpoint
        self._runtime = runtime
        self._masks: Network | None = None
        self._surfaces: tuple[Network, torch.Tensor] | None = None

    def __enter__(self) -> Self:
        if self._checkpoint is not None:
            raise WeightsError("detector 'detectron2' has its weights in files of its settings: give no checkpoint")
        networks.require(densepose=self._config.surface_weights is not None)
        device = set_up(self._runtime)
        self._masks = networks.mask_network(self._config, device)
        if self._config.surface_weights is not None:
            network = networks.surface_network(self._config, device)
            self._surfaces = network, network.embeddings()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._masks = self._surfaces = None

    @property
    def class_names(self) -> Sequence[str]:
        """Names of the labels."""
        return (PERSON,)

    @property
    def operating_score(self) -> float:
        """The least score of either network."""
        return self._config.score

    def detect(self, samples: Iterable[Sample]) -> Iterator[Detections]:
        """Yield what is found in each image.

        Raises:
            Nonsense: when a network gives what cannot be right.
        """
        if self._masks is None:
            raise WeightsError("detector 'detectron2' is not entered")
        for sample in samples:
            people = list(masks_of(self._masks.look(sample.image), self._masks.people, sample.size_px))
            shown: list[Surface] = []
            if self._surfaces is not None:
                network, vertices = self._surfaces
                found = network.look(sample.image)
                shown = list(surfaces_of(found, vertices, sample.size_px, self._config.lookup_px))
            finds = together(people, shown, self._config.iou)
            yield detections(sample, finds, surfaces=self._surfaces is not None)


def masks_of(found: Any, person: int, size_px: tuple[int, int]) -> Iterator[Find]:
    """Yield Mask R-CNN's people, the surest first.

    Args:
        found: detectron2's ``Instances``. person: the class of people. size_px: (width, height) of the image.

    Raises:
        Nonsense: when it cannot be right.
    """
    scores = array("scores", found.scores, (None,))
    classes = array("classes", found.pred_classes, (len(scores),))
    boxes = array("boxes", found.pred_boxes.tensor, (len(scores), 4)).astype(np.float64)
    masks = array("masks", found.pred_masks, (len(scores), *size_px[::-1])).astype(bool)
    for row in np.argsort(-scores, kind="stable"):
        if classes[row] == person:
            yield Find(float(scores[row]), boxes[row], masks[row])


def together(people: Sequence[Find], shown: Sequence[Surface], iou: float) -> list[Find]:
    """Return everybody once, the surest first (thesis 002, section 4.3.2).

    Args:
        people: with masks. shown: with surface maps. iou: overlap from which on two of them are one person.
    """
    table = np.array([[_iou(one.mask, other.mask) for other in shown] for one in people])
    pairs = best_pairs(table.reshape(len(people), len(shown)), iou)
    joined = {row: _joined(people[row], shown[column]) for column, row in pairs.items()}
    alone = [
        Find(one.score, one.box_xyxy_px.astype(np.float64), one.mask)
        for column, one in enumerate(shown)
        if column not in pairs
    ]
    everybody = [joined.get(row, one) for row, one in enumerate(people)] + alone
    return sorted(everybody, key=lambda one: -one.score)


def _joined(person: Find, shown: Surface) -> Find:
    surer = person if person.score >= shown.score else shown
    mask = person.mask | shown.mask
    return Find(surer.score, np.asarray(surer.box_xyxy_px, np.float64), mask, shown.surface)


def _iou(one: Mask, other: Mask) -> float:
    both = np.count_nonzero(one & other)
    return both / max(np.count_nonzero(one | other), 1)


def detections(sample: Sample, finds: Sequence[Find], *, surfaces: bool) -> Detections:
    """Return finds as a detector gives them; where masks meet, the pixel is the surest one's.

    Args:
        surfaces: whether there is a layer of surface maps, also where nobody has one.
    """
    shape = sample.size_px[::-1]
    instances, surface = np.zeros(shape, np.uint16), np.zeros(shape, np.uint16)
    for number, one in reversed(list(enumerate(finds, 1))):
        instances[one.mask] = number
        surface[one.mask] = 0 if one.surface is None else one.surface[one.mask]
    layers = {"instances": instances} | ({SMPL.layer: surface} if surfaces else {})
    return Detections(
        key=sample.key,
        boxes_xyxy_px=np.array([one.box_xyxy_px for one in finds], np.float32).reshape(-1, 4),
        scores=np.array([one.score for one in finds], np.float32),
        labels=np.zeros(len(finds), np.int32),
        layers=layers,
    )
