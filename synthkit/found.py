# SPDX-License-Identifier: Apache-2.0
"""A set of finds beside the images it is of, and as lines of text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import attrs

from synthkit.dataset import Dataset, description, stores
from synthkit.dataset.sidecars import SIDECAR_OF, SidecarSet
from synthkit.errors import DatasetError
from synthkit.inputs import Images, open_images
from synthkit.sample import Sample, Sidecar, Skipped


class Found:
    """The images that were looked at, with the finds in place of what else is known of their people; a ``SampleSet``.

    Args:
        data: the set of finds. images: those it is of.

    Raises:
        DatasetError: when it is of other images.
    """

    def __init__(self, data: Dataset, images: Images) -> None:
        noted = _noted(data)
        if noted.get("fingerprint") != images.fingerprint:
            raise DatasetError(
                f"{data.location}: was found in other images than {images.location} holds now; look at these anew"
            )
        self.sidecars, self.images = SidecarSet("found", data), images
        self._places = {images.key(place): place for place in range(len(images))}

    @classmethod
    def open(cls, location: Path | str) -> Self:
        """Open a set of finds, and the images that its notes name.

        Raises:
            DatasetError: when it is no such set, or its images are not where they were, or are others.
        """
        return cls.beside(Dataset.open(location))

    @classmethod
    def beside(cls, data: Dataset) -> Self:
        """Return a set of finds with the images that its notes name; see ``open``."""
        noted = _noted(data)
        path, form, every = (noted.get(name, default) for name, default in (("path", ""), ("form", None), ("every", 1)))
        if not stores.is_url(path):
            path = f"{data.location.rstrip('/')}/{path}" if stores.is_url(data.location) else Path(data.location, path)
        try:
            images = open_images(path, form=form, every=every)
        except DatasetError as error:
            raise DatasetError(f"{data.location}: the images that it was found in cannot be opened: {error}") from None
        return cls(data, images)

    @property
    def location(self) -> str:
        """The path or URL of the finds."""
        return self.sidecars.data.location

    @property
    def fingerprint(self) -> str:
        """The identity of the finds, which name the images'."""
        return self.sidecars.data.fingerprint

    def __len__(self) -> int:
        return len(self.sidecars)

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Sample:
        """Return an image with the people and layers that were found.

        Raises:
            DatasetError: when one of the two cannot be read, or they do not fit.
        """
        side = self.sidecars.at(index)
        place = self._places.get(side.key)
        sample = Skipped(side.key, "is not there") if place is None else self.images.read(place)
        if isinstance(sample, Skipped):
            raise DatasetError(f"{self.images.location}: image {side.key} {sample.reason}")
        return joined(sample, side)


def joined(sample: Sample, side: Sidecar) -> Sample:
    """Return an image with what was found in it.

    Raises:
        DatasetError: when layers are of another size.
    """
    try:
        return attrs.evolve(sample, people=side.people, layers=side.layers)
    except ValueError as error:
        raise DatasetError(f"what was found does not fit: {error}") from None


def is_of_images(data: Dataset) -> bool:
    """Return whether a set is one of sidecars that notes which images it is of."""
    return data.manifest is not None and isinstance(data.manifest.notes.get(SIDECAR_OF), Mapping)


def _noted(data: Dataset) -> Mapping[str, Any]:
    if data.manifest is None or not is_of_images(data):
        raise DatasetError(f"{data.location}: is no set of finds that notes in which images they were found")
    return dict(data.manifest.notes[SIDECAR_OF])


def lines(data: Dataset) -> Iterator[dict[str, Any]]:
    """Yield what was found as JSON values, an image each, in the images' order.

    Each has its ``key``, its place in a clip, and ``people`` as a data set has them; of one that could not be looked at
    ``missing`` tells why.
    """
    side = SidecarSet("found", data)
    for slot in data.slots():
        if isinstance(slot, Skipped):
            yield {"key": slot.key, "missing": slot.reason}
            continue
        found = side.at(slot)
        table = json.loads(description.to_json(attrs.evolve(found, layers={})))
        del table["schema"]
        yield {"key": found.key, **table, "layers": sorted(found.layers)}


def counted(data: Dataset) -> str:
    """Return how many people were found in how many images, for the user."""
    counts = [len(side.get("people", ())) for side in lines(data) if "missing" not in side]
    return f"{sum(counts)} people in {sum(count > 0 for count in counts)} of {len(counts)} images"
