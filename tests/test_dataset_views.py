# SPDX-License-Identifier: Apache-2.0
"""Other ways to a data set: PyTorch's loader, a WebDataset pipeline, and sidecars joined by key."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit.dataset import Dataset, DatasetWriter, images, tar
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


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(0, 4), st.booleans())
def test_an_even_epoch_goes_on_evenly_with_other_readers_and_batches(
    data: Dataset, loading, batch: int, world: int, next_batch: int, next_world: int, taken: int, even: bool
) -> None:
    def loaders(size: int, readers: int):
        return [loading.Loader(data, batch_size=size, seed=3, rank=r, world=readers, even=even) for r in range(readers)]

    first = loaders(batch, world)
    running = [iter(loader) for loader in first]
    rounds = min(taken, COUNT // (batch * world))
    seen = [sample.key for _ in range(rounds) for one in running for sample in next(one)]
    states = [loader.state_dict() for loader in first]
    assert states == states[:1] * world
    resumed = loaders(next_batch, next_world)
    for loader in resumed:
        loader.load_state_dict(states[0])
    rest = [[[sample.key for sample in part] for part in loader] for loader in resumed]
    keys = seen + [key for batches in rest for part in batches for key in part]
    assert len(set(keys)) == len(keys)
    left = COUNT - rounds * batch * world
    if even:
        each = left // (next_batch * next_world)
        assert [[len(part) for part in batches] for batches in rest] == [[next_batch] * each] * next_world
    else:
        assert sorted(keys) == sorted(data.keys())
    assert {(loader.epoch, loader.state_dict()["place"]) for loader in resumed} == {(1, 0)}


def test_even_loaders_that_would_get_nothing_are_refused(data: Dataset, loading) -> None:
    with pytest.raises(DatasetError, match="14 samples make no batch of 5 for each of 3 readers"):
        loading.Loader(data, batch_size=5, world=3, even=True)
    one = loading.Loader(data, batch_size=5)
    with pytest.raises(DatasetError, match="the loader: the state is damaged"):
        one.load_state_dict({**one.state_dict(), "place": COUNT + 1})


class Endless:
    """So many samples that no list of their positions fits into memory."""

    fingerprint = "many"

    def __len__(self) -> int:
        return 10**12

    def __getitem__(self, index: int) -> int:
        return index


def test_batches_of_a_trillion_need_no_memory(loading) -> None:
    loader = loading.Loader(Endless(), batch_size=5000, seed=1, world=2)
    assert len(loader) == 10**12 // 10_000
    assert len(set(next(iter(loader)))) == 5000


def test_a_view_is_what_torch_takes(data: Dataset, loading) -> None:
    import torch

    view = loading.TorchView(data, first_pixel)
    batches = torch.utils.data.DataLoader(view, batch_size=7)
    assert [batch.tolist() for batch in batches] == [list(range(7)), list(range(7, 14))]


PIPELINE = """
import json, sys
from synthkit.dataset import Dataset
from synthkit.dataset.webdataset_view import pipeline
data = Dataset.open(sys.argv[1], layers=json.loads(sys.argv[2]))
print(json.dumps({
    "samples": [[sample.key, sorted(sample.layers)] for sample in pipeline(data)],
    "members": [[members["__key__"], sorted(m for m in members if not m.startswith("__"))]
                for members in pipeline(data, decode=False)],
}))
"""


def piped(location: object, layers: list[str] | None = None) -> dict[str, list]:
    """What a pipeline yields, in a process of its own: WebDataset reads its settings when it is imported."""
    pytest.importorskip("webdataset")
    command = [sys.executable, "-c", PIPELINE, str(location), json.dumps(layers)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_webdataset_pipeline_decodes_with_our_decoder(data: Dataset) -> None:
    found = piped(data.location)
    assert found["samples"] == [[key, ["depth"]] for key in data.keys()]  # noqa: SIM118 - no mapping
    assert found["members"] == [[key, ["depth.npy", "json", "png"]] for key in data.keys()]  # noqa: SIM118


def test_a_webdataset_pipeline_has_the_layers_of_its_set(data: Dataset) -> None:
    found = piped(data.location, [])
    assert found["samples"] == [[key, []] for key in data.keys()]  # noqa: SIM118
    assert found["members"] == [[key, ["json", "png"]] for key in data.keys()]  # noqa: SIM118


def test_a_webdataset_pipeline_names_samples_in_folders_as_the_reader_does(tmp_path: Path) -> None:
    names = ["a/b.PNG", "a/b.alpha.png", "a/b.cls", "c/d/e.png"]
    body = b"".join(tar.pack(name, images.png(np.zeros((4, 4), np.uint8))) for name in names)
    (tmp_path / "0.tar").write_bytes(body + tar.ending(len(body)))
    found = piped(tmp_path)
    assert found["samples"] == [["a_b", ["alpha"]], ["c_d_e", []]]
    assert [key for key, _ in found["samples"]] == list(Dataset.open(tmp_path).keys())


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


def test_joined_samples_are_found_by_key_and_streamed(data: Dataset, tmp_path: Path, monkeypatch) -> None:
    found = [Sidecar(f"s{n:03d}", meta={"score": n}) for n in (7, 2, 5)]
    joined = Joined(data, [SidecarSet("faces", write(tmp_path / "side", found))])
    assert list(joined.keys()) == list(data.keys())
    assert "s005" in joined
    assert "s999" not in joined
    assert joined.by_key("s005").meta == {"faces": {"score": 5}}
    with pytest.raises(DatasetError, match="has no sample 's999'"):
        joined.by_key("s999")
    stream = joined.stream(seed=3)
    first = [next(stream) for _ in range(6)]
    again = joined.stream(seed=3)
    again.load_state_dict(json.loads(json.dumps(stream.state_dict())))
    samples = [*first, *again]
    assert [sample.key for sample in samples] == [sample.key for sample in data.stream(seed=3)]
    assert {sample.key: sample.meta["faces"]["score"] for sample in samples if sample.meta} == {
        "s007": 7,
        "s002": 2,
        "s005": 5,
    }
    with pytest.raises(DatasetError, match="another data"):
        data.stream(seed=3).load_state_dict(stream.state_dict())
    searched, real = [], Dataset.find
    monkeypatch.setattr(Dataset, "find", lambda self, key: searched.append(key) or real(self, key))
    assert joined[5].meta == {"faces": {"score": 5}}
    assert searched == ["s005"]


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
