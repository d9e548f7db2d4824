# SPDX-License-Identifier: Apache-2.0
"""Sets of sidecars: what was found out later about the samples of another set, joined to them by key."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, SupportsIndex, cast

import attrs

from synthkit.dataset import codec
from synthkit.dataset.reader import Dataset
from synthkit.errors import DatasetError
from synthkit.sample import Sample, Sidecar

if TYPE_CHECKING:
    from synthkit.dataset.stream import Stream


_SHOWN = 12  # of a fingerprint
SIDECAR_OF = "sidecar_of"
"""The note of a set of sidecars about the images it is of: their ``path`` from it, and their ``fingerprint``."""


class SidecarSet:
    """A finished set of sidecars, written as any data set is, opened for reading by key.

    Args:
        name: under which its values stand in the meta of joined samples.
    """

    def __init__(self, name: str, data: Dataset) -> None:
        self.name = name
        self.data = data

    @classmethod
    def open(cls, name: str, location: Path | str) -> SidecarSet:
        """Open a set.

        Raises:
            DatasetError: as ``Dataset.open`` does.
        """
        return cls(name, Dataset.open(location))

    def __len__(self) -> int:
        return len(self.data)

    def check_of(self, location: str, fingerprint: str) -> None:
        """Check that these are sidecars of the samples of a set, where it is noted of which they are.

        Raises:
            DatasetError: when they are of others, though keys may be the same.
        """
        noted = self.data.manifest.notes.get(SIDECAR_OF) if self.data.manifest else None
        if isinstance(noted, Mapping) and noted.get("fingerprint") != fingerprint:
            raise DatasetError(
                f"{self.data.location}: its sidecars are of other samples ({noted.get('path')}, fingerprint"
                f" {str(noted.get('fingerprint'))[:_SHOWN]}) than those of {location}"
                f" ({fingerprint[:_SHOWN]}): make them anew of these; of a set that has grown or was healed,"
                " run again what made them"
            )

    def by_key(self, key: str) -> Sidecar:
        """Return the sidecar of a sample.

        Raises:
            DatasetError: when there is none, or it is damaged.
        """
        return self.at(self.data.position(key))

    def get(self, key: str) -> Sidecar | None:
        """Return the sidecar of a sample, None when there is none.

        Raises:
            DatasetError: when it is damaged.
        """
        position = self.data.find(key)
        return None if position is None else self.at(position)

    def at(self, position: int) -> Sidecar:
        """Return the sidecar at a position.

        Raises:
            DatasetError: when it is damaged.
        """
        key, members = self.data.members(position)
        return codec.decode_sidecar(key, members, where=self.data.location)


class Joined:
    """The samples of a set with the layers and values of sidecars; a ``SampleSet``.

    A sidecar's layers stand beside the sample's own, its meta in ``sample.meta[NAME]``; when it found
    people, they take the place of unknown ones. Samples without a sidecar stay as they are.

    Args:
        data: the samples. sidecars: what to join, in this order.

    Raises:
        DatasetError: when two have the same name, or one is of other samples.
    """

    def __init__(self, data: Dataset, sidecars: Sequence[SidecarSet]) -> None:
        names = [sidecar.name for sidecar in sidecars]
        if len(set(names)) < len(names):
            raise DatasetError(f"two sidecars have the same name: {', '.join(names)}")
        for sidecar in sidecars:
            sidecar.check_of(data.location, data.fingerprint)
        self.data, self.sidecars = data, tuple(sidecars)

    @property
    def location(self) -> str:
        """The path or URL of the samples."""
        return self.data.location

    @functools.cached_property
    def fingerprint(self) -> str:
        """The identity of the content of all the sets."""
        parts = [self.data.fingerprint, *(f"{side.name} {side.data.fingerprint}" for side in self.sidecars)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[Sample]:
        return map(self._joined, self.data)

    def __getitem__(self, index: SupportsIndex, /) -> Sample:
        """Return the sample at a position, with what is known of it.

        Raises:
            DatasetError: when a layer comes twice, or is not of the image's size.
        """
        return self._joined(self.data[index])

    def keys(self) -> Iterator[str]:
        """Yield the keys of the samples in order."""
        return self.data.keys()

    def __contains__(self, key: object) -> bool:
        return key in self.data

    def by_key(self, key: str) -> Sample:
        """Return a sample by key, with what is known of it.

        Raises:
            DatasetError: when there is none, or a sidecar does not fit it.
        """
        return self._joined(self.data.by_key(key))

    def stream(
        self, *, seed: int | None = None, epoch: int = 0, epochs: int | None = 1, rank: int = 0, world: int = 1
    ) -> Stream:
        """Return an iterator over the samples that can stop and go on anywhere; see ``Stream``."""
        from synthkit.dataset.stream import Stream

        data = cast("Dataset", self)  # a stream asks for nothing that joined sets lack
        return Stream(data, seed=seed, epoch=epoch, epochs=epochs, rank=rank, world=world)

    def _joined(self, sample: Sample) -> Sample:
        for side in self.sidecars:
            found = side.get(sample.key)
            if found is None:
                continue
            twice = sorted(sample.layers.keys() & found.layers.keys())
            if twice:
                where = f"in the set and in sidecar {side.name!r}"
                raise DatasetError(f"sample {sample.key}: layer {twice[0]!r} is {where}")
            try:
                sample = attrs.evolve(
                    sample,
                    layers={**sample.layers, **found.layers},
                    people=found.people if sample.people is None else sample.people,
                    meta={**sample.meta, side.name: dict(found.meta)} if found.meta else sample.meta,
                )
            except ValueError as error:
                raise DatasetError(f"sidecar {side.name!r} does not fit: {error}") from None
        return sample
