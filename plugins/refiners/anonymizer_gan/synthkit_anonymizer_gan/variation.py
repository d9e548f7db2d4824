# SPDX-License-Identifier: Apache-2.0
"""How much pose, appearance and context vary in a set of people (thesis 002, section 3.6).

The thesis gives low, medium or high by looking. Here people are compared with one another, of other images and other
identities, in crops that are cut alike. What is measured is simple, so that sets of any source can be compared:
outlines for the pose, colours for the appearance, colours and sharpness of what is around for the context.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from synthkit.errors import DatasetError
from synthkit.interfaces import Progress, SampleSet, silent
from synthkit.seeds import Seeds
from synthkit_anonymizer_gan import people
from synthkit_anonymizer_gan.people import NOBODY, OWN, Alignment, Crop

SIZE_PX = (80, 144)
"""(width, height) of the crops that are compared."""

Floats = npt.NDArray[np.float64]

_PAIRS = 20_000
_LEAST_PX = 40  # of a half of somebody, and of what is around them, to have a colour


@attrs.frozen
class Variation:
    """How much two people of a set differ, in the mean; greater is more various.

    Args:
        people, images: how many. pose: of the pixels that either one covers in a crop, the share that the other does
            not, 0..1. appearance: difference of the mean colours of their upper and lower halves, CIELAB units.
        context: of the mean colours around them. sharpness: of the logarithm of base 2 of how sharp that is.
        paired: share of people who are in another image too.
    """

    people: int
    images: int
    pose: float
    appearance: float
    context: float
    sharpness: float
    paired: float


@attrs.frozen(eq=False)
class _Look:
    """What of somebody is compared: mask (h w,), colours of both halves (2, 3), colour and sharpness around (4,)."""

    image: str
    identity: str
    mask: npt.NDArray[np.bool_]
    colours: Floats
    around: Floats


def variation(samples: SampleSet, alignment: Alignment, seeds: Seeds, progress: Progress = silent) -> Variation:
    """Return how much the people of a set vary.

    Args:
        alignment: how they are cut out, see ``people.plans_of``. seeds: which pairs are compared, where there are many.

    Raises:
        DatasetError: when there are no two people of other images who are enough seen.
    """
    looks = list(_looks(samples, alignment, progress))
    pairs = _pairs(looks, seeds)
    if not len(pairs):
        raise DatasetError("people vary where two of them, of other images, can be cut out: there are none")
    masks, colours, around = (
        np.stack([getattr(look, name) for look in looks]) for name in ("mask", "colours", "around")
    )
    first, second = pairs.T
    apart = [_outlines_apart(masks[a], masks[b]) for a, b in pairs]
    images_of: dict[str, set[str]] = {}
    for look in looks:
        images_of.setdefault(look.identity, set()).add(look.image)
    return Variation(
        people=len(looks),
        images=len({look.image for look in looks}),
        pose=float(np.mean(apart)),
        appearance=float(np.linalg.norm(colours[first] - colours[second], axis=-1).mean()),
        context=float(np.linalg.norm(around[first, :3] - around[second, :3], axis=-1).mean()),
        sharpness=float(np.abs(around[first, 3] - around[second, 3]).mean()),
        paired=float(np.mean([len(images_of[look.identity]) > 1 for look in looks])),
    )


def _looks(samples: SampleSet, alignment: Alignment, progress: Progress) -> Iterator[_Look]:
    for done in range(len(samples)):
        progress("look at people", done, len(samples))
        sample = samples[done]
        told = people.numbered(sample)
        if told is None:
            continue
        names = people.identities(told[0].people or (), sample.key)
        for plan in people.plans_of(told[0], SIZE_PX, alignment):
            look = _look(people.cut(told[0], plan, "none"), sample.key, names[plan.person])
            if look is not None:
                yield look
    progress("look at people", len(samples), len(samples))


def _look(crop: Crop, image: str, identity: str) -> _Look | None:
    """Return what is compared of a crop; None where too little is seen."""
    own, around = crop.whose == OWN, crop.whose == NOBODY
    lab = cv2.cvtColor(crop.image.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    rows = np.flatnonzero(own.any(axis=1))
    if not rows.size or np.count_nonzero(around) < _LEAST_PX:
        return None
    upper = np.arange(len(own))[:, None] < (rows[0] + rows[-1] + 1) / 2
    halves = [own & upper, own & ~upper]
    if any(np.count_nonzero(half) < _LEAST_PX for half in halves):
        return None
    edges = np.abs(cv2.Laplacian(lab[..., 0], cv2.CV_32F))[around].mean()
    colours = np.stack([lab[half].mean(axis=0) for half in halves]).astype(np.float64)
    rest = np.append(lab[around].mean(axis=0), np.log2(edges + 1e-2)).astype(np.float64)
    return _Look(image, identity, own.reshape(-1), colours, rest)


def _pairs(looks: list[_Look], seeds: Seeds) -> npt.NDArray[np.int64]:
    """Return places (N, 2) of people of other images and identities, all such pairs or as many as are drawn."""
    images, identities = (_numbers([getattr(look, name) for look in looks]) for name in ("image", "identity"))
    count = len(looks)
    if count * (count - 1) // 2 <= _PAIRS:
        pairs = np.stack(np.triu_indices(count, 1), axis=1)
    else:
        pairs = seeds.stream("pairs").integers(count, size=(_PAIRS, 2))
    first, second = pairs.T
    return np.asarray(pairs[(images[first] != images[second]) & (identities[first] != identities[second])])


def _numbers(names: list[str]) -> npt.NDArray[Any]:
    return np.unique(np.array(names, dtype=np.str_), return_inverse=True)[1]


def _outlines_apart(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> float:
    return 1 - np.count_nonzero(first & second) / np.count_nonzero(first | second)
