# SPDX-License-Identifier: Apache-2.0
"""Records outlive the version that wrote them: old ones are read, newer ones refused, nothing unknown is lost."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from synthkit import claims
from synthkit.config import plain
from synthkit.dataset import Dataset, DatasetWriter, records
from synthkit.errors import DatasetError
from synthkit.sample import Sample, Skipped


def write(out: Path, scenes: int = 4, **changes) -> Dataset:
    with DatasetWriter(out, identity={"of": "records"}, scenes=scenes, scenes_per_shard=2, **changes) as writer:
        for scene in writer.pending_scenes():
            image = np.full((8, 8, 3), scene, np.uint8)
            writer.spool.put(scene, [Sample(key=f"s{scene}", image=image, meta={"n": scene})])
            writer.finished(scene)
        writer.finalise()
    return Dataset.open(out)


def rewritten(path: Path, change) -> None:
    table = json.loads(path.read_text())
    change(table)
    path.write_text(json.dumps(table))


def as_schema_1(out: Path) -> None:
    """Turn a set into what the first version of the records had: no table of shards, no shards by bytes."""

    def manifest(table):
        table["schema"] = 1
        del table["summary"]["table_sha256"], table["shard_bytes"]

    rewritten(out / "dataset.json", manifest)
    (out / "shards.npz").unlink()
    for record in (out / "shards").glob("*.json"):
        rewritten(record, lambda table: table.update(schema=1))


def add_unknown(table) -> None:
    table["later"] = {"of": ["a", "later version"]}


def test_records_of_schema_1_are_read(tmp_path):
    new = write(tmp_path / "set")
    expected, fingerprint = [(s.key, dict(s.meta)) for s in new], new.fingerprint
    as_schema_1(tmp_path / "set")
    old = Dataset.open(tmp_path / "set")
    assert old.manifest.summary.table_sha256 is None
    assert [(s.key, dict(s.meta)) for s in old] == expected
    assert old.fingerprint == fingerprint
    assert old.record(1).samples == 2


def test_a_set_of_schema_1_grows_to_what_one_run_would_have_made(tmp_path):
    write(tmp_path / "set")
    as_schema_1(tmp_path / "set")
    grown = write(tmp_path / "set", scenes=6)
    assert [s.key for s in grown] == [f"s{n}" for n in range(6)]
    assert grown.fingerprint == write(tmp_path / "whole", scenes=6).fingerprint
    assert json.loads((tmp_path / "set" / "dataset.json").read_text())["schema"] == records.SCHEMA


def test_unknown_keys_survive_growing(tmp_path):
    write(tmp_path / "set")
    rewritten(tmp_path / "set" / "dataset.json", add_unknown)
    rewritten(tmp_path / "set" / "shards" / "000000.json", add_unknown)
    grown = write(tmp_path / "set", scenes=6)
    assert len(grown) == 6
    for name in ("dataset.json", "shards/000000.json"):
        assert json.loads((tmp_path / "set" / name).read_text())["later"] == {"of": ["a", "later version"]}


@pytest.mark.parametrize("name", ["dataset.json", "shards/000001.json"])
@pytest.mark.parametrize("schema", [records.SCHEMA + 1, None, "2", 0])
def test_records_of_unknown_versions_are_refused_by_name(tmp_path, name, schema):
    write(tmp_path / "set")
    rewritten(tmp_path / "set" / name, lambda table: table.update(schema=schema))
    with pytest.raises(DatasetError, match="update synthkit") as caught:
        Dataset.open(tmp_path / "set").record(1)
    assert str(tmp_path / "set" / name) in str(caught.value)
    assert repr(schema) in str(caught.value)
    with pytest.raises(DatasetError, match="update synthkit"):
        write(tmp_path / "set", scenes=6)


def test_what_is_made_of_a_merged_set_still_tells_every_stage(tmp_path):
    from synthkit.dataset.tools.filter import Conditions, filtered
    from synthkit.dataset.tools.merge import merge

    stages = [{"kind": "renderer", "name": name, "revision": 1} for name in ("one", "two")]
    for stage in stages:
        write(tmp_path / stage["name"], notes={"stages": [stage]})
    merge([tmp_path / "one", tmp_path / "two"], tmp_path / "both", rename=True)
    made, _ = filtered(tmp_path / "both", tmp_path / "some", Conditions(keys=("*s1",)))
    assert plain(made.manifest.notes["stages"]) == stages


def test_each_shard_tells_its_environment(tmp_path):
    data = write(tmp_path / "set", environment={"maker": "1.2"})
    found = plain(data.record(0).environment)
    assert found["maker"] == "1.2"
    assert found["simplejpeg"] == metadata.version("simplejpeg")
    assert {"synthkit", "python", "platform", "numpy", "pillow", "jpeg", "zlib", "opencv"} < set(found)


def test_unknown_keys_in_nested_tables_are_read(tmp_path):
    write(tmp_path / "set")

    def manifest(table):
        table["summary"]["later"] = 1
        table["codec"]["later"] = {"of": "a later version"}

    rewritten(tmp_path / "set" / "dataset.json", manifest)
    data = Dataset.open(tmp_path / "set")
    assert len(data) == 4
    assert data.manifest.codec_unknown == {"later": {"of": "a later version"}}
    data.manifest.write(data.store)
    assert json.loads((tmp_path / "set" / "dataset.json").read_text())["codec"]["later"] == {"of": "a later version"}
    with pytest.raises(DatasetError, match=r"codec\.later: .*'a later version'.* there, None now"):
        write(tmp_path / "set", scenes=6)  # this version cannot store samples that way


def test_holes_of_which_a_later_version_says_more_are_read(tmp_path):
    with DatasetWriter(tmp_path, identity={}, scenes=2) as writer:
        for scene in range(2):
            image = np.zeros((8, 8, 3), np.uint8)
            writer.spool.put(scene, [Sample(key="a", image=image) if scene else Skipped("b", "failed")])
            writer.finished(scene)
        writer.finalise()
    rewritten(tmp_path / "shards" / "000000.json", lambda table: table["skipped"][0].append({"later": True}))
    assert Dataset.open(tmp_path).skipped == [("b", "failed")]


@pytest.mark.parametrize("damage", [b"[" * 100_000, b'{"seed": NaN}', b"7", b"{"])
def test_a_note_about_work_that_is_damaged_is_one_line(tmp_path, damage):
    claims.claim(tmp_path, "work.json", {"seed": 1})
    assert claims.claim(tmp_path, "work.json", {"seed": 1}) == {"seed": 1}
    (tmp_path / "work.json").write_bytes(damage)
    with pytest.raises(DatasetError, match=r"work\.json: is damaged; choose another folder"):
        claims.claim(tmp_path, "work.json", {"seed": 1})


def test_a_record_of_many_small_things_is_refused_unread(tmp_path):
    write(tmp_path / "set")
    (tmp_path / "set" / "dataset.json").write_bytes(b"[" + b"[]," * (3 << 20) + b"[]]")
    with pytest.raises(DatasetError, match="more than 8388608 are refused"):
        Dataset.open(tmp_path / "set")
