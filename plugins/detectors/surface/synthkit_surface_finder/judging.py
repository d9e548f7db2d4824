# SPDX-License-Identifier: Apache-2.0
"""How good masks and surfaces are: of each person, and the mean over people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy as np
import numpy.typing as npt

from synthkit_surface_finder.surface import Surface

Mask = npt.NDArray[np.bool_]
Vertices = npt.NDArray[np.int64]

_CM = 100.0


@attrs.frozen
class Judged:
    """How good the answer for a person is.

    Args:
        mask_iou: intersection over union of the masks. recall: share of the true pixels that were found.
        part_iou: as ``mask_iou``, but a pixel with the wrong part of the body does not count as shared.
        part_share: of the shared pixels of which the truth is known, the share with the right part.
        surface_cm: mean distance at rest between the found and the true vertex over these, centimetres; nan of none.
    """

    mask_iou: float
    recall: float
    part_iou: float
    part_share: float
    surface_cm: float


def judge(mask: Mask, vertices: Vertices, true_mask: Mask, true_vertices: Vertices, surface: Surface) -> Judged:
    """Compare an answer with the truth.

    Args:
        mask, true_mask: of the same shape, whose pixels are the person's; ``true_mask`` has some.
        vertices, true_vertices: of that shape, the vertex of each pixel, -1 where there is none.
    """
    shared, union = mask & true_mask, int(np.count_nonzero(mask | true_mask))
    known = shared & (true_vertices >= 0) & (vertices >= 0)
    found, true = vertices[known], true_vertices[known]
    right = surface.parts[found] == surface.parts[true]
    off_m = np.linalg.norm(surface.vertices_m[found] - surface.vertices_m[true], axis=1)
    both = int(np.count_nonzero(shared))
    wrong = int(np.count_nonzero(~right))
    return Judged(
        mask_iou=both / union,
        recall=both / int(np.count_nonzero(true_mask)),
        part_iou=(both - wrong) / union,
        part_share=float(right.mean()) if len(right) else float("nan"),
        surface_cm=float(off_m.mean()) * _CM if len(off_m) else float("nan"),
    )


def means(judged: Sequence[Judged]) -> Mapping[str, float]:
    """Return the means over people; of surfaces over those of whom some is known."""
    result = {}
    for field in attrs.fields(Judged):
        values = np.array([getattr(one, field.name) for one in judged])
        values = values[np.isfinite(values)]
        result[field.name] = float(values.mean()) if len(values) else 0.0
    return result
