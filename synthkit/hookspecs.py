# SPDX-License-Identifier: Apache-2.0
"""The whole plugin API on one screen.

A plugin is a distribution with an entry point in the group ``synthkit.v1``::

    [project.entry-points."synthkit.v1"]
    my-plugin = "my_package.plugin"

whose module, or object, implements ``synthkit_components``, or hooks that follow experiments, or both, and imports
nothing heavy before it is called. An incompatible API would be another
group, ``synthkit.v2``.

Commands need no hook, so that ``synthkit --help`` imports no plugin: an entry point in the group
``synthkit.v1.commands`` is a ``typer.Typer``, and its name the command's, ``synthkit my-tool ...``::

    [project.entry-points."synthkit.v1.commands"]
    my-tool = "my_package.commands:app"
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pluggy

from synthkit.entrypoints import COMPONENTS
from synthkit.interfaces import Component, TrackedExperiment, TrackedStep

GROUP = COMPONENTS

hookspec = pluggy.HookspecMarker("synthkit")
hookimpl = pluggy.HookimplMarker("synthkit")


@hookspec
def synthkit_components() -> Iterable[Component]:  # type: ignore[empty-body]
    """Return the renderers, refiners, detectors and metrics this plugin brings."""


# Trackers: called in the process of 'synthkit experiment', of plugins that the experiment's ``trackers`` name: each in
# a thread of its own, one hook after the other. One that raises is left out from then on; it costs the experiment
# nothing, and nor does one that hangs.


@hookspec
def synthkit_experiment_began(experiment: TrackedExperiment) -> None:
    """Hear that an experiment begins, or goes on; what was done before is not told again."""


@hookspec
def synthkit_step_began(experiment: TrackedExperiment, step: TrackedStep) -> None:
    """Hear that a step begins, or goes on."""


@hookspec
def synthkit_curves(experiment: TrackedExperiment, step: TrackedStep, line: Mapping[str, float]) -> None:
    """Take a line of a training's curves: ``step``, how many are done, and losses or scores by name.

    One that goes on after the experiment was stopped tells all of its lines again, from the first; while an experiment
    runs, no line is told twice.
    """


@hookspec
def synthkit_step_ended(
    experiment: TrackedExperiment, step: TrackedStep, result: Mapping[str, Any], error: str
) -> None:
    """Hear that a step ended: what came of it as plain JSON, with ``seconds``, ``peak_mb``, ``bytes``; or an error."""


@hookspec
def synthkit_experiment_ended(experiment: TrackedExperiment, results: Mapping[str, Any], report: Path | None) -> None:
    """Hear what came of it, as in ``results.json``, and where the report is; nothing and None when it was stopped."""
