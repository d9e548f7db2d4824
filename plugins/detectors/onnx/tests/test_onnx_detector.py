# SPDX-License-Identifier: Apache-2.0
"""The detector ``onnx``: strangers' files by their cards, through the same door as every detector."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from made_onnx import constant_outputs, model, save
from onnx import helper

from synthkit.dataset import DatasetWriter
from synthkit.errors import ConfigError, SynthkitError, WeightsError
from synthkit.evaluation import judge
from synthkit.interfaces import ComponentSpec, Detector, Runtime
from synthkit.plugins import discover
from synthkit.sample import Person, Sample
from synthkit.seeds import Seeds
from synthkit.session import Session

CARD = 'classes = ["person"]\ninput = { name = "image", size_px = [32, 32] }\n[output.yolo]\nrows = "o"\n'
ROWS = np.array([[[10, 10, 8, 8, 0.9, 0.8], [24, 24, 4, 4, 0.5, 0.6]]], np.float32)
ASSETS = Path(__file__).parents[5] / "shared" / "assets"


@pytest.fixture
def build(tmp_path):
    registry = discover()

    def make(**options):
        return registry.build(ComponentSpec("detector", "onnx", options), Runtime(Seeds(0), tmp_path, threads=1))

    return make


@pytest.fixture
def made(tmp_path):
    return save(constant_outputs([1, 3, 32, 32], {"o": ROWS}), tmp_path / "net.onnx")


def sample(key="a", size=32):
    return Sample(key=key, image=np.zeros((size, size, 3), np.uint8))


def test_a_strangers_file_with_a_card_beside_it(build, made, tmp_path):
    (tmp_path / "net.toml").write_text(CARD)
    with build(model=str(made)) as detector:
        assert isinstance(detector, Detector)
        assert list(detector.class_names) == ["person"]
        first, second = detector.detect([sample(), sample("b", 64)])
    assert first.boxes_xyxy_px == pytest.approx(np.array([[6, 6, 14, 14], [22, 22, 26, 26]]))
    assert first.scores == pytest.approx([0.72, 0.3])
    assert second.key == "b"
    assert second.boxes_xyxy_px == pytest.approx(2 * first.boxes_xyxy_px)


def test_settings_come_before_the_card(build, made, tmp_path):
    (tmp_path / "other.toml").write_text(CARD)
    with build(model=str(made), card=str(tmp_path / "other.toml"), score_threshold=0.5) as detector:
        (found,) = detector.detect([sample()])
    assert found.scores == pytest.approx([0.72])


def test_the_card_in_the_file_is_read(build, tmp_path):
    net = constant_outputs([1, 3, 32, 32], {"o": ROWS})
    card = {"classes": ["head"], "input": {"name": "image", "size_px": [32, 32]}, "output": {"yolo": {"rows": "o"}}}
    net.metadata_props.add(key="synthkit.card", value=json.dumps({"detector": card}))
    with build(model=str(save(net, tmp_path / "net.onnx"))) as detector:
        assert list(detector.class_names) == ["head"]


def evil():
    return model([helper.make_node("Run", ["i"], ["o"], domain="evil")], {"i": [1]}, {"o": [1]}).SerializeToString()


@pytest.mark.parametrize("data", [b"", b"MZ" * 100, evil()])
def test_hostile_files_are_one_line(build, tmp_path, data):
    (tmp_path / "net.onnx").write_bytes(data)
    (tmp_path / "net.toml").write_text(CARD)
    with pytest.raises(WeightsError, match=r"net\.onnx") as told, build(model=str(tmp_path / "net.onnx")):
        pass
    assert len(str(told.value).splitlines()) == 1


@pytest.mark.parametrize("card", ["", "classes = 3", CARD + "count = 1\n", CARD.replace("32, 32", "-1, 2")])
def test_bad_cards_are_told(build, made, tmp_path, card):
    (tmp_path / "net.toml").write_text(card)
    with pytest.raises(ConfigError, match=r"net\.toml"), build(model=str(made)):
        pass


def test_without_a_card_it_says_what_to_do(build, made):
    with pytest.raises(WeightsError, match=r"write net\.toml"), build(model=str(made)):
        pass


def test_what_the_runtime_refuses_is_one_line(build, tmp_path):
    broken = model([helper.make_node("Conv", ["image", "none"], ["o"])], {"image": [1, 3, 32, 32]}, {"o": [1, 2, 3]})
    (tmp_path / "net.toml").write_text(CARD)
    with (
        pytest.raises(SynthkitError, match="ONNX Runtime refuses it") as told,
        build(model=str(save(broken, tmp_path / "net.onnx"))),
    ):
        pass
    assert len(str(told.value).splitlines()) == 1


def test_a_file_that_is_not_there(build, tmp_path):
    with pytest.raises(SynthkitError, match="cannot be read"), build(model=str(tmp_path / "none.onnx")):
        pass


@pytest.mark.assets
@pytest.mark.skipif(not (ASSETS / "weights/yolox_nano.onnx").is_file(), reason="needs ../shared/assets")
def test_yolox_as_released_finds_people(build, tmp_path):
    card = tmp_path / "yolox.toml"
    card.write_text(
        'classes = ["person"]\nscore_threshold = 0.3\nnms_iou = 0.45\n'
        '[input]\nname = "images"\nsize_px = [416, 416]\ncolour = "BGR"\nfit = "corner"\ngrey = 114\n'
        '[output.yolo]\nrows = "output"\nstrides = [8, 16, 32]\n'
    )
    import cv2

    capture = cv2.VideoCapture(str(ASSETS / "video/vtest.avi"))
    _, frame = capture.read()
    with build(model=str(ASSETS / "weights/yolox_nano.onnx"), card=str(card)) as detector:
        (found,) = detector.detect([Sample(key="a", image=np.ascontiguousarray(frame[..., ::-1]))])
    assert len(found.scores) >= 3  # pedestrians in the first frame of OpenCV's own test video
    heights = found.boxes_xyxy_px[:, 3] - found.boxes_xyxy_px[:, 1]
    assert ((heights > 20) & (heights < 250)).all()


def test_it_is_judged_like_every_detector(made, tmp_path):
    (tmp_path / "net.toml").write_text(CARD)
    people = [Person(box_xyxy_px=(6, 6, 14, 14)), Person(box_xyxy_px=(1, 20, 5, 30))]
    with DatasetWriter(tmp_path / "set", identity={}, scenes=1) as writer:
        writer.spool.put(0, [Sample(key="a", image=np.zeros((32, 32, 3), np.uint8), people=people)])
        writer.finished(0)
        writer.finalise()
    metric = ComponentSpec("metric", "detection", {"target": "person", "score": 0.1, "bootstrap": 0})
    detector = ComponentSpec("detector", "onnx", {"model": str(made)})
    (judged,) = judge(Session(discover()), [metric], tmp_path / "set", detector=detector)
    assert [result.value for result in judged.results[:3]] == [0.5, 0.5, 0.5]
    assert judged.results[0].definition["detector"]["name"] == "onnx"
    with pytest.raises(ConfigError, match="--checkpoint or --detector"):
        judge(Session(discover()), [metric], tmp_path / "set", checkpoint=made, detector=detector)
