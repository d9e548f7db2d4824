# SPDX-License-Identifier: Apache-2.0
"""Sets of sidecars: what was found out later about the samples of another set, joined to them by key."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import SupportsIndex

import attrs

from synthkit.dataset import codec
from synthkit.dataset.reader import Dataset
from synthkit.errors import DatasetError
from synthkit.sample import Sample, Sidecar


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

    def by_key(self, key: str) -> Sidecar:
        """Return the sidecar of a sample.

        Raises:
            DatasetError: when there is none, or it is damaged.
        """
        _, members = self.data.members(self.data.position(key))
        return codec.decode_sidecar(key, members, where=self.data.location)


class Joined:
    """The samples of a set with the layers and values of sidecars; a ``SampleSet``.

    A sidecar's layers stand beside the sample's own, its meta in ``sample.meta[NAME]``; when it found
    people, they take the place of unknown ones. Samples without a sidecar stay as they are.

    Args:
        data: the samples. sidecars: what to join, in this order.
    """

    def __init__(self, data: Dataset, sidecars: Sequence[SidecarSet]) -> None:
        names = [sidecar.name for sidecar in sidecars]
        if len(set(names)) < len(names):
            raise DatasetError(f"two sidecars have the same name: {', '.join(names)}")
        self.data, self.sidecars = data, tuple(sidecars)

    @property
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

    def _joined(self, sample: Sample) -> Sample:
        for side in self.sidecars:
            if sample.key not in side.data:
                continue
            found = side.by_key(sample.key)
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
