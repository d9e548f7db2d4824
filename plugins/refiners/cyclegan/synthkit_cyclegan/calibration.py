# SPDX-License-Identifier: Apache-2.0
"""Making one perceptual network's distances stand in for another's.

The weights of the feature losses were found, by trial and error, for VGG16's poolings. Another network's
features are larger or smaller, fewer or more. Its distances are therefore scaled so that a fixed set of image
pairs, made from seeded noise with the spectrum of photographs, lies as far apart as it does in the VGG16 pooling
of the same resolution.

For VGG16 itself the scale is 1: the weights are the thesis's own. For the others the distance in VGG16 is a
constant, ``reference_distance``, rather than measured at run time, because results must not depend on
which files happen to be on a machine. The constant is an estimate, one squared unit per element (VGG16's
activations for normalised input are of order one), made without VGG16's weights at hand; with them,
``distance`` of VGG16's poolings gives the exact values. The error is a factor on the weights of the feature losses;
the setting ``perceptual_scale`` replaces the scale, also where VGG16 got images in another range.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from synthkit.seeds import Seeds
from synthkit.training.perceptual import FeatureNet
from synthkit.training.taps import TAPS, tap
from synthkit_cyclegan import losses
from synthkit_cyclegan.losses import REFERENCE_PX, elements_at_reference

_PAIRS = 8
_DIGITS = 3


def scale_of(network: FeatureNet, layer: str) -> float:
    """Return the factor on a network's distances, to three digits; 1 for VGG16."""
    if network.name == "vgg16":
        return 1.0
    stride = tap(network.name, layer).stride
    return float(f"{reference_distance(stride) / distance(network, layer):.{_DIGITS}g}")


def reference_distance(stride: int) -> float:
    """Return what the pairs' mean distance in the VGG16 pooling of a stride is taken to be: 1 for each element."""
    pool = next(layer for layer, place in TAPS["vgg16"].items() if place.stride == stride)
    return float(elements_at_reference("vgg16", pool))


def distance(network: FeatureNet, layer: str) -> float:
    """Return the mean distance of the calibration pairs in a network's feature space, on the CPU."""
    before, after = pairs()
    with torch.no_grad():
        first, second = network(before)[layer], network(after)[layer]
    return float(losses.distance(second, first, elements_at_reference(network.name, layer)))


def pairs() -> tuple[torch.Tensor, torch.Tensor]:
    """Return two (8, 3, 128, 128) batches in 0..1: images, and what a refiner might make of them.

    The second differs by a random gain and offset per channel and by fresh detail, about a tenth of the
    range in all.
    """
    stream = Seeds(0).stream("perceptual-calibration")
    base = _natural_noise(stream)
    gain = stream.uniform(0.8, 1.2, (_PAIRS, 3, 1, 1))
    offset = stream.uniform(-0.1, 0.1, (_PAIRS, 3, 1, 1))
    changed = (base - 0.5) * gain + 0.5 + offset + 0.25 * (_natural_noise(stream) - 0.5)
    return _tensor(base), _tensor(np.clip(changed, 0, 1))


def _natural_noise(stream: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return images whose amplitudes fall with 1 / frequency, mean 0.5, deviation 0.2, clipped to 0..1."""
    size = REFERENCE_PX
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :])
    frequency[0, 0] = np.inf
    # Colour channels of photographs go together; one shared part and one of each channel's own.
    white = stream.normal(size=(_PAIRS, 1, size, size)) + 0.5 * stream.normal(size=(_PAIRS, 3, size, size))
    noise = np.fft.irfft2(np.fft.rfft2(white) / frequency, s=(size, size))
    noise /= noise.std(axis=(1, 2, 3), keepdims=True)
    return np.asarray(np.clip(0.5 + 0.2 * noise, 0, 1))


def _tensor(images: npt.NDArray[np.float64]) -> torch.Tensor:
    return torch.from_numpy(images.astype(np.float32))
