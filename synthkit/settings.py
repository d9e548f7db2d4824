# SPDX-License-Identifier: Apache-2.0
"""What a run of the pipeline is told: general settings and its components, from file, ``--set`` and flags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import attrs

from synthkit import config
from synthkit.config import at_least, between, setting
from synthkit.dataset.codec import CodecConfig
from synthkit.drift.settings import GuardSettings
from synthkit.errors import ConfigError
from synthkit.interfaces import KINDS, ComponentSpec, Kind
from synthkit.plugins import Registry


@attrs.frozen
class RunSettings:
    """What every command that makes something understands, in TOML and by ``--set``."""

    seed: int = setting(0, help="the one seed of all random draws", validator=between(0, 2**64 - 1))
    scenes_per_shard: int = setting(64, help="scenes kept in one shard file", validator=at_least(1))
    shard_mb: int | None = setting(
        None,
        help="fill shards by size instead: each ends with the scene that brings it to so many megabytes",
        validator=attrs.validators.optional(at_least(1)),
    )
    image_format: Literal["png", "jpg"] = setting("png", help="format of the images made: png (lossless) or jpg")
    jpeg_quality: int = setting(95, help="quality of jpg images", validator=between(1, 100))
    strict: bool = setting(False, help="refuse to go on with a data set begun in another environment")
    threads: int = setting(2, help="CPU threads of training; results depend on it", validator=at_least(1))
    device: str = setting("auto", help="where networks run: auto, cpu, cuda, cuda:1, mps; with Ray cpu or cuda")
    guard: GuardSettings = setting(attrs.Factory(GuardSettings), help="what is done about refiners that move labels")
    task_cpus: int = setting(1, help="with Ray: processors that each shard's task takes", validator=at_least(1))
    task_gpus: float = setting(
        1.0, help="with Ray and device = cuda: GPUs that each task takes; 0.5: two share one", validator=at_least(0.01)
    )
    task_memory_gb: float = setting(
        0.0, help="with Ray: memory that each task takes, in GB; 0: not counted", validator=at_least(0)
    )

    @property
    def shard_bytes(self) -> int | None:
        """How many bytes fill a shard, None where scenes are counted."""
        return None if self.shard_mb is None else self.shard_mb * 10**6

    @property
    def codec(self) -> CodecConfig:
        """How samples are stored; the quality is of no matter where nothing is a jpg."""
        if self.image_format == "png":
            return CodecConfig()
        return CodecConfig(image_format=self.image_format, jpeg_quality=self.jpeg_quality)


@attrs.frozen
class Plan:
    """The installed components, general settings, one chosen component per role, and metrics, all checked."""

    registry: Registry
    run: RunSettings
    components: Mapping[str, ComponentSpec]
    metrics: tuple[ComponentSpec, ...] = ()


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
            settings' table. Of metrics there may be several, with commas between their names: in the table ``metric`` a
            setting is for all of them that have it, one in the table ``metric.NAME`` for that one alone.

    Raises:
        ConfigError: with every problem of every part, unknown components among them.
    """
    problems: list[str] = []
    run = general(settings, roles, problems)
    components = {}
    metrics: tuple[ComponentSpec, ...] = ()
    for role, name in roles.items():
        if role == "metric":
            metrics = _metrics(registry, settings, name, problems)
            continue
        wanted, options = component_table(settings, role, problems)
        chosen = name or wanted
        if options is None:
            continue
        if not chosen:
            problems.append(f"{role}: which one? give --{role} NAME (see 'synthkit plugins list')")
            continue
        spec = ComponentSpec(_kind(role), chosen, options)
        with config.collected(problems):
            registry.configure(spec, path=role)
        components[role] = spec
    if problems:
        raise ConfigError(problems)
    return Plan(registry, run, components, metrics)


def _metrics(
    registry: Registry, settings: Mapping[str, Any], names: str | None, problems: list[str]
) -> tuple[ComponentSpec, ...]:
    """Return the chosen metrics with the settings that each has, noting in ``problems`` what is wrong."""
    wanted, options = component_table(settings, "metric", problems)
    if options is None:
        return ()
    chosen = list(dict.fromkeys(name.strip() for name in (names or wanted or "").split(",") if name.strip()))
    if not chosen:
        problems.append("metric: which ones? give --metrics NAME, or NAME,NAME (see 'synthkit plugins list')")
    known: dict[str, set[str]] = {}
    for name in chosen:
        with config.collected(problems):
            known[name] = {field.name for field in attrs.fields(registry.get("metric", name).component.config)}
    if len(known) < len(chosen):
        return ()
    alone = {name: options[name] for name in chosen if isinstance(options.get(name), Mapping)}
    general = {key: value for key, value in options.items() if key not in alone}
    everywhere = set().union(*known.values())
    problems += [
        f"metric.{key}: unknown setting{config.nearest(key, everywhere)}" for key in general if key not in everywhere
    ]
    specs = []
    for name in chosen:
        own = {key: value for key, value in general.items() if key in known[name]} | dict(alone.get(name, {}))
        specs.append(ComponentSpec("metric", name, own))
        with config.collected(problems):
            registry.configure(specs[-1], path="metric" if len(chosen) == 1 else f"metric.{name}")
    return tuple(specs)


def general(settings: Mapping[str, Any], tables: Iterable[str], problems: list[str]) -> RunSettings:
    """Return the general settings among ``settings``, noting in ``problems`` what is wrong with them.

    Args:
        tables: the other names that are known here; what is in their tables is not looked at.
    """
    known = {field.name for field in attrs.fields(RunSettings)}
    known_here = known | set(tables)
    for key in settings:
        if key in KINDS and key not in known_here:
            problems.append(f"{key}: this command uses no {key}: leave its settings away")
        elif key not in known_here:
            problems.append(f"{key}: unknown setting{config.nearest(key, known_here)}")
    with config.collected(problems):
        return config.structure(RunSettings, {key: settings[key] for key in known & settings.keys()})
    return RunSettings()


def component_table(
    settings: Mapping[str, Any], role: str, problems: list[str]
) -> tuple[str | None, dict[str, Any] | None]:
    """Return the name and the options in a component's table; None for options is noted in ``problems``."""
    table = settings.get(role, {})
    if not isinstance(table, Mapping):
        problems.append(f"{role}: expected a table of settings such as {role}.name, got {table!r}")
        return None, None
    name = table.get("name")
    return None if name is None else str(name), {key: value for key, value in table.items() if key != "name"}


def _kind(role: str) -> Kind:
    if role not in ("renderer", "refiner", "detector", "metric"):
        raise ValueError(f"{role!r} is no kind of component")
    return role  # type: ignore[return-value]
