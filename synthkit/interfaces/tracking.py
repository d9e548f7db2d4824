# SPDX-License-Identifier: Apache-2.0
"""What plugins that follow experiments are told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs


@attrs.frozen(eq=False)
class TrackedExperiment:
    """An experiment.

    Args:
        folder: of all its steps and the report. settings: the checked file as plain JSON.
    """

    title: str
    folder: Path
    settings: Mapping[str, Any]


@attrs.frozen(eq=False)
class TrackedStep:
    """A step of an experiment: rendering, a training, a judgement or such.

    Args:
        id: the same for the same work. kind: ``render``, ``fit``, ``refine``, ``train``, ``evaluate`` or such.
        label: on what. folder: where it is done. settings: what decides about its result, as plain JSON.
    """

    id: str
    kind: str
    label: str
    folder: Path
    settings: Mapping[str, Any]
