# SPDX-License-Identifier: Apache-2.0
"""What several detectors found in the same image, brought together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.deployment.overlaps import iou_table
from synthkit.finds.heads import is_head
from synthkit.sample import Array, Box, Layer, Person, Sidecar

SAME_PERSON_IOU = 0.4
"""Overlap from which on two finders mean the same person; thesis 002, section 4.3.2, pairs two models' people so."""

_INSTANCES = "instances"
_MOST_SCORE = 1e6  # a whole number in JSON may have more digits than any float

Floats = npt.NDArray[np.float64]


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
    score = person.attributes.get("score", 1.0)
    return float(score) if isinstance(score, int | float) and abs(score) < _MOST_SCORE else 0.0


def best_pairs(table: Floats, least: float) -> dict[int, int]:
    """Return the row of each column that is paired, the greatest value first; of equal ones the first."""
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    order = np.argsort(-table, axis=None, kind="stable")
    for row, column in zip(*np.unravel_index(order, table.shape), strict=True) if table.size else ():
        if table[row, column] < least or len(taken) == min(table.shape):
            break
        if int(column) not in pairs and int(row) not in taken:
            pairs[int(column)] = int(row)
            taken.add(int(row))
    return pairs


def _overlaps(first: Sidecar, second: Sidecar) -> Floats:
    """Return the overlap of each two people, (N, M); 0 of a head and a person."""
    heads, other_heads = (np.array([is_head(person) for person in _people(side)], bool) for side in (first, second))
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
    (rows, places), (columns, other_places) = _places(first, numbers), _places(second, others)
    shape = int(rows.max(initial=0)) + 1, int(columns.max(initial=0)) + 1
    pairs = places.astype(np.int64) * shape[1] + other_places
    shared = np.bincount(pairs.ravel(), minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)
    either = shared.sum(axis=1)[:, None] + shared.sum(axis=0) - shared
    table = shared / np.maximum(either, 1.0)
    table[0], table[:, 0] = 0.0, 0.0  # nobody
    return np.asarray(table[np.ix_(rows, columns)])


def _places(layer: Array, numbers: Sequence[int]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return for each number its place, from 1 on, among those that are somebody's; and for each pixel the same.

    Numbers in a layer may be large and few, and a table by them would not fit into memory.
    """
    known = np.unique([0, *(number for number in numbers if 0 < number <= int(layer.max(initial=0)))])
    table = np.zeros(int(layer.max(initial=0)) + 1, np.intp)
    table[known] = np.arange(len(known))
    return np.array([table[n] if 0 < n < len(table) else 0 for n in numbers], np.intp), table[layer]


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
