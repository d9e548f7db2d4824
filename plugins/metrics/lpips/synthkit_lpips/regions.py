# SPDX-License-Identifier: Apache-2.0
"""Which pixels of a pair of samples are compared: whole images, people's crops, people alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs
import numpy as np
import numpy.typing as npt

from synthkit import crops
from synthkit.errors import DatasetError
from synthkit.interfaces import Pair
from synthkit.sample import Sample
from synthkit_lpips.config import PairConfig

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

WHOLE = -1


@attrs.frozen(eq=False)
class Region:
    """Two pictures that are compared.

    Args:
        key: the samples' key. person: index of the person who is shown, ``WHOLE`` for whole images.
        candidate, reference: (H, W, 3) uint8. mask: (H, W), what counts of them; None counts all. The
            candidate is equal to the reference where nobody is.
    """

    key: str
    person: int
    candidate: Pixels
    reference: Pixels
    mask: Mask | None


def regions(pairs: Iterable[Pair], config: PairConfig) -> Iterator[Region]:
    """Yield what is compared of each pair.

    People and masks are the reference's, or the candidate's where the reference does not tell of any.

    Raises:
        DatasetError: when the images of a pair have other sizes, or nothing says who is where and that is needed.
    """
    for pair in pairs:
        if pair.candidate.size_px != pair.reference.size_px:
            (width, height), (other_width, other_height) = pair.candidate.size_px, pair.reference.size_px
            raise DatasetError(
                f"sample {pair.candidate.key}: is {width} x {height} px, and {other_width} x {other_height} px in the"
                " reference: only images of one size are compared"
            )
        yield from _crops(pair, config) if config.crops else _whole(pair, config)


def _whole(pair: Pair, config: PairConfig) -> Iterator[Region]:
    mask = _instances(pair, config) > 0 if config.masked else None
    if mask is None or mask.any():
        yield Region(pair.candidate.key, WHOLE, _within(pair, mask), pair.reference.image, mask)


def _crops(pair: Pair, config: PairConfig) -> Iterator[Region]:
    knowing = _knowing(pair)
    for plan in crops.plan_crops(knowing, (config.crop_px, config.crop_px)):
        image, mask = pair.candidate.image, None
        if config.masked:
            instances = _instances(pair, config)
            mask = crops.extract_mask(instances, plan)
            if not mask.any():
                continue
            # Before it is cut: the resampling mixes what is around into outlines.
            image = _within(pair, instances == plan.instance)
        candidate, reference = (crops.extract(one, plan) for one in (image, pair.reference.image))
        yield Region(pair.candidate.key, plan.person, candidate, reference, mask)


def _within(pair: Pair, mask: Mask | None) -> Pixels:
    """Return the candidate's pixels within a mask, upon the reference's."""
    candidate, reference = pair.candidate.image, pair.reference.image
    return candidate if mask is None else np.where(mask[..., None], candidate, reference)


def _knowing(pair: Pair) -> Sample:
    for sample in (pair.reference, pair.candidate):
        if sample.people is not None:
            return sample
    raise DatasetError(f"sample {pair.candidate.key}: neither set says who is in it: set metric.region=image")


def _instances(pair: Pair, config: PairConfig) -> npt.NDArray[np.uint16]:
    for sample in (pair.reference, pair.candidate):
        if "instances" in sample.layers:
            return np.asarray(sample.layers["instances"])
    region = config.region.removeprefix("masked-")
    raise DatasetError(f"sample {pair.candidate.key}: neither set has the layer instances: set metric.region={region}")
