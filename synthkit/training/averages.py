# SPDX-License-Identifier: Apache-2.0
"""Moving averages of weights, which scatter less than the weights of any one step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch


class Average:
    """Follows live tensors by an exponential moving average (Polyak and Juditsky 1992; GANs: Yazici et al. 2019).

    After step n the average moves by 1 - min(decay, (1 + n) / (10 + n)) of the way to the weights, so that the
    first weights, which are random, are soon forgotten. What is no floating-point number is taken as it is.

    Args:
        live: by name, the tensors themselves, not copies. decay: in (0, 1).
    """

    def __init__(self, live: Mapping[str, torch.Tensor], decay: float) -> None:
        self._live = {name: tensor.detach() for name, tensor in live.items()}
        self._decay = decay
        self._kept = {name: tensor.clone() for name, tensor in self._live.items()}

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Take the weights after step ``step`` >= 1 in."""
        weight = 1.0 - min(self._decay, (1 + step) / (10 + step))
        for name, kept in self._kept.items():
            if kept.is_floating_point():
                kept.lerp_(self._live[name], weight)
            else:
                kept.copy_(self._live[name])

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Have the averages in the place of the live tensors meanwhile."""
        before = {name: tensor.clone() for name, tensor in self._live.items()}
        self._fill(self._kept)
        try:
            yield
        finally:
            self._fill(before)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the averages, for a state of training."""
        return dict(self._kept)

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take back what ``tensors`` gave."""
        for name, kept in self._kept.items():
            kept.copy_(tensors[name])

    @torch.no_grad()
    def _fill(self, tensors: Mapping[str, torch.Tensor]) -> None:
        for name, tensor in self._live.items():
            tensor.copy_(tensors[name])
