# SPDX-License-Identifier: Apache-2.0
"""Data sets for PyTorch: a map-style view, and a loader that resumes in the middle of an epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs
import torch.utils.data
from torch.utils.data import DataLoader, default_collate

from synthkit.dataset.stream import Order, loaded_place
from synthkit.errors import DatasetError
from synthkit.interfaces import SampleSet
from synthkit.sample import Sample

Transform = Callable[[Sample], Any]

_AHEAD = 4096  # positions worked out at once


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
    workers, and any size of batch, goes on from there in the same order. Without ``even`` the last
    batch may be smaller, and readers may get one batch more than others; where there are fewer samples
    than readers, some get none.

    Args:
        data: the set; it travels to the workers. batch_size: samples a batch and reader.
        seed: shuffles exactly, by seed and epoch; None keeps the set's order.
        transform: makes of a sample what is to be collated; without it a batch is a list of samples.
        collate: joins a batch; None takes PyTorch's for what ``transform`` made.
        workers: processes besides this one. rank, world: which of how many readers.
        even: leave out the samples at the end of an epoch that do not fill a batch for every reader; all
            readers get equally many full batches, also in the rest of an epoch after a state was loaded.

    Raises:
        DatasetError: for impossible numbers, or when ``even`` would leave nothing of the set.
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
        if even and len(data) < batch_size * world:
            raise DatasetError(
                f"{len(data)} samples make no batch of {batch_size} for each of {world} readers:"
                " use smaller batches, fewer readers, or even=False"
            )
        self._view = TorchView(data, transform)
        self._fingerprint = data.fingerprint
        self._batch, self._seed, self._workers = batch_size, seed, workers
        self._rank, self._world = rank, world
        self._collate = collate or (list if transform is None else default_collate)
        self._even = even
        self.epoch = 0
        self._place = 0  # of this epoch, over all readers

    def __len__(self) -> int:
        """How many batches this reader gets in a whole epoch."""
        return len(self._batches(0))

    def __iter__(self) -> Iterator[Any]:
        loader: DataLoader[Any] = DataLoader(
            self._view,
            batch_sampler=self._batches(self._place),
            num_workers=self._workers,
            collate_fn=self._collate,
        )
        end = self._end(self._place)
        for batch in loader:
            # Counted before it is handed out: the state is asked for after the batch was trained on.
            self._place = min(self._place + self._batch * self._world, end)
            yield batch
        self.epoch, self._place = self.epoch + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """Return plain values that say where the loader is, between two batches."""
        return {"data": self._fingerprint, "seed": self._seed, "epoch": self.epoch, "place": self._place}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state, also of other numbers of readers and workers, and another size of batch.

        Raises:
            DatasetError: when the state is damaged, or of another data set or another seed.
        """
        count = len(self._view)
        self.epoch, self._place = loaded_place(state, self._fingerprint, self._seed, count, "the loader")

    def _end(self, place: int) -> int:
        """Return where an epoch ends that is gone on with at a place."""
        count, step = len(self._view), self._batch * self._world
        return place + (count - place) // step * step if self._even else count

    def _batches(self, place: int) -> _Batches:
        order = Order(len(self._view), self._seed, self.epoch)
        return _Batches(order, range(place + self._rank, self._end(place), self._world), self._batch)


@attrs.frozen
class _Batches:
    """The positions of each batch, worked out a few thousand at a time; ``places``: this reader's of the order."""

    order: Order
    places: range
    batch: int

    def __len__(self) -> int:
        return -(-len(self.places) // self.batch)

    def __iter__(self) -> Iterator[list[int]]:
        step = max(1, _AHEAD // self.batch) * self.batch
        for start in range(0, len(self.places), step):
            positions = self.order.positions(self.places[start : start + step]).tolist()
            yield from (positions[n : n + self.batch] for n in range(0, len(positions), self.batch))
