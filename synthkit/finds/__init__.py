# SPDX-License-Identifier: Apache-2.0
"""What detectors find, as people: looked at before it is believed, and brought together where several looked."""

from __future__ import annotations

from synthkit.finds.answers import LAYERS, MOST_FINDS, REVISION, Nonsense, sidecar_of
from synthkit.finds.heads import HEAD, apart, head_of, is_head
from synthkit.finds.several import SAME_PERSON_IOU, best_pairs, combined, matched

__all__ = [
    "HEAD",
    "LAYERS",
    "MOST_FINDS",
    "REVISION",
    "SAME_PERSON_IOU",
    "Nonsense",
    "apart",
    "best_pairs",
    "combined",
    "head_of",
    "is_head",
    "matched",
    "sidecar_of",
]
