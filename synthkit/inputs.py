# SPDX-License-Identifier: Apache-2.0
"""Images to look at, whatever holds them: a data set, or photos and videos, of which no copy is made."""

from __future__ import annotations

import os
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from synthkit import config
from synthkit.dataset import Dataset, codec, formats, images, stores
from synthkit.dataset.formats.converting import check_unchanged
from synthkit.dataset.formats.job import fingerprint
from synthkit.dataset.formats.source import Stored
from synthkit.errors import DatasetError, WorkError
from synthkit.interfaces import Progress, silent
from synthkit.sample import Sample, Skipped


class Images(ABC):
    """Images in places that stay theirs: what is found in place n is scene n of a set of sidecars.

    Each is a ``Sample``, of a data set with the layers that were asked for; of a photo or a frame of a video it is the
    one that ``convert`` would make, with its key, sequence, frame and time, but as exact as the file is.
    """

    @property
    @abstractmethod
    def location(self) -> str:
        """The path or URL."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """The identity of the content."""

    @property
    @abstractmethod
    def identity(self) -> Any:
        """Plain JSON that says what this is; a data set that has grown is still the same one."""

    @property
    @abstractmethod
    def notes(self) -> Mapping[str, Any]:
        """Plain JSON about the whole: sources, licences, stages."""

    @property
    def opened_as(self) -> Mapping[str, Any]:
        """The arguments of ``open_images``, besides the place, that open these again."""
        return {}

    @abstractmethod
    def __len__(self) -> int:
        """Return how many places there are, holes among them."""

    @abstractmethod
    def key(self, place: int) -> str:
        """Return the key of a place, also where there is a hole."""

    @abstractmethod
    def stored(self, place: int) -> tuple[Sample, Stored | None] | Skipped:
        """Return the image of a place, and the file that holds just its pixels, None where there is none, as of videos.

        A hole, or a photo that is damaged, is returned as why it is missing.

        Raises:
            DatasetError: when a data set is damaged.
        """

    def read(self, place: int) -> Sample | Skipped:
        """Return the image of a place; a hole, or a photo that is damaged, as why it is missing.

        Raises:
            DatasetError: when a data set is damaged.
        """
        found = self.stored(place)
        return found if isinstance(found, Skipped) else found[0]

    def hides(self, place: int) -> bool:
        """Return whether transparency hides anything of the image that is stored in a place, which ``read`` shows.

        Of photos it is told in ``Sample.meta``.

        Raises:
            DatasetError: when a data set is damaged. ValueError: when the image is.
        """
        return False

    @abstractmethod
    def check_unchanged(self) -> None:
        """Check, in the process that opened them, that files are what they were.

        Raises:
            DatasetError: naming a file that was changed meanwhile.
        """

    @abstractmethod
    def check_machine(self) -> None:
        """Check, in a process that reopened them, that they are those that were sent.

        Raises:
            WorkError: when they are not.
        """

    @abstractmethod
    def to_plain(self) -> dict[str, Any]:
        """Return the plain values from which ``reopened`` makes the same images in another process."""


def open_images(
    place: Path | str,
    *,
    form: str | None = None,
    every: int = 1,
    layers: Sequence[str] = (),
    progress: Progress = silent,
    tell: Callable[[str], None] | None = None,
) -> Images:
    """Open a data set, or a folder, photo or video of a format that ``convert`` reads, whose files are hashed.

    Args:
        form: the format's name; None finds it out. every: take every so many images, such as frames of a video.
        layers: which layers of a data set's samples are read; those of other formats come as they are.
        tell: takes lines for the user.

    Raises:
        DatasetError: when it is missing, of no known format, or wrong, telling all that is wrong at once.
    """
    if stores.is_url(place) or formats.detect(Path(place), form) is None:
        if every != 1:
            raise DatasetError(f"{place}: is a data set, of which all images are taken; omit --every")
        return _StoredImages(Dataset.open(place, layers=layers), layers)
    conversion = formats.prepare(place, form=form, every=every, progress=progress, tell=tell)
    return _FileImages(Path(place), conversion.form, every, conversion.source, config.fingerprint(conversion.identity))


def reopened(plain: Mapping[str, Any]) -> Images:
    """Return the images that ``to_plain`` described; of files, contents are not hashed again."""
    if "form" not in plain:
        layers = tuple(plain["layers"])
        return _StoredImages(Dataset.open(plain["location"], layers=layers), layers, plain["fingerprint"])
    path = Path(plain["location"])
    source = formats.find(path, plain["form"]).open(path, every=plain["every"])
    return _FileImages(path, plain["form"], plain["every"], source, plain["fingerprint"], plain["keys"])


class _StoredImages(Images):
    """The images of a data set.

    Args:
        layers: those that are read. sent: the fingerprint of what was sent here.
    """

    def __init__(self, data: Dataset, layers: Sequence[str], sent: str | None = None) -> None:
        self._data, self._layers, self._sent = data, tuple(layers), sent
        self._slots = data.slots()

    @property
    def location(self) -> str:
        return self._data.location

    @property
    def fingerprint(self) -> str:
        return self._data.fingerprint

    @property
    def identity(self) -> Any:
        return self._data.manifest.fingerprint if self._data.manifest else self._data.fingerprint

    @property
    def notes(self) -> Mapping[str, Any]:
        return self._data.manifest.notes if self._data.manifest else {}

    def __len__(self) -> int:
        return len(self._slots)

    def key(self, place: int) -> str:
        slot = self._slots[place]
        return slot.key if isinstance(slot, Skipped) else self._data.key(slot)

    def stored(self, place: int) -> tuple[Sample, Stored | None] | Skipped:
        slot = self._slots[place]
        if isinstance(slot, Skipped):
            return slot
        sample, members = self._data.with_members(slot)
        return sample, codec.image_file(members)

    def hides(self, place: int) -> bool:
        slot = self._slots[place]
        members = {} if isinstance(slot, Skipped) else self._data.members(slot)[1]
        return any(images.hides(members[suffix]) for suffix in codec.IMAGE_SUFFIXES if suffix in members)

    def check_unchanged(self) -> None:
        return None  # its shards are checked as they are read

    def check_machine(self) -> None:
        if self._sent != self._data.fingerprint:
            raise WorkError(f"{self.location}: is another data set on {socket.gethostname()}")

    def to_plain(self) -> dict[str, Any]:
        where = self.location
        return {
            "location": where if stores.is_url(where) else str(Path(where).resolve()),
            "fingerprint": self.fingerprint,
            "layers": list(self._layers),
        }


class _FileImages(Images):
    """Photos or videos as they lie.

    Args:
        source: opened by form and every. content: the fingerprint. keys: of the keys of what was sent here.
    """

    def __init__(
        self, path: Path, form: str, every: int, source: formats.Source, content: str, keys: str | None = None
    ) -> None:
        self._path, self._form, self._every = path, form, every
        self._source, self._content, self._keys = source, content, keys

    @property
    def location(self) -> str:
        return str(self._path)

    @property
    def fingerprint(self) -> str:
        return self._content

    @property
    def identity(self) -> Any:
        return self._content

    @property
    def notes(self) -> Mapping[str, Any]:
        return {**self._source.notes, "remarks": list(self._source.remarks)}

    @property
    def opened_as(self) -> Mapping[str, Any]:
        return {"form": self._form, "every": self._every}

    def __len__(self) -> int:
        return len(self._source)

    def key(self, place: int) -> str:
        return self._source.key(place)

    def stored(self, place: int) -> tuple[Sample, Stored | None] | Skipped:
        try:
            return self._source.read(place)
        except DatasetError as error:
            # The same record wherever the source lies.
            return Skipped(self.key(place), str(error).replace(f"{self._path.parent}{os.sep}", ""))

    def check_unchanged(self) -> None:
        check_unchanged(self._source)

    def check_machine(self) -> None:
        if self._keys != fingerprint(self._source):
            raise WorkError(f"{self._path}: has other images on {socket.gethostname()}")

    def to_plain(self) -> dict[str, Any]:
        return {
            "location": str(self._path.absolute()),
            "fingerprint": self._content,
            **self.opened_as,
            "keys": fingerprint(self._source),
        }
