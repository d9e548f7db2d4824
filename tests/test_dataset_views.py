# SPDX-License-Identifier: Apache-2.0
"""Other ways to a data set: PyTorch's loader, a WebDataset pipeline, and sidecars joined by key."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from synthkit.dataset import Dataset, DatasetWriter
from synthkit.dataset.sidecars import Joined, SidecarSet
from synthkit.dataset.verify import verify
from synthkit.errors import DatasetError
from synthkit.sample import Person, Sample, Sidecar, Skipped

COUNT = 14


def write(out: Path, results: list[Sample | Sidecar | Skipped]) -> Dataset:
    with DatasetWriter(out, identity={"what": out.name}, scenes=len(results), scenes_per_shard=4) as writer:
        for scene, result in enumerate(results):
            writer.spool.put(scene, [result])
            writer.finished(scene)
        writer.finalise()
    return Dataset.open(out)


def picture(value: int) -> Sample:
    return Sample(f"s{value:03d}", np.full((6, 8, 3), value, np.uint8), layers={"depth": np.ones((6, 8), np.float32)})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write(tmp_path_factory.mktemp("views") / "set", [picture(n) for n in range(COUNT)])


def flat(batches) -> list[int]:
    return [value for batch in batches for value in batch.tolist()]


def first_pixel(sample: Sample) -> int:
    return int(sample.image[0, 0, 0])


@pytest.fixture(scope="module")
def loading():
    return pytest.importorskip("synthkit.dataset.torch_view")


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_do_not_depend_on_workers(data: Dataset, loading, workers: int) -> None:
    loader = loading.Loader(data, batch_size=4, seed=5, transform=first_pixel, workers=workers)
    batches = list(loader)
    assert [len(batch) for batch in batches] == [4, 4, 4, 2]
    assert flat(batches) == [first_pixel(sample) for sample in data.stream(seed=5)]
    assert flat(loader) == [first_pixel(s) for s in data.stream(seed=5, epoch=1)]


def test_a_loader_goes_on_in_the_middle_of_an_epoch(data: Dataset, loading) -> None:
    def loader(workers=0, **options):
        return loading.Loader(data, batch_size=3, seed=1, transform=first_pixel, workers=workers, **options)

    one = loader()
    whole = flat(one) + flat(one)
    first = loader(workers=2)
    seen = []
    for batch in first:
        seen += batch.tolist()
        if len(seen) == 6:
            state = json.loads(json.dumps(first.state_dict()))
            break
    second = loader()
    second.load_state_dict(state)
    for _ in range(2):
        seen += flat(second)
    assert seen == whole
    assert second.epoch == 2
    with pytest.raises(DatasetError, match="another seed"):
        loading.Loader(data, batch_size=3, seed=2).load_state_dict(state)


def test_readers_share_an_epoch_and_can_be_kept_even(data: Dataset, loading) -> None:
    parts = [loading.Loader(data, batch_size=4, seed=2, rank=r, world=3, transform=first_pixel) for r in range(3)]
    assert sorted(value for part in parts for value in flat(part)) == list(range(COUNT))
    even = [loading.Loader(data, batch_size=2, seed=2, rank=r, world=3, even=True) for r in range(3)]
    assert [len(part) for part in even] == [2, 2, 2]
    keys = [sample.key for part in even for batch in part for sample in batch]
    assert len(keys) == len(set(keys)) == 12


def test_a_view_is_what_torch_takes(data: Dataset, loading) -> None:
    import torch

    view = loading.TorchView(data, first_pixel)
    batches = torch.utils.data.DataLoader(view, batch_size=7)
    assert [batch.tolist() for batch in batches] == [list(range(7)), list(range(7, 14))]


PIPELINE = """
import sys
from synthkit.dataset import Dataset
from synthkit.dataset.webdataset_view import pipeline
data = Dataset.open(sys.argv[1])
print([sample.key for sample in pipeline(data)] == list(data.keys()))
print(sorted(next(iter(pipeline(data, decode=False)))))
"""


def test_a_webdataset_pipeline_decodes_with_our_decoder(data: Dataset) -> None:
    pytest.importorskip("webdataset")
    command = [sys.executable, "-c", PIPELINE, data.location]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[0] == "True", done.stderr
    assert "depth.npy" in done.stdout


def test_sidecars_are_joined_by_key(data: Dataset, tmp_path: Path) -> None:
    found = [
        Sidecar("s003", people=[Person(identity="x")], layers={"alpha": np.zeros((6, 8), np.uint8)}, meta={"score": 1}),
        Sidecar("s001", meta={"score": 2}),
        Skipped("s000", "nothing to be seen"),
    ]
    side = SidecarSet("masks", write(tmp_path / "side", found))
    joined = Joined(data, [side])
    assert len(joined) == COUNT
    assert joined.fingerprint != data.fingerprint
    assert sorted(joined[3].layers) == ["alpha", "depth"]
    assert joined[3].people == (Person(identity="x"),)
    assert joined[3].meta == {"masks": {"score": 1}}
    assert joined[1].meta == {"masks": {"score": 2}}
    assert joined[0].meta == {}
    assert [sample.key for sample in joined] == list(data.keys())


def test_sidecars_are_verified_as_what_they_are(tmp_path: Path) -> None:
    made = write(
        tmp_path / "side", [Sidecar(f"s{n:03d}", layers={"alpha": np.zeros((9, 9), np.uint8)}) for n in range(3)]
    )
    assert verify(made.location).problems == ()
    tar = tmp_path / "side" / "shards" / "000000.tar"
    spoilt = bytearray(tar.read_bytes())
    place = spoilt.index(b"IDAT") + 6
    spoilt[place] ^= 0xFF
    tar.write_bytes(spoilt)
    problems = verify(made.location).problems
    assert any("sha256" in problem for problem in problems)
    assert any("sample s000" in problem for problem in problems)


def test_sidecars_that_do_not_fit_are_told(data: Dataset, tmp_path: Path) -> None:
    twice = Joined(
        data, [SidecarSet("a", write(tmp_path / "a", [Sidecar("s000", layers={"depth": np.ones((6, 8), np.float32)})]))]
    )
    with pytest.raises(DatasetError, match="layer 'depth' is in the set and in sidecar 'a'"):
        twice[0]
    small = Joined(data, [SidecarSet("b", write(tmp_path / "b", [Sidecar("s000", layers={"x": np.ones((2, 2))})]))])
    with pytest.raises(DatasetError, match=r"sidecar 'b' does not fit: .*layer 'x'"):
        small[0]
    with pytest.raises(DatasetError, match="no image"):
        Dataset.open(tmp_path / "a")[0]
