# SPDX-License-Identifier: Apache-2.0
"""Messages: both ends speak alike, nonsense is refused, and passes are read as every Blender writes them."""

from __future__ import annotations

import io

import numpy as np
import OpenEXR
import pytest

from synthkit_blender import wire
from synthkit_blender.exr import read_layers

worker_wire = pytest.importorskip("synthkit_blender_worker.wire")


def test_both_ends_understand_each_other():
    arrays = [np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros((0, 4), np.int32), np.ones(3, np.uint8)]
    sent = b"".join(wire.encode({"type": "render", "n": 1}, arrays))
    header, received = worker_wire.read_message(io.BytesIO(sent))
    assert header == {"type": "render", "n": 1}
    assert all(np.array_equal(a, b) for a, b in zip(arrays, received, strict=True))
    back = io.BytesIO()
    worker_wire.write_message(back, {"type": "frames"})
    answer = back.getvalue()
    assert wire.header_length(answer[: wire.PREFIX.size]) == len(answer) - wire.PREFIX.size
    assert wire.decode(answer[wire.PREFIX.size :]) == {"type": "frames"}


def test_the_end_of_the_stream_is_no_message():
    assert worker_wire.read_message(io.BytesIO(b"")) is None


@pytest.mark.parametrize("text", [b"not json", b"[]", b"\xff"])
def test_nonsense_is_refused(text):
    with pytest.raises(wire.ProtocolError):
        wire.decode(text)


def test_prints_of_native_code_are_no_message():
    with pytest.raises(wire.ProtocolError, match="expected a message"):
        wire.header_length(b"Fra:1 Mem:10M, Time:00:01"[: wire.PREFIX.size])
    with pytest.raises(worker_wire.BadMessageError):
        worker_wire.read_message(io.BytesIO(b"Fra:1 Mem:10M, Time:00:01"))


def test_objects_are_never_sent():
    with pytest.raises(ValueError, match="float32"):
        wire.encode({}, [np.array([{}], dtype=object)])


@pytest.mark.parametrize("a_part_each", [False, True])  # as Blender 4.5 writes files, and as 5.0 does
def test_layers_are_read_from_one_part_and_from_several(tmp_path, a_part_each):
    color, depth = np.arange(24, dtype=np.float32).reshape(4, 2, 3), np.full((2, 3), 2.5, np.float32)
    layers = {
        "ViewLayer.Combined": {f"ViewLayer.Combined.{c}": plane for c, plane in zip("RGBA", color, strict=True)},
        "ViewLayer.Depth": {"ViewLayer.Depth.Z": depth},
    }
    if not a_part_each:
        layers = {"ViewLayer": {name: plane for layer in layers.values() for name, plane in layer.items()}}
    parts = [OpenEXR.Part({"type": OpenEXR.scanlineimage}, planes, name) for name, planes in layers.items()]
    OpenEXR.File(parts).write(str(tmp_path / "pass.exr"))
    found = read_layers(tmp_path / "pass.exr", (4, 5), (1, 3, 2, 5))
    assert set(found) == {"color", "depth"}
    assert np.array_equal(found["color"][1:3, 2:5], color.transpose(1, 2, 0))
    assert np.array_equal(found["depth"], np.pad(depth, ((1, 1), (2, 0))))
