# SPDX-License-Identifier: Apache-2.0
"""Samples survive storing: exactly for pixels and layers, to declared decimals for numbers."""

from __future__ import annotations

import io
import json

import attrs
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from synthkit.camera import FisheyeCamera, looking_down
from synthkit.dataset import CodecConfig, codec, description
from synthkit.errors import DatasetError
from synthkit.sample import Keypoint, Person, RotatedBox, Sample, Sidecar

PNG = CodecConfig()
numbers = st.floats(-5000, 5000, allow_subnormal=False)
texts = st.text(max_size=6)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(-1e9, 1e9) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
tables = st.dictionaries(texts.filter(lambda key: key != description.UNKNOWN), json_values, max_size=3)


@st.composite
def boxes(draw):
    x0, x1 = sorted((draw(numbers), draw(numbers)))
    y0, y1 = sorted((draw(numbers), draw(numbers)))
    return x0, y0, x1, y1


keypoints = st.builds(
    Keypoint, numbers, numbers, st.none() | st.booleans(), st.none() | st.tuples(numbers, numbers, numbers)
)
sizes = st.floats(0, 3000)
people = st.builds(
    Person,
    instance=st.none() | st.integers(1, 300),
    identity=st.none() | texts,
    head_px=st.none() | st.tuples(numbers, numbers),
    head_box_xyxy_px=st.none() | boxes(),
    box_xyxy_px=st.none() | boxes(),
    rotated_box=st.none() | st.builds(RotatedBox.normalized, numbers, numbers, sizes, sizes, st.floats(-180, 180)),
    keypoints=st.dictionaries(texts, keypoints, max_size=2),
    radial_box=st.none() | st.builds(RotatedBox.normalized, numbers, numbers, sizes, sizes, st.floats(-180, 180)),
    full_box_xyxy_px=st.none() | boxes(),
    floor_m=st.none() | st.tuples(numbers, numbers, numbers),
    visible_fraction=st.none() | st.floats(0, 1),
    occluder=st.none() | st.integers(1, 300) | st.sampled_from(["furniture", "frame"]),
    attributes=tables,
)
cameras = st.builds(
    lambda size, fov, yaw: FisheyeCamera.equidistant(
        size, size, fov, world_from_camera=looking_down(2.5, yaw_degrees=yaw)
    ),
    st.integers(8, 4000), st.floats(60, 220), st.floats(-180, 180),
)  # fmt: skip


@st.composite
def samples(draw):
    height, width = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    layers = {}
    if draw(st.booleans()):
        layers["instances"] = random.integers(0, draw(st.sampled_from([2, 256, 60000])), (height, width), np.uint16)
    if draw(st.booleans()):
        layers["depth"] = random.normal(size=(height, width)).astype(np.float32)
    if draw(st.booleans()):
        layers["amodal"] = random.integers(0, 2**20, (height, width), np.uint32)
        layers["surface"] = random.integers(0, 19159, (height, width), np.uint16)
        layers["flow_x2"] = random.integers(-9, 9, (height, width, 2)).astype(">i2")
    if draw(st.booleans()):
        layers["background"] = random.integers(0, 256, (height, width, 3), np.uint8)
        layers["mask"] = random.integers(0, 2, (height, width)).astype(bool)
    return Sample(
        key=draw(st.text("abc_-0123é", min_size=1, max_size=20)),
        image=random.integers(0, 256, (height, width, 3), np.uint8),
        people=draw(st.none() | st.lists(people, max_size=3)),
        camera=draw(st.none() | cameras),
        layers=layers,
        sequence=draw(st.none() | texts),
        frame=draw(st.none() | st.integers(0, 10**9)),
        time_s=draw(st.none() | st.floats(0, 1e6)),
        meta=draw(tables),
    )


def round_trip(sample, config=PNG):
    encoded = codec.encode(sample, config)
    members = dict(encoded.members)
    return codec.decode(sample.key, members, where="test"), members, encoded


@given(samples())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_round_trip(sample):
    back, members, encoded = round_trip(sample)
    assert np.array_equal(back.image, sample.image)
    assert back.layers.keys() == sample.layers.keys()
    for name, layer in sample.layers.items():
        assert np.array_equal(back.layers[name], layer)
        assert back.layers[name].dtype.kind == layer.dtype.kind
    assert (back.people is None) == (sample.people is None)
    for mine, yours in zip(sample.people or (), back.people or (), strict=True):
        assert_close(mine, yours)
    assert (back.key, back.sequence, back.frame) == (sample.key, sample.sequence, sample.frame)
    assert codec.content_digest(back, members) == encoded.content
    again = codec.encode(back, PNG)
    assert again == encoded, "what was read is written as the same bytes"


def assert_close(mine, yours):
    assert (mine.instance, mine.identity) == (yours.instance, yours.identity)
    assert mine.occluder == yours.occluder
    for name in ("head_px", "head_box_xyxy_px", "box_xyxy_px", "full_box_xyxy_px", "floor_m"):
        first, second = getattr(mine, name), getattr(yours, name)
        assert (first is None) == (second is None)
        if first is not None:
            np.testing.assert_allclose(first, second, atol=0.00051)
    for before, box in ((mine.rotated_box, yours.rotated_box), (mine.radial_box, yours.radial_box)):
        assert (before is None) == (box is None)
        if before is not None:
            np.testing.assert_allclose(before.as_tuple()[:4], box.as_tuple()[:4], atol=0.00051)
            assert -90 <= box.degrees < 90
            assert abs((before.degrees - box.degrees + 90) % 180 - 90) < 1e-4
    assert mine.keypoints.keys() == yours.keypoints.keys()
    for name, point in mine.keypoints.items():
        assert point.visible is yours.keypoints[name].visible


@given(cameras)
@settings(max_examples=30, deadline=None)
def test_cameras_project_as_before(camera):
    sample = Sample(key="a", image=np.zeros((2, 2, 3), np.uint8), camera=camera)
    back = round_trip(sample)[0].camera
    points = np.random.default_rng(0).uniform(-3, 3, (50, 3))
    np.testing.assert_allclose(back.project(points)[0], camera.project(points)[0], atol=1e-5)


def blank(**known):
    return Sample(key="k", image=np.zeros((4, 4, 3), np.uint8), **known)


def test_unknown_keys_survive_in_their_places():
    text = {
        "schema": 1,
        "later": {"x": [1]},
        "meta": {"a": 1},
        "people": [{"instance": 1, "gait": "slow", "keypoints": {"nose": {"x_px": 1.0, "y_px": 2.0, "sigma": 3}}}],
        "camera": {"model": "pinhole-of-tomorrow", "f": 3},
    }
    members = dict(codec.encode(blank(), PNG).members) | {"json": json.dumps(text).encode()}
    sample = codec.decode("k", members, where="test")
    assert sample.people[0].keypoints["nose"].x_px == 1.0
    assert sample.camera is None
    stored = dict(codec.encode(attrs.evolve(sample, sequence="s"), PNG).members)["json"]
    assert json.loads(stored) == {**text, "sequence": "s"}


def test_a_fisheye_keeps_keys_it_does_not_know_and_loses_them_with_the_camera():
    camera = FisheyeCamera.equidistant(4, 4)
    text = json.loads(description.to_json(blank(camera=camera)))
    text["camera"]["serial"] = "x1"
    sample = blank(**description.from_json(json.dumps(text).encode()))
    assert json.loads(description.to_json(sample)) == text
    assert "camera" not in json.loads(description.to_json(attrs.evolve(sample, camera=None)))


def test_strangers_json_becomes_meta():
    members = dict(codec.encode(blank(), PNG).members)
    assert codec.decode("k", members | {"json": b'{"caption": "x"}'}, where="t").meta == {"caption": "x"}
    assert codec.decode("k", members | {"json": b"[1]"}, where="t").meta == {"json": [1]}
    del members["json"]
    assert codec.decode("k", members | {"cls": b"3"}, where="t").people is None


def test_numbers_have_declared_decimals_and_keys_are_sorted():
    person = Person(box_xyxy_px=(-0.00001, 1.23456, 2, 3), rotated_box=RotatedBox(1, 2, 3, 4, 89.99999))
    text = description.to_json(blank(people=[person], meta={"b": 0.1234567891234, "a": np.float32(0.5)}))
    assert text == (
        b'{"meta":{"a":0.5,"b":0.123456789},"people":[{"box_xyxy_px":[0.0,1.235,2.0,3.0],'
        b'"rotated_box":[1.0,2.0,3.0,4.0,-90.0]}],"schema":1}'
    )


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"x": {"y": float("nan")}}, r"meta\.x\.y is nan"),
        ({"x": [object()]}, r"meta\.x\[0\] is of type object"),
        ({1: 2}, "keys that are no text"),
    ],
)
def test_what_json_cannot_hold_is_refused(meta, message):
    with pytest.raises(DatasetError, match=f"sample k: cannot be stored: .*{message}"):
        codec.encode(blank(meta=meta), PNG)


@pytest.mark.parametrize("name", ["Mask", "image", "a.b", "../x", ""])
def test_layer_names_that_readers_would_bend_are_refused(name):
    with pytest.raises(DatasetError, match="layer name"):
        codec.encode(blank(layers={name: np.zeros((4, 4), np.uint8)}), PNG)


def test_objects_are_never_stored():
    with pytest.raises(DatasetError, match="plain numbers"):
        codec.encode(blank(layers={"odd": np.full((4, 4), None)}), PNG)


def test_jpeg_is_close_and_keeps_layers_exactly():
    ramp = np.linspace(0, 255, 32).astype(np.uint8)
    picture = np.stack([np.tile(ramp, (32, 1))] * 3, axis=-1)
    sample = Sample(key="k", image=picture, layers={"instances": np.tile(ramp, (32, 1))})
    back, members, encoded = round_trip(sample, CodecConfig(image_format="jpg"))
    assert [suffix for suffix, _ in encoded.members] == ["jpg", "json", "instances.png"]
    assert np.abs(back.image.astype(int) - picture).max() <= 6
    assert np.array_equal(back.layers["instances"], sample.layers["instances"])
    assert codec.content_digest(back, members) == encoded.content


def picture_bytes(mode="RGB", size=(4, 4), form="PNG"):
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, form)
    return buffer.getvalue()


def npy(array, allow_pickle=False):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=allow_pickle)
    return buffer.getvalue()


def npy_with_header(header):
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(64)


HOSTILE = {
    "no image": {"json": b"{}"},
    "no picture": {"png": b"hello"},
    "empty picture": {"png": b""},
    "cut picture": {"png": picture_bytes(size=(64, 64))[:-30]},
    "other format": {"png": picture_bytes(form="GIF")},
    "pickled layer": {"odd.npy": npy(np.array([{"a": 1}] * 4), allow_pickle=True)},
    "text layer": {"odd.npy": npy(np.array([["a"] * 4] * 4))},
    "layer of another size": {"odd.npy": npy(np.zeros((5, 4)))},
    "wrong type": {"depth.npy": npy(np.zeros((4, 4)))},
    "absurd shape": {
        "odd.npy": npy_with_header("{'descr': '<f8', 'fortran_order': False, 'shape': (9999999999,9999)}")
    },
    "negative shape": {"odd.npy": npy_with_header("{'descr': '<f8', 'fortran_order': False, 'shape': (-2,-4)}")},
    "code in a header": {"odd.npy": npy_with_header("__import__('os').system('true')")},
    "deep header": {"odd.npy": npy_with_header("(" * 100)},
    "cut npy": {"odd.npy": npy(np.zeros((4, 4)))[:-1]},
    "no npy": {"odd.npy": b"\x80\x04K\x01."},
    "no json": {"json": b"{"},
    "nan": {"json": b'{"schema":1,"time_s":NaN}'},
    "deep json": {"json": b"[" * 200_000},
    "newer schema": {"json": b'{"schema":99}'},
    "people are a text": {"json": b'{"schema":1,"people":"all"}'},
    "a person is a number": {"json": b'{"schema":1,"people":[3]}'},
    "a box of text": {"json": b'{"schema":1,"people":[{"box_xyxy_px":["a",1,2,3]}]}'},
    "a short box": {"json": b'{"schema":1,"people":[{"rotated_box":[1,2]}]}'},
    "an infinite box": {"json": b'{"schema":1,"people":[{"rotated_box":[1e999,1,1,1,1]}]}'},
    "an instance of text": {"json": b'{"schema":1,"people":[{"instance":"1"}]}'},
    "a keypoint without place": {"json": b'{"schema":1,"people":[{"keypoints":{"a":{}}}]}'},
    "half a camera": {"json": b'{"schema":1,"camera":{"model":"fisheye-polynomial"}}'},
    "meta is a list": {"json": b'{"schema":1,"meta":[]}'},
    "a long number": {"json": b'{"schema":1,"frame":' + b"9" * 5000 + b"}"},
}


@pytest.mark.parametrize("members", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_members_are_refused_with_place_and_key(members):
    good = {} if members is HOSTILE["no image"] else {"png": picture_bytes()}
    with pytest.raises(DatasetError, match=r"some\.tar: sample k"):
        codec.decode("k", good | members, where="some.tar")


def test_decompression_bombs_are_refused():
    bomb = picture_bytes("L", (9000, 9000))
    assert len(bomb) < 1_000_000
    for members in ({"png": bomb}, {"png": picture_bytes(), "mask.png": bomb}):
        with pytest.raises(DatasetError, match=r"refused|damaged"):
            codec.decode("k", members, where="some.tar")


BOMB = picture_bytes("L", (8000, 9990))
LAYER_BOMBS = {
    "layers larger than the image": (
        {"png": picture_bytes(), "a.png": BOMB, "b.png": BOMB},
        r"layer 'a' is of \(8000, 9990\) pixels, the image of \(4, 4\)",
    ),
    "many layers": (
        {"png": picture_bytes(), **{f"l{n}.png": picture_bytes("L") for n in range(codec.MAX_LAYERS + 1)}},
        "65 layers are refused, at most 64",
    ),
    "large layers of a sidecar": (
        {f"l{n}.png": BOMB for n in range(5)},
        "layers of 399600000 pixels in all are refused, at most 320000000",
    ),
}


@pytest.mark.parametrize("name", LAYER_BOMBS)
def test_no_layer_is_unpacked_of_too_many_or_too_large_ones(monkeypatch, name):
    members, message = LAYER_BOMBS[name]
    monkeypatch.setattr(codec, "decode_layer", lambda *_: pytest.fail("a layer was unpacked"))
    decode = codec.decode if "png" in members else codec.decode_sidecar
    with pytest.raises(DatasetError, match=rf"some\.tar: (sample|sidecar) k cannot be read: {message}"):
        decode("k", members, where="some.tar")


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (lambda: Sample("k", plane(90, 90, 3)), "an image of 90x90 pixels is refused"),
        (lambda: Sidecar("k", layers={"a": plane(90, 90)}), "an image of 90x90 pixels is refused"),
        (lambda: Sidecar("k", layers={f"l{n}": plane(80, 99) for n in range(5)}), "layers of 39600 pixels in all"),
        (lambda: blank(layers={f"l{n}": plane(4, 4) for n in range(65)}), "65 layers are refused"),
    ],
)
def test_what_is_too_large_to_be_read_is_not_written(monkeypatch, sample, message):
    monkeypatch.setattr(codec.images, "MAX_PIXELS", 8000)
    monkeypatch.setattr(codec, "MAX_LAYER_PIXELS", 32_000)
    with pytest.raises(DatasetError, match=f"sample k: cannot be stored: {message}"):
        codec.encode(sample(), PNG)


def test_a_sidecar_may_hold_as_many_pixels_as_is_read():
    sidecar = Sidecar("k", layers={f"l{n}": plane(20, 30) for n in range(codec.MAX_LAYERS)})
    encoded = codec.encode(sidecar, PNG)
    assert len(codec.decode_sidecar("k", dict(encoded.members), where="t").layers) == codec.MAX_LAYERS


def plane(*shape):
    return np.zeros(shape, np.uint8)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1", "CMYK", "I;16"])
def test_any_picture_becomes_rgb(mode):
    form = "JPEG" if mode == "CMYK" else "PNG"
    assert codec.decode("k", {"png": picture_bytes(mode, form=form)}, where="t").image.shape == (4, 4, 3)
