# SPDX-License-Identifier: Apache-2.0
"""What the feature networks of refiners' losses see in an image (thesis 000, figure 5.11)."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from synthkit.checkpoint import Checkpoint
from synthkit.errors import SynthkitError
from synthkit.experiments.description import RENDERED
from synthkit.report.drawing import Picture, grid
from synthkit.report.experiment.findings import Findings
from synthkit.report.experiment.trainings import fitted
from synthkit.report.page import Figure, Section

_STRIDES = (4, 32)  # of VGG16's second and fifth max pooling; other networks show the nearest they have
_CHANNELS, _LONGER_SIDE_PX = 8, 320
_GREY = 128


def section(found: Findings) -> Section | None:
    """Return activations of the first feature network that a checkpoint tells of, where its weights are here."""
    data = found.opened(found.plan.data[RENDERED], layers=())
    name = _network(found)
    if data is None or name is None:
        return None
    sample = data[0]
    try:
        layers = _activations(name, np.asarray(sample.image))
    except SynthkitError:  # weights that were here when it was trained; the figure explains, and nothing rests on it
        return None
    figures = [
        Figure(grid(maps, len(maps), background=_GREY), f"Activations of {name}, {layer}", f"{layer} of {name}")
        for layer, maps in layers.items()
    ]
    return Section(
        "What feature losses see",
        [
            f"The rendered image {sample.key}, and those {_CHANNELS} channels of a shallow and of a deep layer that"
            " vary most over it, each from black, its least, to white, its most. What losses of features keep is what"
            " these tell apart: texture and edges in the shallow one, parts of bodies and rooms in the deep one (thesis"
            " 000, section 5.8)."
        ],
        figures=figures,
        per_row=1,
        links=[("Where this image is", "samples")],
    )


def _network(found: Findings) -> str | None:
    """Return the name of the feature network that the first training with one tells of."""
    for _, folder in fitted(found):
        told = Checkpoint.open(folder / "checkpoint.safetensors").card.get("perceptual")
        if isinstance(told, dict) and isinstance(told.get("network"), str):
            return str(told["network"])
    return None


def _activations(name: str, image: Picture) -> dict[str, list[Picture]]:
    """Return by layer an image, and beside it its channels that vary most, all of the image's size."""
    import torch

    from synthkit.training.perceptual import load_features
    from synthkit.training.taps import TAPS

    if name not in TAPS:
        return {}
    taps = TAPS[name]
    layers = [min(taps, key=lambda layer: abs(taps[layer].stride - stride)) for stride in _STRIDES]
    network, _ = load_features(name, layers)
    scale = min(1.0, _LONGER_SIDE_PX / max(image.shape[:2]))
    shown = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    given = torch.from_numpy(shown.astype(np.float32) / 255).permute(2, 0, 1)[None]
    with torch.inference_mode():
        found = network(given)
    return {
        layer: [shown.astype(np.uint8), *_most_varied(found[layer][0].numpy(), shown.shape[:2])] for layer in layers
    }


def _most_varied(maps: npt.NDArray[np.float32], size: tuple[int, ...]) -> list[Picture]:
    """Return the channels of maps (C, h, w) that vary most, the first one most, as grey pictures of a size (H, W)."""
    spread = maps.reshape(len(maps), -1).std(axis=1)
    pictures = []
    for channel in np.argsort(-spread, kind="stable")[:_CHANNELS]:
        values = maps[channel] - maps[channel].min()
        grey = np.rint(255 * values / max(float(values.max()), 1e-12)).astype(np.uint8)
        large = cv2.resize(grey, (size[1], size[0]), interpolation=cv2.INTER_NEAREST)
        pictures.append(np.repeat(large[..., None], 3, axis=2))
    return pictures
