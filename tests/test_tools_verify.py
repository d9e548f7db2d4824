# SPDX-License-Identifier: Apache-2.0
"""Truth that cannot be is found, and a repair drops only that."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from synthkit.camera import FisheyeCamera
from synthkit.dataset import Dataset, DatasetWriter, opening, verify
from synthkit.dataset.stores import LocalStore
from synthkit.dataset.tools.repair import repair
from synthkit.dataset.tools.truth import examine, tight_boxes
from synthkit.errors import DatasetError
from synthkit.sample import Person, RotatedBox, Sample, Sidecar, Skipped, evolve

SIZE = (24, 32)


def sound(key="a", seed=0):
    """Return a sample of two people with masks, boxes and heads, of which nothing is wrong."""
    instances = np.zeros(SIZE, np.uint8)
    instances[2:8, 3:9] = 1
    instances[10:20, 20:25] = 2
    people = [
        Person(instance=1, identity=f"{key}-1", box_xyxy_px=(3, 2, 9, 8), head_px=(5, 4), visible_fraction=0.5),
        Person(instance=2, identity=f"{key}-2", box_xyxy_px=(20, 10, 25, 20), rotated_box=RotatedBox(22, 15, 5, 10, 0)),
        Person(identity=f"{key}-hidden", visible_fraction=0.0),
    ]
    image = np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), np.uint8)
    return Sample(key=key, image=image, people=people, layers={"instances": instances}, meta={"seed": seed})


def changed(sample, number, **changes):
    people = list(sample.people)
    people[number] = evolve(people[number], **changes)
    return evolve(sample, people=people)


def painted(sample, rows, columns, value):
    layer = np.array(sample.layers["instances"])
    layer[rows, columns] = value
    return layered(sample, "instances", layer)


def layered(sample, name, layer):
    return evolve(sample, layers={**sample.layers, name: layer})


def all_layers(sample):
    """Return a sound sample with every layer that is checked."""
    instances = sample.layers["instances"]
    amodal = np.where(instances > 0, 1 << np.maximum(instances, 1) - 1, 0).astype(np.uint8)
    amodal[6:12, 3:9] |= 1  # hidden in part
    normals = np.zeros((*SIZE, 3), np.uint8)
    normals[:, 3:] = 128, 128, 1
    normals[5:, 3:] = 128 + round(127 * 0.6), 128, 128 - round(127 * 0.8)
    surface = np.where(instances > 0, 19158, 0).astype(np.uint16)
    layers = {"amodal": amodal, "surface": surface, "normals": normals, "depth": np.ones(SIZE, np.float32)}
    return evolve(sample, layers={**sample.layers, **layers})


def write(folder, results, **options):
    with DatasetWriter(folder, identity={"what": "test"}, scenes=len(results), scenes_per_shard=3, **options) as writer:
        for scene, result in enumerate(results):
            writer.spool.put(scene, [result])
            writer.finished(scene)
        writer.finalise()
    return folder


def faults(sample, *, warning=False):
    return [fault.text for fault in examine(sample) if fault.warning == warning]


FAULTS = {
    "box off the image": (lambda s: changed(s, 0, box_xyxy_px=(3, 2, 40, 8)), "outside the image of 32x24"),
    "rotated box off it": (lambda s: changed(s, 1, rotated_box=RotatedBox(99, 3, 1, 2, 0)), "rotated box"),
    "fraction": (lambda s: changed(s, 0, visible_fraction=1.5), "visible_fraction is 1.5"),
    "shared number": (lambda s: changed(s, 1, instance=1), "share an instance number"),
    "gap": (lambda s: changed(painted(s, slice(10, 20), slice(20, 25), 5), 1, instance=5), "expected 1 to 2"),
    "nobody's pixels": (lambda s: painted(s, 0, 0, 9), "[9], which are nobody's"),
    "no pixels": (lambda s: painted(s, slice(2, 8), slice(3, 9), 0), "instance 1 has no pixels"),
    "box is not its mask's": (lambda s: changed(s, 0, box_xyxy_px=(3, 2, 9, 10.5)), "is not that of its pixels"),
    "somebody else's box": (lambda s: changed(s, 1, box_xyxy_px=(1, 1, 9, 9)), "is not that of its pixels"),
    "radial box off it": (lambda s: changed(s, 1, radial_box=RotatedBox(99, 3, 1, 2, 0)), "radial box"),
    "full box without the rest": (lambda s: changed(s, 0, full_box_xyxy_px=(3, 2, 9, 6)), "does not hold that of"),
    "hidden by nobody": (lambda s: changed(s, 2, occluder=3), "is hidden by instance 3"),
    "hidden by itself": (lambda s: changed(s, 1, occluder=2), "is hidden by instance 2"),
    "amodal without the seen": (lambda s: layered(s, "amodal", np.full(SIZE, 1, np.uint8)), "lacks 50 pixels"),
    "amodal in colour": (lambda s: layered(s, "amodal", np.zeros((*SIZE, 3), np.uint8)), "expected height and width"),
    "surface of nobody": (lambda s: layered(s, "surface", np.full(SIZE, 7, np.uint16)), "pixels that are nobody's"),
    "surface off the mesh": (lambda s: layered(s, "surface", np.full(SIZE, 19159, np.uint16)), "expected 0 to 19158"),
    "normals": (lambda s: layered(s, "normals", np.full((*SIZE, 3), 230, np.uint8)), "768 directions"),
    "depth": (lambda s: layered(s, "depth", np.full(SIZE, np.nan, np.float32)), "768 pixels"),
    "another camera": (lambda s: evolve(s, camera=FisheyeCamera.equidistant(99, 99)), "the camera is of 99x99"),
}


def test_nothing_is_wrong_with_what_is_sound():
    assert faults(sound()) == faults(sound(), warning=True) == []
    whole = changed(all_layers(sound()), 0, full_box_xyxy_px=(3, -2, 9, 12), occluder=2)
    assert faults(whole) == faults(whole, warning=True) == []
    assert faults(changed(sound(), 0, box_xyxy_px=(3.9, 2, 9, 7.1))) == [], "within a pixel"


@pytest.mark.parametrize("case", sorted(FAULTS))
def test_each_fault_is_told(case):
    harm, message = FAULTS[case]
    assert any(message in text for text in faults(harm(sound())))


def test_what_real_sets_have_is_a_warning(tmp_path):
    odd = changed(changed(sound(), 1, identity="a-1"), 0, head_px=(-3, 4))
    assert faults(odd) == []
    folder = write(tmp_path / "odd", [odd])
    report = verify.verify(folder)
    assert report.problems == ()
    assert [text.partition("sample a: ")[2] for text in report.warnings] == [
        "people[0]: the head at (-3.0, 4.0) lies outside the image of 32x24 pixels",
        "identity 'a-1' is 2 times in this image",
    ]


def annotated(key="a"):
    """Return what a sound converted set may hold: boxes that somebody drew, and masks that lie on each other."""
    instances = np.zeros(SIZE, np.uint8)
    instances[2:20, 2:8] = 1
    instances[5:9, 5:12] = 2  # lies on the first one and on all of the third
    people = [
        Person(instance=1, identity="in part below", box_xyxy_px=(2, 2, 12, 20)),
        Person(instance=2, identity="box drawn wide", box_xyxy_px=(3, 3, 14, 11), head_px=(8, 7)),
        Person(instance=3, identity="all below", box_xyxy_px=(6, 5, 12, 9)),
    ]
    return Sample(key=key, image=np.zeros((*SIZE, 3), np.uint8), people=people, layers={"instances": instances})


def test_annotations_need_not_be_those_of_the_pixels(tmp_path):
    folder = write(tmp_path / "set", [annotated()])
    report = verify.verify(folder)
    assert report.problems == ()
    assert [text.partition("sample a: ")[2] for text in report.warnings] == [
        "people[0]: box (2.0, 2.0, 12.0, 20.0) is not that of its pixels in layer 'instances', (2.0, 2.0, 8.0, 20.0)",
        "people[1]: box (3.0, 3.0, 14.0, 11.0) is not that of its pixels in layer 'instances', (5.0, 5.0, 12.0, 9.0)",
        "people[2]: instance 3 has no pixels in layer 'instances'",
    ]


def test_a_repair_takes_nothing_away_for_a_warning(tmp_path):
    """Also where the numbers of the same sample are put in order."""
    folder = write(tmp_path / "set", [annotated("a"), painted(annotated("b"), 0, 0, 9)])
    made = repair(folder, tmp_path / "good")
    assert (made.copied, made.mended, made.dropped) == (1, 1, 0)
    assert made.lines == ("b: layer 'instances' holds [9], which are nobody's",)
    for sample in made.dataset:
        assert sample.people == annotated().people
        assert np.array_equal(sample.layers["instances"], annotated().layers["instances"])


def test_a_changed_identity_is_told(tmp_path):
    manifest = write(tmp_path / "set", [sound()]) / "dataset.json"
    assert verify.verify(tmp_path / "set").problems == ()
    manifest.write_text(manifest.read_text().replace('"what": "test"', '"what": "other"'))
    (problem,) = verify.verify(tmp_path / "set").problems
    assert f"{manifest}: its identity is not that of its fingerprint" in problem


def test_files_that_are_not_listed_are_told(tmp_path):
    """Whoever trains on shards/*.tar would see them."""
    shards = write(tmp_path / "set", [sound()]) / "shards"
    (shards / "000099.tar").write_bytes((shards / "000000.tar").read_bytes())
    (shards / "notes.txt").write_text("mine")
    problems = verify.verify(tmp_path / "set").problems
    assert problems == (
        f"{shards / '000099.tar'}: belongs to no shard of the set that has a commit record",
        f"{shards / 'notes.txt'}: belongs to no shard of the set that has a commit record",
    )
    assert verify.verify(repair(tmp_path / "set", tmp_path / "good").dataset.location).problems == ()


def test_an_index_beyond_the_limit_is_not_read(tmp_path, monkeypatch):
    folder = write(tmp_path / "set", [sound("a")])
    tar = next(folder.rglob("*.tar"))
    tar.write_bytes(tar.read_bytes()[:600])  # so that only the index tells where the samples are
    table = next((folder / "shards").glob("*.npz"))
    for module in (verify, opening):
        monkeypatch.setattr(module, "MAX_TABLE_BYTES", table.stat().st_size - 1)
    real = LocalStore.read
    read = []
    monkeypatch.setattr(LocalStore, "read", lambda store, name: read.append(name) or real(store, name))
    assert any("cannot be found any more" in problem for problem in verify.verify(folder).problems)
    assert f"shards/{table.name}" not in read


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 29), st.integers(0, 4)), max_size=30))
def test_tight_boxes_are_those_of_each_number(pixels):
    layer = np.zeros((20, 30), np.uint8)
    for row, column, value in pixels:
        layer[row, column] = value
    expected = {}
    for value in set(layer.ravel().tolist()) - {0}:
        rows, columns = np.nonzero(layer == value)
        expected[value] = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert tight_boxes(layer) == expected


@pytest.mark.parametrize("case", sorted(FAULTS))
def test_a_repair_drops_only_what_is_wrong(tmp_path, case):
    harm, message = FAULTS[case]
    folder = write(tmp_path / "bad", [sound("a"), harm(sound("b", 1)), Skipped("c", "no room"), sound("d", 2)])
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    made = repair(folder, tmp_path / "good")
    assert verify.verify(tmp_path / "good").problems == ()
    assert (made.copied, made.mended, made.dropped) == (3, 1, 0)
    old, new = Dataset.open(folder), Dataset.open(tmp_path / "good")
    assert list(new.keys()) == ["a", "b", "d"]
    assert new.skipped == [("c", "no room")]
    assert old.members(0) == new.members(0)
    assert old.members(2) == new.members(2)
    assert old.members(1)[1]["png"] == new.members(1)[1]["png"]
    assert [person.identity for person in new[1].people] == ["b-1", "b-2", "b-hidden"]
    assert new.manifest.notes["repair"]["mended"][0]["key"] == "b"
    assert any(message in text for text in new.manifest.notes["repair"]["mended"][0]["dropped"])
    assert new.manifest.notes["parents"][0]["fingerprint"] == old.fingerprint
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_left_after_a_repair(tmp_path):
    """Numbers are dense again, and whoever lost pixels is one whom nobody sees."""
    gone = painted(sound("b"), slice(2, 8), slice(3, 9), 0)
    repair(write(tmp_path / "bad", [gone]), tmp_path / "good")
    first, second, _ = Dataset.open(tmp_path / "good")[0].people
    assert (first.instance, first.box_xyxy_px, first.visible_fraction, first.head_px) == (None, None, None, (5, 4))
    assert (second.instance, second.box_xyxy_px) == (1, (20, 10, 25, 20))
    layer = Dataset.open(tmp_path / "good")[0].layers["instances"]
    assert set(np.unique(layer)) == {0, 1}
    assert (layer[10:20, 20:25] == 1).all()


def test_whole_masks_and_occluders_are_renumbered_with_the_people(tmp_path):
    gone = painted(all_layers(sound()), slice(2, 8), slice(3, 9), 0)
    surface = np.where(gone.layers["instances"] > 0, 5, 0).astype(np.uint16)
    gone = layered(changed(changed(gone, 1, occluder=1), 2, occluder=2), "surface", surface)
    repair(write(tmp_path / "bad", [gone]), tmp_path / "good")
    mended = Dataset.open(tmp_path / "good")[0]
    assert [person.occluder for person in mended.people] == [None, None, 1]
    assert np.array_equal(mended.layers["amodal"], mended.layers["instances"])
    assert verify.verify(tmp_path / "good").problems == ()


def damaged(folder, position, suffix, data):
    """Put other bytes of the same length into a member."""
    key, members = Dataset.open(folder).members(position)
    old = members[suffix]
    new = (data + bytes(len(old)))[: len(old)] if isinstance(data, bytes) else data(old)
    for tar in sorted(Path(folder).rglob("*.tar")):
        whole = tar.read_bytes()
        at = whole.find(f"{key}.{suffix}".encode())
        if at >= 0:
            tar.write_bytes(whole[:at] + whole[at:].replace(old, new, 1))


@pytest.mark.parametrize(
    ("suffix", "data", "left"),
    [
        ("png", b"no image", None),
        ("json", b"{", None),
        ("json", lambda old: old.replace(b"a-1", b"x-1"), None),  # it reads well, and is not what was written
        ("instances.png", b"no layer", {"image", "people"}),
        ("json", lambda old: old.replace(b'"head_px":[5.0,4.0]', b'"head_px":"[5.,4.]"'), {"image", "people", "layer"}),
    ],
)
def test_damage_costs_the_least_possible(tmp_path, suffix, data, left):
    folder = write(tmp_path / "bad", [sound("a"), sound("z", 1)])
    damaged(folder, 0, suffix, data)
    made = repair(folder, tmp_path / "good")
    assert verify.verify(tmp_path / "good").problems == ()
    keys = list(made.dataset.keys())
    if left is None:
        assert keys == ["z"]
        assert [key for key, _ in made.dataset.skipped] == ["a"]
        assert made.dataset.skipped[0][1].startswith("dropped by repair: ")
        assert made.dropped == 1
    else:
        assert keys == ["a", "z"]
        assert (made.mended, made.dropped) == (1, 0)
        assert ("instances" in made.dataset[0].layers) == ("layer" in left)
        assert len(made.dataset[0].people) == (2 if suffix == "json" else 3)


@settings(max_examples=15, deadline=None)
@example([(0, 1), (55, 1), (302, 1)])  # the first image has another key, and where it was is not known any more
@given(st.lists(st.tuples(st.integers(0, 2**31), st.integers(1, 255)), min_size=1, max_size=4))
def test_a_repair_of_any_damage_is_sound(tmp_path_factory, flips):
    tmp_path = tmp_path_factory.mktemp("any")
    folder = write(tmp_path / "bad", [sound(f"k{n}", n) for n in range(4)])
    tars = sorted(folder.rglob("*.tar")) + sorted(folder.rglob("*.npz"))
    for place, value in flips:
        tar = tars[place % len(tars)]
        data = bytearray(tar.read_bytes())
        data[place // len(tars) % len(data)] ^= value
        tar.write_bytes(data)
    try:
        made = repair(folder, tmp_path / "good")
    except DatasetError as error:  # a shard that cannot be found any more, and the one sample of the other
        if "nothing of it is sound" in str(error):
            return
        raise
    assert verify.verify(tmp_path / "good").problems == ()
    original = {f"k{n}": sound(f"k{n}", n) for n in range(4)}
    for sample in made.dataset:
        if sample.key in original:
            assert np.array_equal(sample.image, original[sample.key].image)


def test_a_cut_off_shard_keeps_what_is_before_the_cut(tmp_path):
    folder = write(tmp_path / "bad", [sound(f"k{n}", n) for n in range(3)])
    tar = next(folder.rglob("*.tar"))
    data = Dataset.open(folder)
    end = tar.read_bytes().index(data.members(2)[1]["png"])
    tar.write_bytes(tar.read_bytes()[: end + 100])
    made = repair(folder, tmp_path / "good")
    assert list(made.dataset.keys()) == ["k0", "k1"]
    assert [key for key, _ in made.dataset.skipped] == ["k2"]
    assert verify.verify(tmp_path / "good").problems == ()


@pytest.mark.parametrize("table", [True, False])
def test_records_that_are_lost_and_damaged_cost_no_more_than_must_be(tmp_path, table):
    """With the table of all shards their samples are known; without it shards that have no record do not count."""
    folder = write(tmp_path / "bad", [sound(f"k{n}", n) for n in range(7)])
    (folder / "shards/000000.json").unlink()
    (folder / "shards/000001.json").write_bytes(b"{")
    if not table:
        (folder / "shards.npz").write_bytes(b"")
    report = verify.verify(folder)
    for name in ("000000.json", "000001.json") if table else ("000000.tar", "000001.json", "shards.npz"):
        assert any(name in line for line in report.problems)
    assert len(set(report.problems)) == len(report.problems)
    made = repair(folder, tmp_path / "good")
    assert list(made.dataset.keys()) == [f"k{n}" for n in (range(7) if table else range(6, 7))]
    assert verify.verify(tmp_path / "good").problems == ()


def test_a_sample_is_held_against_its_digest_when_its_record_is_damaged(tmp_path):
    folder = write(tmp_path / "bad", [sound("a"), sound("z", 1)])
    damaged(folder, 0, "json", lambda old: old.replace(b"a-1", b"x-1"))
    (folder / "shards/000000.json").write_bytes(b"{")
    made = repair(folder, tmp_path / "good")
    assert (list(made.dataset.keys()), made.dropped) == (["z"], 1)


def test_sidecars_stay_when_their_record_is_damaged(tmp_path):
    folder = write(tmp_path / "bad", [Sidecar("a", people=[Person(identity="x")]), Sidecar("b")])
    (folder / "shards/000000.json").write_bytes(b"{")
    made = repair(folder, tmp_path / "good")
    assert (made.copied, made.dropped) == (2, 0)


def test_a_set_without_its_manifest_is_not_called_sound(tmp_path):
    folder = write(tmp_path / "bad", [sound("a")])
    (folder / "dataset.json").unlink()
    (problem,) = verify.verify(folder).problems
    assert problem == f"{folder}/dataset.json: is missing, so its shards are taken for plain WebDataset tars"
    assert verify.verify(folder / "shards/000000.tar").problems == ()


def test_what_is_wrong_with_a_sample_is_told_once(tmp_path):
    folder = write(tmp_path / "bad", [sound("a"), sound("z", 1)])
    damaged(folder, 0, "png", b"no image")
    lines = [line for line in repair(folder, tmp_path / "good").lines if line.startswith("a: ")]
    assert len(lines) == 1
    assert lines[0].startswith("a: sample dropped: cannot be read: its image")


def test_a_repair_goes_on_and_never_writes_over(tmp_path):
    folder = write(tmp_path / "bad", [sound("a"), FAULTS["fraction"][0](sound("b"))])
    with pytest.raises(DatasetError, match="is the set itself"):
        repair(folder, folder)
    repair(folder, tmp_path / "one")
    before = {p.name: p.read_bytes() for p in (tmp_path / "one").rglob("*") if p.is_file()}
    repair(folder, tmp_path / "one")
    assert before == {p.name: p.read_bytes() for p in (tmp_path / "one").rglob("*") if p.is_file()}
    other = write(tmp_path / "other", [sound("a", 5)])
    with pytest.raises(DatasetError, match="made with other settings"):
        repair(other, tmp_path / "one")


def test_nothing_sound_is_no_set(tmp_path):
    folder = write(tmp_path / "bad", [sound("a")])
    damaged(folder, 0, "png", b"no image")
    with pytest.raises(DatasetError, match="nothing of it is sound"):
        repair(folder, tmp_path / "good")
    assert not (tmp_path / "good").exists()


def test_notes_are_json(tmp_path):
    repair(write(tmp_path / "bad", [FAULTS["gap"][0](sound())]), tmp_path / "good")
    notes = json.loads((tmp_path / "good" / "dataset.json").read_bytes())["notes"]
    assert notes["repair"]["dropped"] == []
