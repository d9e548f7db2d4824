# SPDX-License-Identifier: Apache-2.0
"""Reading: by position, key and order; by other readers too; and damage is found."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from synthkit.dataset import Dataset, formats, records, verify
from synthkit.dataset.index import Index
from synthkit.dataset.stores import LocalStore
from synthkit.errors import DatasetError

JOBS = Path(__file__).parent / "jobs"
SCENES = 7


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(JOBS)
        import spooling

        spooling.produce(folder, SCENES)
        samples = [sample for n in range(SCENES) for sample in spooling.scene(n)]
    return folder, samples


@pytest.fixture
def copy(made, tmp_path):
    """A copy that a test may damage."""
    return Path(shutil.copytree(made[0], tmp_path / "copy"))


def test_every_sample_is_where_it_belongs(made):
    folder, samples = made
    data = Dataset.open(folder)
    assert len(data) == len(samples)
    assert list(data.keys()) == [sample.key for sample in samples]
    for i in np.random.default_rng(0).permutation(len(samples)):
        assert data[i].key == data.key(i) == samples[i].key
        assert np.array_equal(data[i].image, samples[i].image)
    assert [sample.key for sample in data] == [sample.key for sample in samples]
    assert data[-1].key == samples[-1].key
    assert data.by_key(samples[4].key).meta == {"scene": 2}


@pytest.mark.parametrize("index", [14, -15, 10**12])
def test_beyond_the_end(made, index):
    with pytest.raises(IndexError, match="has 14 samples"):
        Dataset.open(made[0])[index]


def test_unknown_keys(made):
    with pytest.raises(DatasetError, match="has no sample 'x'"):
        Dataset.open(made[0]).by_key("x")


def test_only_wanted_layers_are_read(made):
    assert Dataset.open(made[0], layers=["depth"])[0].layers.keys() == {"depth"}
    assert Dataset.open(made[0], layers=())[0].layers == {}
    assert Dataset.open(made[0])[0].layers.keys() == {"depth", "instances"}


def test_it_travels(made):
    data = pickle.loads(pickle.dumps(Dataset.open(made[0], layers=["depth"])))
    assert data[3].layers.keys() == {"depth"}
    assert len(pickle.dumps(data)) < 500


def test_forked_processes_share_it(made):
    data = Dataset.open(made[0])
    first = data[0].image
    child = os.fork()
    if child == 0:
        os._exit(0 if all(np.array_equal(data[0].image, first) for _ in range(50)) else 1)
    assert all(np.array_equal(data[13].image, made[1][13].image) for _ in range(50))
    assert os.waitpid(child, 0)[1] == 0


def test_the_fingerprint_is_of_the_content(made, copy, tmp_path):
    assert Dataset.open(copy).fingerprint == Dataset.open(made[0]).fingerprint
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(JOBS)
        import spooling

        spooling.produce(tmp_path / "more", SCENES + 1)
    assert Dataset.open(tmp_path / "more").fingerprint != Dataset.open(copy).fingerprint


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_many_shards_need_few_open_files(tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(JOBS)
        import spooling

        spooling.produce(tmp_path / "many", 40, scenes_per_shard=1)
    before = open_files()
    data = Dataset.open(tmp_path / "many")
    assert len(list(data)) == 80
    assert open_files() <= before + 16
    del data
    assert open_files() <= before


def test_strangers_tars_open_too(made, tmp_path):
    shutil.copy((made[0] / records.tar_name(0)), tmp_path / "b.tar")
    shutil.copy((made[0] / records.tar_name(1)), tmp_path / "c.tar")
    data = Dataset.open(tmp_path)
    assert [sample.key for sample in data] == [sample.key for sample in made[1][:12]]
    assert data.manifest is None
    assert len(data.fingerprint) == 64
    assert len(Dataset.open(tmp_path / "b.tar")) == 6


def test_a_strangers_tars_may_lie_in_shards(made, tmp_path):
    (tmp_path / "shards").mkdir()
    shutil.copy((made[0] / records.tar_name(0)), tmp_path / "shards" / "a.tar")
    assert len(Dataset.open(tmp_path)) == 6
    assert formats.is_dataset(tmp_path), "what can be opened needs no conversion"


def test_a_folder_of_data_sets_names_them(made):
    with pytest.raises(DatasetError, match=rf"is no data set: .* inside it are {made[0]}"):
        Dataset.open(made[0].parent)


def test_without_its_index_the_tar_is_scanned(copy, made):
    (copy / records.index_name(0)).unlink()
    assert Dataset.open(copy)[3].key == made[1][3].key


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda d: shutil.rmtree(d), "there is no such data set"),
        (lambda d: [shutil.rmtree(d), d.mkdir()], "is no data set"),
        (lambda d: [shutil.rmtree(d), d.mkdir(), (d / "a.jpg").touch()], "is no data set: expected .*convert"),
        (lambda d: [shutil.rmtree(d), d.touch()], "is no data set"),
        (lambda d: (d / "dataset.json").write_text("{"), "is not JSON"),
        (lambda d: (d / "dataset.json").write_text('{"format":"synthkit-dataset","schema":9}'), "schema 9"),
        (lambda d: (d / records.record_name(1)).unlink(), "shards .2. are not those"),
        (lambda d: shutil.rmtree(d / "shards"), "are not those"),
    ],
)
def test_what_is_no_data_set_is_one_line(copy, harm, message):
    harm(copy)
    with pytest.raises(DatasetError, match=message) as caught:
        Dataset.open(copy)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda d: (d / records.tar_name(0)).unlink(), "000000.tar: cannot be read"),
        (lambda d: (d / records.tar_name(0)).write_bytes(b"short"), "its record says"),
        (lambda d: (d / records.index_name(0)).write_bytes(b"bad"), "is damaged"),
        (lambda d: shutil.copy((d / records.index_name(2)), (d / records.index_name(0))), "lists 2 samples"),
    ],
)
def test_damage_to_a_shard_is_met_when_it_is_read(copy, harm, message):
    harm(copy)
    data = Dataset.open(copy)
    assert data[8].key == "00000004_000"
    with pytest.raises(DatasetError, match=message):
        data[0]


def test_verifying_a_sound_set(made):
    report = verify.verify(made[0])
    assert (report.shards, report.samples, report.problems) == (3, 2 * SCENES, ())


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_verifying_finds_every_single_flipped_bit(copy):
    tar = copy / records.tar_name(2)
    whole = tar.read_bytes()
    for place in np.random.default_rng(0).integers(0, len(whole), 40):
        flip(tar, place)
        assert verify.verify(copy).problems
        tar.write_bytes(whole)
    assert not verify.verify(copy).problems


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda d: (d / records.tar_name(0)).unlink(), "no such file"),
        (lambda d: (d / records.index_name(0)).unlink(), "idx.npz: is missing"),
        (lambda d: flip((d / records.index_name(1)), 300), "idx.npz"),
        (lambda d: (d / records.record_name(1)).unlink(), "are not those that dataset.json lists"),
        (lambda d: (d / records.record_name(1)).write_text('{"schema":1}'), "000001.json: is damaged"),
        (lambda d: (d / records.record_name(1)).write_bytes((d / records.record_name(0)).read_bytes()), "of shard 0"),
        (lambda d: None, None),
    ],
)
def test_verifying_names_what_is_wrong(copy, harm, message):
    harm(copy)
    problems = "\n".join(verify.verify(copy).problems)
    assert message in problems if message else problems == ""


def test_verifying_checks_the_truth(copy, tmp_path):
    """The bytes may be as recorded, and the truth nonsense all the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(JOBS)
        import spooling
    from synthkit.dataset import DatasetWriter
    from synthkit.sample import Person, RotatedBox, evolve

    wrong = [
        Person(instance=2, box_xyxy_px=(3, 2, 40, 8)),
        Person(instance=2, rotated_box=RotatedBox(99, 3, 1, 2, 0)),
        Person(visible_fraction=1.5),
    ]
    with DatasetWriter(tmp_path / "wrong", identity={}, scenes=1) as writer:
        writer.spool.put(0, [evolve(spooling.scene(0)[0], people=wrong)])
        writer.finished(0)
        writer.finalise()
    problems = "\n".join(verify.verify(tmp_path / "wrong").problems)
    for part in ("outside the image of 32x24", "rotated box", "visible_fraction", "share an instance", "[1], which"):
        assert part in problems


def test_verify_needs_something_to_verify(tmp_path):
    with pytest.raises(DatasetError, match="no such data set"):
        verify.verify(tmp_path / "nothing")


WEBDATASET = """
import json, sys
sys.modules["torch"] = None  # it would be imported, and is not needed
import webdataset
found = []
for sample in webdataset.WebDataset(sys.argv[1:], shardshuffle=False).decode("rgb8"):
    found.append([sample["__key__"], list(sample["png"].shape), sample["json"]["schema"],
                  str(sample["depth.npy"].dtype), sorted(key for key in sample if key[0] != "_")])
print(json.dumps(found))
"""


def test_webdataset_reads_the_shards_without_pickle(made):
    pytest.importorskip("webdataset")
    tars = [str(made[0] / records.tar_name(n)) for n in range(3)]
    environment = {**os.environ, "WDS_SECURE": "1"}
    command = [sys.executable, "-c", WEBDATASET, *tars]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    members = ["depth.npy", "instances.png", "json", "png"]
    assert json.loads(done.stdout) == [[s.key, [24, 32, 3], 1, "float32", members] for s in made[1]]


def test_any_tar_program_reads_the_shards(made, tmp_path):
    if shutil.which("tar") is None:
        pytest.skip("no tar program here")
    tar = made[0] / records.tar_name(0)
    subprocess.run(["tar", "-xf", str(tar), "-C", str(tmp_path)], check=True)
    assert len(list(tmp_path.iterdir())) == 6 * 4


def test_the_index_and_a_scan_agree(made):
    index = Dataset.open(made[0]).index(0)
    scanned = Index.scan(LocalStore(made[0]), records.tar_name(0))
    for mine, theirs in zip(index.entries(), scanned.entries(), strict=True):
        assert (mine.key, mine.members) == (theirs.key, theirs.members)
