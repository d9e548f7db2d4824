# SPDX-License-Identifier: Apache-2.0
"""What detectors find, as people: looked at before it is believed, and brought together where several looked.

An answer that cannot be right is no answer: taken as it is, it would say that nobody is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.deployment.overlaps import around, iou_table
from synthkit.sample import (
    Array,
    Box,
    Detections,
    Layer,
    Person,
    RotatedBox,
    Sample,
    Sidecar,
    normalized_rotated,
)

REVISION = 1  # of what an answer becomes; part of every fingerprint
HEAD = "head"
"""The class whose boxes are of heads; all others are of whole people."""

SAME_PERSON_IOU = 0.4
"""Overlap from which on two finders mean the same person; thesis 002, section 4.3.2, pairs two models' people so."""

MOST_FINDS = 4096
_SCORE_DECIMALS = 4
_INSTANCES = "instances"

Floats = npt.NDArray[np.float64]


class Nonsense(Exception):
    """An answer that cannot be right."""


def sidecar_of(answer: object, sample: Sample, class_names: Sequence[str], least_score: float) -> Sidecar:
    """Return a detector's answer for a sample as the sidecar that is kept of it.

    Everybody who was found with at least ``least_score`` is one of its people, best first, with ``instance`` from 1,
    ``attributes`` ``score`` (0..1) and ``label`` (the class), and a box of the detector's kind: ``rotated_box``, or
    ``box_xyxy_px`` cut to the image, or of heads ``head_box_xyxy_px`` with the centre in ``head_px``. Layers are the
    detector's; ``instances`` has the people's numbers, and what is only of finds that do not count is 0 in all. Some of
    the finds may lie in the padding that detectors put around an image; these are nobody.

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
    return Sidecar(
        key=sample.key,
        people=[_person(answer, row, number, class_names, sample.size_px) for number, row in enumerate(kept, 1)],
        layers=_layers(answer, kept),
        meta={"size_px": list(sample.size_px)},
        sequence=sample.sequence,
        frame=sample.frame,
        time_s=sample.time_s,
    )


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


def _person(found: Detections, row: int, number: int, class_names: Sequence[str], size_px: tuple[int, int]) -> Person:
    label = class_names[int(found.labels[row])]
    attributes = {"score": round(float(found.scores[row]), _SCORE_DECIMALS), "label": label}
    left, top, right, bottom = _upright(found, size_px)[row].tolist()
    if label == HEAD:
        centre = ((left + right) / 2, (top + bottom) / 2)
        point = centre if found.points_px is None else found.points_px[row].tolist()
        return Person(number, head_px=point, head_box_xyxy_px=(left, top, right, bottom), attributes=attributes)
    if found.rotated_boxes is None:
        return Person(number, box_xyxy_px=(left, top, right, bottom), attributes=attributes)
    rotated = RotatedBox(*normalized_rotated(found.rotated_boxes[row])[0])
    return Person(number, rotated_box=rotated, attributes=attributes)


def _layers(found: Detections, kept: npt.NDArray[np.intp]) -> dict[str, Layer]:
    """Return a detector's layers with the numbers of those who are kept."""
    instances = found.layers.get(_INSTANCES)
    if instances is None:
        return dict(found.layers)
    numbers = np.zeros(len(found.scores) + 1, np.uint16)
    numbers[kept + 1] = np.arange(1, len(kept) + 1)
    renumbered = numbers[instances]
    left_out = (instances > 0) & (renumbered == 0)
    layers = {name: _without(layer, left_out) for name, layer in found.layers.items() if name != _INSTANCES}
    return {**layers, _INSTANCES: renumbered}


def _without(layer: Layer, pixels: npt.NDArray[np.bool_]) -> Layer:
    return np.where(pixels.reshape(pixels.shape + (1,) * (layer.ndim - 2)), layer.dtype.type(0), layer)


def matched(found: Mapping[str, Sidecar], iou: float = SAME_PERSON_IOU) -> list[dict[str, int]]:
    """Return who is who among what several finders found in the same image (thesis 002, section 4.3.2).

    Finders are taken in their order. Each one's people are paired with those known so far, the greatest overlap first,
    nobody twice, down to ``iou``; a person known to several finders overlaps as much as the best of these. The others
    become known by it. Overlap is the masks' where both finders have masks, else the boxes': of rotated boxes where
    all have these, else of upright boxes, around rotated ones and masks. Heads are never paired with whole people.

    Args:
        found: sidecars of one image, by the finder's name; those without ``people`` found nobody.

    Returns:
        Of everybody the place among the people of each finder that found them, by the finder's name.
    """
    known: list[dict[str, int]] = []
    for name, side in found.items():
        people = side.people or ()
        table = np.zeros((len(known), len(people)))
        for other in list(found)[: list(found).index(name)]:
            rows = [n for n, one in enumerate(known) if other in one]
            overlaps = _overlaps(found[other], side)[[known[n][other] for n in rows]]
            table[rows] = np.maximum(table[rows], overlaps)
        pairs = best_pairs(table, iou)
        for place in range(len(people)):
            if place in pairs:
                known[pairs[place]][name] = place
            else:
                known.append({name: place})
    return known


def combined(found: Mapping[str, Sidecar], iou: float = SAME_PERSON_IOU) -> Sidecar:
    """Return what several finders found in the same image as one sidecar, everybody once, the surest first.

    Of those whom several found the surest find's boxes count and the union of all masks; ``attributes["scores"]`` has
    the score of each finder that found them. Where masks of different people meet, the pixel is the surest one's. Other
    layers are the first finder's that has them.

    Args:
        found: sidecars of one image, by the finder's name; at least one.
    """
    first = next(iter(found.values()))
    groups = sorted(
        ({name: _people(found[name])[place] for name, place in places.items()} for places in matched(found, iou)),
        key=lambda group: -max(map(_score, group.values())),
    )
    layers = {name: layer for side in reversed(list(found.values())) for name, layer in side.layers.items()}
    if _INSTANCES in layers:
        layers[_INSTANCES] = _union(found, groups, layers[_INSTANCES].shape)
    return attrs.evolve(
        first,
        people=[_of_several(group, number) for number, group in enumerate(groups, 1)],
        layers=layers,
    )


def _of_several(group: Mapping[str, Person], number: int) -> Person:
    surest = max(group.values(), key=_score)
    scores = {name: _score(person) for name, person in group.items()}
    return attrs.evolve(surest, instance=number, attributes={**surest.attributes, "scores": scores})


def _union(found: Mapping[str, Sidecar], groups: Sequence[Mapping[str, Person]], shape: tuple[int, ...]) -> Layer:
    result = np.zeros(shape, np.uint16)
    for number, group in reversed(list(enumerate(groups, 1))):  # the surest last, as it counts
        for name, person in group.items():
            instances = found[name].layers.get(_INSTANCES)
            if instances is not None and person.instance:
                result[instances == person.instance] = number
    return result


def _people(side: Sidecar) -> Sequence[Person]:
    return side.people or ()


def _score(person: Person) -> float:
    return float(person.attributes.get("score", 1.0))


def _is_head(person: Person) -> bool:
    return person.box_xyxy_px is None and person.rotated_box is None and person.head_box_xyxy_px is not None


def best_pairs(table: Floats, least: float) -> dict[int, int]:
    """Return the row of each column that is paired, the greatest value first; of equal ones the first."""
    pairs: dict[int, int] = {}
    order = np.argsort(-table, axis=None, kind="stable")
    for row, column in zip(*np.unravel_index(order, table.shape), strict=True) if table.size else ():
        if table[row, column] < least:
            break
        if int(column) not in pairs and int(row) not in pairs.values():
            pairs[int(column)] = int(row)
    return pairs


def _overlaps(first: Sidecar, second: Sidecar) -> Floats:
    """Return the overlap of each two people, (N, M); 0 of a head and a person."""
    heads, other_heads = (np.array([_is_head(person) for person in _people(side)], bool) for side in (first, second))
    return np.where(heads[:, None] == other_heads[None], _covered(first, second), 0.0)


def _covered(first: Sidecar, second: Sidecar) -> Floats:
    masks = [side.layers.get(_INSTANCES) for side in (first, second)]
    one, other = _people(first), _people(second)
    if masks[0] is not None and masks[1] is not None:
        return _mask_overlaps(masks[0], [p.instance or 0 for p in one], masks[1], [p.instance or 0 for p in other])
    boxes = [person.rotated_box for person in (*one, *other)]
    if boxes and all(box is not None for box in boxes):
        rows = np.array([box.as_tuple() for box in boxes if box is not None]).reshape(-1, 5)
        return iou_table(rows[: len(one)], rows[len(one) :])
    hulls = [np.array([_hull(person, side) for person in _people(side)]).reshape(-1, 4) for side in (first, second)]
    return iou_table(hulls[0], hulls[1])


def _mask_overlaps(first: Array, numbers: Sequence[int], second: Array, others: Sequence[int]) -> Floats:
    """Return intersections over unions of the masks of numbers in two layers; 0 where one has no pixels."""
    size = int(second.max()) + 1
    pairs = first.astype(np.int64) * size + second
    shared = np.bincount(pairs.ravel(), minlength=(int(first.max()) + 1) * size).reshape(-1, size).astype(np.float64)
    areas, other_areas = shared.sum(axis=1), shared.sum(axis=0)
    table = np.zeros((len(numbers), len(others)))
    for i, number in enumerate(numbers):
        for j, other in enumerate(others):
            if 0 < number < len(areas) and 0 < other < size:
                both = shared[number, other]
                table[i, j] = both / max(areas[number] + other_areas[other] - both, 1.0)
    return table


def _hull(person: Person, side: Sidecar) -> Box:
    """Return the upright box of, or around, a find."""
    if person.box_xyxy_px is not None:
        return person.box_xyxy_px
    if person.rotated_box is not None:
        corners = person.rotated_box.corners_px()
        return (*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist())
    instances = side.layers.get(_INSTANCES)
    if instances is not None and person.instance is not None and (instances == person.instance).any():
        rows, columns = (np.flatnonzero((instances == person.instance).any(axis=axis)) for axis in (1, 0))
        return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
    return person.head_box_xyxy_px or (0.0, 0.0, 0.0, 0.0)
