# SPDX-License-Identifier: Apache-2.0
"""Small embedders and sets of people, whose answers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from synthkit.sample import Person, Sample

SIDE = (16, 32)
CARD = "size_px = [16, 32]\nmean = [127.5, 127.5, 127.5]\ndeviation = [127.5, 127.5, 127.5]\n"


def colours_file(folder: Path, *, cells=(4, 8), outputs=1, batch=1, card=CARD, texts=False) -> Path:
    """Write an embedder whose numbers are the mean colours of cells of the picture, or the same as texts."""
    width, height = SIDE
    kernel = [height // cells[1], width // cells[0]]
    nodes = [helper.make_node("AveragePool", ["pixels"], ["pooled"], kernel_shape=kernel, strides=kernel),
             helper.make_node("Flatten", ["pooled"], ["flat" if texts else "vector"])]  # fmt: skip
    if texts:
        nodes.append(helper.make_node("Cast", ["flat"], ["vector"], to=TensorProto.STRING))
    kind = TensorProto.STRING if texts else TensorProto.FLOAT
    dims = 3 * cells[0] * cells[1]
    made = [helper.make_tensor_value_info("vector", kind, [batch, dims])]
    if outputs == 2:
        made.append(helper.make_tensor_value_info("pooled", TensorProto.FLOAT, [batch, 3, cells[1], cells[0]]))
    given = [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [batch, 3, height, width])]
    model = helper.make_model(
        helper.make_graph(nodes, "colours", given, made), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / "colours.onnx")
    if card:
        (folder / "colours.toml").write_text(card)
    return folder / "colours.onnx"


def crowd(people=8, images=4, *, static=False, seed=0, size=(64, 96)) -> list[Sample]:
    """Return images of one person each, whose clothes stay; their places and surroundings only where static."""
    generator = np.random.default_rng(seed)
    width, height = size
    looks = generator.integers(0, 256, (people, 2, 3))
    places = 255 * generator.integers(0, 2, (people, 12, 8, 3))
    samples = []
    for n in range(people * images):
        who, picture = n % people, n // people
        around = places[who] if static else 255 * generator.integers(0, 2, (12, 8, 3))
        image = np.kron(around, np.ones((height // 12, width // 8, 1))).astype(np.uint8)
        left, top = (int(n) for n in generator.integers((23, 15), (30, 22))) if not static else (26, 18)
        instances = np.zeros((height, width), np.uint8)
        instances[top : top + 60, left : left + 12] = 1
        instances[top + 20 : top + 25, left - 10 : left + 22] = 1  # arms
        shown = looks[who, (np.arange(height) >= top + 30).astype(int)][:, None] + generator.normal(0, 6, image.shape)
        image = np.where(instances[..., None] > 0, np.clip(shown, 0, 255), image).astype(np.uint8)
        person = Person(instance=1, identity=f"p{who}", head_px=(left + 6, top + 8),
                        box_xyxy_px=(left - 10, top, left + 22, top + 60))  # fmt: skip
        samples.append(Sample(key=f"{picture:03d}_{who:02d}", image=image, people=[person],
                              layers={"instances": instances}))  # fmt: skip
    return samples


def masked(sample: Sample, grey=0) -> Sample:
    """Return a sample whose person became one grey."""
    image = np.where(sample.layers["instances"][..., None] > 0, np.uint8(grey), sample.image)
    return Sample(key=sample.key, image=image, people=sample.people, layers=dict(sample.layers), meta=dict(sample.meta))
