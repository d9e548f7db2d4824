# SPDX-License-Identifier: Apache-2.0
"""A generator as one ONNX file that takes and gives pixels, checked against torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import torch

from synthkit.checkpoint import Checkpoint
from synthkit.errors import WorkError
from synthkit.seeds import Seeds
from synthkit.training import onnx_files
from synthkit_anonymizer_gan import surface
from synthkit_anonymizer_gan.conditions import Views
from synthkit_anonymizer_gan.making import Maker

OUTPUT = "made"

_TOLERANCE_GREY = 1
_MOST_OFF = 0.01  # of the values: rounding may turn them by a grey level

_USAGE = """\
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession("generator.onnx")
z = np.random.default_rng(0).standard_normal((1, LATENT), np.float32)  # t * z for truncation
(made,) = session.run(None, {"image": image, "known": known, "making": making, "z": z, "places": places})
"""

Feed = dict[str, npt.NDArray[Any]]


class _FromPixels(torch.nn.Module):
    """Crops (N, H, W, 3) uint8 sRGB to the same with people in them; see ``_inputs`` for what goes in."""

    def __init__(self, maker: Maker) -> None:
        super().__init__()
        self.generator, self.spread = maker.generator, maker.spread

    def forward(
        self, image: torch.Tensor, known: torch.Tensor, making: torch.Tensor, z: torch.Tensor,
        places: torch.Tensor | None = None,
    ) -> torch.Tensor:  # fmt: skip
        pixels = image.permute(0, 3, 1, 2).float() / 127.5 - 1
        rows = torch.zeros_like(known, dtype=torch.int64) if places is None else places.long()
        views = Views(pixels, making[:, None].float(), known[:, None].float(), rows)
        made = self.generator(views.seen(self.generator.embedding), self.generator.mapping(self.spread.of(z)))
        grey = torch.clamp(torch.round((made + 1) * 127.5), 0, 255).permute(0, 2, 3, 1).to(torch.uint8)
        return torch.where(making[..., None] > 0, grey, image)


def export_onnx(maker: Maker, path: Path, checkpoint: Checkpoint, seeds: Seeds) -> dict[str, Any]:
    """Write a generator on the CPU as one ONNX file for any number of crops; return its card.

    ONNX Runtime makes people in one random crop and in several, and its pixels are compared with torch's.

    Args:
        seeds: of the random crops.

    Raises:
        WorkError: when the two disagree.
    """
    whole = _FromPixels(maker).eval()
    example = _crops(maker, 2, seeds.stream("export"))
    model = onnx_files.converted(
        whole, tuple(torch.from_numpy(part) for part in example.values()), list(example), [OUTPUT],
        {0: torch.export.Dim("count")},
    )  # fmt: skip
    card = _card(maker, checkpoint)
    data = onnx_files.with_card(model, card, _USAGE.replace("LATENT", str(maker.shape.latent)))
    checks = _compare(data, whole, maker, seeds)
    if checks["max_difference_grey"] > _TOLERANCE_GREY or checks["share_that_differs"] > _MOST_OFF:
        raise WorkError(f"export to {path}: ONNX Runtime's pixels differ from torch's: {checks}")
    return {**card, **checks, **onnx_files.write(path, data)}


def _card(maker: Maker, checkpoint: Checkpoint) -> dict[str, Any]:
    width, height = maker.size_px
    what = "the number of COCO's key point" if maker.cut.surface == "keypoints" else "the vertex of the body's surface"
    meanings = {
        "image": ("uint8", [3], "sRGB crops; whose pixels are not known may be anything"),
        "known": ("uint8", [], "1 where nobody is, and nobody is to be made"),
        "making": ("uint8", [], f"1 where somebody is to be made: {maker.margin_px} px beyond their mask, not others"),
        "places": ("int32", [], f"1 + {what} that a pixel shows, 0 where none is known"),
    }  # fmt: skip
    inputs: dict[str, Any] = {
        name: {"dtype": dtype, "shape": ["count", height, width, *more], "meaning": meaning}
        for name, (dtype, more, meaning) in meanings.items()
        if name != "places" or maker.shape.surface
    }
    inputs["z"] = {
        "dtype": "float32",
        "shape": ["count", maker.shape.latent],
        "meaning": "standard normal: who is made",
    }
    return {
        "format": "ONNX",
        "opset": onnx_files.OPSET,
        "inputs": inputs,
        "outputs": {OUTPUT: {"dtype": "uint8", "shape": ["count", height, width, 3], "meaning": "crops with people"}},
        "cut": attrs.asdict(maker.cut),
        "checkpoint_sha256": checkpoint.sha256,
        "checkpoint": {key: checkpoint.card.get(key) for key in ("name", "architecture", "steps", "data", "licence")},
        "usage": _USAGE.replace("LATENT", str(maker.shape.latent)),
    }


def _crops(maker: Maker, count: int, stream: np.random.Generator) -> Feed:
    """Return random crops as the file takes them, in the order of its inputs: somebody, others on the right."""
    width, height = maker.size_px
    shape = count, height, width
    making, others = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    making[:, height // 4 : -2, width // 4 : -width // 4] = 1
    others[:, :, -width // 8 :] = 1
    places = stream.integers(0, surface.places_of(maker.cut.surface) + 1, shape, dtype=np.int32) * making
    return {
        "image": stream.integers(0, 256, (*shape, 3), dtype=np.uint8),
        "known": (1 - making) * (1 - others),
        "making": making,
        "z": stream.standard_normal((count, maker.shape.latent), np.float32),
        **({"places": places} if maker.shape.surface else {}),
    }


def _compare(data: bytes, whole: torch.nn.Module, maker: Maker, seeds: Seeds) -> Mapping[str, Any]:
    """Run both on one crop and on three; return how far they are apart."""
    session, differences = onnx_files.session_of(data), []
    for number, count in enumerate((1, 3)):
        feed = _crops(maker, count, seeds.stream("compare", number))
        with torch.inference_mode():
            ours = whole(*(torch.from_numpy(part) for part in feed.values())).numpy()
        (theirs,) = session.run([OUTPUT], feed)
        differences.append(np.abs(ours.astype(int) - theirs)[feed["making"] > 0].reshape(-1))
    apart = np.concatenate(differences)
    return {
        "checked_values": len(apart),
        "max_difference_grey": int(apart.max()),
        "share_that_differs": float((apart > 0).mean()),
    }
