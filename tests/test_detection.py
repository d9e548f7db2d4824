# SPDX-License-Identifier: Apache-2.0
"""Finding people as a stage: a sidecar for each image that was looked at, a hole for each that could not be."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import attrs
import cv2
import fsspec
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from synthkit import detection, finds
from synthkit.checkpoint import CARD_KEY, Checkpoint
from synthkit.cli import main
from synthkit.dataset import Dataset, DatasetWriter, formats
from synthkit.dataset.sidecars import Joined, SidecarSet
from synthkit.dataset.tools.stats import stats
from synthkit.dataset.tools.view import view
from synthkit.dataset.verify import verify
from synthkit.errors import ConfigError, DatasetError, PluginError, WeightsError, WorkError
from synthkit.execution import Local
from synthkit.found import Found, is_of_images
from synthkit.interfaces import ComponentSpec
from synthkit.plugins import discover
from synthkit.report.finds import drawing
from synthkit.sample import Detections, Person, RotatedBox, Sample, Sidecar, Skipped
from synthkit.session import Session
from synthkit.settings import RunSettings

JOBS = Path(__file__).parent / "jobs"
SEEING = ComponentSpec("detector", "seeing")
RUN = RunSettings(scenes_per_shard=2)


@pytest.fixture(autouse=True)
def _installed(tmp_path_factory, monkeypatch):
    """Install the plugin ``seeing``, for worker processes too."""
    info = tmp_path_factory.mktemp("plugins") / "seeing-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: seeing\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[synthkit.v1]\nseeing = seeing\n")
    monkeypatch.setenv("SYNTHKIT_PLUGINS", "seeing")
    monkeypatch.syspath_prepend(JOBS)
    monkeypatch.syspath_prepend(info.parent)


def session(executor=None):
    return Session(discover(), RUN, executor or Local(0))


def picture(n, size_px=(24, 16)):
    """An image with n % 3 bright patches, the last the brightest."""
    image = np.full((size_px[1], size_px[0], 3), n, np.uint8)
    for patch in range(n % 3):
        image[2 + patch : 8, 2 + 10 * patch : 6 + 10 * patch] = 180 + 40 * patch
    return image


def written(out, results):
    with DatasetWriter(out, identity={}, scenes=len(results), scenes_per_shard=4) as writer:
        for scene, result in enumerate(results):
            writer.spool.put(scene, [result])
            writer.finished(scene)
        writer.finalise()
    return Dataset.open(out)


@pytest.fixture
def images(tmp_path):
    samples = [Sample(key=f"s{n}", image=picture(n)) for n in range(5)]
    return written(tmp_path / "images", [*samples, Skipped("s5", "too dark")])


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def seeing(**options):
    return ComponentSpec("detector", "seeing", options)


def test_everybody_found_is_a_person_of_the_images_sidecar(images, tmp_path):
    made = detection.detect(session(), SEEING, images.location, tmp_path / "found")
    found = SidecarSet.open("found", tmp_path / "found")
    assert list(found.data.keys()) == ["s0", "s1", "s2", "s3", "s4"]
    assert (made.skipped, found.data.skipped) == (1, [("s5", "too dark")])
    assert found.get("s5") is None
    assert [len(found.by_key(f"s{n}").people) for n in range(5)] == [0, 1, 2, 0, 1]
    best, other = found.by_key("s2").people
    assert best == Person(1, box_xyxy_px=(12, 3, 16, 8), attributes={"score": round(220 / 255, 4), "label": "person"})
    assert (other.instance, other.box_xyxy_px) == (2, (2, 2, 6, 8))
    assert found.by_key("s2").meta == {"size_px": [24, 16]}
    assert not found.by_key("s2").layers
    assert not verify(tmp_path / "found").problems


def test_masks_have_the_numbers_of_the_people_who_count(images, tmp_path):
    detection.detect(session(), seeing(masks=True), images.location, tmp_path / "found", least_score=0.8)
    side = SidecarSet.open("found", tmp_path / "found").by_key("s2")
    (person,) = side.people
    assert person.attributes["score"] > 0.8
    expected = np.zeros((16, 24), np.uint8)
    expected[3:8, 12:16] = 1
    assert np.array_equal(side.layers["instances"], expected)


def test_finds_are_joined_to_their_images_and_to_no_others(images, tmp_path):
    detection.detect(session(), SEEING, images.location, tmp_path / "found")
    found = SidecarSet.open("found", tmp_path / "found")
    joined = Joined(images, [found])
    assert [len(sample.people) for sample in joined] == [0, 1, 2, 0, 1]
    other = written(tmp_path / "other", [Sample(key=f"s{n}", image=picture(n + 1)) for n in range(5)])
    with pytest.raises(DatasetError, match=r"sidecars are of other samples \(\.\./images, fingerprint [0-9a-f]{12}\)"):
        Joined(other, [found])


def test_bytes_do_not_depend_on_workers_or_where_it_stopped(images, tmp_path):
    detection.detect(session(), seeing(masks=True), images.location, tmp_path / "here")
    detection.detect(session(Local(2)), seeing(masks=True), images.location, tmp_path / "workers")
    assert files(tmp_path / "here") == files(tmp_path / "workers")


def test_a_run_that_is_killed_goes_on_to_the_same_bytes(images, tmp_path):
    notes = tmp_path / "notes"
    notes.mkdir()
    code = (
        "import sys\n"
        "from synthkit import detection\n"
        "from synthkit.execution import Local\n"
        "from synthkit.interfaces import ComponentSpec\n"
        "from synthkit.plugins import discover\n"
        "from synthkit.session import Session\n"
        "from synthkit.settings import RunSettings\n"
        "session = Session(discover(), RunSettings(scenes_per_shard=2), Local(1))\n"
        "spec = ComponentSpec('detector', 'seeing', {'notes': sys.argv[3], 'pause_s': 0.3})\n"
        "detection.detect(session, spec, sys.argv[1], sys.argv[2])\n"
    )
    command = [sys.executable, "-c", code, images.location, str(tmp_path / "killed"), str(notes)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list(notes.iterdir())) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(list(notes.iterdir())) >= 3
    looked_at = {path.name.partition("-")[0] for path in notes.iterdir()}
    assert len(looked_at) < 5
    for path in notes.iterdir():
        path.unlink()
    detection.detect(session(), seeing(notes=str(notes)), images.location, tmp_path / "killed")
    again = [path.name.partition("-")[0] for path in notes.iterdir()]
    assert len(again) <= 3  # the first two at least were kept
    detection.detect(session(), seeing(notes=str(notes)), images.location, tmp_path / "whole")
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


def test_a_set_that_grows_has_only_its_new_images_looked_at(tmp_path):
    results = [Sample(key=f"s{n}", image=picture(n)) for n in range(6)]
    notes = tmp_path / "notes"
    notes.mkdir()
    written(tmp_path / "images", results[:4])
    detection.detect(session(), seeing(notes=str(notes)), tmp_path / "images", tmp_path / "found")
    assert len(list(notes.iterdir())) == 4
    grown = written(tmp_path / "images", results)
    with pytest.raises(DatasetError, match="of a set that has grown"):
        Joined(grown, [SidecarSet.open("found", tmp_path / "found")])
    detection.detect(session(), seeing(notes=str(notes)), tmp_path / "images", tmp_path / "found")
    assert len(list(notes.iterdir())) == 6
    assert [len(sample.people) for sample in Joined(grown, [SidecarSet.open("found", tmp_path / "found")])] == [
        0, 1, 2, 0, 1, 2,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "reason"),
    {
        "raises": "ValueError: a mistake",
        "says": "detector 'seeing': the weights are wet",
        "no answer": "detector 'seeing' gave no answer for one image",
        "two answers": "detector 'seeing' gave two answers for one image",
        "for ever": "detector 'seeing' gave two answers for one image",
        "another key": "detector 'seeing' answered for 'other'",
        "none": "detector 'seeing' gave NoneType, expected Detections",
        "nan": "detector 'seeing' gave boxes that are not finite",
        "nan score": "detector 'seeing' gave scores that are not finite",
        "infinite": "detector 'seeing' gave boxes that are not finite",
        "turned round": "gave a box that has no area in the image of 24x16: [5.0, 1.0, 1.0, 5.0]",
        "empty box": "gave a box that has no area in the image",
        "outside": "gave a box that has no area in the image of 24x16: [900.0, 900.0, 950.0, 950.0]",
        "score": "gave scores from 1.5 to 1.5, expected 0 to 1",
        "label": "gave labels that are none of its 2 classes",
        "counts": "scores must be (2,), one row a find, got (1,)",
        "crowd": "found 5000 people",
        "around": "found 2 people, all of them around the image and none in it",
        "rotated": "gave a rotated box without area: [3.0, 3.0, -2.0, 4.0, 0.0]",
        "points": "gave points that are not finite",
        "mask": "gave a layer 'instances' of (3, 3), the image is (16, 24)",
        "mask of nobody": "gave instances up to 2, but found 1 people",
    }.items(),
)
def test_what_cannot_be_right_is_a_hole_and_never_nobody(fault, reason, images, tmp_path):
    made = detection.detect(session(), seeing(fault=fault, at="s1"), images.location, tmp_path / "found")
    holes = dict(made.dataset.skipped)
    if fault == "counts":
        reason = "boxes_xyxy_px must be (1, 4), one row a find, got (2, 4)"
    assert reason in holes["s1"]
    assert sorted(holes) == ["s1", "s5"]
    assert SidecarSet("found", made.dataset).get("s1") is None
    assert len(made.dataset) == 4


def test_finds_in_the_padding_around_an_image_are_nobody():
    sample = Sample(key="s", image=picture(0))
    boxes = np.array([(0, 3, 0, 9), (2, 2, 9, 9), (4, 16, 9, 16)], np.float32)
    answer = Detections("s", boxes, np.array([0.9, 0.8, 0.7], np.float32), np.zeros(3, np.int32))
    side = finds.sidecar_of(answer, sample, ["person"], 0.5)
    assert [person.box_xyxy_px for person in side.people] == [(2, 2, 9, 9)]
    assert finds.sidecar_of(answer, sample, ["person"], 0.95).people == ()


@pytest.mark.parametrize(("fault", "reason"), [("dies", "was ended by SIGKILL"), ("hangs", "took longer than 2 s")])
def test_a_detector_that_dies_or_hangs_leaves_a_hole(fault, reason, images, tmp_path):
    spec = seeing(fault=fault, at="s1")
    made = detection.detect(session(Local(1)), spec, images.location, tmp_path / "found", timeout_s=2.0)
    assert reason in dict(made.dataset.skipped)["s1"]
    assert len(made.dataset) == 4


def test_holes_are_tried_again(images, tmp_path):
    spec = seeing(fault="raises", at="s1")
    with pytest.MonkeyPatch.context() as patch:
        import seeing as plugin

        detection.detect(session(), spec, images.location, tmp_path / "found")
        patch.setattr(plugin.Seeing, "wrong", lambda self, sample: iter([self.right(sample)]))
        made = detection.detect(session(), spec, images.location, tmp_path / "found")
    assert [key for key, _ in made.dataset.skipped] == ["s5"]


def test_where_not_one_image_can_be_looked_at_the_command_fails(tmp_path):
    written(tmp_path / "images", [Sample(key="s0", image=picture(0))])
    with pytest.raises(WorkError, match="not one sample could be made: ValueError: a mistake"):
        detection.detect(session(), seeing(fault="raises", at="s0"), tmp_path / "images", tmp_path / "found")


def video(path, frames):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (64, 48))
    for n in range(frames):
        writer.write(picture(n, (64, 48)))
    writer.release()
    return path


def test_frames_of_a_video_keep_their_number_and_time(tmp_path):
    made = detection.detect(session(Local(2)), SEEING, video(tmp_path / "hall.avi", 5), tmp_path / "found")
    found = SidecarSet("found", made.dataset)
    side = found.by_key("hall_000002")
    assert (side.sequence, side.frame, side.time_s) == ("hall", 2, 0.2)
    assert [len(found.at(n).people) for n in range(5)] == [0, 1, 2, 0, 1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["found", "hall.avi"]  # nothing is copied


def test_finds_in_files_are_those_in_the_set_that_is_made_of_them(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for n in range(3):
        Image.fromarray(picture(n)).save(folder / f"p{n}.png")
    detection.detect(session(), SEEING, folder, tmp_path / "found")
    converted = formats.convert(folder, tmp_path / "images")
    detection.detect(session(), SEEING, converted.location, tmp_path / "again")
    sides = [SidecarSet.open("found", tmp_path / name) for name in ("found", "again")]
    for key in converted.keys():  # noqa: SIM118 - no mapping
        assert sides[0].by_key(key).people == sides[1].by_key(key).people


def test_one_photo_is_looked_at(tmp_path):
    Image.fromarray(picture(2)).save(tmp_path / "one.png")
    made = detection.detect(session(), SEEING, tmp_path / "one.png", tmp_path / "found")
    assert [len(SidecarSet("f", made.dataset).at(n).people) for n in range(len(made.dataset))] == [2]


def test_photos_that_are_damaged_are_holes_that_do_not_tell_where_they_lie(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(picture(1)).save(folder / "a.png")
    Image.fromarray(picture(2)).save(folder / "b.png")
    (folder / "b.png").write_bytes((folder / "b.png").read_bytes()[:-30])
    made = detection.detect(session(), SEEING, folder, tmp_path / "found")
    ((key, reason),) = made.dataset.skipped
    assert key == "b"
    assert reason.startswith("photos/b.png: cannot be read as an image")


def test_photos_that_change_meanwhile_are_told(tmp_path, monkeypatch):
    import seeing as plugin

    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(picture(1)).save(folder / "a.png")

    def changing(self, sample):
        Image.fromarray(picture(2)).save(folder / "a.png")
        return plugin.found(sample, [])

    monkeypatch.setattr(plugin.Seeing, "right", changing)
    with pytest.raises(DatasetError, match=r"a\.png: was changed while it was being read"):
        detection.detect(session(), SEEING, folder, tmp_path / "found")


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
        detection.chosen(discover(), None, {})


def test_a_detector_that_ships_its_weights_is_taken_as_it_was_trained(tmp_path, monkeypatch, images):
    weights = shipped(tmp_path / "site", monkeypatch)
    spec = detection.chosen(discover(), None, {"at": "s0"})
    assert (spec.name, spec.checkpoint, spec.options) == ("watch", str(weights), {"masks": True, "at": "s0"})
    assert spec.checkpoint_sha256 == Checkpoint.open(weights).sha256
    assert detection.chosen(discover(), "watch", {}) == detection.chosen(discover(), None, {})
    assert detection.chosen(discover(), "seeing", {}) == ComponentSpec("detector", "seeing")
    made = detection.detect(session(), detection.chosen(discover(), None, {}), images.location, tmp_path / "found")
    sides = SidecarSet("found", made.dataset)
    assert [len(sides.at(n).people) for n in range(5)] == [0, 0, 1, 0, 0]  # from its own score on
    assert "instances" in sides.at(1).layers
    assert made.dataset.manifest.notes["stages"][-1]["least_score"] == 0.85


def test_an_operating_score_that_is_none_is_told(tmp_path, monkeypatch, images):
    shipped(tmp_path / "site", monkeypatch, score="high")
    spec = detection.chosen(discover(), None, {})
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


def test_pictures_have_a_folder_of_their_own_which_is_looked_at_first(tmp_path, capsys, monkeypatch):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "holiday.jpg").touch()
    command = ["detect", str(video(tmp_path / "hall.avi", 2)), "--out", str(tmp_path / "found"), "--detector", "seeing"]
    code, _, told = told_by([*command, "--pictures", str(tmp_path / "taken")], capsys, monkeypatch)
    assert code == 2
    assert "holds other files (holiday.jpg); choose a new or empty folder" in told
    assert not (tmp_path / "found").exists()


def test_images_are_shown_with_the_finds_in_place_of_their_truth(images, tmp_path):
    samples = [attrs.evolve(sample, people=[Person(1, box_xyxy_px=(0, 0, 2, 2))]) for sample in images]
    data = written(tmp_path / "labelled", samples)
    detection.detect(session(), seeing(masks=True), data.location, tmp_path / "found")
    found = Found.open(tmp_path / "found")
    assert [sample.key for sample in found] == list(data.keys())
    assert [len(sample.people) for sample in found] == [0, 1, 2, 0, 1]
    assert np.array_equal(found[2].image, picture(2))
    assert found[2].layers["instances"].max() == 2
    written(tmp_path / "labelled", [*samples, Sample(key="s9", image=picture(1))])
    with pytest.raises(DatasetError, match=r"its sidecars are of other samples .* than those of .*labelled"):
        Found.open(tmp_path / "found")


def test_finds_are_counted_viewed_and_exported_with_their_images(images, tmp_path):
    detection.detect(session(), SEEING, images.location, tmp_path / "found")
    counts = stats(tmp_path / "found").to_plain()
    assert (counts["samples"], counts["people"]) == (5, 4)
    assert view(tmp_path / "found", tmp_path / "page.html") == 5
    assert (tmp_path / "page.html").read_text().count("data:image/jpeg") >= 5
    formats.export(tmp_path / "found", tmp_path / "coco", "coco")
    (labels,) = [path for path in (tmp_path / "coco").rglob("*.json") if path.name != "synthkit.json"]
    table = json.loads(labels.read_text())
    assert len(table["images"]) == 5
    assert sorted(annotation["bbox"] for annotation in table["annotations"])[0] == [2, 2, 4, 6]


def test_finds_at_a_url_know_their_images(images, tmp_path):
    memory = fsspec.filesystem("memory")
    try:
        for path, data in files(images.path).items():
            memory.pipe_file(f"/sets/images/{path}", data)
        detection.detect(session(), SEEING, "memory://sets/images", "memory://sets/found")
        found = Found.open("memory://sets/found")
        assert found.images.location == "memory://sets/images"
        assert [len(sample.people) for sample in found] == [0, 1, 2, 0, 1]
        detection.detect(session(), SEEING, images.location, tmp_path / "found")
        shards = {path: data for path, data in files(tmp_path / "found").items() if path.startswith("shards/")}
        assert shards == {path: memory.cat_file(f"/sets/found/{path}") for path in shards}
    finally:
        memory.rm("/sets", recursive=True)


def test_images_that_are_gone_are_told(tmp_path):
    place = video(tmp_path / "hall.avi", 2)
    detection.detect(session(), SEEING, place, tmp_path / "found")
    place.rename(tmp_path / "moved.avi")
    with pytest.raises(DatasetError, match=r"the images that it was found in cannot be opened: .*hall\.avi"):
        Found.open(tmp_path / "found")
    assert not is_of_images(written(tmp_path / "plain", [Sample(key="s0", image=picture(0))]))
    with pytest.raises(DatasetError, match="is no set of finds"):
        Found.open(tmp_path / "plain")


def test_what_is_drawn_is_where_it_was_found():
    sample = Sample(
        key="s",
        image=np.zeros((100, 120, 3), np.uint8),
        people=[
            Person(1, box_xyxy_px=(20, 30, 60, 90)),
            Person(2, rotated_box=RotatedBox(90, 50, 20, 40, 30)),
            Person(3, head_box_xyxy_px=(5, 5, 15, 15)),
        ],
    )
    drawn = drawing(sample).astype(int)
    for x, y in ((20, 60), (60, 60), (40, 30), (40, 90)):
        assert drawn[y - 1 : y + 1, x - 1 : x + 1].max() > 90, (x, y)
    corners = RotatedBox(90, 50, 20, 40, 30).corners_px()
    for x, y in (corners + np.roll(corners, 1, axis=0)) / 2:
        assert drawn[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2].max() > 90, (x, y)
    assert drawn[60, 40].sum() == 0  # inside
    assert drawn[5:15, 5:15, 1].max() > 150  # a head is yellow


def side(*people, instances=None):
    layers = {} if instances is None else {"instances": np.asarray(instances, np.uint8)}
    return Sidecar("s", people=people, layers=layers, meta={"size_px": [8, 4]})


def box(number, *edges, score=0.9):
    return Person(number, box_xyxy_px=edges, attributes={"score": score, "label": "person"})


def test_finders_mean_the_same_person_by_the_greatest_overlap():
    first = side(box(1, 0, 0, 10, 10), box(2, 20, 0, 30, 10))
    # The first overlaps 1 by 80/120; the second by 70/130, and 2 not at all; the third is 2 itself.
    second = side(box(1, 0, 2, 10, 12), box(2, 0, 3, 10, 13), box(3, 20, 0, 30, 10))
    assert finds.matched({"a": first, "b": second}) == [{"a": 0, "b": 0}, {"a": 1, "b": 2}, {"b": 1}]
    assert finds.matched({"a": first, "b": second}, iou=0.7) == [{"a": 0}, {"a": 1, "b": 2}, {"b": 0}, {"b": 1}]
    third = side(box(1, 0, 3, 10, 13))  # knows b's second better than a's first
    assert finds.matched({"a": first, "b": second, "c": third})[2] == {"b": 1, "c": 0}
    assert finds.matched({"a": first, "b": Sidecar("s")}) == [{"a": 0}, {"a": 1}]


def test_four_tenths_are_enough_and_less_is_not():
    wide = side(box(1, 0, 0, 10, 1))
    assert finds.matched({"a": wide, "b": side(box(1, 0, 0, 4, 1))}) == [{"a": 0, "b": 0}]
    assert finds.matched({"a": wide, "b": side(box(1, 0, 0, 3.9, 1))}) == [{"a": 0}, {"b": 0}]


def test_rotated_boxes_are_compared_as_such_and_with_upright_ones_by_what_is_around_them():
    tilted = Person(1, rotated_box=RotatedBox(50, 50, 10, 100, 45))
    crossing = Person(1, rotated_box=RotatedBox(50, 50, 10, 100, -45))
    around = box(1, 15, 15, 85, 85)
    assert finds.matched({"a": side(tilted), "b": side(crossing)}) == [{"a": 0}, {"b": 0}]
    assert finds.matched({"a": side(tilted), "b": side(around)}) == [{"a": 0, "b": 0}]


def test_a_head_is_never_a_whole_person():
    head = Person(1, head_box_xyxy_px=(0, 0, 10, 10))
    assert finds.matched({"a": side(box(1, 0, 0, 10, 10)), "b": side(head)}) == [{"a": 0}, {"b": 0}]


def test_masks_are_united_and_decide_where_there_are_two():
    row = np.zeros((4, 8))
    ones, others = row.copy(), row.copy()
    ones[:, :3], ones[:, 6:] = 1, 2
    others[:, 1:4] = 1
    first = side(box(1, 0, 0, 8, 4, score=0.6), box(2, 0, 0, 8, 4, score=0.7), instances=ones)
    second = side(box(1, 0, 0, 1, 1, score=0.9), instances=others)
    assert finds.matched({"a": first, "b": second}) == [{"a": 0, "b": 0}, {"a": 1}]  # 8 of 16 pixels
    both = finds.combined({"a": first, "b": second})
    assert [person.instance for person in both.people] == [1, 2]
    assert both.people[0].attributes == {"score": 0.9, "label": "person", "scores": {"a": 0.6, "b": 0.9}}
    assert both.people[0].box_xyxy_px == (0, 0, 1, 1)  # the surest one's
    assert both.layers["instances"].tolist() == [[1, 1, 1, 1, 0, 0, 2, 2]] * 4
    assert finds.combined({"a": Sidecar("s", people=())}).people == ()
