# SPDX-License-Identifier: Apache-2.0
"""Data sets for PyTorch: a map-style view, and a loader that resumes in the middle of an epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch.utils.data
from torch.utils.data import DataLoader, default_collate

from synthkit.dataset.stream import Order
from synthkit.errors import DatasetError
from synthkit.interfaces import SampleSet
from synthkit.sample import Sample

Transform = Callable[[Sample], Any]


class TorchView(torch.utils.data.Dataset[Any]):
    """A set as ``torch.utils.data`` has it: index to what ``transform`` makes of the sample."""

    def __init__(self, data: SampleSet, transform: Transform | None = None) -> None:
        self._data, self._transform = data, transform

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> Any:
        sample = self._data[index]
        return sample if self._transform is None else self._transform(sample)


class Loader:
    """Batches for training, made in worker processes; their order does not depend on how many there are.

    Each iteration goes through the rest of the current epoch, and the next one through the next epoch.
    All readers together see every sample once an epoch, up to ``even``. Between two batches
    ``state_dict`` says where training is, however far the workers are ahead; any number of readers and
    workers, and any size of batch, goes on from there in the same order.

    Args:
        data: the set; it travels to the workers. batch_size: samples a batch and reader.
        seed: shuffles exactly, by seed and epoch; None keeps the set's order.
        transform: makes of a sample what is to be collated; without it a batch is a list of samples.
        collate: joins a batch; None takes PyTorch's for what ``transform`` made.
        workers: processes besides this one. rank, world: which of how many readers.
        even: leave out the samples at the end of an epoch that do not fill a batch for every reader.
    """

    def __init__(
        self,
        data: SampleSet,
        *,
        batch_size: int,
        seed: int | None = None,
        transform: Transform | None = None,
        collate: Callable[[list[Any]], Any] | None = None,
        workers: int = 0,
        rank: int = 0,
        world: int = 1,
        even: bool = False,
    ) -> None:
        if not 0 <= rank < world or batch_size < 1:
            raise DatasetError(f"rank {rank} of {world} readers, batches of {batch_size}: expected 0 <= rank < world")
        self._view = TorchView(data, transform)
        self._fingerprint = data.fingerprint
        self._batch, self._seed, self._workers = batch_size, seed, workers
        self._rank, self._world = rank, world
        self._collate = collate or (list if transform is None else default_collate)
        self._count = len(data) // (batch_size * world) * batch_size * world if even else len(data)
        self.epoch = 0
        self._place = 0  # of this epoch, over all readers

    def __len__(self) -> int:
        """How many batches this reader gets in a whole epoch."""
        return -(-len(range(self._rank, self._count, self._world)) // self._batch)

    def __iter__(self) -> Iterator[Any]:
        loader: DataLoader[Any] = DataLoader(
            self._view,
            batch_sampler=list(self._batches()),
            num_workers=self._workers,
            collate_fn=self._collate,
        )
        for batch in loader:
            # Counted before it is handed out: the state is asked for after the batch was trained on.
            self._place += self._batch * self._world
            yield batch
        self.epoch, self._place = self.epoch + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """Return plain values that say where the loader is, between two batches."""
        place = min(self._place, self._count)
        return {"data": self._fingerprint, "seed": self._seed, "epoch": self.epoch, "place": place}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state.

        Raises:
            DatasetError: when the state is of another data set or another seed.
        """
        for name, mine in (("data", self._fingerprint), ("seed", self._seed)):
            if state[name] != mine:
                raise DatasetError(f"the loader's state is of another {name}: {state[name]!r}, not {mine!r}")
        self.epoch, self._place = int(state["epoch"]), int(state["place"])

    def _batches(self) -> Iterator[list[int]]:
        places = np.arange(self._place + self._rank, self._count, self._world)
        positions = Order(len(self._view), self._seed, self.epoch).positions(places).tolist()
        return (positions[start : start + self._batch] for start in range(0, len(positions), self._batch))
