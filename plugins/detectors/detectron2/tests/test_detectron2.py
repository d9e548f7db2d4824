# SPDX-License-Identifier: Apache-2.0
"""What becomes of the networks' answers, without detectron2: surface maps, who is who, answers that are nonsense."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from synthkit import finds
from synthkit.config import structure
from synthkit.errors import ConfigError, PluginError, WeightsError
from synthkit.finds import Nonsense
from synthkit.interfaces import ComponentSpec, Runtime
from synthkit.plugins import discover
from synthkit.sample import Sample
from synthkit.seeds import Seeds
from synthkit_detectron2 import weights
from synthkit_detectron2.config import Detectron2Config
from synthkit_detectron2.detector import Detectron2Detector, Find, detections, masks_of, together
from synthkit_detectron2.surfaces import Surface, nearest, surfaces_of

WIDTH, HEIGHT = 80, 60
SIZE = (WIDTH, HEIGHT)
VERTICES, DIMENSIONS, SIDE = 27_554, 16, 112
"""Of what DensePose CSE gives: embeddings Nx16x112x112, segmentations Nx2x112x112, a table of 27554x16."""


def table():
    return torch.from_numpy(np.random.default_rng(0).normal(size=(VERTICES, DIMENSIONS)).astype(np.float32))


def instances(boxes, scores, **more):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return SimpleNamespace(pred_boxes=SimpleNamespace(tensor=boxes), scores=torch.as_tensor(scores), **more)


def cse(boxes, scores, vertices, *, embedding=None, segmentation=None):
    """Return CSE's answer: left halves of boxes show vertex 100, right halves 27553; the upper quarter is no body."""
    count = len(scores)
    if embedding is None:
        halves = torch.where(torch.arange(SIDE) < SIDE // 2, 100, VERTICES - 1)
        embedding = vertices[halves].T[None, :, None, :].expand(count, -1, SIDE, -1).clone()
    if segmentation is None:
        inside = (torch.arange(SIDE) >= SIDE // 4).float()[:, None].expand(-1, SIDE)
        segmentation = torch.stack([1 - inside, inside])[None].expand(count, -1, -1, -1).clone()
    return instances(boxes, scores, pred_densepose=SimpleNamespace(embedding=embedding, coarse_segm=segmentation))


def test_a_pixel_shows_the_vertex_whose_embedding_is_nearest():
    vertices = table()
    (one,) = surfaces_of(cse([[10, 8, 50, 48]], [0.9], vertices), vertices, SIZE, 288)
    assert one.surface.dtype == np.uint16
    assert one.surface.shape == (HEIGHT, WIDTH)
    assert (one.surface[20:48, 10:29] == 101).all()
    assert (one.surface[20:48, 31:50] == VERTICES).all()
    assert not one.surface[8:17, 10:50].any(), "no body"
    outside = np.ones((HEIGHT, WIDTH), bool)
    outside[8:48, 10:50] = False
    assert not one.surface[outside].any()
    assert np.array_equal(one.mask, one.surface > 0)


def test_nearest_is_the_least_distance_by_brute_force():
    draw = np.random.default_rng(1)
    vertices, some = draw.normal(size=(300, 16)), draw.normal(size=(50, 16))
    expected = ((some[:, None] - vertices[None]) ** 2).sum(axis=2).argmin(axis=1)
    found = nearest(torch.from_numpy(some), torch.from_numpy(vertices))
    assert np.array_equal(found, expected)


def test_large_people_are_looked_up_smaller():
    vertices = table()
    found = cse([[0, 0, 80, 60]], [0.9], vertices)
    (exact,), (coarse,) = (surfaces_of(found, vertices, SIZE, most) for most in (288, 20))
    assert (exact.surface != coarse.surface).mean() < 0.1, "within the pixels of the smaller map"
    assert set(np.unique(coarse.surface)) <= {0, 101, VERTICES}


def test_nobody_is_nobody():
    """As detectron2 answers without proposals: no field pred_densepose at all."""
    vertices = table()
    assert list(surfaces_of(instances([], []), vertices, SIZE, 288)) == []
    empty = cse(
        [], torch.zeros(0), vertices, embedding=torch.zeros(0, 16, 112, 112), segmentation=torch.zeros(0, 2, 112, 112)
    )
    assert list(surfaces_of(empty, vertices, SIZE, 288)) == []
    assert together([], [], 0.4) == []
    sample = Sample(key="a", image=np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    side = finds.sidecar_of(detections(sample, [], surfaces=True), sample, ("person",), 0.3)
    assert side.people == ()
    assert not side.layers["surface_smpl"].any()


NAN = torch.full((1, DIMENSIONS, SIDE, SIDE), float("nan"))
HOSTILE = {
    "embeddings that are no numbers": ({"embedding": NAN}, "embeddings that are not finite"),
    "embeddings of another space": ({"embedding": torch.zeros(1, 17, SIDE, SIDE)}, "embeddings of 1x17x112x112, exp"),
    "embeddings of somebody more": ({"embedding": torch.zeros(2, 16, SIDE, SIDE)}, "embeddings of 2x16x112x112, exp"),
    "embeddings that are a list": ({"embedding": torch.zeros(1, 16)}, "gave embeddings of 1x16"),
    "segmentation of 15 parts": ({"segmentation": torch.zeros(1, 15, SIDE, SIDE)}, "segmentations of 1x15x112x112"),
    "segmentation of another size": ({"segmentation": torch.zeros(1, 2, 56, 56)}, "expected 1x2x112x112"),
    "boxes that are no numbers": ({"boxes": [[0, 0, float("inf"), 9]]}, "boxes that are not finite"),
    "boxes beyond the image": ({"boxes": [[-40, 0, 9, 9]]}, "a box .* beyond the image of 80x60"),
    "boxes that are turned over": ({"boxes": [[40, 0, 9, 9]]}, "a box .* beyond the image"),
    "scores that are no numbers": ({"scores": [float("nan")]}, "scores that are not finite"),
}


@pytest.mark.parametrize(("changes", "message"), HOSTILE.values(), ids=HOSTILE.keys())
def test_nonsense_of_cse_is_told(changes, message):
    vertices = table()
    boxes, scores = changes.pop("boxes", [[0, 0, 9, 9]]), changes.pop("scores", [0.9])
    with pytest.raises(Nonsense, match=message):
        list(surfaces_of(cse(boxes, scores, vertices, **changes), vertices, SIZE, 288))


def test_people_without_a_surface_are_nonsense_of_cse():
    with pytest.raises(Nonsense, match="found 1 people, of whose surface it tells nothing"):
        list(surfaces_of(instances([[0, 0, 9, 9]], [0.9]), table(), SIZE, 288))


def mask(left, top, right, bottom):
    result = np.zeros((HEIGHT, WIDTH), bool)
    result[top:bottom, left:right] = True
    return result


def rcnn(boxes, scores, classes, masks=None):
    shown = [mask(*map(int, box)) for box in boxes] if masks is None else masks
    return instances(boxes, scores, pred_classes=torch.tensor(classes), pred_masks=torch.from_numpy(np.array(shown)))


def test_of_mask_rcnns_finds_people_are_taken():
    found = rcnn([[0, 0, 9, 9], [20, 0, 29, 9], [40, 0, 49, 9]], [0.5, 0.9, 0.7], [0, 2, 0])
    assert [one.score for one in masks_of(found, 0, SIZE)] == pytest.approx([0.7, 0.5])
    with pytest.raises(Nonsense, match="gave masks of 1x9x9, expected 1x60x80"):
        list(masks_of(rcnn([[0, 0, 9, 9]], [0.9], [0], np.ones((1, 9, 9), bool)), 0, SIZE))


def shown(score, *box, vertex=7):
    inside = mask(*box)
    return Surface(score, np.array(box, float), inside, np.where(inside, vertex, 0).astype(np.uint16))


def person(score, *box):
    return Find(score, np.array(box, float), mask(*box))


def test_who_is_found_by_both_has_the_union_of_masks_and_a_surface():
    found = together([person(0.6, 0, 0, 20, 40)], [shown(0.9, 0, 10, 20, 44)], 0.4)
    (one,) = found
    assert one.score == 0.9
    assert np.array_equal(one.mask, mask(0, 0, 20, 44))
    assert one.surface is not None


def test_pairs_are_those_that_overlap_most_and_nobody_twice():
    """The first of CSE's overlaps both people; the second, which it would take in their order, is the other's."""
    people = [person(0.9, 0, 0, 20, 40), person(0.8, 4, 0, 24, 40)]
    found = together(people, [shown(0.7, 4, 0, 24, 40, vertex=1), shown(0.6, 0, 0, 20, 40, vertex=2)], 0.4)
    assert [int(one.surface.max()) for one in found] == [2, 1]


def test_who_is_found_by_one_network_is_found_and_has_no_surface():
    found = together([person(0.5, 0, 0, 9, 9)], [shown(0.9, 40, 0, 60, 40)], 0.4)
    assert [one.score for one in found] == [0.9, 0.5]
    assert [one.surface for one in found] == [None, None]
    sample = Sample(key="a", image=np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    side = finds.sidecar_of(detections(sample, found, surfaces=True), sample, ("person",), 0.3)
    assert [one.attributes["score"] for one in side.people] == [0.9, 0.5]
    assert not side.layers["surface_smpl"].any()


def test_who_has_a_box_and_an_empty_mask_is_found():
    """Taken for nobody they would be seen by whoever hides people by masks."""
    sample = Sample(key="a", image=np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    people = list(masks_of(rcnn([[0, 0, 9, 20]], [0.9], [0], [mask(0, 0, 0, 0)]), 0, SIZE))
    nothing = np.zeros((HEIGHT, WIDTH), np.uint16)
    shown = [Surface(0.5, np.array([40.0, 0, 60, 30]), nothing > 0, nothing)]
    answer = detections(sample, together(people, shown, 0.4), surfaces=True)
    side = finds.sidecar_of(answer, sample, ("person",), 0.3)
    assert [person.box_xyxy_px for person in side.people] == [(0, 0, 9, 20), (40, 0, 60, 30)]
    assert not side.layers["instances"].any()


def test_where_masks_meet_pixel_and_vertex_are_the_surest_ones():
    found = together([person(0.9, 0, 0, 20, 40), person(0.8, 10, 0, 30, 40)],
                     [shown(0.5, 0, 0, 20, 40, vertex=1), shown(0.5, 10, 0, 30, 40, vertex=2)], 0.4)  # fmt: skip
    sample = Sample(key="a", image=np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    layers = detections(sample, found, surfaces=True).layers
    assert np.array_equal(layers["instances"], layers["surface_smpl"])
    assert layers["instances"][0].tolist() == [1] * 20 + [2] * 10 + [0] * 50


def numpy_pickle(path: Path, table, protocol=2):
    path.write_bytes(pickle.dumps(table, protocol=protocol))
    return path


class Evil:
    def __reduce__(self):
        return print, ("executed",)


@pytest.mark.parametrize("protocol", [2, 4])
def test_weights_of_the_model_zoos_form(tmp_path, protocol):
    arrays = {"model": {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.float32(2)}, "__author__": "x"}
    found = weights.read(numpy_pickle(tmp_path / "x.pkl", arrays, protocol))
    assert found["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert float(found["b"]) == 2
    torch.save({"model": found}, tmp_path / "x.pth")
    assert weights.read(tmp_path / "x.pth").keys() == found.keys()


BAD_WEIGHTS = {
    "code": ({"model": {"a": Evil()}}, r"asks for \w+.print, which is no part of an array"),
    "no arrays": ({"model": {"a": "text"}}, "'a' is str, expected numbers"),
    "no table": ([1, 2], "no table of arrays"),
    "no numbers": ({"model": {"a": np.array([np.nan])}}, "'a' has numbers that are not finite"),
    "objects": ({"model": {"a": np.array([Evil()], dtype=object)}}, r"asks for \w+.print"),
}


@pytest.mark.parametrize(("content", "message"), BAD_WEIGHTS.values(), ids=BAD_WEIGHTS.keys())
def test_nothing_in_weights_is_executed(tmp_path, capsys, content, message):
    with pytest.raises(WeightsError, match=message):
        weights.read(numpy_pickle(tmp_path / "x.pkl", content))
    assert "executed" not in capsys.readouterr().out


def test_damaged_and_missing_weights_are_told(tmp_path):
    (tmp_path / "cut.pkl").write_bytes(pickle.dumps({"model": {"a": np.zeros(99)}})[:60])
    for name in ("cut.pkl", "missing.pkl", "notes.txt"):
        with pytest.raises(WeightsError, match=name):
            weights.read(tmp_path / name)


def test_weights_of_another_network_are_told(tmp_path):
    model = torch.nn.Linear(2, 3)
    with pytest.raises(WeightsError, match=r"it lacks bias; set the config"):
        weights.load_into(model, {"weight": torch.zeros(3, 2)}, tmp_path)
    with pytest.raises(WeightsError, match=r"it has other shapes of weight"):
        weights.load_into(model, {"weight": torch.zeros(2, 2), "bias": torch.zeros(3)}, tmp_path)
    weights.load_into(model, {"weight": torch.ones(3, 2), "bias": torch.zeros(3), "old": torch.zeros(1)}, tmp_path)
    assert float(model.weight.detach().sum()) == 6


def test_without_detectron2_one_is_told_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "detectron2", None)
    config = structure(Detectron2Config, {"mask_weights": str(tmp_path / "x.pkl")})
    with pytest.raises(PluginError, match=r"pip install --no-build-isolation git\+https://github.com/facebookresearch"):
        Detectron2Detector(config, None, Runtime(Seeds(0), tmp_path)).__enter__()


def test_what_is_in_a_config_decides_and_not_where_it_lies(tmp_path):
    def identity(**options):
        weights = {"mask_weights": str(tmp_path / "x.pkl")}
        return discover().identity(ComponentSpec("detector", "detectron2", {**weights, **options}))

    (tmp_path / "x.pkl").write_bytes(b"x")
    for name, text in (("a", "one"), ("b", "one"), ("c", "other")):
        (tmp_path / f"{name}.yaml").write_text(text)
    told = [identity(mask_config=str(tmp_path / f"{name}.yaml")) for name in "abc"]
    assert told[0] == told[1] != told[2]
    assert identity(mask_model="COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml") != identity()
    with pytest.raises(ConfigError, match="mask_model: decides nothing unless mask_config is none"):
        identity(mask_config=str(tmp_path / "a.yaml"), mask_model="other.yaml")


def test_the_component_is_found():
    found = discover().get("detector", "detectron2")
    assert found.origin.distribution == "synthkit-detectron2"
    assert found.component.config is Detectron2Config
