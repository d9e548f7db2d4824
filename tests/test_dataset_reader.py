# SPDX-License-Identifier: Apache-2.0
"""Reading: by position, key and order; by other readers too; and damage is found."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import attrs
import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit.dataset import Dataset, DatasetWriter, formats, reader, records, tar, twins, verify
from synthkit.dataset.index import Entry, Index
from synthkit.dataset.keytable import KeyTable
from synthkit.dataset.opening import Shard
from synthkit.dataset.shard_table import ShardTable
from synthkit.dataset.stores import LocalStore
from synthkit.errors import DatasetError
from synthkit.interfaces import sample_key
from synthkit.sample import Sample, Skipped

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
        (lambda d: shutil.copy((d / records.index_name(2)), (d / records.index_name(0))), "not those of its record"),
    ],
)
def test_damage_to_a_shard_is_met_when_it_is_read(copy, harm, message):
    harm(copy)
    data = Dataset.open(copy)
    assert data[8].key == "00000004_000"
    with pytest.raises(DatasetError, match=message):
        data[0]


def swap(one, other):
    one_bytes, other_bytes = one.read_bytes(), other.read_bytes()
    one.write_bytes(other_bytes)
    other.write_bytes(one_bytes)


def test_shards_that_were_swapped_are_never_taken_for_one_another(copy):
    """Their tars have the same size, and each member lies at the same place as one of the other's may."""
    tars, indexes = ([copy / name(n) for n in (0, 1)] for name in (records.tar_name, records.index_name))
    swap(*tars)
    for position in (0, 6):
        with pytest.raises(DatasetError, match=r"does not have 0000000._00..* where its index says"):
            Dataset.open(copy)[position]
    swap(*indexes)
    for position in (0, 6):
        with pytest.raises(DatasetError, match="its bytes are not those of its record"):
            Dataset.open(copy)[position]
    swap(*(copy / records.record_name(n) for n in (0, 1)))
    with pytest.raises(DatasetError, match="its bytes are not those of its record"):
        Dataset.open(copy)[0]
    with pytest.raises(DatasetError, match="states that it is of shard"):
        Dataset.open(copy, allow_unfinished=True)


def test_a_tar_of_another_writing_of_its_shard_is_told(tmp_path):
    """A machine that was thought dead, on another device, has written it once more and then died."""
    small(tmp_path / "set", ["a", "b"])
    path = tmp_path / "set" / records.tar_name(0)
    members = dict(tar_members(path))
    archive(path, members | {"b.json": members["b.json"] + b" "})
    with pytest.raises(DatasetError, match=r"does not have b\.json where its index says"):
        Dataset.open(tmp_path / "set")[0]


def test_sets_whose_table_has_no_hashes_of_indexes_are_read(copy, made):
    store = LocalStore(copy)
    manifest = Dataset.open(copy).manifest
    table = ShardTable.read(store, manifest.summary.table_sha256)
    data = attrs.evolve(table, index_sha256=None).to_npz()
    store.write(records.TABLE, [data])
    attrs.evolve(manifest, summary=table.summary(data)).write(store)
    assert b"index_sha256" not in data
    assert [sample.key for sample in Dataset.open(copy)] == [sample.key for sample in made[1]]
    shutil.copy(copy / records.index_name(2), copy / records.index_name(0))
    with pytest.raises(DatasetError, match="lists 2 samples"):
        Dataset.open(copy)[0]


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


def small(out, keys, per_shard=2):
    """A set of tiny images with these keys, in this order."""
    with DatasetWriter(out, identity={"keys": keys}, scenes=len(keys), scenes_per_shard=per_shard) as writer:
        for scene in writer.pending_scenes():
            image = np.full((2, 2, 3), scene % 256, np.uint8)
            writer.spool.put(scene, [Sample(keys[scene], image, people=())])
            writer.finished(scene)
        writer.finalise()
    return Dataset.open(out)


def hashed(count):
    """Keys whose order is nobody's: each shard has them from all over."""
    return [hashlib.sha256(b"%d" % n).hexdigest()[:12] for n in range(count)]


def counted(monkeypatch):
    """The indexes that are loaded from now on."""
    loaded, real = [], reader.load_index
    monkeypatch.setattr(reader, "load_index", lambda store, shard: loaded.append(shard.name) or real(store, shard))
    return loaded


def test_an_index_is_loaded_once_while_there_is_room(tmp_path, monkeypatch):
    data, loaded = small(tmp_path / "set", [f"{n:03d}" for n in range(80)], per_shard=1), counted(monkeypatch)
    for position in np.random.default_rng(0).integers(0, 80, 400).tolist():
        assert data.key(position) == f"{position:03d}"
    assert len(loaded) == len(set(loaded)) > 64
    monkeypatch.setattr(reader, "_KEPT_INDEX_BYTES", 3 * data.index(0).table_bytes)
    narrow = Dataset.open(tmp_path / "set")
    loaded.clear()
    for position in (0, 1, 2, 0, 1, 2, 3, 1, 2, 3, 0):
        assert narrow.key(position) == f"{position:03d}"
    assert [int(name[-7:-4]) for name in loaded] == [0, 1, 2, 3, 0], "the least recently used one goes"


def test_a_strangers_tars_are_scanned_once(made, tmp_path, monkeypatch):
    shutil.copy((made[0] / records.tar_name(0)), tmp_path / "b.tar")
    shutil.copy((made[0] / records.tar_name(1)), tmp_path / "c.tar")
    data, loaded = Dataset.open(tmp_path), counted(monkeypatch)
    assert [data[n].key for n in range(12)] == [sample.key for sample in made[1][:12]]
    assert data.by_key(made[1][7].key).meta == made[1][7].meta
    assert loaded == []
    before = data.fingerprint
    monkeypatch.setattr(reader, "sha256_of", lambda *_: pytest.fail("hashed again"))
    assert data.fingerprint == before


@pytest.mark.parametrize("same_hash", [False, True])
def test_keys_in_no_order_are_found_without_searching_shard_by_shard(tmp_path, monkeypatch, same_hash):
    if same_hash:
        monkeypatch.setattr(twins, "hash", len, raising=False)
    keys = hashed(150)
    data, loaded = small(tmp_path / "set", keys), counted(monkeypatch)
    assert [data.position(key) for key in keys] == list(range(150))
    assert [key in data for key in ("0" * 12, "f" * 12, "x")] == [False, False, False]
    assert len(loaded) == 75


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.text("abc", min_size=1, max_size=3), max_size=4), min_size=1, max_size=12),
    st.booleans(),
    st.booleans(),
)
def test_every_key_is_found_wherever_it_is(shards, ordered, ranged):
    if ordered:
        flat = iter(sorted(key for keys in shards for key in keys))
        shards = [[next(flat) for _ in keys] for keys in shards]
    stored = [sorted(key.encode() for key in keys) for keys in shards]
    table = KeyTable(
        [Shard(f"{n}.tar", n, len(keys), 0, key_range=(keys[0], keys[-1]) if ranged and keys else (b"", b""))
         if ranged else Shard(f"{n}.tar", None, len(keys), 0) for n, keys in enumerate(stored)],
        lambda n: Index.of([Entry(key.decode(), 0, bytes(32), ()) for key in stored[n]]),
    )  # fmt: skip
    flat_keys = [key.decode() for keys in stored for key in keys]
    for key in {*flat_keys, "", "b", "cccc"}:
        assert table.positions(key) == [place for place, one in enumerate(flat_keys) if one == key]


def test_of_two_samples_with_one_key_none_is_served_in_silence(tmp_path, made):
    """Strangers number their samples anew in each tar; all are read, but not by key."""
    for name in ("a.tar", "b.tar"):
        shutil.copy(made[0] / records.tar_name(0), tmp_path / name)
    archive(tmp_path / "c.tar", dict(tar_members(made[0] / records.tar_name(1))))
    data = Dataset.open(tmp_path)
    assert len(list(data)) == len(data) == 18
    key = made[1][2].key
    for look in (data.by_key, data.position, data.find, data.__contains__):
        with pytest.raises(DatasetError, match=f"2 samples have the key '{key}' .in .*a.tar, .*b.tar"):
            look(key)
    assert data.by_key(made[1][7].key).meta == made[1][7].meta


def tar_members(path):
    with tarfile.open(path) as opened:
        return [(member.name, opened.extractfile(member).read()) for member in opened]


@pytest.mark.parametrize("key", ["00000000_000\0", "\ud800", "", "00000000_000 "])
def test_keys_that_cannot_be_stored_are_in_no_set(made, key):
    data = Dataset.open(made[0])
    assert key not in data
    with pytest.raises(DatasetError, match="has no sample"):
        data.by_key(key)


def archive(path, names):
    body = b"".join(tar.pack(name, data) for name, data in names.items())
    path.write_bytes(body + tar.ending(len(body)))
    return path


def test_samples_of_different_folders_are_never_joined(tmp_path):
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (2, 2)).save(buffer, "png")
    image = buffer.getvalue()
    path = archive(tmp_path / "a.tar", {"a/b.png": image, "a_b.json": b"{}"})
    with pytest.raises(DatasetError, match=r"a.tar: samples 'a/b' and 'a_b' would both have the key 'a_b'"):
        Dataset.open(path)
    path = archive(tmp_path / "b.tar", {"x.y/a.png": image, "x.y/b.png": image, "x/y/b.png": image, "c.png": image})
    with pytest.raises(DatasetError, match=r"'x\.y/b' and 'x/y/b'"):
        Dataset.open(path)
    path = archive(tmp_path / "c.tar", {"x.y/a.png": image, "x.y/b.png": image})
    assert [sample.key for sample in Dataset.open(path)] == ["x_y_a", "x_y_b"]


def test_layers_are_a_list_of_names(made):
    with pytest.raises(DatasetError, match=r"layers='instances': expected a list of names: layers=\['instances'\]"):
        Dataset.open(made[0], layers="instances")


def test_what_arrives_is_what_was_sent(tmp_path):
    sent = pickle.dumps(small(tmp_path / "set", ["a", "b"]))
    assert len(pickle.loads(sent)) == 2
    shutil.rmtree(tmp_path / "set")
    other = small(tmp_path / "set", ["a", "c"])
    with pytest.raises(DatasetError, match="no longer the data set that was sent here") as caught:
        pickle.loads(sent)
    assert "\n" not in str(caught.value)
    tar_of = tmp_path / "stranger.tar"
    shutil.copy(tmp_path / "set" / records.tar_name(0), tar_of)
    sent = pickle.dumps(Dataset.open(tar_of))
    assert [sample.key for sample in pickle.loads(sent)] == list(other.keys())
    tar_of.write_bytes(tar_of.read_bytes() + bytes(10240))
    with pytest.raises(DatasetError, match="no longer the data set that was sent here"):
        pickle.loads(sent)


def test_a_set_that_was_healed_since_says_so(tmp_path):
    def write(missing):
        with DatasetWriter(tmp_path / "set", identity={}, scenes=4, scenes_per_shard=2) as writer:
            for scene in writer.pending_scenes():
                image = np.full((2, 2, 3), scene, np.uint8)
                hole = Skipped(f"s{scene}", "later")
                writer.spool.put(scene, [hole if scene in missing else Sample(f"s{scene}", image, people=())])
                writer.finished(scene)
            writer.finalise()

    write({0, 2})
    data, warm = Dataset.open(tmp_path / "set"), Dataset.open(tmp_path / "set")
    assert warm.key(0) == "s1"
    write(())
    for opened in (data, warm):
        with pytest.raises(DatasetError, match="has changed since it was opened: open it again"):
            list(opened)
    assert [sample.key for sample in Dataset.open(tmp_path / "set")] == ["s0", "s1", "s2", "s3"]


def test_the_places_of_a_long_scene_stay_when_a_hole_heals(tmp_path):
    """A scene of more than a thousand frames: ``_1000`` comes after ``_999``."""
    pixels = np.zeros((1, 1, 3), np.uint8)

    def write(hole):
        with DatasetWriter(tmp_path / "set", identity={}, scenes=1) as writer:
            results = [Sample(sample_key(0, n), pixels) for n in range(1002)]
            if hole:
                results[1000] = Skipped(sample_key(0, 1000), "later")
            writer.spool.put(0, results)
            writer.finished(0)
            writer.finalise()
        return Dataset.open(tmp_path / "set")

    slots = write(hole=True).slots()
    assert slots[999] == 999
    assert slots[1000] == Skipped(sample_key(0, 1000), "later")
    assert slots[1001] == 1000
    assert write(hole=False).slots() == list(range(1002))
