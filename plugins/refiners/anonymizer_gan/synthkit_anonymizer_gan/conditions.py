# SPDX-License-Identifier: Apache-2.0
"""What the networks see of crops; here people's pixels are taken away."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
import numpy.typing as npt
import torch

from synthkit_anonymizer_gan.people import OTHERS, OWN, Crop, Pixels, grown


@attrs.frozen(eq=False)
class Views:
    """Crops as the networks take them.

    Args:
        images: (N, 3, H, W) in -1..1, 0 where others are.
        making: (N, 1, H, W), 1 where somebody is to be made: their mask and a margin. known: 1 where neither anybody is
            nor somebody is to be made; where others are both are 0.
        places: (N, H, W) int64, rows of the surface's table.
    """

    images: torch.Tensor
    making: torch.Tensor
    known: torch.Tensor
    places: torch.Tensor

    @property
    def background(self) -> torch.Tensor:
        """The images without anybody (B of equation 4.1), (N, 3, H, W)."""
        return self.images * self.known

    @property
    def on_surface(self) -> torch.Tensor:
        """Where the surface is known, (N, 1, H, W): the mask of the embedding."""
        return (self.places > 0).to(self.images)[:, None]

    def seen(self, embedding: torch.Tensor) -> torch.Tensor:
        """Return what the encoder sees, B, M and C of equation 4.1; see ``Shape.seen``.

        Args:
            embedding: (places + 1, channels).
        """
        parts = [self.background, self.known]
        if embedding.shape[1]:
            parts += [embedding[self.places].permute(0, 3, 1, 2), self.on_surface]
        return torch.cat(parts, dim=1)

    def people(self) -> torch.Tensor:
        """Return what the appearance mapper sees: a person's pixels and which they are, (N, 4, H, W)."""
        return torch.cat([self.images * self.making, self.making], dim=1)

    def completed(self, made: torch.Tensor) -> torch.Tensor:
        """Return images with what was made (N, 3, H, W) where it is to be."""
        return self.background + made * self.making

    def judged(self, images: torch.Tensor, noise: torch.Tensor | None) -> torch.Tensor:
        """Return what the discriminator sees of images (N, 3, H, W) under the condition of these views, (N, 7, H, W).

        Args:
            noise: (N, 3, H, W), takes the place of what is to be made, and the surface's mask that of the person's
                (section 4.10); None for the condition as in section 4.5.
        """
        if noise is None:
            return torch.cat([images, self.background, self.known], dim=1)
        return torch.cat([images, self.background + noise * (1 - self.known), self.on_surface], dim=1)

    def to(self, device: torch.device) -> Views:
        """Return the same on a device."""
        return Views(*(part.to(device) for part in (self.images, self.making, self.known, self.places)))


def making_of(whose: Pixels, margin_px: int) -> npt.NDArray[np.bool_]:
    """Return where somebody is to be made in a crop (h, w) of ``Crop.whose``: where they were, and a margin.

    Others go first: who stands before somebody is not made with them.
    """
    return np.asarray(grown(whose == OWN, margin_px) & (whose != OTHERS))


def views_of(
    crops: Sequence[Crop], margins_px: Sequence[int],
    *, mirrored: Sequence[bool] | None = None, mirror: npt.NDArray[np.int64] | None = None,
) -> Views:  # fmt: skip
    """Return crops as views.

    Args:
        margins_px: how far beyond each one's mask they are to be made. mirrored: which to turn left to right.
        mirror: for each row of the surface's table the one on the other side of the body.
    """
    images, making, known, places = [], [], [], []
    for place, (crop, margin) in enumerate(zip(crops, margins_px, strict=True)):
        image, whose, rows = crop.image, crop.whose, crop.places.astype(np.int64)
        if mirrored is not None and mirrored[place]:
            image, whose, rows = image[:, ::-1], whose[:, ::-1], rows[:, ::-1]
            rows = rows if mirror is None else mirror[rows]
        own = making_of(whose, margin)
        kept = ~own & ~grown(whose == OTHERS, margin)
        images.append(np.where((own | kept)[..., None], image.astype(np.float32) / 127.5 - 1, np.float32(0)))
        making.append(own)
        known.append(kept)
        places.append(rows)
    made_anew, seen = (torch.from_numpy(np.stack(part)[:, None].astype(np.float32)) for part in (making, known))
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()
    return Views(pixels, made_anew, seen, torch.from_numpy(np.stack(places)))
