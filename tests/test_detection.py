# SPDX-License-Identifier: Apache-2.0
"""Finding people as a stage: a sidecar for each image that was looked at, a hole for each that could not be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from bright_people import (
    SEEING,
    files,
    picture,
    seeing,
    session,
    video,
    written,
)
from PIL import Image

from synthkit import detection
from synthkit.dataset import formats
from synthkit.dataset.sidecars import Joined, SidecarSet
from synthkit.dataset.verify import verify
from synthkit.errors import DatasetError, WorkError
from synthkit.execution import Local
from synthkit.sample import Person, Sample

pytestmark = pytest.mark.usefixtures("seeing_installed")


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
    (folder / "c.png").write_bytes(b"")
    made = detection.detect(session(), SEEING, folder, tmp_path / "found")
    reasons = dict(made.dataset.skipped)
    assert sorted(reasons) == ["b", "c"]
    assert reasons["b"].startswith("photos/b.png: cannot be read as an image")
    assert reasons["c"].startswith("photos/c.png is no JPEG or PNG image")
    assert str(tmp_path) not in str(reasons)


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
