# SPDX-License-Identifier: Apache-2.0
"""What leaves an anonymized set: pixels and places of people, and nothing of an original."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from made_private import (
    BOXES,
    SECRET,
    anonymized,
    check_holds_no_original,
    covered,
    files,
    labelled,
    masks,
    picture,
    png,
    seeing,
    written,
)
from PIL import Image

from synthkit.anonymization.run import Methods
from synthkit.execution import Local
from synthkit.interfaces import ComponentSpec
from synthkit.sample import evolve

pytestmark = pytest.mark.usefixtures("sloppy_installed")


def test_nothing_but_pixels_and_places_of_people_is_handed_on(labels, tmp_path):
    made = anonymized(labels, tmp_path / "out")
    sample = made.dataset[0]
    assert set(sample.layers) == {"instances"}
    assert (sample.layers["instances"] == masks()).all()
    assert [(p.instance, p.box_xyxy_px, p.identity, dict(p.attributes)) for p in sample.people] == [
        (k, box, None, {}) for k, box in enumerate(BOXES, 1)
    ]
    assert set(sample.meta) == {"anonymized"}
    leaving = b"".join(files(tmp_path / "out").values())
    assert SECRET not in leaving
    assert str(tmp_path).encode() not in leaving


def test_keys_become_numbers_and_identities_stay_when_asked(labels, tmp_path):
    made = anonymized(labels, tmp_path / "out", names="number", identities=True)
    assert [sample.key for sample in made.dataset] == ["000000", "000001", "000002"]
    assert made.dataset[0].people[0].identity == SECRET.decode()


def test_the_name_of_a_clip_is_dropped_also_where_its_keys_are_the_numbers(tmp_path):
    frames = [labelled(n, sequence=SECRET.decode(), frame=n) for n in range(2)]
    source = written(tmp_path / "in", [evolve(frame, key=f"{n:06d}") for n, frame in enumerate(frames)])
    for names, expected in (("keep", SECRET.decode()), ("number", None)):
        made = anonymized(source, tmp_path / names, names=names)
        assert [(one.key, one.sequence) for one in made.dataset] == [("000000", expected), ("000001", expected)]


def test_what_photos_tell_besides_pixels_is_not_handed_on(photos, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    methods = Methods(detectors=[seeing()])
    made = anonymized(photos, tmp_path / "out", methods=methods)
    names = sorted(path.name for path in made.files.iterdir())
    assert names == ["a.png", "b.png", "synthkit.json"]
    for name in names[:2]:
        with Image.open(made.files / name) as image:
            assert not image.info
            assert not image.getexif()
            assert covered(np.asarray(image))
    check_holds_no_original(tmp_path / "out", scratch, Path(os.environ["SYNTHKIT_CACHE"]))


CODE = """
import sys
from pathlib import Path
from typer.testing import CliRunner

from synthkit.anonymization import run
from synthkit.execution import Local
from synthkit.interfaces import ComponentSpec
from synthkit.plugins import discover
from synthkit.session import Session
from synthkit.settings import RunSettings

refiner = ComponentSpec("refiner", "sloppy", {"notes": sys.argv[3], "pause_s": float(sys.argv[4])})
methods = run.Methods(detectors=[ComponentSpec("detector", "seeing")])
session = Session(discover(), RunSettings(scenes_per_shard=2), Local(1))
run.anonymize(session, sys.argv[1], refiner, Path(sys.argv[2]), methods)
"""


def test_a_run_that_is_killed_leaves_no_original_and_goes_on_to_the_same_bytes(photos, tmp_path):
    png(photos / "c.png", picture(1))
    notes = tmp_path / "notes"
    notes.mkdir()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", CODE, str(photos), str(tmp_path / "killed"), str(notes), "1.0"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 250
    while len(list(notes.iterdir())) < 2 and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "audit.jsonl").exists()
    check_holds_no_original(tmp_path / "killed")
    methods = Methods(detectors=[seeing()])
    for name in ("killed", "calm"):
        anonymized(photos, tmp_path / name, methods=methods)
    assert files(tmp_path / "killed") == files(tmp_path / "calm")


@pytest.mark.parametrize("name", ["blind", "sloppy"])
def test_what_is_under_a_mask_changes_nothing_where_a_refiner_does_not_look_at_it(name, tmp_path):
    """The refiner would tell in the corner what it saw; of one that promises not to look, nothing can come through."""
    results = []
    for turn in (0, 1):
        image = picture(0)
        image[masks() > 0] = 255 - image[masks() > 0] if turn else image[masks() > 0]
        source = written(tmp_path / f"set{turn}", [labelled(0, image=image)])
        made = anonymized(source, tmp_path / f"out{turn}", ComponentSpec("refiner", name))
        results.append(made.dataset[0].image)
    assert (results[0] == results[1]).all() == (name == "blind")


def test_workers_change_no_byte(labels, tmp_path):
    anonymized(labels, tmp_path / "here")
    anonymized(labels, tmp_path / "there", executor=Local(2))
    assert files(tmp_path / "here") == files(tmp_path / "there")
