# SPDX-License-Identifier: Apache-2.0
"""What a detector answers, as people: looked at before it is believed.

An answer that cannot be right is no answer: taken as it is, it would say that nobody is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from synthkit.deployment.overlaps import around
from synthkit.finds import heads
from synthkit.sample import Detections, Layer, Person, RotatedBox, Sample, Sidecar, normalized_rotated

REVISION = 2  # of what an answer becomes; part of every fingerprint
MOST_FINDS = 4096
LAYERS = ("instances", "amodal", "surface", "surface_smpl", "depth", "normals", "alpha", "attention")
"""Layers that finds may have: none that is made to show what people look like."""

_SCORE_DECIMALS = 4
_INSTANCES = "instances"

Floats = npt.NDArray[np.float64]


class Nonsense(Exception):
    """An answer that cannot be right."""


def sidecar_of(answer: object, sample: Sample, class_names: Sequence[str], least_score: float) -> Sidecar:
    """Return a detector's answer for a sample as the sidecar that is kept of it.

    Everybody who was found with at least ``least_score`` is one of its people, best first, with ``instance`` from 1,
    ``attributes`` ``score`` (0..1) and ``label`` (the class), and a box of the detector's kind: ``rotated_box``, or
    ``box_xyxy_px`` cut to the image, or of heads ``head_box_xyxy_px`` with the centre in ``head_px``. A head that
    belongs to somebody (``heads.owners``) is theirs, with its score in ``attributes["head_score"]``, rather than a
    person of its own. Layers are the detector's; ``instances`` has the people's numbers, and what is only of finds that
    do not count is 0 in all. Some of the finds may lie in the padding that detectors put around an image; these are
    nobody.

    Args:
        answer: what the detector gave for the sample. class_names: of its labels.

    Raises:
        Nonsense: when it is no answer for this sample: of another key, with numbers that are not finite or out of
            range, boxes that are none or beyond the image, nobody in the image but somebody around it, labels that
            nobody knows, or layers of another size.
    """
    if not isinstance(answer, Detections):
        raise Nonsense(f"gave {type(answer).__name__}, expected Detections")
    problem = next(_problems(answer, sample, class_names), None)
    if problem is not None:
        raise Nonsense(problem)
    order = np.argsort(-answer.scores, kind="stable")
    counted = order[answer.scores[order] >= least_score]
    kept = counted[_has_area(_upright(answer, sample.size_px)[counted])]
    if len(counted) and not len(kept):
        raise Nonsense(f"found {len(counted)} people, all of them around the image and none in it")
    single = [_person(answer, row, class_names, sample.size_px) for row in kept]
    people, numbers = heads.joined(single)
    return Sidecar(
        key=sample.key,
        people=people,
        layers=_layers(answer, kept, numbers),
        meta={"size_px": list(sample.size_px), **_origin(sample)},
        sequence=sample.sequence,
        frame=sample.frame,
        time_s=sample.time_s,
    )


def _origin(sample: Sample) -> dict[str, Any]:
    """Return what says which image of a COCO file a sample is, where it is one; see ``formats.coco_origin``."""
    told = sample.meta.get("coco")
    return {"coco": {"id": told["id"]}} if isinstance(told, Mapping) and "id" in told else {}


def _problems(found: Detections, sample: Sample, class_names: Sequence[str]) -> Iterator[str]:
    """Yield why an answer cannot be right; what comes later relies on what came before."""
    if found.key != sample.key:
        yield f"answered for {found.key!r}"
    if len(found.scores) > MOST_FINDS:
        yield f"found {len(found.scores)} people, more than {MOST_FINDS} are not believed"
    numbers = {"scores": found.scores, "boxes": found.boxes_xyxy_px, "points": found.points_px}
    for name, array in {**numbers, "rotated boxes": found.rotated_boxes}.items():
        if array is not None and not (array.dtype.kind in "fiu" and bool(np.isfinite(array).all())):
            yield f"gave {name} that are not finite"
    if ((found.scores < 0) | (found.scores > 1)).any():
        yield f"gave scores from {found.scores.min():g} to {found.scores.max():g}, expected 0 to 1"
    if found.labels.dtype.kind not in "iu" or ((found.labels < 0) | (found.labels >= len(class_names))).any():
        yield f"gave labels that are none of its {len(class_names)} classes"
    yield from _box_problems(found, sample.size_px)
    yield from _layer_problems(found, sample.size_px)


def _box_problems(found: Detections, size_px: tuple[int, int]) -> Iterator[str]:
    boxes, size = found.boxes_xyxy_px, f"{size_px[0]}x{size_px[1]}"
    beyond = (boxes[:, :2] > np.array(size_px)) | (boxes[:, 2:] < 0)
    around_it = (boxes[:, :2] >= np.array(size_px)) | (boxes[:, 2:] <= 0)
    flat = ~_has_area(boxes) & ~around_it.any(axis=1)
    for n in np.flatnonzero(beyond.any(axis=1) | flat | (boxes[:, 2:] < boxes[:, :2]).any(axis=1))[:1]:
        yield f"gave a box that has no area in the image of {size}: {boxes[n].tolist()}"
    rotated = found.rotated_boxes
    if rotated is not None and (rotated[:, 2:4] <= 0).any():
        yield f"gave a rotated box without area: {rotated[(rotated[:, 2:4] <= 0).any(axis=1)][0].tolist()}"


def _has_area(boxes: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    return np.asarray((boxes[:, 2:] > boxes[:, :2]).all(axis=1))


def _layer_problems(found: Detections, size_px: tuple[int, int]) -> Iterator[str]:
    for name, layer in found.layers.items():
        if name not in LAYERS:
            yield f"gave a layer {name!r:.40}, which may show people: finds have {', '.join(LAYERS)}"
        if layer.shape[1::-1] != size_px:
            yield f"gave a layer {name!r} of {layer.shape[:2]}, the image is {size_px[::-1]}"
    instances = found.layers.get(_INSTANCES)
    if instances is not None and (instances.dtype.kind not in "iu" or instances.ndim != 2):
        yield f"gave instances of {instances.dtype} {instances.shape}, expected whole numbers (H, W)"
    elif instances is not None and not 0 <= instances.min() <= instances.max() <= len(found.scores):
        yield f"gave instances up to {instances.max()}, but found {len(found.scores)} people"


def _upright(found: Detections, size_px: tuple[int, int]) -> Floats:
    """Return the upright boxes of, or around, all finds, cut to the image."""
    if found.rotated_boxes is not None:
        return around(found.rotated_boxes.astype(np.float64), size_px)
    return np.clip(found.boxes_xyxy_px.astype(np.float64), 0.0, np.array(size_px * 2))


def _person(found: Detections, row: int, class_names: Sequence[str], size_px: tuple[int, int]) -> Person:
    label = class_names[int(found.labels[row])]
    attributes = {"score": round(float(found.scores[row]), _SCORE_DECIMALS), "label": label}
    left, top, right, bottom = _upright(found, size_px)[row].tolist()
    if label == heads.HEAD:
        centre = ((left + right) / 2, (top + bottom) / 2)
        point = centre if found.points_px is None else found.points_px[row].tolist()
        return Person(head_px=point, head_box_xyxy_px=(left, top, right, bottom), attributes=attributes)
    if found.rotated_boxes is None:
        return Person(box_xyxy_px=(left, top, right, bottom), attributes=attributes)
    rotated = RotatedBox(*normalized_rotated(found.rotated_boxes[row])[0])
    return Person(rotated_box=rotated, attributes=attributes)


def _layers(found: Detections, kept: npt.NDArray[np.intp], people: Sequence[int]) -> dict[str, Layer]:
    """Return a detector's layers with the numbers of the people whose the finds are that are kept."""
    instances = found.layers.get(_INSTANCES)
    if instances is None:
        return dict(found.layers)
    numbers = np.zeros(len(found.scores) + 1, np.uint16)
    numbers[kept + 1] = people
    renumbered = numbers[instances]
    left_out = (instances > 0) & (renumbered == 0)
    layers = {name: _without(layer, left_out) for name, layer in found.layers.items() if name != _INSTANCES}
    return {**layers, _INSTANCES: renumbered}


def _without(layer: Layer, pixels: npt.NDArray[np.bool_]) -> Layer:
    return np.where(pixels.reshape(pixels.shape + (1,) * (layer.ndim - 2)), layer.dtype.type(0), layer)
