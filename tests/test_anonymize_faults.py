# SPDX-License-Identifier: Apache-2.0
"""Anonymizing when something fails: what is in doubt is left out, and never handed on as it was."""

from __future__ import annotations

import json
import subprocess
import tarfile
import time

import numpy as np
import pytest
from made_private import (
    BOXES,
    SECRET,
    SIZE,
    anonymized,
    check_holds_no_original,
    files,
    finds,
    left_out,
    masks,
    picture,
    seeing,
    sloppy,
    unlabelled,
    written,
)
from PIL import Image

from synthkit.anonymization.run import Methods
from synthkit.dataset import formats
from synthkit.errors import ConfigError, SynthkitError
from synthkit.execution import Local
from synthkit.interfaces import ComponentSpec
from synthkit.sample import Person, Sidecar

pytestmark = pytest.mark.usefixtures("sloppy_installed")


@pytest.mark.parametrize("fault", ["raises", "says", "no answer", "two answers", "another key", "none", "nan", "score",
                                   "outside", "label", "mask", "crowd"])  # fmt: skip
def test_an_image_at_which_a_detector_failed_is_left_out(fault, tmp_path):
    source = unlabelled(tmp_path, count=2)
    methods = Methods(detectors=[seeing(fault=fault, at="s1")])
    made = anonymized(source, tmp_path / "out", methods=methods)
    assert [sample.key for sample in made.dataset] == ["s0"]
    assert left_out(made) == {"s1": "seeing could not tell who is in it"}


def test_processes_that_die_are_survived_and_their_images_left_out(tmp_path):
    source = unlabelled(tmp_path, count=3)
    methods = Methods(detectors=[seeing(fault="dies", at="s1")])
    made = anonymized(source, tmp_path / "out", sloppy("dies", at="s2"), methods, Local(1))
    assert [sample.key for sample in made.dataset] == ["s0"]
    assert left_out(made) == {
        "s1": "seeing could not tell who is in it",
        "s2": "work on it ended its process, or took too long",
    }


@pytest.mark.slow
def test_what_takes_too_long_is_left_out(tmp_path):
    source = unlabelled(tmp_path, count=3)
    methods = Methods(detectors=[seeing(fault="hangs", at="s1")])
    made = anonymized(source, tmp_path / "out", sloppy("hangs", at="s2"), methods, Local(1), timeout_s=15)
    assert [sample.key for sample in made.dataset] == ["s0"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("unchanged", "detail of somebody was still there after sloppy"),
        ("faint", "detail of somebody was still there after sloppy"),
        ("one", "detail of somebody was still there after sloppy"),
        ("raises", "refiner 'sloppy' failed (ValueError)"),
        ("skips", "refiner 'sloppy' could not treat it"),
        ("no answer", "refiner 'sloppy' gave no answer for it"),
        ("another key", "refiner 'sloppy' gave no answer for it"),
        ("another size", "refiner 'sloppy' gave an image of another size"),
    ],
)
def test_an_image_that_the_refiner_did_not_treat_is_left_out(fault, reason, labels, tmp_path):
    made = anonymized(labels, tmp_path / "out", sloppy(fault, at="s1"))
    assert [sample.key for sample in made.dataset] == ["s0", "s2"]
    assert left_out(made) == {"s1": reason}


def test_when_everything_is_left_out_that_is_told(labels, tmp_path):
    made = anonymized(labels, tmp_path / "out", sloppy("unchanged"))
    assert len(made.dataset) == 0
    assert len(left_out(made)) == 3
    check_holds_no_original(tmp_path / "out")


def test_a_second_look_finds_who_was_overlooked(tmp_path):
    source = unlabelled(tmp_path, count=2)
    found = finds(tmp_path, "one", {"s0": [(BOXES[0], 0.9)], "s1": [(box, 0.9) for box in BOXES]})
    made = anonymized(source, tmp_path / "out", sloppy(tells=False), Methods(finds=(found,), check=seeing()))
    assert [sample.key for sample in made.dataset] == ["s1"]
    assert left_out(made) == {"s0": "seeing still found 1 who had not been treated"}


def test_a_second_look_that_fails_stops_the_image(labels, tmp_path):
    methods = Methods(check=seeing(fault="nan", at="s1"))
    made = anonymized(labels, tmp_path / "out", sloppy(tells=False), methods)
    assert left_out(made) == {"s1": "seeing could not look at it again"}


def test_methods_that_cannot_do_are_refused(photos, labels, tmp_path):
    with pytest.raises(ConfigError, match="nothing looks for people"):
        anonymized(photos, tmp_path / "out")
    with pytest.raises(ConfigError, match="is the detector that looked"):
        anonymized(labels, tmp_path / "out", methods=Methods(detectors=[seeing()], check=seeing()))
    with pytest.raises(ConfigError, match="names more than one"):
        anonymized(labels, tmp_path / "out", methods=Methods(detectors=[seeing(), seeing(masks=True)]))
    assert not (tmp_path / "out").exists()


def test_a_detector_that_cannot_be_entered_takes_no_folder(labels, tmp_path, monkeypatch):
    monkeypatch.delenv("SYNTHKIT_PLUGINS")
    missing = ComponentSpec("detector", "onnx", {"model": str(tmp_path / "nowhere.onnx")})
    for methods in (Methods(detectors=[missing]), Methods(check=missing)):
        with pytest.raises(SynthkitError, match=r"nowhere\.onnx"):
            anonymized(labels, tmp_path / "out", methods=methods)
        assert not (tmp_path / "out").exists()


def test_photos_that_are_damaged_are_left_out(photos, tmp_path):
    (photos / "empty.png").write_bytes(b"")
    (photos / "cut.png").write_bytes((photos / "b.png").read_bytes()[:-40])
    made = anonymized(photos, tmp_path / "out", methods=Methods(detectors=[seeing()]))
    assert sorted(sample.key for sample in made.dataset) == ["a", "b"]
    assert sorted(left_out(made)) == ["cut", "empty"]


def transparent(path, alpha):
    """Write a PNG in which transparency hides people, or would if it were any."""
    Image.fromarray(np.dstack([picture(1), alpha])).save(path)


def test_a_photo_that_hides_pixels_by_transparency_is_left_out(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    hidden, opaque = np.full((SIZE, SIZE), 255, np.uint8), np.full((SIZE, SIZE), 255, np.uint8)
    hidden[masks() > 0] = 0
    transparent(folder / "hidden.png", hidden)
    transparent(folder / "opaque.png", opaque)
    Image.fromarray(picture(1)).save(folder / "key.png", transparency=tuple(map(int, picture(1)[30, 30])))
    deep = picture(1)[..., 0].astype(np.uint16) * 257
    Image.fromarray(deep).save(folder / "deep.png", transparency=int(deep[30, 30]))
    made = anonymized(folder, tmp_path / "out", methods=Methods(detectors=[seeing()]))
    assert [sample.key for sample in made.dataset] == ["opaque"]
    reason = "transparency hides some of it, and would not do so any more"
    assert left_out(made) == dict.fromkeys(("deep", "hidden", "key"), reason)


def test_so_is_an_image_of_a_set_of_others_and_of_one_that_was_converted(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    hidden = np.full((SIZE, SIZE), 255, np.uint8)
    hidden[:9] = 7
    transparent(folder / "a.png", hidden)
    for name in ("png", "image.png", "jpg"):
        with tarfile.open(tmp_path / f"foreign-{name}.tar", "w") as tar:
            tar.add(folder / "a.png", f"a.{name}")
    written(tmp_path / "converted", [formats.find(folder).open(folder).sample(0)])
    for name in ("foreign-png.tar", "foreign-image.png.tar", "foreign-jpg.tar", "converted"):
        made = anonymized(tmp_path / name, tmp_path / f"out-{name}", methods=Methods(detectors=[seeing()]))
        assert list(left_out(made)) == ["a"], name


def coco(folder, boxes, turn=1, size=(SIZE, SIZE)):
    """Write a set of one photo with boxes of people (left, top, width, height), and an EXIF orientation."""
    folder.mkdir()
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.fromarray(picture(1)[: size[1], : size[0]]).save(folder / "a.jpg", quality=95, exif=exif)
    table = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": size[0], "height": size[1]}],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [{"id": n, "image_id": 1, "category_id": 1, "bbox": box} for n, box in enumerate(boxes, 1)],
    }
    (folder / "labels.json").write_text(json.dumps(table))
    return folder


@pytest.mark.parametrize("boxes", [[[8, 8, 0, 20]], [[6, 8, 16, 32], [36, 20, 18, 0]]])
def test_an_image_is_not_empty_where_labels_have_boxes_without_size(boxes, tmp_path):
    made = anonymized(coco(tmp_path / "coco", boxes), tmp_path / "out")
    assert left_out(made) == {"a": "somebody is known to be in it, and nothing tells where"}


@pytest.mark.parametrize(("turn", "size", "passes"), [(1, (64, 64), True), (3, (64, 48), False), (6, (64, 64), False),
                                                      (6, (64, 48), True)])  # fmt: skip
def test_labels_on_a_photo_that_viewers_may_turn_are_not_believed(turn, size, passes, tmp_path):
    source = coco(tmp_path / "coco", [[6, 8, 16, 32]], turn, size)
    made = anonymized(source, tmp_path / "out")
    reason = "its labels may count on it as it is stored, or as viewers turn it"
    assert left_out(made) == ({} if passes else {"a": reason})
    methods = Methods(truth=False, detectors=[seeing()])
    assert not left_out(anonymized(source, tmp_path / "unlabelled", methods=methods))


def test_names_of_folders_of_finds_stay(tmp_path):
    found = finds(tmp_path, SECRET.decode(), {"s0": [(BOXES[0], 0.9), (BOXES[1], 0.2)]})
    made = anonymized(unlabelled(tmp_path), tmp_path / "out", methods=Methods(finds=(found,)), confident=0.5)
    assert len(made.dataset) == 1
    assert SECRET not in b"".join(files(tmp_path / "out" / "dataset").values())
    assert f"finds-1 (folder {SECRET.decode()})" in made.summary.read_text()


def test_the_same_finds_do_not_agree_with_themselves(tmp_path):
    found = finds(tmp_path, "one", {"s0": [(BOXES[0], 0.9)]})
    methods = Methods(finds=(found, tmp_path / "out" / ".." / "one"))
    with pytest.raises(ConfigError, match="given twice"):
        anonymized(unlabelled(tmp_path), tmp_path / "out", methods=methods)


def test_layers_that_may_show_people_are_no_finds(tmp_path):
    methods = Methods(detectors=[seeing(fault="shows", at="s1")])
    made = anonymized(unlabelled(tmp_path, count=2), tmp_path / "out", methods=methods)
    assert left_out(made) == {"s1": "seeing could not tell who is in it"}
    assert "picture" not in "".join(files(tmp_path / "out" / "finds"))


@pytest.mark.parametrize("kind", ["boxes", "masks"])
def test_finds_of_more_people_than_can_be_told_apart_cost_no_time(kind, tmp_path):
    people = [Person(instance=n, box_xyxy_px=(1, 1, 60, 60)) for n in range(1, 4001)]
    layers = {"instances": np.arange(SIZE * SIZE, dtype=np.uint16).reshape(SIZE, SIZE)} if kind == "masks" else {}
    hostile = [Sidecar(key="s0", people=people if kind == "boxes" else (), layers=layers)]
    folders = [written(tmp_path / name, hostile) for name in ("one", "two")]
    begin = time.process_time()
    made = anonymized(unlabelled(tmp_path), tmp_path / "out", methods=Methods(finds=tuple(folders)))
    assert left_out(made) == {"s0": "more than 1000 people are in it, which are too many to be told apart"}
    assert time.process_time() - begin < 20


def test_numbers_of_masks_may_be_large(tmp_path):
    """A table of all pairs of numbers would take 34 GB."""
    layer = masks().astype(np.uint16) * 32000
    people = [Person(instance=32000 * n, attributes={"score": 0.9}) for n in (1, 2)]
    sides = [Sidecar(key="s0", people=people, layers={"instances": layer})]
    folders = [written(tmp_path / name, sides) for name in ("one", "two")]
    made = anonymized(unlabelled(tmp_path), tmp_path / "out", methods=Methods(finds=tuple(folders)))
    assert made.counts.found_by == {"finds-1 and finds-2": 2}


def small_disk(tmp_path, kb):
    """Return a folder on a disk of its own, or skip."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kb}k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk")
    return disk


@pytest.mark.parametrize("kb", [60, 120])
def test_a_full_disk_leaves_no_half_and_the_rest_is_done_later(kb, tmp_path):
    """Wherever it fills up: what is there is whole, and with room the same bytes come out as ever."""
    source, methods = unlabelled(tmp_path, count=4), Methods(detectors=[seeing(masks=True)])
    calm = anonymized(source, tmp_path / "calm", methods=methods)
    disk = small_disk(tmp_path, kb)
    try:
        with pytest.raises((SynthkitError, OSError)):
            anonymized(source, disk / "out", methods=methods)
        for folder in (disk / "out" / "dataset", disk / "out" / "finds" / "seeing"):
            for tar in folder.rglob("*.tar"):
                with tarfile.open(tar) as opened:
                    assert all(opened.extractfile(member).read() is not None for member in opened)
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        made = anonymized(source, disk / "out", methods=methods)
        assert made.dataset.fingerprint == calm.dataset.fingerprint
        assert files(disk / "out" / "dataset") == files(tmp_path / "calm" / "dataset")
        assert made.audit.read_bytes() == calm.audit.read_bytes()
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_an_image_of_a_data_set_that_is_damaged_is_left_out(tmp_path):
    source = unlabelled(tmp_path, count=2)
    shard = min(source.rglob("*.tar"))
    data = bytearray(shard.read_bytes())
    place = data.find(b"IDAT") + 20
    data[place : place + 4] = bytes(value ^ 255 for value in data[place : place + 4])
    shard.write_bytes(data)
    made = anonymized(source, tmp_path / "out", methods=Methods(detectors=[seeing()]))
    assert [sample.key for sample in made.dataset] == ["s1"]
    assert left_out(made) == {"s0": "it cannot be read"}
