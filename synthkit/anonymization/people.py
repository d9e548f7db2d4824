# SPDX-License-Identifier: Apache-2.0
"""Who is in an image, by all that looked: one person of several finds, and whether they are to be believed.

People are paired across methods as in thesis 002, section 4.3.2; a person's pixels are the union of what each
has. Section 6.3 counts what a pipeline of two models leaves: 22.5 % of images had finds of one model only, 5.1 % of
none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs
import numpy as np

from synthkit import finds, surfaces
from synthkit.anonymization.policy import Policy
from synthkit.anonymization.regions import Region, located, of_box, of_person, union
from synthkit.dataset.formats.photos import DOUBTS, SIZELESS, TURN_UNCLEAR
from synthkit.sample import Layer, Person, Sample, Sidecar, evolve

TRUTH, TRACKS = "truth", "tracks"
"""The methods that are the set's own labels, and finds of other frames of a clip; see ``clips``."""

SEEN = "seen"
"""In ``Person.attributes`` of tracks: that methods found them in this very frame, so their own finds tell where."""

MOST_PEOPLE = 1000
"""Of whom one method may tell in one image: what must be done for all pairs of people stays within seconds."""

_LEAST_FILLED = 0.1  # of a detector's box, by its mask: below that the mask is no more than a trace of somebody
_MOST_SCORE = 1e6  # a whole number in JSON may have more digits than any float


class Quarantined(Exception):
    """Why an image is not handed on; in words of ours alone, since what others say may hold names and places."""


@attrs.frozen(eq=False)
class Look:
    """What one method says of one image.

    Args:
        sidecar: the people it found. believed: the score from which on they are believed.
    """

    sidecar: Sidecar
    believed: float = 0.0


@attrs.frozen(eq=False)
class Found:
    """Somebody in an image.

    Args:
        person: what is known of them, as the method knows that is believed most. region: their pixels.
        found_by: scores by method; None of labels and tracks. doubt: why they are in doubt; empty when they are not.
        track: who they are in a clip, where that is known. head_only: whether nothing but their head was found.
    """

    person: Person
    region: Region
    found_by: Mapping[str, float | None]
    doubt: str = ""
    track: str | None = None
    head_only: bool = False


def truth_of(sample: Sample) -> Look | None:
    """Return what a sample's own labels say, None when they say nothing of people.

    Raises:
        Quarantined: when they tell of somebody but not where, or may count on the image otherwise turned.
    """
    if sample.people is None and "instances" not in sample.layers:
        return None
    people, doubts = located(sample), doubts_of(sample)
    if people is None or SIZELESS in doubts:
        raise Quarantined("somebody is known to be in it, and nothing tells where")
    if TURN_UNCLEAR in doubts:
        raise Quarantined("its labels may count on it as it is stored, or as viewers turn it")
    layers = {name: sample.layers[name] for name in ("instances", *surfaces.LAYERS) if name in sample.layers}
    known = [one.person or Person(instance=one.instance) for one in people]
    return Look(Sidecar(sample.key, people=known, layers=layers))


def doubts_of(sample: Sample) -> frozenset[str]:
    """Return what may be wrong with the photo that a sample was read from; see ``photos.DOUBTS``."""
    source = sample.meta.get("source")
    doubts = source.get(DOUBTS) if isinstance(source, Mapping) else None
    return frozenset(map(str, doubts)) if isinstance(doubts, list | tuple) else frozenset()


def together(looks: Mapping[str, Look], size_px: tuple[int, int], policy: Policy) -> list[Found]:
    """Return everybody who was found in an image, each once.

    Args:
        looks: by the method's name, in any order. size_px: (width, height) of the image.

    Raises:
        Quarantined: when a method found somebody without telling where, or more people than are told apart.
    """
    ordered = {name: looks[name] for name in sorted(looks, key=lambda name: (name != TRUTH, name == TRACKS, name))}
    sidecars = {name: _with_all_masks(finds.apart(look.sidecar)) for name, look in ordered.items()}
    if any(len(sidecar.people or ()) > MOST_PEOPLE for sidecar in sidecars.values()):
        raise Quarantined(f"more than {MOST_PEOPLE} people are in it, which are too many to be told apart")
    bodies: list[Found] = []
    heads: list[Found] = []
    for places in finds.matched(sidecars):
        people = {name: (sidecars[name].people or ())[place] for name, place in places.items()}
        found = _found(people, sidecars, size_px, lambda found_by: not _doubt(found_by, ordered, policy))
        if found is not None:
            (heads if found.head_only else bodies).append(found)
    told: dict[
        int, set[str]
    ] = {}  # who found a head on each body: the next one that they find there is somebody else's
    for head in heads:
        holding = (n for n, body in enumerate(bodies) if _holds(body.region, head.person))
        owner = next((n for n in holding if not told.get(n, set()) & set(head.found_by)), None)
        if owner is None:
            bodies.append(head)
        else:
            bodies[owner] = _with_head(bodies[owner], head)
            told.setdefault(owner, set()).update(head.found_by)
    return [evolve(one, doubt=_doubt(one.found_by, ordered, policy)) for one in bodies]


def surfaces_of(looks: Mapping[str, Look]) -> dict[str, Layer]:
    """Return an image's surface maps by layer, the labels' first; each method fills what those before left empty."""
    found: dict[str, Layer] = {}
    for _, look in sorted(looks.items(), key=lambda item: (item[0] != TRUTH, item[0])):
        for name in set(surfaces.LAYERS) & set(look.sidecar.layers):
            layer = look.sidecar.layers[name]
            found[name] = np.where(found[name] > 0, found[name], layer) if name in found else layer
    return found


def _with_all_masks(sidecar: Sidecar) -> Sidecar:
    """Return finds in which all who have a mask are among the people, as sets of others' making may not list them."""
    listed = {person.instance for person in sidecar.people or ()}
    numbers = np.unique(sidecar.layers["instances"]).tolist() if "instances" in sidecar.layers else []
    more = [Person(instance=number) for number in numbers if number and number not in listed]
    return evolve(sidecar, people=[*(sidecar.people or ()), *more]) if more else sidecar


def _with_head(body: Found, head: Found) -> Found:
    """Return somebody on whom a head was found, which may reach beyond them.

    It may also be that of somebody else, of whom nothing more was found. So unless it is where their own is known to
    be, nothing tells any more where heads are, and where heads alone are treated all of them is.
    """
    own, other = body.person.head_box_xyxy_px, head.person.head_box_xyxy_px
    box, point = None, None
    if own is not None and other is not None and head.person.head_px is not None:
        x, y = head.person.head_px
        if own[0] <= x <= own[2] and own[1] <= y <= own[3]:
            box = (min(own[0], other[0]), min(own[1], other[1]), max(own[2], other[2]), max(own[3], other[3]))
            point = body.person.head_px
    return evolve(
        body,
        person=evolve(body.person, head_box_xyxy_px=box, head_px=point),
        region=union([body.region, head.region]),
        found_by={**head.found_by, **body.found_by},
    )


def _found(
    people: Mapping[str, Person],
    sidecars: Mapping[str, Sidecar],
    size_px: tuple[int, int],
    is_sure: Callable[[Mapping[str, float | None]], bool],
) -> Found | None:
    """Return one person of the finds of several methods, None when they lie outside the image.

    Their pixels are those of all masks, and of the boxes of methods that have no mask of them. Where the set's own
    labels have a mask of them, boxes do not count; where somebody's own mask lies beside their own box, as when two
    have one number, or a detector's mask fills next to nothing of its box, both count. What other frames of a clip tell
    counts unless they were found in this one and are in no doubt: there a track's box is but the upright one around
    the finds, and who is in doubt may be larger than these.

    Raises:
        Quarantined: when nothing tells where they are.
    """
    scores = {name: _score(person) for name, person in people.items()}
    own = {name: _mask_region(person, sidecars[name]) for name, person in people.items()}
    masks = {name: mask for name, mask in own.items() if mask is not None}
    boxes = {name: box for name, person in people.items() if (box := _box_region(person, size_px)) is not None}
    seen = TRACKS in people and people[TRACKS].attributes.get(SEEN) is True
    if seen and (masks or len(boxes) > 1) and is_sure(scores):
        boxes.pop(TRACKS, None)
    regions = list(masks.values())
    regions += [box for name, box in boxes.items() if TRUTH not in masks and name not in masks]
    regions += [box for name, box in boxes.items() if name in masks and not _holds_mask(box, masks[name], masks)]
    if not regions and not all(map(_has_box, people.values())):
        raise Quarantined(f"{' and '.join(people)} found somebody, and nothing tells where")
    if not regions:
        return None
    best = min(people, key=lambda name: (name != TRUTH, name == TRACKS, -(scores[name] or 0.0)))
    track = people[TRACKS].identity if TRACKS in people else None
    return Found(people[best], union(regions), scores, track=track, head_only=all(map(_is_head, people.values())))


def _holds_mask(box: Region, mask: Region, masks: Mapping[str, Region]) -> bool:
    """Return whether a mask is in a box, and of detectors' ones more than a trace of somebody."""
    least = 1.0 if TRUTH in masks else max(1.0, _LEAST_FILLED * box.area_px)
    return box.shared_px(mask) >= least


def _mask_region(person: Person, sidecar: Sidecar) -> Region | None:
    instances = sidecar.layers.get("instances")
    return None if instances is None or not person.instance else Region.of(instances == person.instance)


def _box_region(person: Person, size_px: tuple[int, int]) -> Region | None:
    region = of_person(person, None, size_px)
    if region is None and person.head_box_xyxy_px is not None:
        return of_box(person.head_box_xyxy_px, size_px)
    return region


def _has_box(person: Person) -> bool:
    return any((person.box_xyxy_px, person.rotated_box, person.head_box_xyxy_px))


def _is_head(person: Person) -> bool:
    return person.attributes.get("label") == finds.HEAD


def _holds(region: Region, head: Person) -> bool:
    """Return whether the centre of a head lies in a region."""
    if head.head_px is None:
        return False
    column, row = (int(np.floor(value)) for value in head.head_px)
    inside = 0 <= row - region.top < region.mask.shape[0] and 0 <= column - region.left < region.mask.shape[1]
    return inside and bool(region.mask[row - region.top, column - region.left])


def _score(person: Person) -> float | None:
    score = person.attributes.get("score")
    return float(score) if isinstance(score, int | float) and abs(score) < _MOST_SCORE else None


def _doubt(found_by: Mapping[str, float | None], looks: Mapping[str, Look], policy: Policy) -> str:
    """Return why somebody is in doubt, empty when they are not."""
    if TRUTH in found_by:
        return ""
    looked, saw = [name for name in looks if name != TRACKS], [name for name in found_by if name != TRACKS]
    if not saw:
        return "found in other frames only"
    if len(saw) < min(policy.agree, len(looked)):
        return f"found by {' and '.join(saw)} only, of {' and '.join(looked)}"
    if not any((found_by[name] or 0.0) >= looks[name].believed for name in saw):
        return "found with low scores only"
    return ""
