# SPDX-License-Identifier: Apache-2.0
"""Commands that plugins bring: each entry point is a group of them, listed by name and imported when it is used."""

from __future__ import annotations

import functools
from importlib import metadata
from typing import Any

from typer.core import TyperGroup
from typer.main import get_group

from synthkit import entrypoints


class PluginGroups(TyperGroup):
    """The core's commands, and after them the plugins' groups; a name of the core's is never a plugin's."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return all names; of plugins only their metadata is read."""
        own = super().list_commands(ctx)
        return [*own, *sorted({point.name for point in entrypoints.points(entrypoints.COMMANDS)} - set(own))]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, a plugin's group as a stand-in for it."""
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        named = [point for point in entrypoints.points(entrypoints.COMMANDS) if point.name == cmd_name]
        return PluginGroup(named) if named else None


class PluginGroup(TyperGroup):
    """A plugin's commands, not imported before they are asked for."""

    def __init__(self, points: list[metadata.EntryPoint]) -> None:
        self._points = points
        brought_by = " and ".join(entrypoints.distribution(point) for point in points)
        super().__init__(name=points[0].name, no_args_is_help=True, rich_markup_mode=None,
                         short_help=f"Commands of {brought_by}.")  # fmt: skip

    @functools.cached_property
    def _group(self) -> Any:
        """The plugin's group.

        Raises:
            PluginError: when it cannot be imported, is no typer.Typer, or two distributions bring one of this name.
        """
        from synthkit.errors import PluginError

        names = [entrypoints.distribution(point) for point in self._points]
        if len(names) > 1:
            raise PluginError(
                f"commands {self.name!r} come from {' and '.join(names)};"
                f" uninstall one of them, or choose with {entrypoints.ALLOW_VARIABLE}"
            )
        try:
            return get_group(self._points[0].load())
        except Exception as error:  # a stranger's module: report it in one line
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise PluginError(f"commands {self.name!r} of {names[0]} cannot be loaded: {reason}") from error

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the plugin's commands."""
        return list(self._group.list_commands(ctx))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return one of the plugin's commands."""
        return self._group.get_command(ctx, cmd_name)

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """Write what the plugin says of its group."""
        self._group.format_help_text(ctx, formatter)
