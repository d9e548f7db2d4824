# SPDX-License-Identifier: Apache-2.0
"""The examples for devices: the same boxes in synthkit, in NumPy alone, and in C."""

from __future__ import annotations

import ctypes
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_onnx import constant_outputs, save

from synthkit import config as configs
from synthkit.deployment.cards import parse_card
from synthkit.deployment.runner import Runner
from synthkit.letterbox import Letterbox

HERE = Path(__file__).parents[1]
SIZE = (96, 64)
ANCHORS = [[10.0, 14.0], [24.0, 16.0], [30.0, 40.0]]
FORMS = {
    "upright": {},
    "published": {"centres": "published"},
    "rotated": {"boxes": "rotated"},
    "classes": {"classes": "classes"},
}


def load(name):
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


detect = load("detect")
heatmap = load("heatmap")
card_to_c = load("card_to_c")


class Card(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int) for name in ("width", "height", "stride", "classes", "anchors", "rotated", "published")),
        ("overlap", ctypes.c_float),
        ("shapes", ctypes.c_float * 2 * 64),
    ]


class Place(ctypes.Structure):
    _fields_ = [("image_width", ctypes.c_int), ("image_height", ctypes.c_int), ("scale", ctypes.c_float),
                ("x", ctypes.c_int), ("y", ctypes.c_int)]  # fmt: skip


class Box(ctypes.Structure):
    _fields_ = [("box", ctypes.c_float * 5), ("score", ctypes.c_float), ("label", ctypes.c_int)]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler, cc")
    path = tmp_path_factory.mktemp("c") / "squeezedet.so"
    strict = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([compiler, *strict, "-O2", "-shared", "-fPIC", HERE / "squeezedet.c", "-lm", "-o", path], check=True)
    return ctypes.CDLL(str(path))


@pytest.fixture(scope="module", params=FORMS)
def model(request, tmp_path_factory):
    """Return a file whose maps are drawn, its card beside it, and the maps."""
    form, generator = FORMS[request.param], np.random.default_rng(3)
    rows, columns, numbers = SIZE[1] // 16, SIZE[0] // 16, 6 if request.param == "rotated" else 4
    maps = {
        "confidence": generator.uniform(0, 1, (1, 3, rows, columns)) ** 2,
        "deltas": generator.normal(0, 0.7, (1, 3 * numbers, rows, columns)),
    }
    if "classes" in form:
        maps["classes"] = generator.normal(0, 2, (1, 3 * 2, rows, columns))
    card = {
        "classes": ["head", "person"] if "classes" in form else ["person"],
        "input": {"name": "image", "size_px": list(SIZE)},
        "output": {"anchors": {"anchors": ANCHORS, **form}},
        "operating_score": 0.3,
    }
    path = save(constant_outputs([1, 3, SIZE[1], SIZE[0]], maps), tmp_path_factory.mktemp("m") / "detector.onnx")
    path.with_suffix(".json").write_text(json.dumps({"detector": configs.plain(parse_card(card, "made"))}))
    return path, {name: np.ascontiguousarray(values[0], np.float32) for name, values in maps.items()}


@pytest.mark.parametrize("size", [(96, 64), (90, 60), (200, 100), (31, 47)])
def test_synthkit_numpy_and_c_find_the_same(model, library, size):
    path, maps = model
    card = json.loads(path.with_suffix(".json").read_text())["detector"]
    image = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    found = Runner.of(parse_card(card, ""), path.read_bytes(), "").detect("a", image)
    sure = found.scores >= 0.3
    boxes = found.boxes_xyxy_px if found.rotated_boxes is None else found.rotated_boxes
    wanted = np.column_stack([boxes, found.scores, found.labels])[sure]
    assert len(wanted) >= 4
    ours = detect.Detector(path)(image)
    assert ours == pytest.approx(wanted, abs=1e-3)
    assert in_c(library, card, maps, size) == pytest.approx(wanted, abs=1e-2)


def in_c(library, card, maps, size):
    given = c_card(card)
    place, boxes, scaled = Place(), (Box * 64)(), (ctypes.c_int(), ctypes.c_int())
    library.sd_fit(*size, ctypes.byref(given), ctypes.byref(place), *(ctypes.byref(value) for value in scaled))
    pointers = [maps[name].ctypes.data_as(ctypes.c_void_p) if name in maps else None
                for name in ("confidence", "deltas", "classes")]  # fmt: skip
    count = library.sd_find(ctypes.byref(given), *pointers, ctypes.c_float(0.3), boxes, 64)
    library.sd_to_image(ctypes.byref(given), ctypes.byref(place), boxes, count)
    columns = 5 if given.rotated else 4
    return np.array([[*box.box[:columns], box.score, box.label] for box in boxes[:count]])


def c_card(card):
    values = card_to_c.constants(card)
    shapes = values.pop("shapes")
    result = Card(**values)
    for place, (width, height) in enumerate(shapes):
        result.shapes[place][:] = (width, height)
    return result


@pytest.mark.parametrize("size", [(96, 64), (90, 60), (40, 30), (250, 130), (192, 128), (97, 300)])
def test_images_are_laid_alike(library, size):
    image = cv2.resize(np.random.default_rng(2).integers(0, 256, (9, 9, 3)).astype(np.uint8), size)
    wanted = Letterbox(size, SIZE).apply(image)
    ours, scale, offset = detect.letterbox(image, SIZE)
    assert offset == Letterbox(size, SIZE).offset_px
    assert scale == pytest.approx(Letterbox(size, SIZE).scale_xy[0])
    assert np.abs(ours.astype(int) - wanted).max() <= 1
    assert np.abs(ours.astype(int) - wanted).mean() < 0.3
    maps = {"anchors": ANCHORS, "stride": 16, "boxes": "upright", "centres": "cells"}
    given = c_card({"classes": ["a"], "nms_iou": 0.4, "input": {"size_px": SIZE}, "output": {"anchors": maps}})
    laid = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    library.sd_lay(image.ctypes.data_as(ctypes.c_void_p), *size, ctypes.byref(given),
                   laid.ctypes.data_as(ctypes.c_void_p), ctypes.byref(Place()))  # fmt: skip
    assert np.abs(ours.astype(int) - laid).max() <= 1


def test_8_bit_maps_become_numbers(library):
    values, result = np.array([-128, 0, 127], np.int8), np.zeros(3, np.float32)
    library.sd_dequantise(values.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(3), ctypes.c_float(0.5), -128,
                          result.ctypes.data_as(ctypes.c_void_p))  # fmt: skip
    assert result.tolist() == [0.0, 64.0, 127.5]


def test_the_header_compiles(model, library, tmp_path):
    card = json.loads(model[0].with_suffix(".json").read_text())["detector"]
    (tmp_path / "detector_card.h").write_text(card_to_c.header(card))
    (tmp_path / "main.c").write_text(
        f'#include "{HERE / "squeezedet.c"}"\n#include "detector_card.h"\n#include <stdio.h>\n'
        'int main(void) { printf("%d %g", SD_CARD.width, (double)SD_CARD.shapes[2][1]); return 0; }\n'
    )
    subprocess.run(["cc", "-std=c99", "main.c", "-lm", "-o", "main"], cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True)
    assert done.stdout == "96 40"


WITHOUT = "import sys; sys.modules.update(dict.fromkeys(['torch', 'synthkit', {more}])); sys.argv = sys.argv[1:]; "


@pytest.mark.parametrize("missing", ["'cv2'", "'PIL'"])
def test_it_runs_without_torch_and_synthkit(model, tmp_path, missing):
    path, _ = model
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(2):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((64, 96, 3), 90, np.uint8))
    code = WITHOUT.format(more=missing) + f"sys.path.insert(0, {str(HERE)!r}); import detect; detect.main()"
    arguments = ["detect.py", str(path), str(folder), "--out", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["image"] for line in lines] == ["0.png", "1.png"]
    assert len(lines[0]["found"]) >= 4
    drawn = cv2.imread(str(tmp_path / "out" / "0.png"))
    assert (drawn != 90).any()


def test_pictures_of_any_name_are_drawn_into_a_folder(model, tmp_path, monkeypatch):
    photo = tmp_path / "photo"
    photo.write_bytes(cv2.imencode(".png", np.full((64, 96, 3), 90, np.uint8))[1].tobytes())
    monkeypatch.setattr(sys, "argv", ["detect.py", str(model[0]), str(photo), "--out", str(tmp_path / "out")])
    detect.main()
    assert (tmp_path / "out" / "photo.png").is_file()
    monkeypatch.setattr(sys, "argv", [*sys.argv[:-1], str(photo)])
    with pytest.raises(SystemExit, match="photo: cannot be made a folder: File exists"):
        detect.main()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"detector.json": "{}"}, r"detector\.json: is no card of synthkit export: KeyError"),
        ({"detector.json": None}, r"detector\.json: is no card of synthkit export: FileNotFoundError"),
        ({"detector.onnx": "none"}, r"detector\.onnx: cannot be opened: "),
    ],
)
def test_what_is_wrong_is_one_line(model, tmp_path, changed, message):
    for path in (model[0], model[0].with_suffix(".json")):
        shutil.copy(path, tmp_path / path.name)
    for name, text in changed.items():
        (tmp_path / name).unlink()
        if text is not None:
            (tmp_path / name).write_text(text)
    with pytest.raises(SystemExit, match=message) as told:
        detect.Detector(tmp_path / "detector.onnx")
    assert len(told.value.code.splitlines()) == 1


def test_a_model_of_another_card_is_told(model, tmp_path):
    path = save(constant_outputs([1, 3, SIZE[1], SIZE[0]], {"confidence": np.ones((1, 3, 2))}), tmp_path / "other.onnx")
    shutil.copy(model[0].with_suffix(".json"), tmp_path / "other.json")
    with pytest.raises(SystemExit, match=r"other\.onnx: is not what its card tells: "):
        detect.Detector(path)(np.zeros((*SIZE[::-1], 3), np.uint8))


def test_a_heat_map_of_a_video(model, tmp_path, monkeypatch, capsys):
    path, _ = model
    video = tmp_path / "v.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"MJPG"), 10, SIZE)
    for number in range(7):
        frame = np.full((SIZE[1], SIZE[0], 3), 120, np.uint8)
        frame[:, 10 * number : 10 * number + 10] = 0  # somebody walks through
        writer.write(frame)
    writer.release()
    monkeypatch.setattr(
        sys, "argv", ["heatmap.py", str(path), str(video), "--out", str(tmp_path / "flow.png"), "--every", "2"]
    )
    heatmap.main()
    assert "finds in 4 frames" in capsys.readouterr().out
    flow = cv2.imread(str(tmp_path / "flow.png"))
    assert flow.shape == (SIZE[1], SIZE[0], 3)
    assert flow.std(axis=2).max() > 30  # there is colour


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--every", "0"], "--every: at least 1"),
        ([], r"b\.png: is of another size"),
        (["--out", "flow"], "--out flow: expected the name of a picture"),
        (["--out", "nowhere/flow.png"], "in a folder that is there"),
    ],
)
def test_what_makes_no_heat_map_is_told(model, tmp_path, monkeypatch, capsys, options, message):
    for name, size in {"a": SIZE, "b": (40, 40)}.items():
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros((*size[::-1], 3), np.uint8))
    monkeypatch.setattr(sys, "argv", ["heatmap.py", str(model[0]), str(tmp_path), *options])
    with pytest.raises(SystemExit) as ended:
        heatmap.main()
    assert re.search(message, f"{ended.value.code} {capsys.readouterr().err}")


def test_heat_lies_where_people_were():
    heat = np.zeros((100, 100))
    heatmap.discs(heat, np.array([[20.0, 30.0, 40.0, 50.0, 0.9, 0.0]]))
    assert np.unravel_index(heat.argmax(), heat.shape) in {(39, 29), (40, 30), (39, 30), (40, 29)}
    assert heat.max() == pytest.approx(1.0, abs=0.02)
    heatmap.discs(heat, np.array([[500.0, 500.0, 510.0, 510.0, 0.9, 0.0]]))  # outside
    assert heat.max() == pytest.approx(1.0, abs=0.02)
    picture = heatmap.over(np.full((100, 100, 3), 90.0), heat)
    assert (picture[90, 90] == 90).all()
    assert picture[40, 30].tolist() != [90, 90, 90]
