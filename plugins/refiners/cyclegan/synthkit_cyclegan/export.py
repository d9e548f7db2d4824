# SPDX-License-Identifier: Apache-2.0
"""A generator as one ONNX file that takes and gives pixels, checked against torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from synthkit.checkpoint import Checkpoint
from synthkit.errors import WorkError
from synthkit.seeds import Seeds
from synthkit.training import onnx_files
from synthkit_cyclegan.crop_refiner import Cut

INPUT, OUTPUT = "images", "translated"
STEP_PX = 4
"""Height and width of images are multiples of this."""

_TOLERANCE_GREY = 1
_MOST_OFF = 0.01  # of the values: rounding may turn them by a grey level

_USAGE = """\
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession("generator.onnx")
(translated,) = session.run(None, {"images": crop[np.newaxis]})  # crop, translated[0]: uint8 (H, W, 3) sRGB
"""


class _FromPixels(torch.nn.Module):
    """(N, H, W, 3) uint8 sRGB to the same, through a generator of images (N, 3, H, W) in -1..1."""

    def __init__(self, generator: torch.nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        translated = self.generator(images.permute(0, 3, 1, 2).float() / 127.5 - 1)
        return torch.clamp(torch.round((translated + 1) * 127.5), 0, 255).permute(0, 2, 3, 1).to(torch.uint8)


def export_onnx(
    generator: torch.nn.Module, cut: Cut, path: Path, checkpoint: Checkpoint, seeds: Seeds
) -> dict[str, Any]:
    """Write a generator on the CPU as one ONNX file for any number and size of images; return its card.

    ONNX Runtime runs it at two sizes on random images, and its pixels are compared with torch's.

    Args:
        cut: how the crops that it learned from were cut, for the card. seeds: of the random images.

    Raises:
        WorkError: when the two disagree.
    """
    whole = _FromPixels(generator).eval()
    side = torch.export.Dim
    sizes = {0: side("count"), 1: STEP_PX * side("rows", min=8), 2: STEP_PX * side("columns", min=8)}
    example = torch.zeros((2, cut.crop_px, cut.crop_px + STEP_PX, 3), dtype=torch.uint8)
    model = onnx_files.converted(whole, example, [INPUT], [OUTPUT], sizes)
    card = _card(cut, checkpoint)
    data = onnx_files.with_card(model, card, _USAGE)
    checks = _compare(data, whole, cut, seeds)
    if checks["max_difference_grey"] > _TOLERANCE_GREY or checks["share_that_differs"] > _MOST_OFF:
        raise WorkError(f"export to {path}: ONNX Runtime's pixels differ from torch's: {checks}")
    return {**card, **checks, **onnx_files.write(path, data)}


def _card(cut: Cut, checkpoint: Checkpoint) -> dict[str, Any]:
    pixels = {"dtype": "uint8", "shape": ["count", f"{STEP_PX}*rows", f"{STEP_PX}*columns", 3]}
    config, px = checkpoint.card.get("config"), cut.crop_px
    if isinstance(config, Mapping) and config.get("region") == "image":
        given, made = f"sRGB images; learned from windows of {px} pixels", "the same images translated"
    else:
        given = f"sRGB crops of people; learned at {px} pixels, the head at {list(cut.head_at)} of it"
        made = "the same crops translated"
    return {
        "format": "ONNX",
        "opset": onnx_files.OPSET,
        "input": {"name": INPUT, **pixels, "meaning": given},
        "outputs": {OUTPUT: {**pixels, "meaning": made}},
        "checkpoint_sha256": checkpoint.sha256,
        "checkpoint": {key: checkpoint.card.get(key) for key in ("name", "architecture", "steps", "data", "licence")},
        "usage": _USAGE,
    }  # fmt: skip


def _compare(data: bytes, whole: torch.nn.Module, cut: Cut, seeds: Seeds) -> dict[str, Any]:
    """Run both on a crop of the size that was learned and on one of another; return how far they are apart."""
    session, differences = onnx_files.session_of(data), []
    for number, shape in enumerate(((1, cut.crop_px, cut.crop_px, 3), (2, cut.crop_px + 8, cut.crop_px - 8, 3))):
        images = seeds.stream("export", number).integers(0, 256, shape, dtype=np.uint8)
        with torch.inference_mode():
            ours = whole(torch.from_numpy(images)).numpy()
        (theirs,) = session.run([OUTPUT], {INPUT: images})
        differences.append(np.abs(ours.astype(int) - theirs).reshape(-1))
    apart = np.concatenate(differences)
    return {
        "checked_values": len(apart),
        "max_difference_grey": int(apart.max()),
        "share_that_differs": float((apart > 0).mean()),
    }
