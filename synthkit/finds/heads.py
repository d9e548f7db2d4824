# SPDX-License-Identifier: Apache-2.0
"""Heads and whole people that one detector found in an image: whose head is whose."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.assignment import possible_pairs
from synthkit.deployment.overlaps import inside_table
from synthkit.sample import Person, Sidecar

HEAD = "head"
"""The class whose boxes are of heads; all others are of whole people."""

LEAST_INSIDE = 0.5
"""Share of a head's box that lies in the box of the person whose it is."""

_NEARNESS = 1e-3  # decides where heads lie alike in several people's boxes, and never else
_HEAD_SCORE = "head_score"

Floats = npt.NDArray[np.float64]


def is_head(person: Person) -> bool:
    """Return whether of a find only the head is known."""
    return person.box_xyxy_px is None and person.rotated_box is None and person.head_box_xyxy_px is not None


def owners(heads: Sequence[Person], bodies: Sequence[Person]) -> dict[int, int]:
    """Return the body of each head that has one, by their places.

    A head may belong to a body in whose box at least half of the head's own box lies. Nobody has two heads, and as many
    heads as can be have a body: of all such pairings that with the most of the heads inside is taken, and where heads
    lie alike in several bodies, that with the nearest middles. Beyond 200 heads and bodies the worthiest pairs are made
    first instead, so that hostile numbers of them cost no time.
    """
    if not heads or not bodies:
        return {}
    head_boxes, body_boxes = np.array([_rotated(head) for head in heads]), np.array([_rotated(body) for body in bodies])
    inside = inside_table(head_boxes, body_boxes)
    may_be = inside >= LEAST_INSIDE
    apart = np.linalg.norm(head_boxes[:, None, :2] - body_boxes[None, :, :2], axis=2)
    near = 1.0 / (1.0 + apart / np.hypot(*body_boxes[:, 2:4].T))
    # One pair more counts for more than all that those may gain who are paired otherwise.
    worth = np.where(may_be, len(heads) + len(bodies) + inside + _NEARNESS * near, 0.0)
    return dict(possible_pairs(-worth, may_be))


def joined(finds: Sequence[Person]) -> tuple[list[Person], list[int]]:
    """Return the people whom finds are of, numbered as ``instance`` from 1, and the number of each find's person.

    Args:
        finds: heads and bodies, the best first; a person is where the body is, and a head of nobody by itself.
    """
    heads, bodies = ([n for n, find in enumerate(finds) if is_head(find) is wanted] for wanted in (True, False))
    whose = {heads[head]: bodies[body] for head, body in
             owners([finds[n] for n in heads], [finds[n] for n in bodies]).items()}  # fmt: skip
    numbers = {n: number for number, n in enumerate((n for n in range(len(finds)) if n not in whose), 1)}
    head_of = {body: finds[head] for head, body in whose.items()}
    people = [attrs.evolve(_with(finds[n], head_of.get(n)), instance=number) for n, number in numbers.items()]
    return people, [numbers[whose.get(n, n)] for n in range(len(finds))]


def apart(side: Sidecar) -> Sidecar:
    """Return finds in which heads are people of their own again, for those who must not rely on whose they are."""
    heads = [head for head in map(head_of, side.people or ()) if head is not None]
    if not heads:
        return side
    return attrs.evolve(side, people=[*map(_without_head, side.people or ()), *heads])


def head_of(person: Person) -> Person | None:
    """Return the head that was found of somebody as a find of its own; None where none was, or nothing else."""
    score = person.attributes.get(_HEAD_SCORE)
    if score is None:
        return None
    attributes = {"score": score, "label": HEAD}
    return Person(head_px=person.head_px, head_box_xyxy_px=person.head_box_xyxy_px, attributes=attributes)


def _with(body: Person, head: Person | None) -> Person:
    if head is None:
        return body
    attributes = {**body.attributes, _HEAD_SCORE: head.attributes["score"]}
    return attrs.evolve(body, head_px=head.head_px, head_box_xyxy_px=head.head_box_xyxy_px, attributes=attributes)


def _without_head(person: Person) -> Person:
    if _HEAD_SCORE not in person.attributes:
        return person
    attributes = {name: value for name, value in person.attributes.items() if name != _HEAD_SCORE}
    return attrs.evolve(person, head_px=None, head_box_xyxy_px=None, attributes=attributes)


def _rotated(person: Person) -> tuple[float, float, float, float, float]:
    if person.rotated_box is not None:
        return person.rotated_box.as_tuple()
    box = person.box_xyxy_px or person.head_box_xyxy_px
    assert box is not None
    left, top, right, bottom = box
    return (left + right) / 2, (top + bottom) / 2, right - left, bottom - top, 0.0
