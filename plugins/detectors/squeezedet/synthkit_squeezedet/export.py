# SPDX-License-Identifier: Apache-2.0
"""SqueezeDet as an ONNX graph: the network alone as devices take it, or everything from pixels to boxes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from synthkit.checkpoint import Checkpoint
from synthkit.deployment import passes
from synthkit.interfaces import OnnxForm, OnnxGraph
from synthkit.training import onnx_files
from synthkit.training.taps import DEVIATION_RGB, MEAN_RGB
from synthkit_squeezedet.config import STRIDE
from synthkit_squeezedet.model import Design, WholeDetector
from synthkit_squeezedet.network import SqueezeDet

INPUT = "image"
OUTPUTS = ("boxes", "scores", "labels", "count")

_EXPORTED_OPSET = 18  # the oldest torch writes; older ones say the same graph
_LEAST_SCORE = 1e-3  # that 8 bits should tell from nothing
_MANY = 2  # images in the example of a graph that takes any number: 1 would be taken for fixed


def onnx_graph(
    design: Design, whole: WholeDetector, checkpoint: Checkpoint, form: OnnxForm, *, score: float, overlap: float
) -> OnnxGraph:
    """Return a detector in a form.

    The network alone takes float32 (1, 3, H, W) pixels 0 to 255, and its first layer is the normalisation, so a device
    gives it what the camera gave. The complete graph takes uint8 (1, H, W, 3) and holds decoding and the filter, which
    needs no NonMaxSuppression operator (``decoding.filter_boxes``).

    Args:
        whole: what detects, on the CPU. score, overlap: of its filter, for the card.
    """
    width, height = design.input_px
    images = _MANY if form.dynamic else 1
    maps = Maps(design, whole.network, confidence=form.variant == "network")
    if form.variant == "network":
        module: nn.Module = maps
        example, outputs = torch.zeros((images, 3, height, width)), maps.outputs
        free = {0: Dim("images"), 2: STRIDE * Dim("rows"), 3: STRIDE * Dim("columns")}
    else:
        module = Complete(design, maps, whole)
        example, outputs = torch.zeros((images, height, width, 3), dtype=torch.uint8), OUTPUTS
        free = {0: Dim("images")}
    model = onnx_files.converted(
        module.eval(), example, [INPUT], outputs, free if form.dynamic else None, max(form.opset, _EXPORTED_OPSET)
    )
    for rewrite in (passes.fold_pads, passes.explicit_pools, passes.relu_before_concat, passes.name_by_weights):
        rewrite(model)
    passes.lower(model, form.opset)
    layers = {node.name: node for node in model.graph.node}
    return OnnxGraph(
        model=model.SerializeToString(deterministic=True),
        card=_card(design, form, maps, checkpoint, score, overlap),
        about=_about(checkpoint),
        ranges={
            _layer(layers, "normalize").input[0]: (0.0, 255.0),
            _layer(layers, "confidence").output[0]: (-_logit(score), _logit(score)),
        },
    )


class Maps(nn.Module):
    """The network from pixels 0 to 255 (N, 3, H, W) to one map per kind of number, by what devices compute fast.

    The last layer is cut into one per kind, which gives each its own range in 8 bits, and needs no slicing.

    Args:
        confidence: whether confidences come out as such, or as logits.
    """

    def __init__(self, design: Design, network: SqueezeDet, *, confidence: bool) -> None:
        super().__init__()
        classes, anchors = len(design.classes), len(design.anchors)
        columns = network.conv12.out_channels // anchors
        self.normalize = _normalisation()
        self.network = network
        self.confidence = _part(network.conv12, anchors, [classes])
        self.deltas = _part(network.conv12, anchors, range(classes + 1, columns))
        self.classes = _part(network.conv12, anchors, range(classes)) if classes > 1 else None
        self._sigmoid = confidence

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the maps, in their order."""
        return ("confidence", "deltas", "classes") if self.classes is not None else ("confidence", "deltas")

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return confidences (N, A, h, w), deltas (N, 4 A or 6 A, h, w) and logits where there are several classes."""
        features = self.network.features(self.normalize(pixels))
        confidence = self.confidence(features)
        maps = (torch.sigmoid(confidence) if self._sigmoid else confidence, self.deltas(features))
        return maps if self.classes is None else (*maps, self.classes(features))


class Complete(nn.Module):
    """Everything: (N, H, W, 3) uint8 sRGB to what ``decoding.filter_boxes`` gives, by the layers of ``Maps``."""

    def __init__(self, design: Design, maps: Maps, whole: WholeDetector) -> None:
        super().__init__()
        self.maps = maps
        self.whole = whole
        self._anchors = len(design.anchors)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return boxes (N, K, 4), or rotated ones (N, K, 5), scores (N, K), labels (N, K) and count (N,)."""
        confidence, deltas, *classes = self.maps(images.float().permute(0, 3, 1, 2))
        logits = [_rows(part, self._anchors) for part in (*classes, confidence, deltas)]
        if not classes:  # one class, which is always certain
            logits.insert(0, torch.zeros_like(logits[0]))
        return self.whole.filtered(self.whole.decoded(torch.cat(logits, dim=-1)))


def _normalisation() -> nn.Conv2d:
    """Return a convolution that takes pixels 0 to 255 to the network's values (``network.normalize``).

    Folded into the next layer it would be wrong along the border, where that pads with the value of the mean.
    """
    layer = nn.Conv2d(3, 3, 1)
    mean, deviation = torch.tensor(MEAN_RGB, dtype=torch.float64), torch.tensor(DEVIATION_RGB, dtype=torch.float64)
    layer.weight.data = torch.diag(1.0 / (deviation * 255.0)).float()[:, :, None, None]
    assert layer.bias is not None
    layer.bias.data = (-mean / deviation).float()
    return layer


def _part(layer: nn.Conv2d, anchors: int, columns: Iterable[int]) -> nn.Conv2d:
    """Return the last layer with some numbers of each anchor alone, one anchor after the other."""
    per_anchor = layer.out_channels // anchors
    channels = [anchor * per_anchor + column for anchor in range(anchors) for column in columns]
    assert layer.bias is not None
    part = nn.Conv2d(layer.in_channels, len(channels), layer.kernel_size, padding=layer.padding)  # type: ignore[arg-type]
    part.weight.data = layer.weight.detach()[channels].contiguous()
    assert part.bias is not None
    part.bias.data = layer.bias.detach()[channels]
    return part


def _rows(maps: Tensor, anchors: int) -> Tensor:
    """Return (N, A * n, h, w) maps as rows (N, h * w * A, n)."""
    numbers = maps.shape[1] // anchors
    return maps.permute(0, 2, 3, 1).reshape(maps.shape[0], -1, numbers)


def _layer(layers: Mapping[str, Any], name: str) -> Any:
    return next(node for key, node in layers.items() if key.split(".")[-1] == name)


def _logit(score: float) -> float:
    """Return how far from 0 a logit is whose score is as little, or as far from 1."""
    return math.log(1.0 / max(score, _LEAST_SCORE) - 1.0) if score < 0.5 else 1.0


def _card(
    design: Design, form: OnnxForm, maps: Maps, checkpoint: Checkpoint, score: float, overlap: float
) -> dict[str, Any]:
    network = form.variant == "network"
    source = {"name": INPUT, "size_px": list(design.input_px), "layout": "NCHW" if network else "NHWC",
              "dtype": "float32" if network else "uint8"}  # fmt: skip
    output: dict[str, Any] = {"boxes": dict(zip(OUTPUTS, OUTPUTS, strict=True))}
    if network:
        output = {
            "anchors": {
                **{name: name for name in maps.outputs},
                "anchors": [list(size) for size in design.anchors],
                "boxes": design.boxes,
                "stride": STRIDE,
                "centres": design.centres,
            }
        }
    return {
        "classes": list(design.classes),
        "input": source,
        "output": output,
        "score_threshold": score,
        "operating_score": checkpoint.card.get("operating_score"),
        "nms_iou": overlap,
    }


def _about(checkpoint: Checkpoint) -> dict[str, Any]:
    told = ("data", "licence", "backbone", "validation", "chosen_by", "steps", "seed")
    return {"checkpoint_sha256": checkpoint.sha256, **{name: checkpoint.card.get(name) for name in told}}
