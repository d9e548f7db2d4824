# SPDX-License-Identifier: Apache-2.0
"""Head-aligned crops of people and their reinsertion (thesis 000, appendix, algorithms 5 and 6)."""

from synthkit.crops.choosing import Chooser
from synthkit.crops.cutting import extract, extract_mask, transfer
from synthkit.crops.planning import HEAD_AT, REVISION, CropPlan, camera_nadir_px, nadir_px, plan_crops
from synthkit.crops.reinserting import reinsert
from synthkit.crops.watching import Reinsertion, watched

__all__ = [
    "HEAD_AT",
    "REVISION",
    "Chooser",
    "CropPlan",
    "Reinsertion",
    "camera_nadir_px",
    "extract",
    "extract_mask",
    "nadir_px",
    "plan_crops",
    "reinsert",
    "transfer",
    "watched",
]
