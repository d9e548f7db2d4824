# SPDX-License-Identifier: Apache-2.0
"""Hostile data: nothing but the documented errors, in bounded time and memory, and no file outside.

The targets and their seeds are those of the coverage-guided runs in ``fuzz/``.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from hostile import attack, bounded, check_harmed

from synthkit.dataset import CodecConfig, Dataset, codec, description, index, limits, records, tar
from synthkit.dataset.stores import LocalStore
from synthkit.errors import DatasetError
from synthkit.sample import Sample

FUZZ = Path(__file__).parent.parent / "fuzz"


@pytest.fixture(scope="module", autouse=True)
def _importable():
    sys.path.insert(0, str(FUZZ))
    yield
    sys.path.remove(str(FUZZ))


def targets():
    return importlib.import_module("targets").TARGETS


def seeds(target):
    return importlib.import_module("seeds").seeds(target)


NAMES = [
    "archive", "mended_archive", "text", "picture", "mended_picture", "array", "index", "index_arrays", "table",
    "manifest", "record", "dataset", "spooled",
]  # fmt: skip


def test_every_target_is_here():
    assert list(targets()) == NAMES


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs to know its own memory")
@pytest.mark.parametrize("name", NAMES)
def test_known_attacks(name, record_property):
    """Every seed, in a process that may take only so much memory, each in so many seconds."""
    cases = seeds(name)
    importlib.import_module("targets").whole_set()
    assert bounded(lambda: attack(targets()[name], cases)) is None
    record_property("cases", len(cases))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("examples", [25, pytest.param(2000, marks=pytest.mark.slow)], ids=["some", "many"])
def test_harmed_inputs(name, examples):
    check_harmed(targets()[name], seeds(name), examples)


@pytest.mark.parametrize(
    ("limit", "most", "members", "message"),
    [
        ("MAX_MEMBERS", 3, [(f"{n}.txt", b"") for n in range(4)], "more than 3 members are refused"),
        ("MAX_MEMBER_BYTES", 100, [("a.txt", bytes(101))], "has 101 bytes, more than 100 are refused"),
        ("MAX_NAME_BYTES", 60, [("a" * 60 + ".txt", b"")], "of more than 60 bytes is refused"),
        ("MAX_SUFFIXES", 3, [(f"a.{n}", b"") for n in range(4)], "more than 3 different endings"),
        ("MAX_TABLE_BYTES", 99, [(f"{n:049d}.txt", b"") for n in range(3)], "take too much memory"),
    ],
)
def test_archives_beyond_a_limit(tmp_path, monkeypatch, limit, most, members, message):
    body = b"".join(tar.pack(name, data) for name, data in members)
    (tmp_path / "a.tar").write_bytes(body + tar.ending(len(body)))
    store = LocalStore(tmp_path)
    index.Index.scan(store, "a.tar")
    monkeypatch.setattr(tar if hasattr(tar, limit) else index, limit, most)
    with pytest.raises(DatasetError, match=f"a.tar: .*{message}"):
        index.Index.scan(store, "a.tar")


def test_what_exceeds_a_limit_is_not_written_either(monkeypatch):
    deep = value = {}
    for _ in range(limits.MAX_JSON_DEPTH):
        value["a"] = {}
        value = value["a"]
    image = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(
        DatasetError, match=f"sample k: cannot be stored: is nested deeper than {limits.MAX_JSON_DEPTH}"
    ):
        codec.encode(Sample(key="k", image=image, meta=deep), CodecConfig())
    monkeypatch.setattr(description, "MAX_SAMPLE_JSON_BYTES", 50)
    with pytest.raises(DatasetError, match="sample k: cannot be stored: its JSON has"):
        codec.encode(Sample(key="k", image=image, meta={"a": "x" * 50}), CodecConfig())
    monkeypatch.setattr(tar, "MAX_MEMBER_BYTES", 10)
    with pytest.raises(DatasetError, match="11 bytes"):
        tar.pack("a.png", bytes(11))


@pytest.mark.parametrize(
    "depth", [1, 2, 50, limits.MAX_JSON_DEPTH - 1, limits.MAX_JSON_DEPTH, limits.MAX_JSON_DEPTH + 1]
)
@pytest.mark.parametrize("wide", [False, True])
def test_json_is_as_deep_as_the_limit(depth, wide):
    data = b"[" * depth + b"]" * depth
    if wide:  # many brackets that are not deep
        data = b"[" + b"[]," * 300 + data[1:-1] + b"]" if depth > 1 else data
    with (
        contextlib.nullcontext() if depth <= limits.MAX_JSON_DEPTH else pytest.raises(ValueError, match="nested deeper")
    ):
        description.load(data)


def test_brackets_in_texts_are_no_depth():
    assert description.load(b'["' + b"[" * 1000 + b'"]') == ["[" * 1000]


def test_samples_without_an_image_end_in_a_line(tmp_path):
    """Also in order, where a sample may have nothing that is wanted at all."""
    body = tar.pack("a.cls", b"1")
    (tmp_path / "a.tar").write_bytes(body + tar.ending(len(body)))
    with pytest.raises(DatasetError, match=r"a\.tar: sample a has no image"):
        list(Dataset.open(tmp_path))


def test_members_far_apart_are_read_apart(tmp_path, monkeypatch):
    """What belongs together may lie at both ends of a stranger's archive, which is not read as a whole for it."""
    members = importlib.import_module("targets").members()
    body = tar.pack("a.png", members["png"]) + tar.pack("fill.bin", bytes(3_000_000)) + tar.pack("a.json", b"{}")
    (tmp_path / "a.tar").write_bytes(body + tar.ending(len(body)))
    data = Dataset.open(tmp_path)
    sizes = []
    real = os.pread
    monkeypatch.setattr(os, "pread", lambda *args: sizes.append(args[1]) or real(*args))
    key, found = next(data.raw())
    assert (key, found) == ("a", {"png": members["png"], "json": b"{}"})
    assert max(sizes) < 1_000_000


def test_one_number_has_one_record(tmp_path):
    """A copy under another spelling of its number is no second shard."""
    for name, data in importlib.import_module("targets").whole_set().items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    for name in ("0.json", "00.json", "0000000.json", "٠٠٠٠٠٠.json", "9" * 200 + ".json"):
        (tmp_path / "shards" / name).write_bytes((tmp_path / records.record_name(0)).read_bytes())
    assert records.committed_shards(LocalStore(tmp_path)) == [0]
    assert len(Dataset.open(tmp_path, allow_unfinished=True)) == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("name", ["dataset.json", "shards.npz", "shards/000000.idx.npz", "shards/000000.tar"])
def test_pipes_in_place_of_files_are_not_waited_for(tmp_path, name):
    for file, data in importlib.import_module("targets").whole_set().items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(data)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)

    def work():
        signal.alarm(10)
        with contextlib.suppress(DatasetError):
            list(Dataset.open(tmp_path))

    assert bounded(work) is None
