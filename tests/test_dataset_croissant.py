# SPDX-License-Identifier: Apache-2.0
"""A data set described for others: mlcroissant reads our images from it, and it says nothing that is not known."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from synthkit.cli.app import app
from synthkit.dataset import CodecConfig, Dataset, DatasetWriter
from synthkit.dataset import codec as codec_of
from synthkit.dataset.metadata import FILE, Statement, croissant, describe
from synthkit.errors import ConfigError, DatasetError, SynthkitError
from synthkit.sample import Person, Sample, Sidecar, Skipped

mlc = pytest.importorskip("mlcroissant")

RENDERER = {
    "kind": "renderer", "name": "discs", "distribution": "maker", "version": "1.2", "revision": 3,
    "config": {"size": 32}, "config_sha256": "ab" * 32, "checkpoint_sha256": None, "seed": 7,
}  # fmt: skip
REFINER = {**RENDERER, "kind": "refiner", "name": "gan", "checkpoint_sha256": "cd" * 32}
CONVERTED = {"source": "cepdof format", "folder": "Lunch1", "licence": "not stated"}
FULL = Statement(
    name="Lobby", description="People in a lobby.", license="CC-BY-4.0", creators=("A. Person", "org:A Group"),
    citation="A. Person: Lobby.", url="https://example.org/lobby", date="2026-01-31", version="1.0.0",
)  # fmt: skip


def sample(n: int, **changes) -> Sample:
    rng = np.random.default_rng(n)
    size = (24, 32)
    values = {
        "key": f"s{n:06d}_{'x' * (n % 3)}",
        "image": rng.integers(0, 255, (*size, 3), np.uint8),
        "people": (Person(instance=1, box_xyxy_px=(1, 2, 10, 20)),),
        "layers": {"instances": np.ones(size, np.uint8), "depth": np.ones(size, np.float32)},
        "meta": {"licences": {"bodies": "CC0-1.0"}},
    }
    return Sample(**{**values, **changes})


def write(out, samples, notes=None, **changes) -> Dataset:
    values = {"identity": {"seed": 7}, "notes": notes or {"stages": [RENDERER]}, "scenes_per_shard": 2, **changes}
    with DatasetWriter(out, scenes=len(samples), **values) as writer:
        for scene in writer.pending_scenes():
            writer.spool.put(scene, [samples[scene]])
            writer.finished(scene)
        writer.finalise()
    return Dataset.open(out)


@pytest.fixture
def rendered(tmp_path):
    return write(tmp_path / "set", [sample(n) for n in range(5)])


@pytest.fixture
def unpacked(tmp_path, monkeypatch):
    """Keep what mlcroissant unpacks to one test."""
    from etils import epath
    from mlcroissant._src.operation_graph.operations import extract

    monkeypatch.setattr(extract, "EXTRACT_PATH", epath.Path(tmp_path / "unpacked"))


def table(data) -> dict:
    return json.loads((data.path / FILE).read_text())


def opened(path):
    found = mlc.Dataset(jsonld=str(path))
    assert not found.metadata.ctx.issues.errors
    return found


@pytest.mark.parametrize("codec", [CodecConfig(), CodecConfig(image_format="jpg", jpeg_quality=90)])
def test_mlcroissant_yields_our_images_and_descriptions(tmp_path, unpacked, codec):
    data = write(tmp_path / "set", [sample(n) for n in range(5)], codec=codec)
    describe(data.path)
    found = opened(data.path / FILE)
    images = {r["samples/key"].decode(): np.asarray(r["samples/image"]) for r in found.records("samples")}
    assert sorted(images) == sorted(data.keys())
    for ours in data:
        assert images[ours.key].tobytes() == ours.image.tobytes()
    texts = {r["descriptions/key"].decode(): r["descriptions/json"] for r in found.records("descriptions")}
    assert texts == {key: members["json"] for key, members in data.raw()}
    masks = {r["layers/instances/key"].decode(): r["layers/instances/image"] for r in found.records("layers/instances")}
    assert all(np.array_equal(np.asarray(masks[ours.key]), ours.layers["instances"]) for ours in data)


def test_a_tar_that_was_changed_is_noticed(rendered, unpacked):
    describe(rendered.path)
    tar = rendered.path / "shards" / "000001.tar"
    tar.write_bytes(tar.read_bytes().replace(b"CC0-1.0", b"CC0-9.9"))
    with pytest.raises(Exception, match=r"Download\(shards/000001\.tar\)"):
        list(opened(rendered.path / FILE).records("samples"))


def test_shards_are_listed_with_their_hashes(rendered):
    describe(rendered.path)
    shards = [node for node in table(rendered)["distribution"] if node["@type"] == "cr:FileObject"]
    records = [rendered.record(n) for n in range(3)]
    assert [node["sha256"] for node in shards] == [record.sha256 for record in records]
    assert [node["contentSize"] for node in shards] == [f"{record.bytes} B" for record in records]


def test_the_same_bytes_each_time_and_the_records_stay_as_they_are(rendered, tmp_path):
    before = (rendered.path / "dataset.json").read_bytes()
    describe(rendered.path, statement=FULL)
    first = (rendered.path / FILE).read_bytes()
    describe(rendered.path, statement=FULL)
    assert (rendered.path / FILE).read_bytes() == first
    assert (rendered.path / "dataset.json").read_bytes() == before
    assert len(write(rendered.path, [sample(n) for n in range(6)])) == 6  # it grows with the file in it


def test_it_may_lie_elsewhere(rendered, tmp_path, unpacked):
    out = tmp_path / "meta" / "lobby.json"
    assert describe(rendered.path, out).location == str(out)
    assert len(list(opened(out).records("samples"))) == 5
    assert not (rendered.path / FILE).exists()


def test_nothing_is_stated_that_is_not_known(rendered):
    told = describe(rendered.path)
    assert len(told.remarks) == 1
    for option in ("--license", "--creator", "--url", "--date", "--citation", "--version"):
        assert option in told.remarks[0]
    found = table(rendered)
    assert not {"license", "creator", "url", "datePublished", "citeAs", "version"} & set(found)
    assert found["name"] == "set"


def test_what_the_user_states_makes_it_complete(rendered):
    told = describe(rendered.path, statement=FULL)
    assert told.remarks == ()
    assert not opened(rendered.path / FILE).metadata.ctx.issues.warnings
    found = table(rendered)
    assert found["license"] == "https://spdx.org/licenses/CC-BY-4.0.html"
    assert [one["@type"] for one in found["creator"]] == ["sc:Person", "sc:Organization"]
    assert (found["datePublished"], found["version"]) == ("2026-01-31", "1.0.0")


def test_all_that_is_wrong_with_a_statement_is_told_at_once():
    with pytest.raises(ConfigError) as caught:
        Statement(license="free for all", url="example.org", date="31.1.2026", version="2", creators=(" ",), name="")
    for option in ("--license", "--url", "--date", "--version", "--creator", "--name"):
        assert option in str(caught.value)


def test_a_rendered_set_says_so_and_how(rendered):
    describe(rendered.path)
    found = table(rendered)
    assert found["rai:hasSyntheticData"] is True
    assert found["rai:dataCollectionType"] == ["Software Collection"]
    assert found["rai:dataCollectionRawData"] == "bodies: CC0-1.0"
    assert found["rai:machineAnnotationTools"] == ["maker 1.2"]
    assert "no picture of a real person" in found["rai:personalSensitiveInformation"][0]
    stage, writing = found["prov:wasGeneratedBy"]
    assert stage["prov:wasAssociatedWith"]["prov:label"] == "maker 1.2"
    told = {one["sc:name"]: one["sc:value"] for one in stage["sc:additionalProperty"]}
    assert told == {"revision": 3, "config_sha256": "ab" * 32, "seed": 7, "config": '{"size": 32}'}
    environments = {one["sc:name"]: one["sc:value"] for one in writing["sc:additionalProperty"]}["environments"]
    assert json.loads(environments) == [dict(rendered.record(0).environment)]


def test_trained_weights_and_photos_of_rooms_are_told_of(tmp_path):
    samples = [sample(n, meta={"background": "lobby.jpg"}) for n in range(2)]
    parents = [{"path": "../../home/somebody/first", "fingerprint": "ef" * 32}]
    data = write(tmp_path / "set", samples, {"stages": [RENDERER, REFINER], "parents": parents})
    describe(data.path)
    found = table(data)
    assert any(
        "cd" * 32 in line and "do not tell what they were trained on" in line for line in found["rai:dataLimitations"]
    )
    assert "Photos of rooms" in found["rai:personalSensitiveInformation"][0]
    assert "1 photos of rooms behind the people of 2 images, licence: not stated" in found["rai:dataCollectionRawData"]
    assert found["prov:wasDerivedFrom"] == [
        {"@type": "prov:Entity", "prov:label": "first", "sc:identifier": f"sha256:{'ef' * 32}"}
    ]
    assert "somebody" not in (data.path / FILE).read_text()


def test_a_converted_set_is_not_called_synthetic_and_warns_of_real_people(tmp_path):
    meta = {"source": {"format": "cepdof", "file": "a.jpg"}, "licence": "not stated"}
    data = write(tmp_path / "set", [sample(n, meta=meta) for n in range(2)], CONVERTED)
    describe(data.path)
    found = table(data)
    assert "rai:hasSyntheticData" not in found
    assert "rai:dataCollectionType" not in found
    assert "license" not in found
    assert "2 of 2 images were converted from existing files in the format cepdof" in found["rai:dataCollection"]
    assert "treat them as personal data" in found["rai:personalSensitiveInformation"][0]
    assert found["rai:dataCollectionRawData"] == "cepdof format from 'Lunch1', licence: not stated"


@pytest.mark.parametrize(
    ("notes", "licences", "expected"),
    [
        (CONVERTED, ["CC-BY-4.0", "CC0-1.0"], ["CC-BY-4.0", "CC0-1.0"]),  # each sample states one
        (CONVERTED, ["CC-BY-4.0", None], None),  # one does not
        ({**CONVERTED, "licence": "CC-BY-4.0"}, [None, None], ["CC-BY-4.0"]),
        ({"parents": [{"notes": {"licence": "MIT"}}, {"notes": {"licence": "X"}}]}, [None, None], ["MIT", "X"]),
        ({"parents": [{"notes": {"licence": "MIT"}}, {"notes": {}}]}, [None, None], None),  # a part states none
        ({"stages": [RENDERER]}, [None, None], None),
    ],
)
def test_a_licence_is_given_when_the_records_have_one_for_everything(tmp_path, notes, licences, expected):
    samples = [sample(n, meta={} if one is None else {"licence": one}) for n, one in enumerate(licences)]
    data = write(tmp_path / "set", samples, notes)
    told = describe(data.path)
    assert table(data).get("license") == expected
    assert ("--license" in told.remarks[0]) == (expected is None)


def test_a_licence_with_an_address_is_given_by_it(tmp_path):
    stated = [("Attribution", "http://example.org/by/4.0/"), ("CC0-1.0", ""), ("By letter", "see the letter")]
    samples = [sample(n, meta={"licence": name, "licence_url": url}) for n, (name, url) in enumerate(stated)]
    data = write(tmp_path / "set", samples, CONVERTED)
    describe(data.path)
    found = table(data)
    assert found["license"] == ["By letter", "CC0-1.0", "http://example.org/by/4.0/"]
    assert "1 of 3 images state the licence CC0-1.0" in found["rai:dataCollectionRawData"]


def test_how_images_are_stored_is_told_as_far_as_it_is_known(tmp_path):
    codec = CodecConfig(image_format="jpg", jpeg_quality=90)
    copied = write(tmp_path / "copied", [sample(0)], codec=codec)
    describe(copied.path)
    assert table(copied)["rai:dataPreprocessingProtocol"] == ["1 images are stored as JPG."]
    identity = {"convert": "cepdof", "max_size_px": 640}
    describe(write(tmp_path / "encoded", [sample(0)], CONVERTED, codec=codec, identity=identity).path)
    assert table(Dataset.open(tmp_path / "encoded"))["rai:dataPreprocessingProtocol"] == [
        "1 images are stored as JPG.",
        "Images that had to be compressed anew were written as JPEG with quality 90.",
        "Images were shrunk to at most 640 pixels a side.",
    ]


def test_a_set_without_images_is_described(tmp_path, unpacked):
    detector = {**RENDERER, "kind": "detector", "name": "squeeze"}
    found = Sidecar(key="s0", people=(), layers={"instances": np.zeros((8, 8), np.uint8)})
    data = write(tmp_path / "set", [found], {"stages": [detector]})
    describe(data.path)
    assert [node["@id"] for node in table(data)["recordSet"]] == ["descriptions", "layers/instances"]
    assert table(data)["rai:machineAnnotationTools"] == ["maker 1.2"]
    assert "rai:hasSyntheticData" not in table(data)
    assert len(list(opened(data.path / FILE).records("layers/instances"))) == 1


def test_stages_of_merged_sets_are_found(tmp_path):
    notes = {"parents": [{"fingerprint": "0" * 64, "notes": {"stages": [RENDERER]}},
                         {"fingerprint": "1" * 64, "notes": CONVERTED}]}  # fmt: skip
    data = write(tmp_path / "set", [sample(0)], notes)
    describe(data.path)
    found = table(data)
    assert found["rai:hasSyntheticData"] is True
    assert "treat them as personal data" in found["rai:personalSensitiveInformation"][0]
    labels = [activity["prov:label"] for activity in found["prov:wasGeneratedBy"]]
    assert labels == ["conversion from cepdof format", "renderer discs", "writing of the data set"]


def test_skipped_samples_are_counted_by_reason(tmp_path):
    data = write(tmp_path / "set", [sample(0), Skipped("s1", "too dark"), Skipped("s2", "too dark")])
    describe(data.path)
    assert table(data)["rai:dataCollectionMissingData"] == "2 samples could not be made: too dark (2)"


def test_where_things_were_on_a_machine_is_not_published(tmp_path):
    config = {
        "backgrounds": "/home/somebody/photos/lobby",
        "people": ["~/some bodies/a b", "C:\\Users\\x"],
        "ratio": "1/2",
    }
    skipped = Skipped("s1", "cannot read '/home/somebody/tmp/a.png': see https://example.org/a/b")
    data = write(tmp_path / "set", [sample(0), skipped], {"stages": [{**RENDERER, "config": config}]})
    describe(data.path)
    text = (data.path / FILE).read_text()
    assert "somebody" not in text
    assert "cannot read 'a.png': see https://example.org/a/b (1)" in text
    told = {one["sc:name"]: one["sc:value"] for one in table(data)["prov:wasGeneratedBy"][0]["sc:additionalProperty"]}
    assert json.loads(told["config"]) == {"backgrounds": "lobby", "people": ["a b", "x"], "ratio": "1/2"}


def test_a_set_of_many_shards_is_described_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(croissant, "CHECKED_SHARDS", 2)
    data = write(tmp_path / "set", [sample(n) for n in range(7)])
    describe(data.path)
    found = table(data)["distribution"]
    assert sum(node["@type"] == "cr:FileObject" for node in found) == 4
    assert all(len(node["containedIn"]) == 4 for node in found if node["@type"] == "cr:FileSet")


def test_a_set_without_records_is_a_line(rendered, tmp_path):
    tar = tmp_path / "foreign.tar"
    tar.write_bytes((rendered.path / "shards" / "000000.tar").read_bytes())
    with pytest.raises(DatasetError, match="has no records"):
        describe(tar)


def test_a_mistyped_name_costs_no_file(rendered, tmp_path):
    kept = tmp_path / "thesis.tex"
    kept.write_text("x")
    with pytest.raises(ConfigError, match=r"expected a name that ends in \.json"):
        describe(rendered.path, kept)
    assert kept.read_text() == "x"


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["dataset.json", "shards/000000.json", "shards/new.json", "mine.json", "a/b.json"])
def test_no_record_of_a_data_set_is_written_over(rendered, tmp_path, name):
    other = write(tmp_path / "other", [sample(0)])
    for data in (rendered, other):
        before = files(data.path)
        with pytest.raises(ConfigError, match="is in the data set"):
            describe(rendered.path, data.path / name)
        link = tmp_path / f"link to {data.path.name}"
        link.symlink_to(data.path)
        with pytest.raises(ConfigError, match="is in the data set"):
            describe(rendered.path, link / name)
        assert files(data.path) == before
    with pytest.raises(ConfigError, match="is in the data set"):
        describe(rendered.path, other.path / FILE)
    describe(rendered.path, rendered.path / FILE)
    assert table(rendered)["distribution"][0]["contentUrl"] == "shards/000000.tar"


@pytest.mark.parametrize("text", ["{}", '{"conformsTo": "http://mlcommons.org/croissant/1.1"}', "[1", "", "\x00"])
def test_a_file_of_somebody_else_is_not_written_over(rendered, tmp_path, text):
    for kept, out in ((tmp_path / "mine.json", tmp_path / "mine.json"), (rendered.path / FILE, None)):
        kept.write_text(text)
        with pytest.raises(ConfigError, match="was not written by this command"):
            describe(rendered.path, out)
        assert kept.read_text() == text
        kept.unlink()
    for _ in range(2):  # what it wrote itself it writes again
        assert not any("replaced" in line for line in describe(rendered.path, tmp_path / "mine.json").remarks)


def test_replacing_a_description_of_other_content_is_told(tmp_path):
    made = write(tmp_path / "set", [sample(n) for n in range(2)])
    describe(made.path)
    before = made.fingerprint
    write(tmp_path / "set", [sample(n) for n in range(4)])
    told = describe(made.path)
    assert told.remarks[0].startswith(f"replaced a description of other content (sha256:{before})")
    assert table(made)["identifier"] != f"sha256:{before}"
    assert not any("replaced" in line for line in describe(made.path).remarks)


def test_shards_may_be_told_at_the_address_where_they_are_published(rendered, tmp_path):
    for base in ("https://example.org/data/set", "https://example.org/data/set/"):
        describe(rendered.path, tmp_path / "c.json", base_url=base)
        found = json.loads((tmp_path / "c.json").read_text())["distribution"]
        assert found[0]["contentUrl"] == "https://example.org/data/set/shards/000000.tar"
    for wrong in ("example.org", "ftp://example.org", "https://example.org/?set=", "https://example.org/#a", ""):
        with pytest.raises(ConfigError, match="--base-url"):
            describe(rendered.path, base_url=wrong)


@pytest.mark.parametrize(("people", "labelled"), [(None, 0), ((), 2)])
def test_labels_are_told_of_where_there_are_some(tmp_path, people, labelled):
    meta = {"source": {"format": "images", "file": "a.jpg"}, "licence": "not stated"}
    data = write(tmp_path / "set", [sample(n, meta=meta, people=people) for n in range(2)], CONVERTED)
    describe(data.path)
    told = table(data).get("rai:dataAnnotationProtocol", "")
    assert ("Labels of 2 converted images" in told) == bool(labelled)
    assert ("taken over" in told) == bool(labelled)


def test_nothing_is_told_of_the_quality_of_what_was_not_compressed(tmp_path):
    """A set of PNG may hold its source's JPEG images, of whose quality nothing is known."""
    stored = codec_of.encode(sample(0), CodecConfig(image_format="jpg", jpeg_quality=40))
    with DatasetWriter(tmp_path / "set", identity={"convert": "yolo"}, notes=CONVERTED, scenes=1) as writer:
        writer.spool.put(0, [stored])
        writer.finished(0)
        writer.finalise()
    describe(tmp_path / "set")
    assert table(Dataset.open(tmp_path / "set"))["rai:dataPreprocessingProtocol"] == ["1 images are stored as JPG."]


def test_without_mlcroissant_it_says_what_to_install(rendered, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlcroissant", None)
    with pytest.raises(SynthkitError, match=r"synthkit-core\[croissant\]"):
        describe(rendered.path)
    assert not (rendered.path / FILE).exists()


def test_a_signer_is_given_the_very_bytes_that_are_kept(rendered, tmp_path):
    """What it makes of them lies beside them, and is told of when it signs another description than is there."""

    def sign(text: bytes) -> bytes:
        return bytes([0, 0, 0, 40]) + b"jumb" + hashlib.sha256(text).digest()

    signed = rendered.path / "croissant.c2pa"
    describe(rendered.path)
    assert not signed.exists()
    assert not any("sign" in line for line in describe(rendered.path, sign=sign).remarks)
    assert signed.read_bytes() == sign((rendered.path / FILE).read_bytes())
    assert not any("sign" in line for line in describe(rendered.path).remarks), "the same bytes"
    changed = describe(rendered.path, statement=FULL)
    assert f"{signed}: does not sign this description, but an earlier one" in changed.remarks
    describe(rendered.path, statement=FULL, sign=sign)
    assert signed.read_bytes() == sign((rendered.path / FILE).read_bytes())
    describe(rendered.path, tmp_path / "new" / "lobby.json", sign=sign)
    assert (tmp_path / "new" / "lobby.c2pa").read_bytes() == sign((tmp_path / "new" / "lobby.json").read_bytes())
    assert len(Dataset.open(rendered.path)) == 5


def test_nothing_is_written_when_a_signer_fails_or_would_write_over_a_file(rendered):
    with pytest.raises(DatasetError, match="gave no C2PA manifest store"):
        describe(rendered.path, sign=lambda text: b"signed!")
    other = rendered.path / "croissant.c2pa"
    other.write_text("my own notes")
    with pytest.raises(ConfigError, match="is no C2PA manifest"):
        describe(rendered.path, sign=lambda text: b"....jumb")
    assert other.read_text() == "my own notes"
    assert not (rendered.path / FILE).exists()


def test_mlcroissant_is_imported_only_when_asked_for():
    code = "import sys, synthkit.cli, synthkit.dataset.metadata; sys.exit('mlcroissant' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_command(rendered):
    done = CliRunner().invoke(app, ["describe", str(rendered.path), "--license", "CC-BY-4.0", "--creator", "A"])
    assert done.exit_code == 0
    assert f"described: {rendered.path / FILE} (5 samples in 3 shards)" in done.output
    assert "not stated: url (--url)" in done.output
    assert table(rendered)["license"] == "https://spdx.org/licenses/CC-BY-4.0.html"
