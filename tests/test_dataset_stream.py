# SPDX-License-Identifier: Apache-2.0
"""Orders and streams: exact shuffles, shared among readers without loss, resumed anywhere."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit.dataset import Dataset, DatasetWriter
from synthkit.dataset.stream import Order
from synthkit.errors import DatasetError
from synthkit.sample import Sample

COUNT = 23


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    out = tmp_path_factory.mktemp("stream") / "set"
    with DatasetWriter(out, identity={"what": "stream"}, scenes=COUNT, scenes_per_shard=4) as writer:
        for scene in range(COUNT):
            writer.spool.put(scene, [Sample(f"s{scene:03d}", np.full((4, 4, 3), scene, np.uint8), people=())])
            writer.finished(scene)
        writer.finalise()
    return Dataset.open(out)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3000), st.integers(0, 2**64 - 1), st.integers(0, 5))
def test_an_order_is_a_permutation(count: int, seed: int, epoch: int) -> None:
    order = Order(count, seed, epoch).positions(np.arange(count))
    assert sorted(order.tolist()) == list(range(count))
    some = np.arange(count)[:: max(1, count // 7)]
    assert Order(count, seed, epoch).positions(some).tolist() == order[some].tolist(), "any place alone gives the same"


def test_orders_differ_by_seed_and_epoch_and_are_spread_evenly() -> None:
    count = 1000
    orders = [Order(count, seed, epoch).positions(np.arange(count)) for seed in range(10) for epoch in range(10)]
    assert len({order.tobytes() for order in orders}) == 100
    # Where the first sample lands, over 100 orders: mean 499.5, standard error 28.9.
    lands = [int(np.flatnonzero(order == 0)[0]) for order in orders]
    assert abs(np.mean(lands) - 499.5) < 5 * 28.9
    # Neighbours do not stay neighbours: of 999 pairs, 2 are expected to.
    stay = np.mean([np.sum(np.abs(np.diff(order)) == 1) for order in orders])
    assert stay < 6
    assert Order(10, None).positions(np.arange(10)).tolist() == list(range(10))


def test_an_order_of_a_trillion_needs_no_memory() -> None:
    places = Order(10**12, 3).positions([0, 1, 10**12 - 1])
    assert len(set(places.tolist())) == 3
    assert 0 <= places.min() <= places.max() < 10**12


@pytest.mark.parametrize("world", [1, 2, 3, 5, 30])
def test_readers_share_an_epoch_without_duplicates_or_loss(data: Dataset, world: int) -> None:
    parts = [[sample.key for sample in data.stream(seed=1, rank=rank, world=world)] for rank in range(world)]
    assert sorted(itertools.chain(*parts)) == sorted(data.keys())
    together = [key for keys in itertools.zip_longest(*parts) for key in keys if key is not None]
    assert together == [sample.key for sample in data.stream(seed=1)], "dealt out in the order of one reader"


@settings(max_examples=40, deadline=None)
@given(before=st.integers(1, 4), after=st.integers(1, 4), rounds=st.integers(0, 20), seed=st.none() | st.integers(0, 9))
def test_a_stream_goes_on_with_another_number_of_readers(
    data: Dataset, before: int, after: int, rounds: int, seed: int | None
) -> None:
    whole = [data.key(p) for p in positions(data.stream(seed=seed, epochs=2))]
    readers = [data.stream(seed=seed, epochs=2, rank=rank, world=before) for rank in range(before)]
    rounds = min(rounds, COUNT // before)  # no further than all readers come in the first epoch
    seen = [data.key(reader.next_position()) for _ in range(rounds) for reader in readers]
    states = [reader.state_dict() for reader in readers]
    assert states == states[:1] * before, "where they are is one number"
    resumed = [data.stream(seed=seed, epochs=2, rank=rank, world=after) for rank in range(after)]
    for reader in resumed:
        reader.load_state_dict(pickle.loads(pickle.dumps(states[0])))
    rest = deal([positions(reader) for reader in resumed], COUNT - len(seen), COUNT)
    assert seen + [data.key(p) for p in rest] == whole


def positions(stream) -> list[int]:
    found = []
    try:
        while True:
            found.append(stream.next_position())
    except StopIteration:
        return found


def deal(parts: list[list[int]], *epochs: int) -> list[int]:
    """Put readers' positions together again, epoch by epoch, in the order of one reader."""
    queues = [list(part) for part in parts]
    return [queues[place % len(queues)].pop(0) for count in epochs for place in range(count)]


def test_a_state_of_another_set_or_seed_is_refused(data: Dataset) -> None:
    state = data.stream(seed=1).state_dict()
    with pytest.raises(DatasetError, match="another seed: 1, not 2"):
        data.stream(seed=2).load_state_dict(state)
    with pytest.raises(DatasetError, match="another data: 'x'"):
        data.stream(seed=1).load_state_dict({**state, "data": "x"})
    with pytest.raises(DatasetError, match="rank 2 of 2"):
        data.stream(rank=2, world=2)


def test_an_endless_stream_goes_from_epoch_to_epoch(data: Dataset) -> None:
    keys = [sample.key for sample in itertools.islice(data.stream(seed=4, epochs=None), 2 * COUNT)]
    assert sorted(keys[:COUNT]) == sorted(keys[COUNT:]) == sorted(data.keys())
    assert keys[:COUNT] != keys[COUNT:]


def test_a_stream_that_goes_on_ends_where_it_would_have(data: Dataset) -> None:
    """The same job started again trains as many epochs in all, and one that is through has nothing left."""
    whole = positions(data.stream(seed=1, epochs=3))
    first = data.stream(seed=1, epochs=3)
    seen = [first.next_position() for _ in range(COUNT + 5)]
    again = data.stream(seed=1, epochs=3)
    again.load_state_dict(first.state_dict())
    assert seen + positions(again) == whole
    done = data.stream(seed=1, epochs=3)
    done.load_state_dict(again.state_dict())
    assert positions(done) == []


def test_a_state_beyond_the_end_is_no_silent_end(data: Dataset) -> None:
    far = data.stream(seed=1, epochs=None)
    seen = [far.next_position() for _ in range(2 * COUNT + 5)]
    with pytest.raises(DatasetError, match="state is in epoch 2, this stream ends before epoch 1: give it more"):
        data.stream(seed=1).load_state_dict(far.state_dict())
    there = data.stream(seed=1, epoch=2)
    there.load_state_dict(far.state_dict())
    assert seen[2 * COUNT :] + positions(there) == positions(data.stream(seed=1, epoch=2))


@pytest.mark.parametrize(
    "change", [{"place": -1}, {"place": COUNT + 1}, {"epoch": -1}, {"epoch": "1"}, {"place": None}, {"place": 0.5}]
)
def test_a_damaged_state_is_refused(data: Dataset, change: dict[str, object]) -> None:
    with pytest.raises(DatasetError, match="the state is damaged: place"):
        data.stream(seed=1).load_state_dict({**data.stream(seed=1).state_dict(), **change})
    with pytest.raises(DatasetError, match="the state lacks epoch, place"):
        data.stream(seed=1).load_state_dict({"data": data.fingerprint, "seed": 1})


def test_an_endless_stream_without_a_share_is_refused(data: Dataset) -> None:
    with pytest.raises(DatasetError, match=f"reader {COUNT} of 30 has no share of {COUNT} samples"):
        data.stream(epochs=None, rank=COUNT, world=30)
    assert positions(data.stream(epochs=2, rank=COUNT, world=30)) == []
