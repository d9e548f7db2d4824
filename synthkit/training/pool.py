# SPDX-License-Identifier: Apache-2.0
"""The pool of recent generated images that keeps a discriminator from forgetting."""

from __future__ import annotations

import torch

from synthkit.seeds import Seeds


class ReplayPool:
    """Gives a discriminator images from a history of a generator's output.

    Until the pool is full every image is kept and given back. Then, with equal chance, the image itself is
    given back, or it changes places with a random one of the pool (Shrivastava et al. 2017; Zhu et al.
    2017, section 4; thesis 000, section 2.7). Draws are addressed by step, so a resumed run repeats them.

    Args:
        size: images kept; 0 gives every image straight back.
        seeds: this pool's own streams.
    """

    def __init__(self, size: int, seeds: Seeds) -> None:
        self.size = size
        self.images: list[torch.Tensor] = []
        self._seeds = seeds

    def exchange(self, image: torch.Tensor, step: int) -> torch.Tensor:
        """Take the image (any shape, without gradient) of a step, and return one of the history."""
        image = image.detach()
        if self.size == 0:
            return image
        if len(self.images) < self.size:
            self.images.append(image.clone())
            return image
        stream = self._seeds.stream("exchange", step)
        if stream.random() < 0.5:
            return image
        place = int(stream.integers(self.size))
        old, self.images[place] = self.images[place], image.clone()
        return old

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the pool's content for a state of training."""
        return {str(place): image for place, image in enumerate(self.images)}

    def restore(self, tensors: dict[str, torch.Tensor], device: torch.device) -> None:
        """Take back what ``tensors`` returned."""
        self.images = [tensors[name].to(device) for name in sorted(tensors, key=int)]
