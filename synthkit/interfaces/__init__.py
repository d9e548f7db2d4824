# SPDX-License-Identifier: Apache-2.0
"""What a plugin is: the declaration it makes, and the protocols its components follow.

Components are built as ``target(config, checkpoint, runtime)``, do no input or output in their
constructor, and are context managers entered once per process. What travels between processes is the
``ComponentSpec``, never an instance.
"""

from __future__ import annotations

from synthkit.interfaces.declaring import KINDS, Component, ComponentSpec, Kind, Tunable
from synthkit.interfaces.deploying import Deployable, Exportable, OnnxForm, OnnxGraph
from synthkit.interfaces.judging import (
    Chart,
    Evidence,
    Exhibit,
    Explaining,
    Extractor,
    Items,
    Keeping,
    Metric,
    MetricResult,
    Pair,
    Resampling,
    RoleKind,
    Scored,
    State,
    Weighted,
)
from synthkit.interfaces.keys import key_order, sample_key, scene_of
from synthkit.interfaces.running import Progress, Runtime, SampleSet, silent
from synthkit.interfaces.tracking import TrackedExperiment, TrackedStep
from synthkit.interfaces.working import Calibrated, Detector, Finishing, Refiner, Renderer, Trainable, empty_detections

__all__ = [
    "KINDS",
    "Calibrated",
    "Chart",
    "Component",
    "ComponentSpec",
    "Deployable",
    "Detector",
    "Evidence",
    "Exhibit",
    "Explaining",
    "Exportable",
    "Extractor",
    "Finishing",
    "Items",
    "Keeping",
    "Kind",
    "Metric",
    "MetricResult",
    "OnnxForm",
    "OnnxGraph",
    "Pair",
    "Progress",
    "Refiner",
    "Renderer",
    "Resampling",
    "RoleKind",
    "Runtime",
    "SampleSet",
    "Scored",
    "State",
    "TrackedExperiment",
    "TrackedStep",
    "Trainable",
    "Tunable",
    "Weighted",
    "empty_detections",
    "key_order",
    "sample_key",
    "scene_of",
    "silent",
]
