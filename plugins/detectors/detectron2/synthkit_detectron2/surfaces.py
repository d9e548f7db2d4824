# SPDX-License-Identifier: Apache-2.0
"""From what DensePose CSE gives of each person to a surface map (Neverova et al., Continuous Surface Embeddings, 2020).

Of N people these are embeddings (N, D, h, w) and segmentations (N, 2, h, w) of their boxes, at 112x112 as released. A
pixel that is of the body shows the vertex whose own embedding is nearest to the pixel's (section 3 of the paper; thesis
002, section 2.7.1).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import interpolate

from synthkit.finds import Nonsense

_AT_ONCE = 512  # pixels whose distances to all vertices are held together
_BEYOND_PX = 1.0  # a box may reach beyond the image, by rounding


@attrs.frozen(eq=False)
class Surface:
    """What one find of CSE is.

    Args:
        score: 0..1. box_xyxy_px: (4,) float. mask: (H, W) bool, of the image's size.
        surface: (H, W) uint16, 1 + vertex within the mask, else 0.
    """

    score: float
    box_xyxy_px: npt.NDArray[np.float64]
    mask: npt.NDArray[np.bool_]
    surface: npt.NDArray[np.uint16]


def surfaces_of(found: Any, vertices: torch.Tensor, size_px: tuple[int, int], lookup_px: int) -> Iterator[Surface]:
    """Yield what CSE found in an image, the surest first; nothing of an empty answer.

    Args:
        found: detectron2's ``Instances`` with ``scores``, ``pred_boxes`` and, where there is anybody,
            ``pred_densepose`` with ``embedding`` and ``coarse_segm``. vertices: (V, D) the embedding of each vertex.
        size_px: (width, height) of the image. lookup_px: longest side at which vertices are looked up.

    Raises:
        Nonsense: when it cannot be right: numbers that are not finite, other shapes, boxes beyond the image.
    """
    scores = array("scores", found.scores, (None,))
    boxes = array("boxes", found.pred_boxes.tensor, (len(scores), 4))
    if not len(scores):
        return
    if not hasattr(found, "pred_densepose"):
        raise Nonsense(f"found {len(scores)} people, of whose surface it tells nothing")
    embedding, segmentation = found.pred_densepose.embedding, found.pred_densepose.coarse_segm
    array("embeddings", embedding, (len(scores), vertices.shape[1], None, None))
    array("segmentations", segmentation, (len(scores), 2, *embedding.shape[2:]))
    for row in np.argsort(-scores, kind="stable"):
        left, top, right, bottom = _whole(boxes[row], size_px)
        sizes = bottom - top, right - left
        patch = _looked_up(embedding[row : row + 1], segmentation[row : row + 1], vertices, sizes, lookup_px)
        surface = np.zeros(size_px[::-1], np.uint16)
        surface[top:bottom, left:right] = patch
        yield Surface(float(scores[row]), boxes[row], surface > 0, surface)


def array(name: str, values: Any, shape: tuple[int | None, ...]) -> npt.NDArray[Any]:
    """Return a tensor that was looked at as an array.

    Args:
        shape: what it must be; None is any length.

    Raises:
        Nonsense: when it is no such tensor of finite numbers.
    """
    if not isinstance(values, torch.Tensor):
        raise Nonsense(f"gave {name} as {type(values).__name__}, expected a tensor")
    fits = values.ndim == len(shape) and all(want in (None, got) for want, got in zip(shape, values.shape, strict=True))
    if not fits:
        told = "x".join("any" if want is None else str(want) for want in shape)
        raise Nonsense(f"gave {name} of {'x'.join(map(str, values.shape))}, expected {told}")
    if not bool(torch.isfinite(values).all()):
        raise Nonsense(f"gave {name} that are not finite")
    result: npt.NDArray[Any] = values.detach().cpu().numpy()
    return result


def _whole(box: npt.NDArray[Any], size_px: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return a box in whole pixels, in the image and not empty."""
    if (box[:2] < -_BEYOND_PX).any() or (box[2:] > np.array(size_px) + _BEYOND_PX).any() or (box[2:] < box[:2]).any():
        raise Nonsense(f"gave a box {np.round(box, 1).tolist()} beyond the image of {size_px[0]}x{size_px[1]}")
    left, top = (int(np.clip(round(float(box[n])), 0, size_px[n] - 1)) for n in (0, 1))
    right, bottom = (int(np.clip(round(float(box[n + 2])), low + 1, size_px[n])) for n, low in ((0, left), (1, top)))
    return left, top, right, bottom


def _looked_up(
    embedding: torch.Tensor, segmentation: torch.Tensor, vertices: torch.Tensor, sizes: tuple[int, int], lookup_px: int
) -> npt.NDArray[np.uint16]:
    """Return the surface map of a box of that (height, width): 1 + vertex, 0 where the body is not."""
    shrink = min(1.0, lookup_px / max(sizes))
    small = max(1, round(sizes[0] * shrink)), max(1, round(sizes[1] * shrink))
    resized = interpolate(embedding.float().cpu(), size=small, mode="bilinear", align_corners=False)[0]
    ahead = interpolate(segmentation.float().cpu(), size=small, mode="bilinear", align_corners=False)[0]
    inside = ahead.argmax(dim=0) > 0
    result = np.zeros(small, np.uint16)
    result[inside.numpy()] = 1 + nearest(resized[:, inside].T, vertices)
    if small == sizes:
        return result
    return np.asarray(cv2.resize(result, sizes[::-1], interpolation=cv2.INTER_NEAREST))


def nearest(embeddings: torch.Tensor, vertices: torch.Tensor) -> npt.NDArray[np.uint16]:
    """Return the vertex (N,) nearest to each embedding (N, D), by squared distances to ``vertices`` (V, D)."""
    squares = (vertices**2).sum(dim=1)
    some = (embeddings[start : start + _AT_ONCE] for start in range(0, len(embeddings), _AT_ONCE))
    parts = [torch.argmin(squares - 2 * part @ vertices.T, dim=1) for part in some]
    return torch.cat(parts).numpy().astype(np.uint16) if parts else np.zeros(0, np.uint16)
