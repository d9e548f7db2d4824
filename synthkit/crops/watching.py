# SPDX-License-Identifier: Apache-2.0
"""What is put back into images, as seen by somebody who watches: refiners of crops need not know of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import attrs
import numpy.typing as npt

from synthkit.crops.cutting import Pixels
from synthkit.crops.planning import CropPlan
from synthkit.sample import Sample


@attrs.frozen(eq=False)
class Reinsertion:
    """One call of ``reinsert``.

    Args:
        sample: that crops were put back into.
        crops: plans with crops (h, w, 3), uint8 or float in 0..255, as they were before they went through masks.
        image: (H, W, 3), what came of it.
    """

    sample: Sample
    crops: tuple[tuple[CropPlan, npt.NDArray[Any]], ...]
    image: Pixels


_SEEN: ContextVar[list[Reinsertion] | None] = ContextVar("reinsertions", default=None)


@contextmanager
def watched() -> Iterator[list[Reinsertion]]:
    """Give a list that is filled with what is put back meanwhile; not with what threads started meanwhile put back."""
    seen: list[Reinsertion] = []
    token = _SEEN.set(seen)
    try:
        yield seen
    finally:
        _SEEN.reset(token)


def told(reinsertion: Reinsertion) -> None:
    """Tell whoever watches what was put back."""
    seen = _SEEN.get()
    if seen is not None:
        seen.append(reinsertion)
