# SPDX-License-Identifier: Apache-2.0
"""What attention maps do to images (thesis 000, equations 2.10, 2.14 and 2.15)."""

from __future__ import annotations

import torch


def blend(translated: torch.Tensor, images: torch.Tensor, attention: torch.Tensor) -> torch.Tensor:
    """Return x' = a G(x) + (1 - a) x (equation 2.10), in training and, before and after the switch, in prediction.

    Algorithm 9 leaves the second term out after the switch, which would blacken what is not attended.

    Args:
        translated: G(x). images: x; (N, 3, H, W). attention: a, (N, 1, H, W) in 0..1.
    """
    return attention * translated + (1 - attention) * images


def attended(images: torch.Tensor, attention: torch.Tensor, threshold: float) -> torch.Tensor:
    """Return what the discriminators judge after the switch: images where they are attended, 0 elsewhere.

    0 is the grey in the middle of -1..1. Three things can be judged in the place of x'. Equation 2.14 keeps G(x), which
    is not what prediction gives wherever attention lies between the threshold and 1: the generator would not know that
    half of it is covered by x. Algorithm 9 keeps a G(x), which is dim there, the very thing that the thesis introduces
    the threshold to avoid. This takes x' itself: as the text below the equations says ("masked versions of x' and y"),
    as the paper's released code does, and so that what is judged is what will be seen. All three agree where attention
    is 0 or 1.

    Args:
        images: x' or y, (N, 3, H, W). attention: of the image that x' was made from, or of y; (N, 1, H, W).
        threshold: the thesis's tau; attention above it counts.
    """
    return images * (attention > threshold)
