# SPDX-License-Identifier: Apache-2.0
"""The method ``tracks``: a set of sidecars in which everybody of a clip has one identity, and gaps are filled."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from synthkit import config, inputs
from synthkit.anonymization.people import SEEN, TRACKS, Found, Look, Quarantined, together
from synthkit.anonymization.policy import Policy
from synthkit.anonymization.reentry import Recogniser, Shown
from synthkit.anonymization.tracking import Floats, Track, linked
from synthkit.dataset import Dataset, DatasetWriter
from synthkit.dataset.images import MAX_PIXELS
from synthkit.dataset.sidecars import SidecarSet
from synthkit.finds import HEAD
from synthkit.sample import Person, Sidecar, Skipped, evolve

_REVISION = 4
_SHORT_HASH = 12
_DECIMALS = 2
_NOT_KNOWN = "nothing is known of this frame"


def tracked(
    images: inputs.Images,
    looks: Mapping[str, Mapping[str, Any]],
    folder: Path,
    policy: Policy,
    recogniser: Recogniser | None = None,
) -> Dataset | None:
    """Link what was found in the frames of clips, into a set of sidecars below ``folder``.

    Args:
        looks: sets of finds by the method's name, each a ``path`` and the score from which on finds are ``believed``.
        recogniser: knows who comes back; None takes whoever comes after a longer gap for somebody new.

    Returns:
        None where the images are no frames of clips.
    """
    sets = {name: (SidecarSet.open(name, look["path"]), float(look["believed"])) for name, look in looks.items()}
    if not any(_has_frames(look["path"]) for look in looks.values()):
        return None
    identity = {
        "tracks": _REVISION,
        "finds": {name: [found.data.fingerprint, believed] for name, (found, believed) in sets.items()},
        "gap_frames": policy.gap_frames,
        "edge_frames": policy.edge_frames,
        "reentry": None if recogniser is None else recogniser.identity,
    }
    out = folder / f"{TRACKS}-{config.fingerprint(identity)[:_SHORT_HASH]}"
    frames = [_frame(images.key(place), sets, policy) for place in range(len(images))]
    with DatasetWriter(out, identity=identity, scenes=len(frames)) as writer:
        pending = set(writer.pending_scenes())
        again = None if recogniser is None else functools.partial(recogniser.known_again, images)
        for place, result in _results(frames, policy, again) if pending else ():
            if place in pending:
                writer.spool.put(place, [result])
                writer.finished(place)
        writer.finalise()
    return Dataset.open(out, allow_empty=True)


def _has_frames(path: str) -> bool:
    """Return whether a set of finds has any that are of frames of clips; their layers are not decoded."""
    found = SidecarSet("found", Dataset.open(path, layers=()))
    return any(_is_frame(found.at(position)) for position in range(len(found)))


class _Frame:
    """What was found in a frame: who, and which frame of which clip it is; None where a method did not look.

    Args:
        apart: whether it is known to be an image of no clip.
    """

    def __init__(self, key: str, side: Sidecar | None, found: Sequence[Found], apart: bool = False) -> None:
        self.key, self.apart = key, apart
        self.sequence = None if side is None else side.sequence
        self.frame = None if side is None else side.frame
        self.size_px = None if side is None else _size_of(side)
        self.boxes: Floats = np.array([one.region.box_xyxy_px for one in found], np.float64).reshape(-1, 4)
        self.heads = [one.head_only for one in found]
        self.people = [Person(box_xyxy_px=one.region.box_xyxy_px, rotated_box=one.person.rotated_box) for one in found]


def _frame(key: str, sets: Mapping[str, tuple[SidecarSet, float]], policy: Policy) -> _Frame:
    sides = {name: (found.get(key), believed) for name, (found, believed) in sets.items()}
    known = {name: Look(side, believed) for name, (side, believed) in sides.items() if side is not None}
    side = next((look.sidecar for look in known.values() if _is_frame(look.sidecar)), None)
    size_px = None if side is None else _size_of(side)
    if size_px is None:
        apart = bool(known) and all(look.sidecar.sequence is None for look in known.values())
        return _Frame(key, None, (), apart)
    try:
        return _Frame(key, side, together(known, size_px, policy))
    except Quarantined:  # as its image will be
        return _Frame(key, None, ())


def _is_frame(side: Sidecar) -> bool:
    """Return whether a sidecar is of a frame of a clip, and tells the frame's size."""
    return side.sequence is not None and side.frame is not None and _size_of(side) is not None


def _size_of(side: Sidecar) -> tuple[int, int] | None:
    """Return (width, height) of the image of a sidecar, None where it does not tell, or more than images may have."""
    size = side.meta.get("size_px")
    if not isinstance(size, list | tuple) or len(size) != 2 or not all(type(n) is int and n > 0 for n in size):
        return None
    if size[0] * size[1] > MAX_PIXELS:
        return None
    return size[0], size[1]


_KnowAgain = Callable[[Sequence[Track], Mapping[int, Shown]], list[int]]
"""Tells who of the tracks of a clip is who; see ``Recogniser.known_again``."""


def _results(
    frames: Sequence[_Frame], policy: Policy, again: _KnowAgain | None
) -> Iterator[tuple[int, Sidecar | Skipped]]:
    """Yield each frame's people by place: those who were found there, and those who must have been there."""
    clips: dict[tuple[str, int], dict[int, int]] = {}  # places of the frames of each clip
    seen: Counter[tuple[str, int]] = Counter()
    for place, frame in enumerate(frames):
        if frame.sequence is not None and frame.frame is not None:
            # Several cameras may have one clip's name, and of each there is a frame of that number.
            camera = seen[frame.sequence, frame.frame]
            seen[frame.sequence, frame.frame] += 1
            clips.setdefault((frame.sequence, camera), {})[frame.frame] = place
        else:
            yield place, Sidecar(frame.key, people=()) if frame.apart else Skipped(frame.key, _NOT_KNOWN)
    first_number = 0
    for clip in clips.values():
        numbers = sorted(clip)
        ordered = {clip[number]: frames[clip[number]] for number in numbers}
        people, count = _people(ordered, _offsets(numbers, policy), policy, again)
        for (place, frame), known in zip(ordered.items(), people, strict=True):
            yield place, _sidecar(frame, known, first_number)
        first_number += count


def _offsets(numbers: Sequence[int], policy: Policy) -> list[int]:
    """Return frames' numbers from 0 on; longer pauses than anybody is followed through are cut short."""
    longest = policy.gap_frames + 2 * policy.edge_frames + 2
    steps = (min(after - before, longest) for before, after in itertools.pairwise(numbers))
    return list(itertools.accumulate(steps, initial=0))


@attrs.frozen(eq=False)
class _Somebody:
    """Somebody in a frame.

    Args:
        number: who in the clip. box: (4,). head: whether it is of a head alone. seen: whether they were found there.
    """

    number: int
    box: Floats
    head: bool
    seen: bool


def _people(
    places: Mapping[int, _Frame], offsets: Sequence[int], policy: Policy, again: _KnowAgain | None
) -> tuple[list[list[_Somebody]], int]:
    """Return who is in each frame of a clip, and how many tracks there are.

    Args:
        places: the frames in order, by their places among all images.
    """
    frames = list(places.values())
    boxes = [np.zeros((0, 4))] * (offsets[-1] + 1)
    for offset, frame in zip(offsets, frames, strict=True):
        boxes[offset] = frame.boxes
    tracks, owners = linked(boxes, policy.gap_frames)
    who = list(range(len(tracks)))
    if again is not None:
        who = again(tracks, {offset: _shown(place, frame, owners[offset])
                             for offset, (place, frame) in zip(offsets, places.items(), strict=True)})  # fmt: skip
    heads: dict[int, bool] = {}
    found: dict[int, list[_Somebody]] = {}
    for offset, frame in zip(offsets, frames, strict=True):
        for track, box, head in zip(owners[offset], frame.boxes, frame.heads, strict=True):
            heads[track] = head and heads.get(track, True)
            found.setdefault(offset, []).append(_Somebody(who[track], box, head, seen=True))
    for number, somebody in enumerate(tracks):
        for offset, box in somebody.filled(policy.edge_frames).items():
            found.setdefault(offset, []).append(_Somebody(who[number], box, heads[number], seen=False))
    return [found.get(offset, []) for offset in offsets], len(tracks)


def _shown(place: int, frame: _Frame, owners: Sequence[int]) -> Shown:
    assert frame.size_px is not None
    return Shown(place, frame.size_px, frame.people, owners)


def _sidecar(frame: _Frame, people: Sequence[_Somebody], first_number: int) -> Sidecar:
    assert frame.size_px is not None
    limits = np.array([*frame.size_px, *frame.size_px], np.float64)
    known: list[Person] = []
    for one in people:
        left, top, right, bottom = np.round(np.clip(one.box, 0, limits), _DECIMALS).tolist()
        if right <= left or bottom <= top:
            continue
        person = Person(instance=len(known) + 1, identity=f"track{first_number + one.number:04d}")
        place = (left, top, right, bottom)
        centre = ((left + right) / 2, (top + bottom) / 2)
        label = {"label": HEAD} if one.head else {}
        where = {"head_box_xyxy_px": place, "head_px": centre} if one.head else {"box_xyxy_px": place}
        known.append(evolve(person, **where, attributes={**label, SEEN: True} if one.seen else label))
    return Sidecar(key=frame.key, people=known, meta={"size_px": list(frame.size_px)},
                   sequence=frame.sequence, frame=frame.frame)  # fmt: skip
