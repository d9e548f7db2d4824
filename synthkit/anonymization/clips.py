# SPDX-License-Identifier: Apache-2.0
"""The method ``tracks``: a set of sidecars in which everybody of a clip has one identity, and gaps are filled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from synthkit import config, inputs
from synthkit.anonymization.people import TRACKS, Found, Look, together
from synthkit.anonymization.policy import Policy
from synthkit.anonymization.tracking import Floats, linked
from synthkit.dataset import Dataset, DatasetWriter
from synthkit.dataset.sidecars import SidecarSet
from synthkit.sample import Person, Sidecar, Skipped

_REVISION = 1
_SHORT_HASH = 12
_DECIMALS = 2
_NOT_KNOWN = "nothing is known of this frame"


def tracked(
    images: inputs.Images, looks: Mapping[str, Mapping[str, Any]], folder: Path, policy: Policy
) -> Dataset | None:
    """Link what was found in the frames of clips, into a set of sidecars below ``folder``.

    Args:
        looks: sets of finds by the method's name, each a ``path`` and the score from which on finds are ``believed``.

    Returns:
        None where the images are no frames of clips.
    """
    sets = {name: (SidecarSet.open(name, look["path"]), float(look["believed"])) for name, look in looks.items()}
    first = next((found.at(0) for found, _ in sets.values() if len(found)), None)
    if first is None or first.sequence is None or first.frame is None:
        return None
    identity = {
        "tracks": _REVISION,
        "finds": {name: [found.data.fingerprint, believed] for name, (found, believed) in sets.items()},
        "gap_frames": policy.gap_frames,
        "edge_frames": policy.edge_frames,
    }
    out = folder / f"{TRACKS}-{config.fingerprint(identity)[:_SHORT_HASH]}"
    frames = [_frame(images.key(place), sets, policy) for place in range(len(images))]
    with DatasetWriter(out, identity=identity, scenes=len(frames)) as writer:
        pending = set(writer.pending_scenes())
        for place, result in _results(frames, policy):
            if place in pending:
                writer.spool.put(place, [result])
                writer.finished(place)
        writer.finalise()
    return Dataset.open(out, allow_empty=True)


class _Frame:
    """What was found in a frame: who, and which frame of which clip it is; None where a method did not look."""

    def __init__(self, key: str, side: Sidecar | None, found: Sequence[Found]) -> None:
        self.key = key
        self.sequence = None if side is None else side.sequence
        self.frame = None if side is None else side.frame
        self.size_px = None if side is None else tuple(side.meta["size_px"])
        self.boxes: Floats = np.array([one.region.box_xyxy_px for one in found], np.float64).reshape(-1, 4)


def _frame(key: str, sets: Mapping[str, tuple[SidecarSet, float]], policy: Policy) -> _Frame:
    sides = {name: (found.get(key), believed) for name, (found, believed) in sets.items()}
    known = {name: Look(side, believed) for name, (side, believed) in sides.items() if side is not None}
    side = next((look.sidecar for look in known.values() if "size_px" in look.sidecar.meta), None)
    if side is None:
        return _Frame(key, None, ())
    width, height = side.meta["size_px"]
    return _Frame(key, side, together(known, (int(width), int(height)), policy))


def _results(frames: Sequence[_Frame], policy: Policy) -> Iterator[tuple[int, Sidecar | Skipped]]:
    """Yield each frame's people by place: those who were found there, and those who must have been there."""
    clips: dict[str, dict[int, int]] = {}  # places of the frames of each clip
    for place, frame in enumerate(frames):
        if frame.sequence is not None and frame.frame is not None:
            clips.setdefault(frame.sequence, {})[frame.frame] = place
        else:
            yield place, Skipped(frame.key, _NOT_KNOWN)
    number = 0
    for clip in clips.values():
        numbers = sorted(clip)
        nobody = np.zeros((0, 4))
        whole = range(numbers[0], numbers[-1] + 1)
        boxes = [frames[clip[n]].boxes if n in clip else nobody for n in whole]
        tracks, owners = linked(boxes, policy.gap_frames)
        filled: dict[int, list[tuple[int, Floats]]] = {}
        for track_number, track in enumerate(tracks):
            for frame_number, box in track.filled(policy.edge_frames).items():
                filled.setdefault(frame_number, []).append((track_number, box))
        for offset, frame_number in enumerate(whole):
            if frame_number in clip:
                frame = frames[clip[frame_number]]
                people = [*zip(owners[offset], frame.boxes, strict=True), *filled.get(offset, ())]
                yield clip[frame_number], _sidecar(frame, people, number)
        number += len(tracks)


def _sidecar(frame: _Frame, people: Sequence[tuple[int, Floats]], first_number: int) -> Sidecar:
    assert frame.size_px is not None
    limits = np.array([*frame.size_px, *frame.size_px], np.float64)
    known: list[Person] = []
    for track, box in people:
        left, top, right, bottom = np.round(np.clip(box, 0, limits), _DECIMALS).tolist()
        if right > left and bottom > top:
            name = f"track{first_number + track:04d}"
            known.append(Person(len(known) + 1, identity=name, box_xyxy_px=(left, top, right, bottom)))
    return Sidecar(key=frame.key, people=known, meta={"size_px": list(frame.size_px)},
                   sequence=frame.sequence, frame=frame.frame)  # fmt: skip
