# SPDX-License-Identifier: Apache-2.0
"""Where things come from, told of a small chain: rendered, refined by what was learned, a detector, its results."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import light_components
import pytest
from PIL import Image, ImageOps

from synthkit import config, detectors, evaluation, jobs, pipeline
from synthkit.dataset import Dataset, formats
from synthkit.dataset.tools import copying
from synthkit.errors import DatasetError
from synthkit.execution import Local
from synthkit.interfaces import ComponentSpec
from synthkit.lineage import drawing, tracing
from synthkit.lineage.artefacts import read
from synthkit.lineage.reproducing import reproduce
from synthkit.lineage.tracing import trace
from synthkit.plugins import Origin, discover
from synthkit.session import Session

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def patched():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def session(patched):
    registry = discover()
    registry.add(light_components, Origin("light", "1.0", "light"))
    patched.setattr(jobs, "discover", lambda: registry)  # jobs are done in this process here
    return Session(registry, executor=Local(0))


@pytest.fixture(scope="module")
def chain(tmp_path_factory, session):
    folder = tmp_path_factory.mktemp("chain")
    source = pipeline.render(session, ComponentSpec("renderer", "circles-x1", {"size_px": 48}), folder / "s", 4).dataset
    target = pipeline.render(
        session.reseeded(1), ComponentSpec("renderer", "circles-y1", {"size_px": 48}), folder / "r", 4
    ).dataset
    tint = ComponentSpec("refiner", "light-tint")
    fitted = pipeline.fit(session, tint, {"source": source, "target": target}, folder / "tint")
    fitted_tint = pipeline.with_weights(session, tint, fitted.path)
    pipeline.refine(session.reseeded(5), fitted_tint, folder / "s", folder / "s+")
    trained = pipeline.train(session, ComponentSpec("detector", "light-blobs"), [str(folder / "s+")], folder / "found")
    (folder / "blobs.onnx").write_bytes(b"any bytes")
    (folder / "blobs.json").write_text(json.dumps({"about": {"checkpoint_sha256": trained.sha256}}))
    metric = ComponentSpec("metric", "detection", {"target": "person", "bootstrap": 0})
    results = evaluation.evaluate(session, metric, target, checkpoint=trained.path)
    (folder / "scores.json").write_text(json.dumps(config.plain(results)))
    return folder


def test_a_refiner_that_changed_nothing_leads_to_no_circle(chain, tmp_path):
    shutil.copytree(chain / "s", tmp_path / "s")
    path = tmp_path / "s" / "dataset.json"
    manifest = json.loads(path.read_text())
    manifest["notes"]["parents"] = [{"path": ".", "fingerprint": read(tmp_path / "s").fingerprint}]
    path.write_text(json.dumps(manifest))
    traced = trace(tmp_path / "s")
    assert len(list(drawing.tree(traced))) == 2
    assert drawing.graph(traced).count("<rect") == 1


def test_a_data_set_leads_back_to_its_source_its_checkpoint_and_what_that_learned_from(chain):
    found = trace(chain / "s+")
    places = {str(one.place.relative_to(chain)) for one in found.found.values()}
    assert places == {"s", "r", "tint/checkpoint.safetensors"}
    assert [parent.role for parent in found.start.parents] == ["source", "checkpoint"]
    assert found.start.made_by == "refiner light-tint"
    assert found.start.facts["seed"] == "5"


@pytest.mark.parametrize("path", ["s+/shards/000000.tar", "s+/shards/000000.json", "s+/dataset.json"])
def test_a_shard_is_its_data_set(chain, path):
    assert read(chain / path) == read(chain / "s+")


@pytest.mark.parametrize("path", ["blobs.onnx", "scores.json", "found"])
def test_files_lead_back_to_the_first_render(chain, path):
    lines = list(drawing.tree(trace(chain / path)))
    assert any("detector light-blobs" in line for line in lines)
    assert any("renderer circles-x1 (synthkit-circles" in line for line in lines)
    assert any("renderer circles-y1" in line for line in lines)
    assert sum("refiner light-tint" in line and "checkpoint" in line for line in lines) == 1


def test_what_is_elsewhere_is_said_to_be_missing_and_found_when_told_where(chain, tmp_path):
    shutil.copy(chain / "tint" / "checkpoint.safetensors", tmp_path / "alone.safetensors")
    alone = tmp_path / "alone.safetensors"
    assert sum("not found" in line for line in drawing.tree(trace(alone, [tmp_path]))) == 2
    assert not any("not found" in line for line in drawing.tree(trace(alone, [chain])))


def test_parents_are_found_beside_folders_full_of_programs(chain, tmp_path, monkeypatch):
    monkeypatch.setattr(tracing, "_LOOKED_AT", 100)
    shutil.copytree(chain, tmp_path / "work")
    shutil.copy(chain / "tint" / "checkpoint.safetensors", tmp_path / "work" / "alone.safetensors")
    for folder in (".hidden", "a_venv", "a_project/node_modules"):
        place = tmp_path / "work" / folder
        place.mkdir(parents=True)
        for n in range(120):
            (place / f"{n}.py").touch()
    (tmp_path / "work" / "a_venv" / "pyvenv.cfg").touch()
    lines = list(drawing.tree(trace(tmp_path / "work" / "alone.safetensors", [tmp_path / "work"])))
    assert not any("not found" in line for line in lines)


def test_what_was_changed_is_not_taken_for_the_parent(chain, tmp_path):
    shutil.copytree(chain, tmp_path / "chain")
    shutil.rmtree(tmp_path / "chain" / "s")
    shutil.copytree(chain / "r", tmp_path / "chain" / "s")
    lines = list(drawing.tree(trace(tmp_path / "chain" / "s+")))
    assert any("source: not found" in line for line in lines)


def test_what_tells_nothing_is_refused(tmp_path):
    (tmp_path / "notes.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "bare.onnx").write_bytes(b"")
    (tmp_path / "broken.json").write_text("{")
    for name, words in {"notes.json": "holds no results", "notes.txt": "nothing tells", "bare.onnx": "card bare.json",
                        "broken.json": "is no JSON", "nowhere": "is missing"}.items():  # fmt: skip
        with pytest.raises(DatasetError, match=words):
            read(tmp_path / name)


@pytest.mark.parametrize("path", ["s", "s+", "tint", "found"])
def test_made_again_it_is_the_same(chain, session, tmp_path, path):
    made = reproduce(session, chain / path, tmp_path / "again")
    assert made.same
    assert made.found == trace(tmp_path / "again", [chain]).start.fingerprint


@pytest.mark.parametrize(("path", "broken"), [("s", "render"), ("s+", "refine"), ("tint", "fit"), ("found", "train")])
def test_what_goes_wrong_in_making_it_again_is_not_taken_for_what_it_does_not_tell(
    chain, session, tmp_path, monkeypatch, path, broken
):
    def fail(*_, **__):
        raise KeyError("a mistake of a plugin's")

    monkeypatch.setattr(pipeline, broken, fail)
    with pytest.raises(KeyError, match="a mistake of a plugin's"):
        reproduce(session, chain / path, tmp_path / "again")


def test_what_was_made_otherwise_is_told(chain, session, tmp_path):
    shutil.copytree(chain / "s", tmp_path / "s")
    manifest = tmp_path / "s" / "dataset.json"
    told = json.loads(manifest.read_text())
    told["notes"]["stages"][0]["seed"] = 77
    manifest.write_text(json.dumps(told))
    assert not reproduce(session, tmp_path / "s", tmp_path / "again").same


def test_a_training_from_a_file_is_made_again_with_that_file_alone(chain, session, tmp_path):
    (tmp_path / "start").write_bytes(b"some weights")
    spec = ComponentSpec("detector", "light-blobs", {"start": str(tmp_path / "start")})
    pipeline.train(session, spec, [str(chain / "s+")], tmp_path / "trained")
    (tmp_path / "start").rename(tmp_path / "moved")
    for files in ({}, {"start": str(chain / "scores.json")}):
        with pytest.raises(
            DatasetError, match=r"was made with other start, of which it tells .* with --set start=FILE"
        ):
            reproduce(session, tmp_path / "trained", tmp_path / "again", [chain], files)
    assert not (tmp_path / "again").exists()
    assert reproduce(
        session, tmp_path / "trained", tmp_path / "again", [chain], {"start": str(tmp_path / "moved")}
    ).same


def test_a_set_made_with_a_folder_is_made_again_with_that_folder_alone(chain, session, tmp_path):
    pytest.importorskip("synthkit_stylize")
    (tmp_path / "textures").mkdir()
    Image.new("RGB", (64, 64), (200, 30, 30)).save(tmp_path / "textures" / "a.png")
    shutil.copytree(tmp_path / "textures", tmp_path / "kept")
    spec = ComponentSpec("refiner", "stylize", {"textures": str(tmp_path / "textures")})
    pipeline.refine(session, spec, chain / "s", tmp_path / "styled")
    Image.new("RGB", (64, 64), (30, 30, 200)).save(tmp_path / "textures" / "a.png")
    with pytest.raises(DatasetError, match="folders that its settings name hold something else"):
        reproduce(session, tmp_path / "styled", tmp_path / "again", [chain])
    files = {"textures": str(tmp_path / "kept")}
    assert reproduce(session, tmp_path / "styled", tmp_path / "again", [chain], files).same


@pytest.mark.parametrize("path", ["s", "s+"])
def test_what_was_taken_from_a_set_is_not_made_again_as_if_it_were_that_set(chain, session, tmp_path, path):
    data = Dataset.open(chain / path)
    notes = copying.inherited(data, tmp_path / "part")
    chosen = [copying.Pick(0, place) for place in range(2)]
    copying.copy([copying.Origin(data)], chosen, tmp_path / "part", identity={}, notes=notes, verb="copy")
    with pytest.raises(DatasetError, match=f"was taken from the data set {data.fingerprint[:12]}"):
        reproduce(session, tmp_path / "part", tmp_path / "again", [chain])


@pytest.mark.parametrize("path", ["s", "tint"])
def test_nothing_is_compared_with_itself(chain, session, path):
    with pytest.raises(DatasetError, match="is what shall be made again: choose a new folder"):
        reproduce(session, chain / path, chain / path)


def test_without_its_parents_nothing_is_made_again(chain, session, tmp_path):
    shutil.copytree(chain / "s+", tmp_path / "deep" / "s+")
    with pytest.raises(DatasetError, match="nowhere to be found; say where with --in"):
        reproduce(session, tmp_path / "deep" / "s+", tmp_path / "again")
    with pytest.raises(DatasetError, match="not made again by themselves"):
        reproduce(session, chain / "scores.json", tmp_path / "again")


@pytest.fixture(scope="module")
def meeting(tmp_path_factory):
    """A data set of one room with people, seen twice: as it is and in a mirror."""
    folder = tmp_path_factory.mktemp("meeting")
    with Image.open(ROOT / "plugins" / "detectors" / "squeezedet" / "tests" / "meeting.jpg") as room:
        (folder / "photos").mkdir()
        room.save(folder / "photos" / "a.png")
        ImageOps.mirror(room).save(folder / "photos" / "b.png")
    formats.convert(folder / "photos", folder / "set")
    return folder / "set"


def test_a_converted_set_tells_its_format_and_what_it_held(meeting):
    found = read(meeting)
    assert re.fullmatch("synthkit convert from [a-z]+", found.made_by)
    assert found.facts["folder"] == "photos"
    assert "images_sha256" in found.facts["settings"]


@pytest.mark.slow
@pytest.mark.parametrize("wishes", [{}, {"int8": True, "least_matched": 0.0}])
def test_an_exported_file_tells_where_it_comes_from_and_is_made_again(meeting, session, tmp_path, wishes):
    from synthkit.deployment.exporting import Wishes

    shipped = detectors.chosen(session.registry, "squeezedet-ceiling", {})
    shutil.copy(shipped.checkpoint, tmp_path / "ceiling.safetensors")
    if "int8" in wishes:
        wishes = {**wishes, "calibrate": str(meeting)}
    options = {"nms_iou": 0.4}
    pipeline.export(session, tmp_path / "ceiling.safetensors", tmp_path / "a" / "x.onnx", Wishes(**wishes), options)
    places = [tmp_path, meeting.parent]
    traced = trace(tmp_path / "a" / "x.onnx", places)
    roles = {parent.role: parent.fingerprint in traced.found for parent in traced.start.parents}
    assert roles == {"checkpoint": True} | ({"calibrate": True} if wishes else {})
    assert '"nms_iou": 0.4' in traced.start.facts["settings"]
    assert reproduce(session, tmp_path / "a" / "x.onnx", tmp_path / "b", places).same
    with pytest.raises(DatasetError, match="is there already"):
        reproduce(session, tmp_path / "a" / "x.onnx", tmp_path / "b", places)


@pytest.mark.parametrize(
    "content",
    ["{}", '{"checkpoint_sha256": 3}', '{"made_with": 3}', '{"made_with": {"wishes": {}, "settings": {}}}', "[]", "x"],
)
def test_cards_that_tell_nothing_are_one_line(chain, session, tmp_path, content):
    (tmp_path / "x.onnx").write_bytes(b"any")
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(DatasetError):
        reproduce(session, tmp_path / "x.onnx", tmp_path / "again")
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(
    "content",
    ['{"rows": [{}]}', '{"rows": [3]}', '{"rows": [{"label": "a", "steps": {"0": "."}}]}',
     '{"rows": [{"label": "a", "steps": 3}]}', '{"results": [{"definition": 3}]}', "[" * 100_000],
)  # fmt: skip
def test_odd_results_are_one_line(tmp_path, content):
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(DatasetError):
        read(tmp_path / "results.json")


@pytest.mark.parametrize("notes", [3, {"stages": [{}]}, {"parents": [{}]}, {"parents": 4}])
def test_odd_notes_of_a_data_set_are_one_line(chain, session, tmp_path, notes):
    shutil.copytree(chain / "s", tmp_path / "s")
    manifest = tmp_path / "s" / "dataset.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "notes": notes}))
    with pytest.raises(DatasetError):
        reproduce(session, tmp_path / "s", tmp_path / "again")


def test_the_command_prints_the_tree_and_writes_a_page(chain, tmp_path):
    code = "from synthkit.cli import main; main()"
    command = [sys.executable, "-c", code, "lineage", str(chain / "s+"), "--report", str(tmp_path / "page.html")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "checkpoint: checkpoint" in done.stdout
    page = (tmp_path / "page.html").read_text()
    assert page.count("<rect") == 4
    assert "config_<wbr>sha256" in page
