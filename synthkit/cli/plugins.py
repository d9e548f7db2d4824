# SPDX-License-Identifier: Apache-2.0
"""The commands about what is installed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from synthkit.cli.app import app
from synthkit.cli.options import Json

plugins_app = typer.Typer(help="What is installed.", no_args_is_help=True)
app.add_typer(plugins_app, name="plugins")


@plugins_app.command("list")
def plugins_list(as_json: Json = False) -> None:
    """List every renderer, refiner, detector, metric and tracker, and plugins that could not be loaded."""
    from synthkit.plugins import discover

    registry = discover()
    if as_json:
        typer.echo(json.dumps(_listing(registry), indent=2))
        return
    width = max((len(found.component.name) for found in registry.all()), default=0)
    for found in registry.all():
        part, origin = found.component, found.origin
        typer.echo(f"{part.kind:<9} {part.name:<{width}} {part.summary}  [{origin.distribution} {origin.version}]")
    for name, origin in sorted(registry.trackers.items()):
        typer.echo(f"{'tracker':<9} {name:<{width}} follows experiments  [{origin.distribution} {origin.version}]")
    for broken in registry.broken:
        typer.echo(f"not loaded: {broken.origin.distribution} {broken.origin.version}: {broken.reason}", err=True)


@plugins_app.command("show")
def plugins_show(name: Annotated[str, typer.Argument(help="A component's name.")]) -> None:
    """Show a component's settings with their defaults."""
    from synthkit import config as settings
    from synthkit.errors import PluginError
    from synthkit.plugins import discover

    registry = discover()
    matches = [found for found in registry.all() if found.component.name == name]
    if not matches:
        hint = settings.nearest(name, [found.component.name for found in registry.all()])
        raise PluginError(f"no component is called {name!r}{hint}")
    for found in matches:
        part = found.component
        typer.echo(f"{part.kind} {part.name}: {part.summary}")
        typer.echo(f"needs {', '.join(sorted(part.needs)) or 'nothing'};"
                   f" provides {', '.join(sorted(part.provides)) or 'nothing'}")  # fmt: skip
        for setting, kind, default, help_text in settings.describe(part.config):
            shown = settings.plain(_preset(part.defaults, setting, default))
            value = "(not set)" if shown is None else f"= {json.dumps(shown)}"  # TOML knows no null
            typer.echo(f"  {setting} {value}\n      {help_text} ({kind})")


def _preset(defaults: Mapping[str, Any], setting: str, default: Any) -> Any:
    """Return what a preset has for a setting such as ``people.sitting``, or the setting's own default."""
    value: Any = defaults
    for part in setting.split("."):
        if part not in value:
            return default
        value = value[part]
    return value


def _listing(registry: Any) -> dict[str, Any]:
    return {
        "components": [
            {
                "kind": found.component.kind,
                "name": found.component.name,
                "summary": found.component.summary,
                "distribution": found.origin.distribution,
                "version": found.origin.version,
                "revision": found.component.revision,
                "trainable": found.component.trainable,
            }
            for found in registry.all()
        ],
        "trackers": [
            {"name": name, "distribution": origin.distribution, "version": origin.version}
            for name, origin in sorted(registry.trackers.items())
        ],
        "broken": [
            {"distribution": b.origin.distribution, "version": b.origin.version, "reason": b.reason}
            for b in registry.broken
        ],
    }
