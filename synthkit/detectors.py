# SPDX-License-Identifier: Apache-2.0
"""Which detector: that of a checkpoint, or one that ships, with settings over those it was trained with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from synthkit import config
from synthkit.checkpoint import Checkpoint
from synthkit.errors import ConfigError, PluginError, WeightsError
from synthkit.interfaces import ComponentSpec
from synthkit.plugins import Registry
from synthkit.settings import component_table


def from_settings(
    registry: Registry, settings: Mapping[str, Any], name: str | None, checkpoint: Path | None, problems: list[str]
) -> ComponentSpec | None:
    """Return the detector that a command's settings and options tell, as ``chosen`` gives it; None with problems.

    Args:
        settings: plain values, as ``settings.plan`` takes them; without ``name``, that in their table is meant.
        problems: where it is noted what is wrong.

    Raises:
        PluginError, WeightsError: as ``chosen`` does.
    """
    wanted, options = component_table(settings, "detector", problems)
    if name is not None and checkpoint is not None:
        problems.append("--checkpoint: says itself of which detector it is: leave --detector away")
        return None
    with config.collected(problems):
        spec = chosen(registry, name or wanted, options or {}, checkpoint)
        registry.configure(spec)
        return spec
    return None


def chosen(
    registry: Registry, name: str | None, options: Mapping[str, Any], checkpoint: Path | None = None
) -> ComponentSpec:
    """Return the detector to use, set up as it was trained, with its checkpoint.

    Args:
        name: which detector, with the checkpoint that ships with it, if it needs one; None takes the first that is
            ready as it ships. A checkpoint says itself which detector's it is. options: settings over those it was
            trained with.

    Raises:
        PluginError: when there is no such detector, or none that is ready. WeightsError: when it must be trained
            first, or the checkpoint is no detector's. ConfigError: when what the training settled shall be otherwise.
    """
    if checkpoint is None:
        component = registry.get("detector", name or _ready(registry)).component
        checkpoint = component.shipped_checkpoint()
        if checkpoint is None and component.trainable:
            raise WeightsError(
                f"detector {component.name!r} must be trained first: give --checkpoint FILE from 'synthkit train'"
            )
        if checkpoint is None:
            return ComponentSpec("detector", component.name, options)
    spec = detector_spec(registry, checkpoint)
    _check_settled(registry, spec, options)
    together = dict(spec.options)
    config.merge_into(together, options)
    return attrs.evolve(spec, options=together)


def detector_spec(registry: Registry, checkpoint: Path) -> ComponentSpec:
    """Return the detector a checkpoint belongs to, configured as it was trained.

    Raises:
        WeightsError: when it cannot be read or is no detector's. PluginError: when that detector is not installed.
    """
    found = Checkpoint.open(checkpoint)
    found.require("detector")
    card = found.card
    if not isinstance(card.get("name"), str) or not isinstance(card.get("config"), Mapping):
        raise WeightsError(f"checkpoint {checkpoint}: its card lacks the detector's name or config")
    options = config.told(registry.get("detector", card["name"]).component.config, card["config"])
    return ComponentSpec("detector", card["name"], options, str(found.path), found.sha256)


def known_as(registry: Registry, detector: ComponentSpec) -> str:
    """Return the name by which users know a detector: where its weights ship, that of the component they ship with."""
    for found in registry.all("detector"):
        shipped = found.component.shipped_checkpoint()
        if shipped is not None and str(shipped) == detector.checkpoint:
            return found.component.name
    return detector.name


def changed(registry: Registry, detector: ComponentSpec) -> dict[str, Any]:
    """Return the settings in which a detector with a checkpoint is not as it was trained."""
    trained = _set_up(registry, detector_spec(registry, Path(str(detector.checkpoint))))
    return {name: value for name, value in _set_up(registry, detector).items() if value != trained[name]}


def _set_up(registry: Registry, detector: ComponentSpec) -> dict[str, Any]:
    """Return all settings of a detector as plain values, also those of which its card does not know yet."""
    return dict(config.plain(registry.configure(detector)))


def _check_settled(registry: Registry, trained: ComponentSpec, options: Mapping[str, Any]) -> None:
    fields = attrs.fields_dict(registry.get("detector", trained.name).component.config)
    settled = [name for name in options if name in fields and fields[name].metadata.get("settled")]
    was = _set_up(registry, trained) if settled else {}
    problems = [
        f"detector.{name}: was settled by the training of {trained.checkpoint}: leave it away, or train another one"
        for name in settled
        if config.plain(options[name]) != was[name]
    ]
    if problems:
        raise ConfigError(problems)


def _ready(registry: Registry) -> str:
    """Return the name of the first detector that finds people as it ships."""
    for found in registry.all("detector"):
        if found.component.demo_checkpoint is not None:
            return found.component.name
    raise PluginError(
        "no detector that is installed is ready to find people: give --checkpoint FILE from 'synthkit train',"
        " or --detector NAME of one that needs none (see 'synthkit plugins list')"
    )
