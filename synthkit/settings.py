# SPDX-License-Identifier: Apache-2.0
"""What a run of the pipeline is told: general settings and its components, from file, ``--set`` and flags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from synthkit import config
from synthkit.config import at_least, between, setting
from synthkit.errors import ConfigError, PluginError
from synthkit.interfaces import ComponentSpec, Kind
from synthkit.plugins import Registry


@attrs.frozen
class RunSettings:
    """What every command that makes something understands, in TOML and by ``--set``."""

    seed: int = setting(0, help="the one seed of all random draws", validator=between(0, 2**64 - 1))
    scenes_per_shard: int = setting(64, help="scenes kept in one shard file", validator=at_least(1))
    threads: int = setting(2, help="CPU threads of training; results depend on it", validator=at_least(1))
    device: str = setting("auto", help="where networks run: auto, cpu, cuda, cuda:1, mps")


@attrs.frozen
class Plan:
    """The installed components, general settings, and one chosen component per role, all checked."""

    registry: Registry
    run: RunSettings
    components: Mapping[str, ComponentSpec]


def read(config_file: Path | None, sets: Iterable[str], flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain settings: the TOML file's, under ``--set``'s, under those given as flags (not None)."""
    settings = config.load_toml(config_file) if config_file else {}
    config.merge_into(settings, config.parse_sets(sets))
    given = {key: value for key, value in flags.items() if value is not None}
    config.merge_into(settings, given)
    return settings


def plan(registry: Registry, settings: Mapping[str, Any], roles: Mapping[str, str | None]) -> Plan:
    """Check all settings against the general ones and each component's own.

    Args:
        settings: plain values; a role's table holds the component's ``name`` and options.
        roles: ``{"renderer": "blender"}``: the components a command uses; None takes the name from the
            settings' table.

    Raises:
        ConfigError: with every problem of every part, unknown components among them.
    """
    problems: list[str] = []
    known = {field.name for field in attrs.fields(RunSettings)}
    for key in settings:
        if key not in known and key not in roles:
            problems.append(f"{key}: unknown setting{config.nearest(key, known | set(roles))}")
    run = _attempt(problems, RunSettings, {key: settings[key] for key in known & set(settings)})
    components = {}
    for role, name in roles.items():
        table = settings.get(role, {})
        if not isinstance(table, Mapping):
            problems.append(f"{role}: expected a table of settings such as {role}.name, got {table!r}")
            continue
        options = {key: value for key, value in table.items() if key != "name"}
        chosen = name or table.get("name")
        if not chosen:
            problems.append(f"{role}: which one? give --{role} NAME (see 'synthkit plugins list')")
            continue
        spec = ComponentSpec(_kind(role), str(chosen), options)
        try:
            registry.configure(spec, path=role)
        except ConfigError as error:
            problems.extend(error.problems)
        except PluginError as error:
            problems.append(str(error))
        components[role] = spec
    if problems or run is None:
        raise ConfigError(problems)
    return Plan(registry, run, components)


def _attempt(problems: list[str], cls: type[RunSettings], values: Mapping[str, Any]) -> RunSettings | None:
    try:
        return config.structure(cls, values)
    except ConfigError as error:
        problems.extend(error.problems)
        return None


def _kind(role: str) -> Kind:
    if role not in ("renderer", "refiner", "detector", "metric"):
        raise ValueError(f"{role!r} is no kind of component")
    return role  # type: ignore[return-value]
