# SPDX-License-Identifier: Apache-2.0
"""Trainings on drawn dolls: what they learn and keep, and that stopped ones go on to the same bytes."""

from __future__ import annotations

import json
from types import SimpleNamespace

import attrs
import numpy as np
import pytest
import torch

from synthkit.checkpoint import Checkpoint
from synthkit.errors import DatasetError, WeightsError
from synthkit.interfaces import Detector, Trainable
from synthkit.sample import Detections, RotatedBox, Sample
from synthkit.training.checkpoints import load_tensors, save_checkpoint
from synthkit_squeezedet import backbone
from synthkit_squeezedet.backbone import choose_backbone
from synthkit_squeezedet.config import SqueezeDetConfig
from synthkit_squeezedet.network import SqueezeDet, normalize
from synthkit_surface_finder import finding, training
from synthkit_surface_finder.config import SurfaceFinderConfig
from synthkit_surface_finder.detector import SurfaceFinder
from synthkit_surface_finder.examples import UNKNOWN, Subjects
from synthkit_surface_finder.finding import NOBODY, Looked, _left_over, _owners, with_layers
from synthkit_surface_finder.judging import judge
from synthkit_surface_finder.learner import SurfaceLearner
from synthkit_surface_finder.model import Finder
from synthkit_surface_finder.network import Answers, BodyNet
from synthkit_surface_finder.start import Start
from synthkit_surface_finder.variation import Variation
from synthkit_surface_finder.windows import plan_whole, plan_window

CPU = torch.device("cpu")
SMALL = {"side_px": 48, "width": 8, "min_px": 20, "colour": 0.1, "noise": 0.0}
BRIEF = SurfaceFinderConfig(
    **SMALL, backbone="none", steps=6, batch=2, checkpoint_every=2, evaluate_every=3, log_every=1
)


def fit(config, runtime, doll, data, folder, progress=None):
    torch.set_num_threads(1)
    return training.fit(config, runtime(progress) if progress else runtime(), CPU, doll, data, folder)


def small(dolls):
    return {"train": dolls(4, 1), "validation": dolls(2, 2)}


@pytest.fixture(scope="module")
def whole(dolls, doll, runtime, tmp_path_factory):
    """Return the folder and the checkpoint of a short training that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, fit(BRIEF, runtime, doll, small(dolls), folder)


class Stop(Exception):
    pass


@pytest.mark.parametrize("at", [1, 2])  # during the evaluation after step 3, and after the last step
def test_a_stopped_training_goes_on_to_the_same_bytes(whole, dolls, doll, runtime, tmp_path, at):
    evaluations = []

    def stop(stage, done, total, note=""):
        if stage == "evaluating" and done == 1:
            evaluations.append(stage)
            if len(evaluations) == at:
                raise Stop

    with pytest.raises(Stop):
        fit(BRIEF, runtime, doll, small(dolls), tmp_path, stop)
    assert not (tmp_path / "checkpoint.safetensors").exists()
    assert fit(BRIEF, runtime, doll, small(dolls), tmp_path).sha256 == whole[1].sha256
    for name in ("curves.jsonl", "last.safetensors"):
        assert (tmp_path / name).read_bytes() == (whole[0] / name).read_bytes()
    lines = [json.loads(line) for line in (tmp_path / "curves.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "val_part_iou" in line] == [3, 6]


def test_another_training_in_the_folder_is_refused(whole, dolls, doll, runtime):
    other = attrs.evolve(BRIEF, learning_rate=0.1)
    with pytest.raises(DatasetError, match="other settings"):
        fit(other, runtime, doll, small(dolls), whole[0])


@pytest.fixture(scope="module")
def trained(dolls, doll, runtime, tmp_path_factory):
    """Return a finder of dolls."""
    folder = tmp_path_factory.mktemp("trained")
    config = SurfaceFinderConfig(**SMALL, steps=200, batch=8, evaluate_every=200, learning_rate=0.003)
    return fit(config, runtime, doll, {"train": dolls(24, 1), "validation": dolls(8, 2)}, folder)


def found_at(sample, boxes, scores):
    boxes = np.array([box.as_tuple() for box in boxes], np.float32)
    around = np.concatenate([boxes[:, :2] - 5, boxes[:, :2] + 5], axis=1)
    labels = np.zeros(len(boxes), np.int32)
    return Detections(sample.key, around, np.array(scores, np.float32), labels, rotated_boxes=boxes)


@pytest.mark.slow  # trains for a minute
def test_it_learns_masks_and_surfaces(trained, dolls, doll):
    finder, held_out = Finder.open(trained, CPU), dolls(12, 3)
    subjects = Subjects(held_out, 20, doll, lambda *_: None)
    judged = []
    for place, sample in enumerate(held_out):
        own = [subjects[n] for n in range(len(subjects)) if subjects[n].place == place]
        answer = with_layers(finder, sample, found_at(sample, [one.box for one in own], [0.9] * len(own)), 0.05, 0.5)
        vertices = answer.layers["surface"].astype(np.int64) - 1
        truth = sample.layers["surface"].astype(np.int64) - 1
        for number, one in enumerate(own, 1):
            mask, true = answer.layers["instances"] == number, sample.layers["instances"] == one.instance
            judged.append(judge(mask, vertices, true, truth, doll))
    assert np.mean([one.mask_iou for one in judged]) > 0.8
    assert np.mean([one.part_share for one in judged]) > 0.9
    assert np.mean([one.surface_cm for one in judged]) < 25.0  # of a doll of 165


@pytest.mark.slow  # trains for a minute
def test_the_surer_of_two_boxes_about_one_has_the_pixels(trained, dolls, doll):
    sample = dolls(1, 3)[0]
    box = Subjects([sample], 20, doll, lambda *_: None)[0].box
    answer = with_layers(
        Finder.open(trained, CPU), sample, found_at(sample, [box, box, box], [0.9, 0.4, 0.02]), 0.05, 0.5
    )
    assert answer.scores.tolist() == pytest.approx([0.9, 0.4])  # below the least score nobody is looked at
    assert set(np.unique(answer.layers["instances"])) == {0, 1}
    assert np.array_equal(answer.layers["surface"] > 0, answer.layers["instances"] > 0)
    assert answer.layers["surface"].max() <= len(doll.vertices_m)


@pytest.mark.slow  # trains for a minute
def test_an_image_of_nobody_has_empty_layers(trained, dolls):
    sample = dolls(1, 3)[0]
    nobody = Detections(sample.key, np.zeros((0, 4)), np.zeros(0), np.zeros(0, int), rotated_boxes=np.zeros((0, 5)))
    answer = with_layers(Finder.open(trained, CPU), sample, nobody, 0.05, 0.5)
    assert {name: layer.any() for name, layer in answer.layers.items()} == {"instances": False, "surface": False}


def test_a_mirrored_crop_is_the_crop_of_a_mirrored_image(dolls, doll):
    sample = dolls(1, 5)[0]
    across = sample.layers["surface"].astype(np.int64) - 1  # a doll's vertex in a mirror: the column from the other end
    other = np.where(across >= 0, across - across % 6 + 5 - across % 6, -1) + 1
    layers = {"instances": sample.layers["instances"], "surface": other.astype(np.uint16)}
    flipped = attrs.evolve(
        sample, image=sample.image[:, ::-1], layers={name: layer[:, ::-1] for name, layer in layers.items()}
    )
    crops = []
    for one in (sample, flipped):
        subjects = Subjects([one], 20, doll, lambda *_: None)
        subject = subjects[0]
        plan = plan_window(subject.box, subject.nadir_px, 64, 1.5)
        crops.append(subjects.crop(subject, plan, subject.box))
    mirrored, expected = crops[0].mirrored(doll), crops[1]
    off = abs(mirrored.image.astype(int) - expected.image)
    assert (off.mean(), off.max()) < (1.0, 9)  # OpenCV samples at whole 32nds of a pixel
    assert np.mean(mirrored.mask != expected.mask) < 0.02  # centres that lie on an edge fall to either side
    same = mirrored.mask & expected.mask
    assert np.mean(mirrored.parts[same] == expected.parts[same]) > 0.98
    assert np.abs(mirrored.places - expected.places)[same].mean() < 0.05


def test_what_varies_stays_true(dolls, doll, runtime):
    """However boxes are misplaced, the colour of a doll's pixel tells its part."""
    config = SurfaceFinderConfig(**{**SMALL, "colour": 0.0})
    subjects, variation = Subjects(dolls(6, 1), 20, doll, lambda *_: None), Variation.of(config)
    right = []
    for index in range(len(subjects)):
        crop = variation.draw(subjects, subjects[index], doll, np.random.default_rng(index))
        assert (crop.image.shape, crop.box.shape, crop.mask.shape) == ((48, 48, 3), (48, 48), (24, 24))
        halved = crop.image.reshape(24, 2, 24, 2, 3).mean(axis=(1, 3))
        reddish = halved[..., 0] > halved[..., 2]
        right += (reddish == (crop.parts == 0))[crop.parts != UNKNOWN].tolist()
    assert np.mean(right) > 0.9  # but where head and trunk meet


def test_people_without_surfaces_teach_masks_alone(dolls, doll, runtime, tmp_path):
    """Half of each step's crops are of the one image whose surfaces are known, however many others there are."""
    mixed = [dolls(1, 1)[0]] + [
        attrs.evolve(sample, layers={"instances": sample.layers["instances"]}) for sample in dolls(6, 2)
    ]
    subjects = Subjects(mixed, 20, doll, lambda *_: None)
    config = attrs.evolve(BRIEF, batch=5, whole_share=0.0)
    learner = SurfaceLearner(config, runtime(), CPU, doll, subjects, None, Start({"weights": "none"}))
    for step in range(4):
        learner.step = step
        crops = learner._varied()
        assert [bool((crop.parts != UNKNOWN).any()) for crop in crops] == [True, True, False, False, False]
        assert all(crop.mask.any() for crop in crops)
    assert fit(BRIEF, runtime, doll, {"train": plain_set(mixed)}, tmp_path).card["steps"] == 6


def test_what_cannot_teach_is_told(dolls, doll, runtime, tmp_path):
    plain = [attrs.evolve(sample, layers={"instances": sample.layers["instances"]}) for sample in dolls(2, 1)]
    with pytest.raises(DatasetError, match="no sample has the layer surface"):
        fit(BRIEF, runtime, doll, {"train": plain_set(plain)}, tmp_path)
    with pytest.raises(DatasetError, match="5000 pixels"):
        fit(attrs.evolve(BRIEF, min_px=5000), runtime, doll, {"train": dolls(2, 1)}, tmp_path)
    strange = [attrs.evolve(s, layers={**s.layers, "surface": s.layers["surface"] * 9}) for s in dolls(2, 1)]
    with pytest.raises(DatasetError, match="skin has not"):
        fit(BRIEF, runtime, doll, {"train": plain_set(strange)}, tmp_path)
    with pytest.raises(DatasetError, match="empty"):
        fit(BRIEF, runtime, doll, {"train": plain_set([])}, tmp_path)


def plain_set(samples):
    class Listed(list):
        fingerprint = "listed"

    return Listed(samples)


def test_without_validation_the_last_weights_are_kept(dolls, doll, runtime, tmp_path):
    checkpoint = fit(attrs.evolve(BRIEF, steps=2), runtime, doll, {"train": dolls(2, 1)}, tmp_path)
    assert checkpoint.card["chosen_by"] == "last step, no validation set"
    assert not (tmp_path / "last.safetensors").exists()


@pytest.mark.slow  # trains for a minute
def test_the_detector_as_a_whole(trained, dolls, runtime):
    """Its boxes are those of the detector that ships, which knows no dolls: what it finds of them is not looked at."""
    with SurfaceFinder(SurfaceFinderConfig(), trained, runtime()) as detector:
        assert isinstance(detector, Detector)
        assert isinstance(detector, Trainable)
        assert list(detector.class_names) == ["person"]
        assert 0 < detector.operating_score < 1
        answers = list(detector.detect(dolls(2, 1)))
    assert [answer.layers["instances"].shape for answer in answers] == [(96, 96)] * 2
    with SurfaceFinder(SurfaceFinderConfig(), None, runtime()) as detector, pytest.raises(WeightsError, match="train"):
        list(detector.detect(dolls(1, 1)))


def opened(whole, tmp_path, card=None, **tensors):
    path = tmp_path / "damaged.safetensors"
    return Finder.open(save_checkpoint(path, {**load_tensors(whole[1]), **tensors}, card or whole[1].card), CPU)


def test_a_sound_one_opens(whole, tmp_path):
    assert opened(whole, tmp_path).design.side_px == 48


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": "smpl_27554"}, "of 'smpl_27554', expected 'mpfb'"),
        ({"design": {}}, "does not describe"),
        ({"design": None}, "does not describe"),
        ({"name": "squeezedet"}, "expected detector surface"),
    ],
)
def test_other_cards_are_refused(whole, tmp_path, changes, message):
    with pytest.raises(WeightsError, match=message):
        opened(whole, tmp_path, {**whole[1].card, **changes})


@pytest.mark.parametrize(
    "changes",
    [{"side_px": 33}, {"side_px": 10**9}, {"width": 10**6}, {"margin": 1e9}, {"parts": []},
     {"parts": ["head", "head"]}, {"vertices": 10**9}, {"vertices": 3}, {"whole_px": 1}],
)  # fmt: skip
def test_no_card_makes_it_build_what_cannot_be(whole, tmp_path, changes):
    with pytest.raises(WeightsError, match="no finder that could be built"):
        opened(whole, tmp_path, {**whole[1].card, "design": {**whole[1].card["design"], **changes}})


def test_tensors_that_do_not_fit_are_refused(whole, tmp_path):
    with pytest.raises(WeightsError, match="does not fit"):
        opened(whole, tmp_path, vertices_m=torch.zeros(3, 3))
    with pytest.raises(WeightsError, match="not finite"):
        opened(whole, tmp_path, vertices_m=torch.full((72, 3), torch.nan))
    with pytest.raises(WeightsError, match="without names"):
        opened(whole, tmp_path, vertex_parts=torch.arange(72, dtype=torch.uint8))


def test_a_cut_file_is_refused(whole, tmp_path):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(whole[1].path.read_bytes()[:-1000])
    with pytest.raises(WeightsError):
        Finder.open(Checkpoint.open(path), CPU)


def test_the_way_down_starts_from_the_detector_that_ships(runtime):
    """Before the first step it makes of an image what SqueezeDet's layers make of it, whatever the box."""
    rendered = choose_backbone(SqueezeDetConfig(backbone="rendered"), lambda *_: None)
    squeezedet = SqueezeDet(1, 1)
    squeezedet.load_features(rendered.tensors)
    network = BodyNet(2, 8, 12)
    network.load_features(rendered.tensors)
    images = torch.randint(0, 255, (1, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    squeezedet.fires["fire10"], squeezedet.fires["fire11"] = torch.nn.Identity(), torch.nn.Identity()
    with torch.inference_mode():
        expected = squeezedet.features(normalize(images))
        for box in (torch.zeros(1, 64, 64), torch.ones(1, 64, 64)):
            flow = torch.cat([normalize(images), box.unsqueeze(1)], dim=1)
            assert torch.allclose(network._down(flow)[-1], expected, atol=1e-4)


def test_a_training_goes_on_without_the_weights_it_began_with(dolls, doll, runtime, tmp_path, monkeypatch):
    config = attrs.evolve(BRIEF, backbone="rendered")
    whole = fit(config, runtime, doll, small(dolls), tmp_path / "whole")
    assert whole.card["start"]["weights"] == "rendered"

    def stop(stage, done, total, note=""):
        if stage == "evaluating":
            raise Stop

    with pytest.raises(Stop):
        fit(config, runtime, doll, small(dolls), tmp_path / "parts", stop)
    monkeypatch.setattr(backbone, "SHIPPED", "synthkit_squeezedet:weights/gone.safetensors")
    assert fit(config, runtime, doll, small(dolls), tmp_path / "parts").sha256 == whole.sha256


def test_a_whole_image_is_one_crop():
    """320 x 240 at 256 is 0.8 times as large, on whole strides."""
    plan = plan_whole((320, 240), 256)
    assert plan.size_px == (256, 192)
    assert plan.to_crop([100.0, 50.0]) == pytest.approx([80.0, 40.0])
    assert plan_whole((100, 30), 250).size_px == (256, 80)


def test_parts_of_whole_images_are_of_everybody(dolls, doll):
    """Their boxes are all of the crop, and their masks whoever is in it, at any turn."""
    config = SurfaceFinderConfig(**{**SMALL, "colour": 0.0})
    subjects, variation = Subjects(dolls(6, 1), 20, doll, lambda *_: None), Variation.of(config)
    several = []
    for index in range(len(subjects)):
        crop = variation.part(subjects, subjects[index], np.random.default_rng(index))
        assert crop.box.all()
        assert crop.mask.shape == (24, 24)
        several.append(np.unique(crop.parts[crop.mask]).tolist())
        halved = crop.image.reshape(24, 2, 24, 2, 3).mean(axis=(1, 3))
        dark = halved.min(axis=2) < 75  # the ground is lighter, and black beyond the image
        assert np.mean(dark[crop.mask]) > 0.8
    assert [0, 1] in several


@pytest.mark.slow  # trains for a minute
def test_people_about_whom_there_is_no_box_are_found_in_doubt(trained, dolls, doll):
    sample = next(sample for sample in dolls(12, 3) if len(sample.people) == 2)
    both = [Subjects([sample], 20, doll, lambda *_: None)[n] for n in (0, 1)]
    boxed, other = (sample.layers["instances"] == one.instance for one in both)
    finder = Finder.open(trained, CPU)
    answer = with_layers(finder, sample, found_at(sample, [both[0].box], [0.9]), 0.05, 0.5, 0.6, unboxed=True)
    found = answer.layers["instances"]
    assert answer.scores[0] == pytest.approx(0.9)
    assert ((answer.scores[1:] >= 0.3) & (answer.scores[1:] < 0.6)).all()
    assert (np.diff(answer.scores) <= 0).all()
    assert np.bincount(found[boxed]).argmax() == 1
    number = int(np.bincount(found[other]).argmax())
    assert number > 1
    left, top, right, bottom = answer.boxes_xyxy_px[number - 1]
    rows, columns = np.nonzero(found == number)
    assert (left, top, right, bottom) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    without = with_layers(finder, sample, found_at(sample, [both[0].box], [0.9]), 0.05, 0.5)
    assert len(without.scores) == 1


@pytest.mark.parametrize("score", [0.55, 0.3])
def test_finds_that_are_left_out_take_no_pixel_of_others(score):
    """The network is unsure of the first person, and sure of another find there, which is not believed, or left out."""
    answers = [Answers(torch.full((1, 8, 8), logit), torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 3, 8, 8))
               for logit in (0.0, 5.0)]  # fmt: skip
    plan = plan_whole((16, 16), 16)
    looked = [Looked(plan, answer, (slice(0, 16), slice(0, 16))) for answer in answers]
    less = 0.45 if score > 0.5 else 0.24
    owners = _owners(looked, np.array([score, less], np.float32), 0.35, 0.5, (16, 16))
    assert (owners == 0).all()
    owners = _owners(looked, np.array([0.7, 0.6], np.float32), 0.35, 0.5, (16, 16))
    assert (owners == 1).all()  # of two who are believed the one whom the network sees there


@pytest.mark.parametrize(("score", "count"), [(0.1, 2), (0.5, 1)])
def test_a_find_that_is_left_out_hides_nobody_from_being_found_without_a_box(score, count, monkeypatch):
    logits = torch.full((1, 16, 16), -5.0)
    logits[0, 4:12, 4:12] = 5.0
    answer = Answers(logits, torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 3, 16, 16))
    monkeypatch.setattr(finding, "_answered", lambda *_: [answer])
    finder = SimpleNamespace(design=SimpleNamespace(whole_px=64))
    sample = Sample(key="a", image=np.zeros((64, 64, 3), np.uint8))
    owners = np.full((64, 64), NOBODY)
    owners[12:52, 12:52] = 0
    known = found_at(sample, [RotatedBox(32.0, 32.0, 36.0, 36.0, 0.0)], [score])
    found, _, owners = finding._with_unboxed(finder, sample, known, owners, 0.35, 0.5)
    assert len(found.scores) == count
    assert owners[32, 32] == count - 1


def test_what_is_nearly_somebodys_is_nobody_elses():
    """A rim of one pixel around a mask is not another person, a square as large as the least is."""
    people, owners = np.zeros((100, 100), bool), np.full((100, 100), NOBODY)
    people[10:31, 10:31], owners[11:30, 11:30] = True, 0
    people[50:52, 50:52], people[80, 80] = True, True
    numbers, boxes = _left_over(people, owners)
    assert boxes.tolist() == [[50, 50, 52, 52]]
    assert np.array_equal(np.argwhere(numbers == 1), np.argwhere(np.pad(np.ones((2, 2), bool), (50, 48))))
    assert numbers.max() == 1


def test_a_training_starts_from_another_finder(whole, dolls, doll, runtime, tmp_path):
    config = attrs.evolve(BRIEF, start=whole[1].path, learning_rate=1e-8, weight_decay=0.0)
    again = fit(config, runtime, doll, small(dolls), tmp_path)
    assert again.card["start"]["sha256"] == whole[1].sha256
    for name, tensor in load_tensors(whole[1]).items():
        assert torch.allclose(load_tensors(again)[name], tensor, atol=1e-6)
    wider = attrs.evolve(config, width=12)
    with pytest.raises(WeightsError, match="does not fit"):
        fit(wider, runtime, doll, small(dolls), tmp_path / "wider")
