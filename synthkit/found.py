# SPDX-License-Identifier: Apache-2.0
"""A set of finds beside the images it is of, and as lines of text."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import attrs

from synthkit.dataset import Dataset, description, images, stores
from synthkit.dataset.formats.pictures import Picture, picture
from synthkit.dataset.formats.source import Stored
from synthkit.dataset.sidecars import SIDECAR_OF, SidecarSet
from synthkit.errors import DatasetError
from synthkit.inputs import Images, open_images
from synthkit.sample import Sample, Sidecar, Skipped

_JPEG_QUALITY = 95


class Found:
    """The images that were looked at, with the finds in place of what else is known of their people; a ``SampleSet``.

    Args:
        data: the set of finds. images: those it is of.

    Raises:
        DatasetError: when it is of other images.
    """

    def __init__(self, data: Dataset, images: Images) -> None:
        self.sidecars, self.images = SidecarSet("found", data), images
        _noted(data)
        self.sidecars.check_of(images.location, images.fingerprint)
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
            path = _below(data.location, path)
        try:
            opened = open_images(path, form=form, every=every)
        except DatasetError as error:
            raise DatasetError(f"{data.location}: the images that it was found in cannot be opened: {error}") from None
        return cls(data, opened)

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
        return self.stored(index)[0]

    def stored(self, index: int) -> tuple[Sample, Stored | None]:
        """Return what indexing does, and the file that holds just the image's pixels, None where there is none.

        Raises:
            DatasetError: as indexing does.
        """
        side = self.sidecars.at(index)
        place = self._places.get(side.key)
        found = Skipped(side.key, "is not there") if place is None else self.images.stored(place)
        if isinstance(found, Skipped):
            raise DatasetError(f"{self.images.location}: image {side.key} {found.reason}")
        sample, stored = found
        return joined(sample, side), stored


def _below(location: str, relative: str) -> str:
    """Return the place that a path means, seen from a path or URL."""
    scheme, mark, place = location.partition("://") if stores.is_url(location) else ("", "", location)
    return f"{scheme}{mark}{posixpath.normpath(posixpath.join(place, relative))}"


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
    side = SidecarSet("found", Dataset.open(data.location, layers=()))
    for slot in side.data.slots():
        if isinstance(slot, Skipped):
            yield {"key": slot.key, "missing": slot.reason}
            continue
        found = side.at(slot)
        table = json.loads(description.to_json(found))
        del table["schema"]
        yield {"key": found.key, **table}


def counted(data: Dataset) -> str:
    """Return how many people were found in how many images, and from which score on, for the user."""
    counts = [len(side.get("people", ())) for side in lines(data) if "missing" not in side]
    stages = data.manifest.notes.get("stages", ()) if data.manifest else ()
    least = f", scores from {stages[-1]['least_score']:.2f} on" if stages and "least_score" in stages[-1] else ""
    return f"{sum(counts)} people in {sum(count > 0 for count in counts)} of {len(counts)} images{least}"


class FoundPictures:
    """The images of a set of finds, with these, as exports take them.

    Image files are taken over as they are; frames of videos become JPEG of quality 95.

    Raises:
        DatasetError: as ``Found.open`` does.
    """

    def __init__(self, location: Path | str) -> None:
        self._found = Found.open(location)
        self.name = Path(str(location).rstrip("/")).name
        self.identity: Mapping[str, Any] = {"found": self._found.fingerprint}
        self.notes: Mapping[str, Any] = self._found.images.notes

    def __len__(self) -> int:
        return len(self._found)

    def __getitem__(self, index: int) -> Picture:
        """Return a picture.

        Raises:
            DatasetError: when it cannot be read.
        """
        sample, stored = self._found.stored(index)
        names = ("people", "camera", "sequence", "frame", "time_s", "meta")
        known = {name: getattr(sample, name) for name in names}
        data = images.jpeg(sample.image, _JPEG_QUALITY) if stored is None else stored[1]
        return picture(sample.key, data, f"{self.name}: sample {sample.key}", known, sample.layers.get)
