# SPDX-License-Identifier: Apache-2.0
"""Which detector finds people, and the command around it."""

from __future__ import annotations

import contextlib
import json
import sys

import cv2
import numpy as np
import pytest
from bright_people import (
    session,
    video,
    written,
)
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from safetensors.numpy import save_file

from synthkit import coco_results, detection, detectors
from synthkit.checkpoint import CARD_KEY, Checkpoint
from synthkit.cli import main
from synthkit.dataset import formats
from synthkit.dataset.sidecars import SidecarSet
from synthkit.errors import ConfigError, DatasetError, PluginError, WeightsError
from synthkit.interfaces import ComponentSpec
from synthkit.plugins import discover
from synthkit.sample import Person, RotatedBox, Sidecar

pytestmark = pytest.mark.usefixtures("seeing_installed")


WATCH = """
from synthkit.hookspecs import hookimpl
from synthkit.interfaces import Component
from seeing import Config

@hookimpl
def synthkit_components():
    return [Component("detector", "watch", "ships ready to be used", Config, "seeing:Seeing", trainable=True,
                      demo_checkpoint="watch:weights/tiny.safetensors")]
"""


def shipped(folder, monkeypatch, score=0.85):
    """Install a package whose detector ships its weights; return their file."""
    for module in [name for name in sys.modules if name.partition(".")[0] == "watch"]:  # of another test
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("SYNTHKIT_PLUGINS", "seeing,watch")
    (folder / "watch" / "weights").mkdir(parents=True)
    (folder / "watch" / "__init__.py").touch()
    (folder / "watch" / "plugin.py").write_text(WATCH)
    card = {"kind": "detector", "name": "watch", "config": {"masks": True, "start": "0" * 64}, "operating_score": score}
    weights = folder / "watch" / "weights" / "tiny.safetensors"
    save_file({"w": np.zeros(1)}, weights, {CARD_KEY: json.dumps(card)})
    info = folder / "watch-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: watch\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[synthkit.v1]\nwatch = watch.plugin\n")
    return weights


def test_no_detector_is_ready_unless_it_ships_its_weights():
    with pytest.raises(PluginError, match=r"ready to find people: give --checkpoint FILE"):
        detectors.chosen(discover(), None, {})


def test_a_detector_that_ships_its_weights_is_taken_as_it_was_trained(tmp_path, monkeypatch, images):
    weights = shipped(tmp_path / "site", monkeypatch)
    spec = detectors.chosen(discover(), None, {"at": "s0"})
    assert (spec.name, spec.checkpoint, spec.options) == ("watch", str(weights), {"masks": True, "at": "s0"})
    assert spec.checkpoint_sha256 == Checkpoint.open(weights).sha256
    assert detectors.chosen(discover(), "watch", {}) == detectors.chosen(discover(), None, {})
    assert detectors.chosen(discover(), "seeing", {}) == ComponentSpec("detector", "seeing")
    made = detection.detect(session(), detectors.chosen(discover(), None, {}), images.location, tmp_path / "found")
    sides = SidecarSet("found", made.dataset)
    assert [len(sides.at(n).people) for n in range(5)] == [0, 0, 1, 0, 0]  # from its own score on
    assert "instances" in sides.at(1).layers
    assert made.dataset.manifest.notes["stages"][-1]["least_score"] == 0.85


def test_an_operating_score_that_is_none_is_told(tmp_path, monkeypatch, images):
    shipped(tmp_path / "site", monkeypatch, score="high")
    spec = detectors.chosen(discover(), None, {})
    with pytest.raises(WeightsError, match="its operating score is 'high', expected 0 to 1"):
        detection.detect(session(), spec, images.location, tmp_path / "found")
    assert not (tmp_path / "found").exists()


def test_all_that_is_wrong_with_settings_is_told_at_once(tmp_path):
    given = {"sede": 3, "detector": {"falt": "x"}}
    with pytest.raises(ConfigError) as told:
        detection.plan(discover(), given, "seeing", tmp_path / "some.safetensors")
    text = str(told.value)
    assert "sede: unknown setting; did you mean 'seed'?" in text
    assert "--checkpoint: says itself of which detector it is" in text
    with pytest.raises(ConfigError, match=r"falt: unknown setting; did you mean 'fault'"):
        detection.plan(discover(), given | {"sede": 3}, "seeing")


def told_by(arguments, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["synthkit", *arguments, "--set", "scenes_per_shard=2", "--workers", "1"])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code, *capsys.readouterr()


def test_the_command_finds_draws_and_prints_what_it_found(tmp_path, capsys, monkeypatch):
    """A video, with one frame that the detector fails on."""
    place = video(tmp_path / "hall.avi", 5)
    wrong = ["--set", "detector.fault=raises", "--set", "detector.at=hall_000004"]
    command = ["detect", str(place), "--out", str(tmp_path / "found"), "--detector", "seeing", *wrong]
    code, printed, told = told_by([*command, "--pictures", str(tmp_path / "seen"), "--json"], capsys, monkeypatch)
    assert code == 1, told
    counted = f"found: {tmp_path / 'found'} (3 people in 2 of 4 images, scores from 0.50 on)"
    assert counted in told
    assert "1 samples were skipped" in told
    table = [json.loads(line) for line in printed.splitlines()]
    assert [line["key"] for line in table] == [f"hall_00000{n}" for n in range(5)]
    assert [len(line.get("people", ())) for line in table] == [0, 1, 2, 0, 0]
    assert table[4]["missing"].startswith("ValueError: a mistake")
    assert (table[2]["sequence"], table[2]["frame"], table[2]["time_s"]) == ("hall", 2, 0.2)
    frames = cv2.VideoCapture(str(tmp_path / "seen" / "hall.mp4"))
    pictures = [frames.read()[1] for _ in range(5)]
    assert pictures[4] is not None
    assert pictures[1][:, :, 2].max() > 150  # the box is there
    assert pictures[4][0].mean(axis=0).argmax() == 2  # a red frame
    again = told_by([*command, "--allow-missing"], capsys, monkeypatch)
    assert again[:2] == (0, f"{counted}\n")


def listed(tmp_path, capsys, monkeypatch, place, *more):
    """Return what ``--coco`` writes."""
    out = tmp_path / "results.json"
    command = ["detect", str(place), "--out", str(tmp_path / "found"), "--detector", "seeing", "--coco", str(out)]
    code, printed, told = told_by([*command, "--allow-missing", *more], capsys, monkeypatch)
    assert code == 0, told
    assert f"COCO: {out} (" in printed
    return json.loads(out.read_text())


def test_finds_are_listed_as_cocos_evaluators_read_them(images, tmp_path, capsys, monkeypatch):
    found = listed(tmp_path, capsys, monkeypatch, images.location, "--set", "detector.masks=true")
    assert [entry["key"] for entry in found] == ["s1", "s2", "s2", "s4"]
    best = found[1]
    mask = coco_mask.decode(best.pop("segmentation"))
    assert best == {
        "image_id": 3, "category_id": 1, "bbox": [12, 3, 4, 5], "score": round(220 / 255, 4), "key": "s2",
        "label": "person",
    }  # fmt: skip
    assert mask.sum() == 20
    assert mask[3:8, 12:16].all()
    formats.export(images.location, tmp_path / "coco", "coco")
    with contextlib.redirect_stdout(None):
        truth = COCO(next((tmp_path / "coco" / "annotations").glob("*.json")))
        assert len(truth.loadRes(str(tmp_path / "results.json")).getAnnIds()) == 4


def test_results_have_the_ids_of_the_coco_file_that_images_come_from(images, tmp_path, capsys, monkeypatch):
    made = formats.export(images.location, tmp_path / "theirs", "coco").path
    labels = next((made / "annotations").glob("*.json"))
    table = json.loads(labels.read_text())
    for entry in table["images"]:
        entry["id"] = 900 + entry["id"]
        del entry["synthkit"]
    labels.write_text(json.dumps(table))
    assert [entry["image_id"] for entry in listed(tmp_path, capsys, monkeypatch, made)] == [902, 903, 903, 905]
    formats.convert(made, tmp_path / "converted")
    again = listed(tmp_path, capsys, monkeypatch, tmp_path / "converted", "--out", str(tmp_path / "again"))
    assert [entry["image_id"] for entry in again] == [902, 903, 903, 905]


def test_a_file_of_others_is_no_place_for_results(images, tmp_path, capsys, monkeypatch):
    (tmp_path / "mine.json").write_text('{"my": "work"}')
    command = ["detect", images.location, "--out", str(tmp_path / "found"), "--detector", "seeing"]
    code, _, told = told_by([*command, "--coco", str(tmp_path / "mine.json")], capsys, monkeypatch)
    assert code == 2
    assert "is there already and was not written by this command" in told
    assert not (tmp_path / "found").exists()


def test_tilted_boxes_and_heads_are_listed_and_ids_that_come_twice_are_told(tmp_path):
    tilted = Person(
        1, rotated_box=RotatedBox(10, 8, 4, 8, -90), head_px=(12, 8), head_box_xyxy_px=(11, 7, 13, 9),
        attributes={"score": 0.9, "label": "person", "head_score": 0.7},
    )  # fmt: skip
    leaning = Person(2, rotated_box=RotatedBox(23, 8, 4, 8, -90), attributes={"score": 0.6, "label": "person"})
    sides = [
        Sidecar("a", people=[tilted, leaning], meta={"size_px": [24, 16], "coco": {"id": "x"}}),
        Sidecar("b", people=[], meta={"size_px": [24, 16], "coco": {"id": 7}}),
    ]
    coco_results.write_results(written(tmp_path / "found", sides), tmp_path / "list.json")
    body, head, cut = json.loads((tmp_path / "list.json").read_text())
    assert (body["image_id"], body["category_id"], body["bbox"]) == ("x", 1, [6, 6, 8, 4])
    assert body["rotated_box"] == [10, 8, 4, 8, -90]
    assert (head["category_id"], head["bbox"], head["score"], head["label"]) == (2, [11, 7, 2, 2], 0.7, "head")
    assert cut["bbox"] == [19, 6, 5, 4]  # what is of it in the image
    sides[1] = Sidecar("b", people=[], meta={"size_px": [24, 16], "coco": {"id": "x"}})
    with pytest.raises(DatasetError, match="images a and b both have COCO's id x"):
        coco_results.write_results(written(tmp_path / "twice", sides), tmp_path / "list.json")
    assert len(json.loads((tmp_path / "list.json").read_text())) == 3  # as it was


def test_pictures_have_a_folder_of_their_own_which_is_looked_at_first(tmp_path, capsys, monkeypatch):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "holiday.jpg").touch()
    command = ["detect", str(video(tmp_path / "hall.avi", 2)), "--out", str(tmp_path / "found"), "--detector", "seeing"]
    code, _, told = told_by([*command, "--pictures", str(tmp_path / "taken")], capsys, monkeypatch)
    assert code == 2
    assert "holds other files (holiday.jpg); choose a new or empty folder" in told
    assert not (tmp_path / "found").exists()
