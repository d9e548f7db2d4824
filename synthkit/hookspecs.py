# SPDX-License-Identifier: Apache-2.0
"""The whole plugin API on one screen.

A plugin is a distribution with an entry point in the group ``synthkit.v1``::

    [project.entry-points."synthkit.v1"]
    my-plugin = "my_package.plugin"

whose module implements the hook below and imports nothing heavy. An incompatible API would be another
group, ``synthkit.v2``.

Commands need no hook, so that ``synthkit --help`` imports no plugin: an entry point in the group
``synthkit.v1.commands`` is a ``typer.Typer``, and its name the command's, ``synthkit my-tool ...``::

    [project.entry-points."synthkit.v1.commands"]
    my-tool = "my_package.commands:app"
"""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from synthkit.entrypoints import COMPONENTS
from synthkit.interfaces import Component

GROUP = COMPONENTS

hookspec = pluggy.HookspecMarker("synthkit")
hookimpl = pluggy.HookimplMarker("synthkit")


@hookspec
def synthkit_components() -> Iterable[Component]:  # type: ignore[empty-body]
    """Return the renderers, refiners, detectors and metrics this plugin brings."""
