# SPDX-License-Identifier: Apache-2.0
"""What this distribution brings: the detector ``detectron2``."""

from __future__ import annotations

from collections.abc import Iterable

from synthkit.hookspecs import hookimpl
from synthkit.interfaces import Component
from synthkit_detectron2.config import Detectron2Config


@hookimpl
def synthkit_components() -> Iterable[Component]:
    """Return the components of this plugin."""
    return [
        Component(
            kind="detector",
            name="detectron2",
            summary="people with masks and surface maps, by Mask R-CNN and DensePose CSE of an installed detectron2",
            config=Detectron2Config,
            target="synthkit_detectron2.detector:Detectron2Detector",
            provides={"instances", "surface_smpl", "people.box"},
        )
    ]
