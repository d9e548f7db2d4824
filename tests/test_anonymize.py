# SPDX-License-Identifier: Apache-2.0
"""Anonymizing folders and data sets: who is treated how, and what is told of it."""

from __future__ import annotations

import numpy as np
import pytest
from made_private import (
    BOXES,
    anonymized,
    covered,
    finds,
    labelled,
    left_out,
    lines,
    masks,
    picture,
    seeing,
    shows,
    unlabelled,
    written,
)
from typer.testing import CliRunner

from synthkit.anonymization.people import Look, surfaces_of, truth_of
from synthkit.anonymization.run import Methods
from synthkit.cli.app import app
from synthkit.dataset.verify import verify
from synthkit.errors import ConfigError, DatasetError, PluginError
from synthkit.finds.heads import joined
from synthkit.interfaces import ComponentSpec
from synthkit.sample import Person, Sample, Sidecar

pytestmark = pytest.mark.usefixtures("sloppy_installed")


def test_everybody_of_the_labels_is_treated_and_accounted_for(labels, tmp_path):
    made = anonymized(labels, tmp_path / "out")
    data = made.dataset
    assert [sample.key for sample in data] == ["s0", "s1", "s2"]
    assert all(covered(sample.image) for sample in data)
    assert all((sample.image[-3:] == picture(n)[-3:]).all() for n, sample in enumerate(data))
    assert not verify(tmp_path / "out" / "dataset").problems
    told = lines(made)
    assert [(line["key"], line["person"]) for line in told] == [(f"s{n}", k) for n in range(3) for k in (1, 2)]
    assert told[1] == {
        "key": "s0", "image": "treated", "person": 2, "found_by": {"truth": None}, "track": None,
        "box_xyxy_px": list(BOXES[1]),
        "pixels": 18 * 40, "treated": "sloppy", "extent": "body", "doubt": "", "detail_left": 0.0,
    }  # fmt: skip
    assert made.counts.people == {"sloppy": 6}
    page = made.summary.read_text()
    assert "people treated" in page
    assert "does not protect" in page


def test_who_only_one_of_two_found_is_blurred(tmp_path):
    source = unlabelled(tmp_path)
    both = finds(tmp_path, "one", {"s0": [(BOXES[0], 0.9), (BOXES[1], 0.9)]})
    single = finds(tmp_path, "two", {"s0": [(BOXES[0], 0.8)]})
    made = anonymized(source, tmp_path / "out", methods=Methods(finds=(both, single)))
    image = made.dataset[0].image
    assert covered(image, BOXES[:1])
    assert not shows(image, picture(0))
    assert not covered(image, BOXES[1:])
    told = {tuple(line["box_xyxy_px"][:1]): line for line in lines(made)}
    treated = [(line["treated"], line["found_by"], line["doubt"]) for _, line in sorted(told.items())]
    assert treated == [
        ("sloppy", {"finds-1": 0.9, "finds-2": 0.8}, ""),
        ("blurred", {"finds-1": 0.9}, "found by finds-1 only, of finds-1 and finds-2"),
    ]
    assert made.counts.doubts == {"found by finds-1 only, of finds-1 and finds-2": 1}


def test_who_was_found_with_a_low_score_is_blurred_with_a_wider_margin(tmp_path):
    source = unlabelled(tmp_path)
    found = finds(tmp_path, "one", {"s0": [(BOXES[0], 0.9), (BOXES[1], 0.3)]})
    made = anonymized(source, tmp_path / "out", methods=Methods(finds=(found,)), confident=0.5)
    image = made.dataset[0].image
    assert covered(image, BOXES[:1])
    left, top, right, bottom = BOXES[1]
    around = (image != picture(0)).any(axis=2)[top - 5 : bottom, left - 5 : right + 5]
    assert around.mean() > 0.97
    assert not shows(image, picture(0))
    assert lines(made)[1]["doubt"] == "found with low scores only"


def test_detectors_look_for_people_in_doubt_too(tmp_path):
    image = picture(0, people=0)
    image[8:40, 6:22] = 130  # seen with a score of 130 / 255
    source = written(tmp_path / "set", [Sample(key="s0", image=image)])
    made = anonymized(source, tmp_path / "out", methods=Methods(detectors=[seeing()]), confident=0.9)
    assert [line["treated"] for line in lines(made)] == ["blurred"]
    with pytest.raises(DatasetError, match="another policy"):
        anonymized(source, tmp_path / "out", methods=Methods(detectors=[seeing()]))


def test_labels_are_enough_alone_and_finds_add_to_them(tmp_path):
    source = written(tmp_path / "set", [labelled(0, people=[Person(instance=1)], layers={"instances": masks(1)})])
    found = finds(tmp_path, "one", {"s0": [(BOXES[1], 0.9)]})
    made = anonymized(source, tmp_path / "out", methods=Methods(finds=(found,)))
    assert [(line["treated"], line["found_by"]) for line in lines(made)] == [
        ("sloppy", {"truth": None}), ("blurred", {"finds-1": 0.9}),
    ]  # fmt: skip


def test_a_find_without_a_place_stops_the_image(tmp_path):
    side = Sidecar(key="s0", people=[Person(instance=1, box_xyxy_px=BOXES[0]), Person(instance=2)])
    found = written(tmp_path / "one", [side])
    made = anonymized(unlabelled(tmp_path), tmp_path / "out", methods=Methods(finds=(found,)))
    assert left_out(made) == {"s0": "finds-1 found somebody, and nothing tells where"}


@pytest.mark.parametrize("listed", [0, 1])
def test_masks_of_people_whom_a_set_of_finds_does_not_list_are_people_too(listed, tmp_path):
    people = [Person(instance=1, attributes={"score": 0.9})][:listed]
    found = written(tmp_path / "masks", [Sidecar(key="s0", people=people, layers={"instances": masks()})])
    made = anonymized(unlabelled(tmp_path), tmp_path / "out", methods=Methods(finds=(found,)), on_miss="pass")
    assert covered(made.dataset[0].image)


def head(box):
    middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    return Person(instance=9, head_box_xyxy_px=box, head_px=middle, attributes={"score": 0.9, "label": "head"})


def test_heads_belong_to_bodies_and_alone_are_not_enough(tmp_path):
    body = Person(instance=1, box_xyxy_px=BOXES[0], attributes={"score": 0.9, "label": "person"})
    on_it, elsewhere = head((10, 10, 18, 18)), head((40, 22, 50, 32))
    of_bodies = written(tmp_path / "bodies", [Sidecar(key=key, people=[body]) for key in ("s0", "s1")])
    sides = [Sidecar(key="s0", people=[on_it]), Sidecar(key="s1", people=[on_it, elsewhere])]
    of_heads = written(tmp_path / "heads", sides)
    methods = Methods(finds=(of_bodies, of_heads))
    made = anonymized(unlabelled(tmp_path, count=2), tmp_path / "out", methods=methods)
    assert [(line["treated"], line["found_by"]) for line in lines(made) if "person" in line] == [
        ("sloppy", {"finds-1": 0.9, "finds-2": 0.9}),
    ]
    assert left_out(made) == {"s1": "of somebody only the head was found"}


@pytest.mark.parametrize("found_by", ["another detector", "the same one"])
def test_a_head_that_reaches_beyond_the_body_on_which_it_lies_is_treated_too(found_by, tmp_path):
    body = Person(instance=1, box_xyxy_px=(6, 14, 22, 40), attributes={"score": 0.9, "label": "person"})
    its_head = head((8, 8, 20, 22))
    if found_by == "another detector":
        sides = [Sidecar(key="s0", people=[body]), Sidecar(key="s0", people=[its_head])]
    else:
        sides = [Sidecar(key="s0", people=joined([body, its_head])[0])]
        assert len(sides[0].people) == 1
    looks = tuple(written(tmp_path / f"finds{n}", [side]) for n, side in enumerate(sides))
    made = anonymized(unlabelled(tmp_path), tmp_path / "out", methods=Methods(finds=looks))
    assert covered(made.dataset[0].image, [(8, 8, 20, 22), (6, 14, 22, 40)])


@pytest.mark.parametrize("place", ["on their own head", "elsewhere on them"])
def test_where_heads_alone_are_treated_so_is_one_that_was_found_on_somebody(place, tmp_path, monkeypatch):
    own, found = (8, 8, 18, 18), (8, 10, 20, 22) if place == "on their own head" else (8, 26, 18, 36)
    person = Person(instance=1, head_box_xyxy_px=own, box_xyxy_px=BOXES[0])
    source = written(tmp_path / "set", [labelled(0, people=[person], layers={})])
    of_heads = written(tmp_path / "heads", [Sidecar(key="s0", people=[head(found)])])
    monkeypatch.delenv("SYNTHKIT_PLUGINS")
    refiner = ComponentSpec("refiner", "anonymizer-mask", {"extent": "head"})
    image = anonymized(source, tmp_path / "out", refiner, Methods(finds=(of_heads,))).dataset[0].image
    assert all((image[top:bottom, left:right] == 118).all() for left, top, right, bottom in (own, found))


@pytest.mark.parametrize("on_miss", ["quarantine", "blur-image", "pass"])
def test_images_in_which_nobody_was_found(on_miss, tmp_path):
    source = unlabelled(tmp_path)
    found = finds(tmp_path, "one", {"s0": []})
    made = anonymized(source, tmp_path / "out", methods=Methods(finds=(found,)), on_miss=on_miss)
    images = [sample.image for sample in made.dataset]
    if on_miss == "quarantine":
        assert not images
        assert left_out(made) == {"s0": "nobody was found in it"}
    elif on_miss == "pass":
        assert (images[0] == picture(0)).all()
        assert "1 images in which nobody was found were handed on as they are" in made.summary.read_text()
    else:
        assert not shows(images[0], picture(0))
        assert np.abs(np.diff(images[0].astype(int), axis=0)).max() < 30
    assert made.counts.images == {{"quarantine": "left out", "blur-image": "blurred", "pass": "passed"}[on_miss]: 1}


def test_rooms_that_labels_say_are_empty_pass_unless_somebody_is_found(tmp_path):
    empty = {"people": (), "layers": {}}
    source = written(tmp_path / "set", [labelled(0, image=picture(0, 0), **empty), labelled(1, **empty)])
    made = anonymized(source, tmp_path / "out", methods=Methods(detectors=[seeing()]))
    assert [line["image"] for line in lines(made)] == ["empty", "treated", "treated"]
    assert not shows(made.dataset[1].image, picture(1))


def test_known_people_of_unknown_place_stop_an_image(tmp_path):
    source = written(tmp_path / "set", [labelled(0, people=[Person(identity="ann")], layers={}), labelled(1)])
    made = anonymized(source, tmp_path / "out")
    assert left_out(made) == {"s0": "somebody is known to be in it, and nothing tells where"}


def test_nothing_is_asked_of_what_is_not_the_head_where_heads_are_treated(tmp_path, monkeypatch):
    heads = [Person(instance=1, head_box_xyxy_px=(8, 8, 18, 18)), Person(instance=2, head_box_xyxy_px=(38, 20, 48, 30))]
    source = written(tmp_path / "set", [labelled(0, people=heads)])
    monkeypatch.delenv("SYNTHKIT_PLUGINS")
    made = anonymized(source, tmp_path / "out", ComponentSpec("refiner", "anonymizer-mask", {"extent": "head"}))
    image = made.dataset[0].image
    assert (image[9:17, 9:17] == 118).all()
    assert (image[30:40, 8:20] == picture(0)[30:40, 8:20]).all()


def invoked(*words):
    return CliRunner().invoke(app, ["anonymize", *map(str, words)])


def test_the_command_tells_what_came_of_it(labels, tmp_path):
    words = (labels, tmp_path / "out", "--refiner", "sloppy", "--set", "refiner.fault=unchanged", "--set",
             "refiner.at=s1", "--workers", "1")  # fmt: skip
    result = invoked(*words)
    assert result.exit_code == 1
    assert f"anonymized: {tmp_path}/out/dataset (2 images, 4 people treated)" in result.output
    assert f"1 samples were skipped (reasons are in the records); {tmp_path}/out/audit.jsonl says why" in result.output
    assert invoked(*words, "--allow-missing").exit_code == 0


def test_surface_maps_of_all_methods_are_known_the_labels_first():
    truth, found = np.zeros((1, 4), np.uint16), np.array([[0, 5, 6, 7]], np.uint16)
    truth[0, 2:] = 9
    looks = {
        "a": Look(Sidecar("s", layers={"surface": found, "surface_smpl": found + 1})),
        "truth": Look(Sidecar("s", layers={"surface": truth, "instances": truth})),
    }
    maps = surfaces_of(looks)
    assert set(maps) == {"surface", "surface_smpl"}
    assert maps["surface"].tolist() == [[0, 5, 9, 9]]
    assert maps["surface"].dtype == np.uint16
    assert maps["surface_smpl"].tolist() == [[1, 6, 7, 8]]
    known = labelled(0, layers={"instances": masks(), "surface": masks().astype(np.uint16)})
    assert set(truth_of(known).sidecar.layers) == {"instances", "surface"}


def test_all_wrong_settings_are_told_at_once(labels, tmp_path):
    result = invoked(labels, tmp_path / "out", "--refiner", "slopy", "--set", "anonymize.on_mis=pass")
    assert isinstance(result.exception, ConfigError | PluginError)
    assert "did you mean" in str(result.exception)
    assert "on_mis" in str(result.exception)
    assert "slopy" in str(result.exception)
    result = invoked(labels, tmp_path / "out", "--refiner", "sloppy", "--detector", "seeing", "--set",
                     "detector.seeing.mask=true", "--set", "check.other.mask=true")  # fmt: skip
    assert "detector.seeing.mask" in str(result.exception)
    assert "check.other: is not used here" in str(result.exception)
    assert not (tmp_path / "out").exists()
