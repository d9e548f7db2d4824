# SPDX-License-Identifier: Apache-2.0
"""What an image shows of a person: the mean colour of each patch of the body's surface."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.errors import DatasetError
from synthkit.sample import Sample
from synthkit_surface.patches import Patches

Colours = npt.NDArray[np.float32]

_CODES = np.arange(256) / 255.0
_LINEAR = np.where(_CODES <= 0.04045, _CODES / 12.92, ((_CODES + 0.055) / 1.055) ** 2.4)
"""Linear light of each sRGB code (IEC 61966-2-1)."""


@attrs.frozen(eq=False)
class View:
    """One person in one image.

    Args:
        key, sequence: the sample's; empty for no sequence. identity: the person's.
        colours: (patches, 3) linear Rec. 709, the mean of each patch, NaN where too little of it is seen.
    """

    key: str
    sequence: str
    identity: str
    colours: Colours


def views(samples: Iterable[Sample], patches: Patches, min_pixels: int) -> Iterator[View]:
    """Yield everybody of a known identity of whom something is seen.

    Pixels at a person's outline are left out, for what is behind is mixed into them.

    Raises:
        DatasetError: when a sample lacks a layer.
    """
    for sample in samples:
        for layer in ("instances", "surface"):
            if layer not in sample.layers:
                raise DatasetError(
                    f"sample {sample.key} has no layer {layer}: surface consistency needs rendered people, with"
                    " --set 'renderer.layers=[\"surface\"]'"
                )
        instances, surface = sample.layers["instances"], sample.layers["surface"]
        if surface.max(initial=0) > len(patches.of_vertex):
            raise DatasetError(f"sample {sample.key}: its layer surface has vertices that the base mesh has not")
        inner = _inner(instances) & (surface > 0)
        for person in sample.people or ():
            if person.instance is None or person.identity is None:
                continue
            mask = inner & (instances == person.instance)
            patch = patches.of_vertex[surface[mask].astype(np.int64) - 1]
            colours = _means(_LINEAR[sample.image[mask]], patch, patches.count, min_pixels)
            if not np.isnan(colours).all():
                yield View(sample.key, sample.sequence or "", person.identity, colours)


def _inner(instances: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Return which pixels have four neighbours of the same person; none at the image's rim."""
    inner = np.zeros(instances.shape, bool)
    middle = instances[1:-1, 1:-1]
    inner[1:-1, 1:-1] = (
        (middle == instances[:-2, 1:-1])
        & (middle == instances[2:, 1:-1])
        & (middle == instances[1:-1, :-2])
        & (middle == instances[1:-1, 2:])
    )
    return inner


def _means(values: npt.NDArray[np.float64], patch: npt.NDArray[np.int64], count: int, min_pixels: int) -> Colours:
    pixels = np.bincount(patch, minlength=count)
    sums = np.stack([np.bincount(patch, values[:, channel], count) for channel in range(3)], axis=1)
    means = sums / np.maximum(pixels, 1)[:, None]
    means[pixels < min_pixels] = np.nan
    return np.asarray(means, np.float32)
