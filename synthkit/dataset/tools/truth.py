# SPDX-License-Identifier: Apache-2.0
"""What in a sample's truth cannot be: boxes off the image, masks that are not the boxes', numbers with gaps."""

from __future__ import annotations

import collections
from collections.abc import Iterator, Mapping, Sequence

import attrs
import numpy as np

from synthkit.dataset.tools import layers
from synthkit.sample import Box, Layer, Person, RotatedBox, Sample

INSTANCES = "instances"
DAMAGED = ("members",)

_EDGE_TOLERANCE_PX = 0.51  # beyond the image: half a pixel is a matter of where pixels are counted from
_MASK_TOLERANCE_PX = 1.0


@attrs.frozen
class Fault:
    """One thing that is wrong with a sample.

    Args:
        text: what, for the user. warning: it may be so in a sound set, and is kept by repairs.
        part: what a repair takes away: keys and positions into the sample's JSON, such as
            ``("people", 0, "rotated_box")``, or ``("layers", NAME)``; ``(INSTANCES,)`` stands for the
            people's numbers, which are put in order; ``DAMAGED`` for whichever members cannot be read;
            None for the whole sample.
    """

    text: str
    part: tuple[str | int, ...] | None = None
    warning: bool = False


def examine(sample: Sample) -> Iterator[Fault]:
    """Yield the faults of a decoded sample with all its layers, then what is merely odd."""
    people = sample.people or ()
    for i, person in enumerate(people):
        yield from _person_faults(i, person, sample.size_px)
    if sample.people is not None:
        yield from _number_faults(people)
    layer = sample.layers.get(INSTANCES)
    if layer is not None and sample.people is not None:
        yield from _layer_faults(people, layer)
    counted = any(map(is_measured, people))
    for name, text in layers.faults(sample, counted=counted):
        yield Fault(f"layer {name!r} {text}", ("layers", name))
    width, height = sample.size_px
    if sample.camera and (sample.camera.width_px, sample.camera.height_px) != (width, height):
        text = f"the camera is of {sample.camera.width_px}x{sample.camera.height_px} pixels, the image {width}x{height}"
        yield Fault(text, ("camera",))
    named = collections.Counter(person.identity for person in people if person.identity is not None)
    for identity, count in sorted(named.items()):
        if count > 1:
            yield Fault(f"identity {identity!r} is {count} times in this image", warning=True)


def tight_boxes(layer: Layer) -> Mapping[int, Box]:
    """Return the box around the pixels of each number but 0 in a layer (H, W): outer edges, pixels."""
    rows, columns = np.nonzero(layer)
    if not len(rows):
        return {}
    values = layer[rows, columns]
    order = np.argsort(values, kind="stable")
    rows, columns, values = rows[order], columns[order], values[order]
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    edges = [
        np.minimum.reduceat(columns, starts),
        np.minimum.reduceat(rows, starts),
        np.maximum.reduceat(columns, starts) + 1,
        np.maximum.reduceat(rows, starts) + 1,
    ]
    found = {}
    for number, left, top, right, bottom in zip(values[starts].tolist(), *(e.tolist() for e in edges), strict=True):
        found[int(number)] = (float(left), float(top), float(right), float(bottom))
    return found


def _person_faults(i: int, person: Person, size_px: tuple[int, int]) -> Iterator[Fault]:
    width, height = size_px
    box = person.box_xyxy_px
    if box and not (_within(box[0], box[2], width) and _within(box[1], box[3], height)):
        yield Fault(f"people[{i}]: box {box} reaches outside the image of {width}x{height} pixels",
                    ("people", i, "box_xyxy_px"))  # fmt: skip
    for name, turned in (("rotated_box", person.rotated_box), ("radial_box", person.radial_box)):
        if turned and not _centred(turned, size_px):
            text = f"{name.replace('_', ' ')} {turned.as_tuple()} lies outside the image of {width}x{height} pixels"
            yield Fault(f"people[{i}]: {text}", ("people", i, name))
    full = person.full_box_xyxy_px
    if box and full and not _holds(full, box):
        text = f"people[{i}]: the box of all pixels, {full}, does not hold that of the visible ones, {box}"
        yield Fault(text, ("people", i, "full_box_xyxy_px"), warning=not is_measured(person))
    if person.visible_fraction is not None and not 0 <= person.visible_fraction <= 1:
        yield Fault(f"people[{i}]: visible_fraction is {person.visible_fraction}, expected 0 to 1",
                    ("people", i, "visible_fraction"))  # fmt: skip
    head = person.head_px
    if head and not (_within(head[0], head[0], width) and _within(head[1], head[1], height)):
        yield Fault(f"people[{i}]: the head at {head} lies outside the image of {width}x{height} pixels", warning=True)


def _centred(box: RotatedBox, size_px: tuple[int, int]) -> bool:
    return _within(box.cx, box.cx, size_px[0]) and _within(box.cy, box.cy, size_px[1])


def _holds(outer: Box, inner: Box) -> bool:
    reach = max(outer[0] - inner[0], outer[1] - inner[1], inner[2] - outer[2], inner[3] - outer[3])
    return reach <= _MASK_TOLERANCE_PX


def _number_faults(people: Sequence[Person]) -> Iterator[Fault]:
    numbers = [person.instance for person in people if person.instance is not None]
    for i, person in enumerate(people):
        hider = person.occluder
        if isinstance(hider, int) and (hider not in numbers or hider == person.instance):
            yield Fault(
                f"people[{i}]: is hidden by instance {hider}, which is no other person", ("people", i, "occluder")
            )
    if len(set(numbers)) < len(numbers):
        yield Fault(f"two people share an instance number: {numbers}", (INSTANCES,))
    elif sorted(numbers) != list(range(1, len(numbers) + 1)):
        yield Fault(f"instance numbers are {sorted(numbers)}, expected 1 to {len(numbers)}", (INSTANCES,))


def _layer_faults(people: Sequence[Person], layer: Layer) -> Iterator[Fault]:
    if layer.ndim != 2:
        yield Fault(f"layer 'instances' is of shape {layer.shape}, expected height and width", ("layers", INSTANCES))
        return
    boxes = tight_boxes(layer)
    numbers = {person.instance for person in people if person.instance is not None}
    stray = sorted(boxes.keys() - numbers)
    if stray:
        yield Fault(f"layer 'instances' holds {stray}, which are nobody's", (INSTANCES,))
    for i, person in enumerate(people):
        if person.instance is None:
            continue
        tight, box = boxes.get(person.instance), person.box_xyxy_px
        if tight is None:
            text = f"people[{i}]: instance {person.instance} has no pixels in layer 'instances'"
            yield Fault(text, (INSTANCES,), warning=not is_measured(person))
        elif box and max(abs(a - b) for a, b in zip(box, tight, strict=True)) > _MASK_TOLERANCE_PX:
            text = f"people[{i}]: box {box} is not that of its pixels in layer 'instances', {tight}"
            yield Fault(text, ("people", i, "box_xyxy_px"), warning=not is_measured(person) and _meet(box, tight))


def is_measured(person: Person) -> bool:
    """Return whether a person's box and numbers come from the layers, as whoever counted its pixels wrote them.

    Of others somebody drew the box, with or without hidden limbs, and another one lies on their mask.
    """
    return person.visible_fraction is not None


def _meet(one: Box, other: Box) -> bool:
    return max(one[0], other[0]) < min(one[2], other[2]) and max(one[1], other[1]) < min(one[3], other[3])


def _within(low: float, high: float, size: int) -> bool:
    return low >= -_EDGE_TOLERANCE_PX and high <= size + _EDGE_TOLERANCE_PX
