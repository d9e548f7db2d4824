# SPDX-License-Identifier: Apache-2.0
"""Reading sets of crops: what a generator of people learns from, whoever made the set."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.bodies.masks import dilated
from synthkit.dataset import Dataset
from synthkit.dataset.tools.survey import glances
from synthkit.errors import DatasetError
from synthkit.sample import Person, Sample
from synthkit.surfaces import SPACES, SurfaceSpace, checked, space_of

LAYERS = ("instances", "mask", *(space.layer for space in SPACES.values()))
"""What a crop consists of, besides its image."""


@attrs.frozen(eq=False)
class BodyCrop:
    """One person, upright, and what is around them.

    Args:
        key: the sample's. image: (H, W, 3) uint8 sRGB, the original.
        mask: (H, W) bool, where a generator is to make pixels: the person and a rim around them.
        person: (H, W) bool, the person's own pixels.
        surface: (H, W) uint16, 1 + the vertex that a pixel of the person shows, 0 where it shows none.
        identity: who it is, where that is known; the same name is the same person in other crops.
    """

    key: str
    image: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.bool_]
    person: npt.NDArray[np.bool_]
    surface: npt.NDArray[np.uint16]
    identity: str | None


class BodyCrops:
    """A set of crops of one person each; made by ``synthkit bodies cut``, or FDH's by ``synthkit convert``.

    It can be pickled, and is cheap to open again in another process. For batches by PyTorch, with workers and a place
    to go on from, give ``Loader(crops.samples, transform=crops.of)``.

    Args:
        samples: the data set. space: of the surface maps; None finds it out from the first sample.

    Raises:
        DatasetError: when the first sample is no such crop, or its surface map is of another space.
    """

    def __init__(self, samples: Dataset, space: SurfaceSpace | None = None) -> None:
        self.samples = samples
        first = samples[0]
        found = _space(first, samples.location)
        if space is not None and space != found:
            raise DatasetError(f"{samples.location}: surface maps are of {found.mesh}, expected {space.mesh}")
        self.space = found
        self.size_px = first.size_px

    @classmethod
    def open(cls, location: Path | str, space: SurfaceSpace | None = None) -> Self:
        """Open a set.

        Raises:
            DatasetError: as ``Dataset.open`` and the constructor do.
        """
        return cls(Dataset.open(location, layers=LAYERS), space)

    @property
    def fingerprint(self) -> str:
        """The identity of the content."""
        return self.samples.fingerprint

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> BodyCrop:
        """Return the crop at a position.

        Raises:
            DatasetError: when it is damaged, or no crop as the first one is.
        """
        return self.of(self.samples[index])

    def __iter__(self) -> Iterator[BodyCrop]:
        return map(self.of, self.samples)

    def stream(
        self, *, seed: int | None = None, epoch: int = 0, epochs: int | None = 1, rank: int = 0, world: int = 1
    ) -> Iterator[BodyCrop]:
        """Yield crops epoch after epoch, shuffled by seed; the arguments are those of ``Dataset.stream``."""
        samples = self.samples.stream(seed=seed, epoch=epoch, epochs=epochs, rank=rank, world=world)
        return map(self.of, samples)

    @functools.cached_property
    def identities(self) -> Mapping[str, tuple[int, ...]]:
        """The positions of each known person's crops, by identity; pairs to learn from are two of one person.

        Read from descriptions alone; no pixel is decoded.
        """
        places: dict[str, list[int]] = {}
        light = Dataset.open(self.samples.location, layers=())
        for place, seen in enumerate(glances(light, stage="identities")):
            for person in (seen.people or ())[:1]:
                if person.identity is not None:
                    places.setdefault(person.identity, []).append(place)
        return {name: tuple(found) for name, found in sorted(places.items())}

    def of(self, sample: Sample) -> BodyCrop:
        """Return a sample of the set as a crop.

        Raises:
            DatasetError: when it is no crop of one person with mask and surface map, of the set's size and space.
        """
        where = f"{self.samples.location}: sample {sample.key}"
        if sample.size_px != self.size_px:
            size, first = ("{}x{}".format(*size_px) for size_px in (sample.size_px, self.size_px))
            raise DatasetError(f"{where}: is of {size} pixels, the first of {first}")
        found = _space(sample, self.samples.location)
        if found != self.space:
            raise DatasetError(f"{where}: its surface map is of {found.mesh}, the first of {self.space.mesh}")
        one, person = _person(sample, where)
        kept = sample.layers.get("mask")
        mask = dilated(person) if kept is None else kept == 0
        if mask.ndim != 2:
            raise DatasetError(f"{where}: its layer mask is {mask.shape}, expected (H, W)")
        surface = _surface(sample, self.space, where)
        return BodyCrop(sample.key, sample.image, mask, person, surface, one.identity)


def _person(sample: Sample, where: str) -> tuple[Person, npt.NDArray[np.bool_]]:
    """Return the one person and their pixels."""
    instances, people = sample.layers.get("instances"), sample.people
    if instances is None or instances.ndim != 2 or people is None or len(people) != 1:
        raise DatasetError(f"{where}: is no crop of one person with a mask; 'synthkit bodies cut' makes such")
    number = people[0].instance
    return people[0], np.zeros(instances.shape, bool) if number is None else np.asarray(instances == number)


def _space(sample: Sample, location: str) -> SurfaceSpace:
    where = f"{location}: sample {sample.key}"
    try:
        found = space_of(sample.layers)
    except DatasetError as error:
        raise DatasetError(f"{where}: {error}") from None
    if found is None:
        layers = " or ".join(space.layer for space in SPACES.values())
        raise DatasetError(f"{where}: has no surface map (a layer {layers})")
    return found


def _surface(sample: Sample, space: SurfaceSpace, where: str) -> npt.NDArray[Any]:
    try:
        return checked(sample.layers[space.layer], space)
    except DatasetError as error:
        raise DatasetError(f"{where}: {error}") from None
