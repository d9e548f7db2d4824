# SPDX-License-Identifier: Apache-2.0
"""Who comes back into a clip: known again by their looks, and only where nobody else looks like them.

Embeddings tell who somebody is as much as their face does: they are held in memory alone, and written nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from synthkit import inputs
from synthkit.anonymization.tracking import Floats, Track
from synthkit.config import at_least, between, setting
from synthkit.embedders.config import EmbedderConfig
from synthkit.errors import ConfigError, DatasetError
from synthkit.interfaces import Runtime
from synthkit.sample import Person, Sample, Skipped, evolve

_LEAST_PICTURES = 3  # fewer do not tell what somebody looks like
_LEAST_PX = 32.0  # of the longer side of a box
_MOST_COVERED = 0.25  # of a box, by that of somebody else
_DECIMALS = 6  # sums differ in the last bits between machines

Vector = npt.NDArray[np.float64]


@attrs.frozen
class Reentry(EmbedderConfig):
    """When somebody who comes back into a clip is known again; in doubt they are somebody new."""

    similar: float = setting(
        0.8,
        help="cosine between mean embeddings from which on who comes may be who had left",
        validator=between(-1, 1),
    )
    apart: float = setting(
        0.05, help="by how much less like them everybody else in the clip must look", validator=between(0, 2)
    )
    pictures: int = setting(
        12, help="pictures of somebody, spread over the time they are seen, that are looked at", validator=at_least(3)
    )


@attrs.frozen(eq=False)
class Shown:
    """A frame of a clip.

    Args:
        place: of the image among all. size_px: its (width, height). people: boxes of those who were found in it.
        tracks: whose they are, places of tracks.
    """

    place: int
    size_px: tuple[int, int]
    people: Sequence[Person]
    tracks: Sequence[int]


class Recogniser:
    """Tells by an embedder who is who.

    Raises:
        ConfigError, WeightsError: when the embedder cannot be had.
    """

    def __init__(self, settings: Reentry, runtime: Runtime) -> None:
        try:
            from synthkit.embedders import networks
        except ImportError:
            raise ConfigError(["anonymize.reentry: needs ONNX Runtime: pip install 'synthkit-core[onnx]'"]) from None
        self.settings = settings
        self._progress = runtime.progress
        self._embedder = networks.embedder_of(settings, runtime)
        self._network = self._embedder.load()

    @property
    def identity(self) -> dict[str, Any]:
        """What decides who is known again, as plain values."""
        names = ("similar", "apart", "pictures")
        decides = {name: getattr(self.settings, name) for name in names}
        return {**decides, "embedder": attrs.asdict(self._embedder.about)}

    def known_again(self, images: inputs.Images, tracks: Sequence[Track], frames: Mapping[int, Shown]) -> list[int]:
        """Return for everybody of a clip who they are: the place of the track with which they came first.

        Args:
            frames: by their number in the tracks.
        """
        looks = self._looks(images, tracks, frames)
        times = [(min(track.boxes), track.last) for track in tracks]
        return same_people(times, looks, self.settings.similar, self.settings.apart)

    def _looks(
        self, images: inputs.Images, tracks: Sequence[Track], frames: Mapping[int, Shown]
    ) -> list[Vector | None]:
        """Return the mean embedding, of length 1, of everybody of whom there are enough clear pictures."""
        wanted: dict[int, list[int]] = {}
        for number, track in enumerate(tracks):
            for frame in _clear(number, track, frames, self.settings.pictures):
                wanted.setdefault(frame, []).append(number)
        seen: list[list[Vector]] = [[] for _ in tracks]
        for count, (frame, numbers) in enumerate(sorted(wanted.items()), 1):
            self._progress("know again", count, len(wanted))
            shown = frames[frame]
            try:
                sample = images.read(shown.place)
            except DatasetError:  # it is left out, as photos are that cannot be read
                continue
            if isinstance(sample, Skipped) or sample.size_px != shown.size_px:
                continue
            for number in numbers:
                vector = self._vector(sample, shown.people[shown.tracks.index(number)])
                if vector is not None:
                    seen[number].append(vector)
        return [_unit(np.sum(vectors, axis=0)) if len(vectors) >= _LEAST_PICTURES else None for vectors in seen]

    def _vector(self, sample: Sample, person: Person) -> Vector | None:
        from synthkit.embedders.people import Cut, cut_out

        alone = _alone(sample, person)
        (picture,) = cut_out(alone, (alone.image,), Cut(self._embedder.card.size_px, None, _LEAST_PX / 2))
        if isinstance(picture, str):
            return None
        return _unit(np.asarray(self._embedder.embed(self._network, picture.pixels[0]), np.float64))


def same_people(
    times: Sequence[tuple[int, int]], looks: Sequence[Vector | None], similar: float, apart: float
) -> list[int]:
    """Return for everybody who they are: the place of the one with whom they came first.

    Somebody who comes is the one before whom they look most like, if that is ``similar``, and neither anybody else who
    was there until then looks nearly as much like the one who comes, nor anybody else who is there meanwhile looks
    nearly as much like the one who had left.

    Args:
        times: first and last frame of each. looks: vectors of length 1, None of whom nobody knows what they look like.
    """
    known = [n for n, look in enumerate(looks) if look is not None]
    likeness = np.full((len(looks), len(looks)), -2.0)
    if known:
        table = np.stack([look for n in known if (look := looks[n]) is not None])
        likeness[np.ix_(known, known)] = np.round(table @ table.T, _DECIMALS)
    owner = list(range(len(looks)))
    people: dict[int, list[int]] = {}
    for one in sorted(known, key=lambda n: (times[n], n)):
        gone = [first for first, parts in people.items() if all(times[n][1] < times[one][0] for n in parts)]
        best = max(gone, key=lambda first: likeness[one, people[first]].max(), default=None)
        if best is not None and _is_sure(one, people[best], times, likeness, similar, apart):
            owner[one] = best
        people.setdefault(owner[one], []).append(one)
    return owner


def _is_sure(
    one: int, parts: Sequence[int], times: Sequence[tuple[int, int]], likeness: Floats, similar: float, apart: float
) -> bool:
    """Return whether who comes is surely the person of some earlier tracks."""
    as_like = float(likeness[one, parts].max())
    others = [n for n in range(len(times)) if n != one and n not in parts]
    earlier = [n for n in others if times[n][0] <= times[one][1]]
    meanwhile = [n for n in earlier if times[n][1] >= times[one][0]]
    rivals = [float(likeness[one, n]) for n in earlier] + [float(likeness[n, parts].max()) for n in meanwhile]
    return as_like >= similar and as_like - max(rivals, default=-2.0) >= apart


def _clear(number: int, track: Track, frames: Mapping[int, Shown], most: int) -> list[int]:
    """Return up to ``most`` frames, spread evenly, of those that show somebody whole and large, behind nobody."""
    clear = [frame for frame in sorted(track.boxes) if _is_clear(number, track.boxes[frame], frames[frame])]
    if len(clear) < _LEAST_PICTURES:
        return []
    chosen = np.unique(np.linspace(0, len(clear) - 1, min(most, len(clear))).round().astype(int))
    return [clear[n] for n in chosen]


def _is_clear(number: int, box: Floats, shown: Shown) -> bool:
    sides = box[2:] - box[:2]
    if sides.max() < _LEAST_PX or (box[:2] < 1).any() or (box[2:] > np.array(shown.size_px) - 1).any():
        return False
    others = [p.box_xyxy_px for p, track in zip(shown.people, shown.tracks, strict=True) if track != number]
    if not others:
        return True
    table = np.array(others, np.float64)
    shared = np.minimum(box[2:], table[:, 2:]) - np.maximum(box[:2], table[:, :2])
    return bool((np.maximum(shared, 0).prod(axis=1) <= _MOST_COVERED * sides.prod()).all())


def _alone(sample: Sample, person: Person) -> Sample:
    """Return a sample of one person: as the camera shows them from above, else what is in their upright box."""
    somebody = Person(identity="somebody")
    if sample.camera is not None or person.rotated_box is not None:
        placed = evolve(somebody, box_xyxy_px=person.box_xyxy_px, rotated_box=person.rotated_box)
        return Sample(key=sample.key, image=sample.image, people=[placed], camera=sample.camera)
    assert person.box_xyxy_px is not None
    left, top, right, bottom = (round(value) for value in person.box_xyxy_px)
    return Sample(key=sample.key, image=sample.image[top:bottom, left:right], people=[somebody])


def _unit(vector: Vector) -> Vector:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12))
