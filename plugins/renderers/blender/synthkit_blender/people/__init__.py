# SPDX-License-Identifier: Apache-2.0
"""People for the renderer: sampled specifications, built into dressed, posed meshes with NumPy alone."""

from __future__ import annotations

from synthkit_blender.people.library import BodyLibrary
from synthkit_blender.people.poses import POSTURES, pose_names
from synthkit_blender.people.sampling import sample_identity, sample_outfit, sample_pose
from synthkit_blender.people.types import (
    GarmentSpec,
    IdentitySpec,
    Material,
    MeshPart,
    OutfitSpec,
    PersonRanges,
    PersonSpec,
    PosedPerson,
    PoseSpec,
)

__all__ = [
    "POSTURES",
    "BodyLibrary",
    "GarmentSpec",
    "IdentitySpec",
    "Material",
    "MeshPart",
    "OutfitSpec",
    "PersonRanges",
    "PersonSpec",
    "PoseSpec",
    "PosedPerson",
    "pose_names",
    "sample_identity",
    "sample_outfit",
    "sample_pose",
]
