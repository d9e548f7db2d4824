# SPDX-License-Identifier: Apache-2.0
"""What a plugin declares of its components, and how a component travels: plain values only."""

from __future__ import annotations

import importlib
import importlib.resources
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs

from synthkit.sample import frozen_mapping

Kind = Literal["renderer", "refiner", "detector", "metric"]
KINDS: tuple[Kind, ...] = ("renderer", "refiner", "detector", "metric")


def _names(values: Iterable[str]) -> frozenset[str]:
    return frozenset(values)


def _one_of(known: Sequence[str]) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    """Return a validator for a name out of several; attrs' own tells plugin authors of its insides."""

    def check(_: Any, field: attrs.Attribute[Any], value: Any) -> None:
        if value not in known:
            raise ValueError(f"{field.name} must be one of {', '.join(known)}, got {value!r}")

    return check


def _like(example: str, pattern: str) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    """Return a validator for a text of a form."""

    def check(_: Any, field: attrs.Attribute[Any], value: Any) -> None:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"{field.name} must be like {example}, got {value!r}")

    return check


@attrs.frozen
class Tunable:
    """A setting of a renderer that ``synthkit tune`` may fit to real images.

    Args:
        setting: its path: ``sensor.gamma``. low, high: where it is looked for.
        fits: what is fitted, and how. Searched: a ``value``; the ``centre`` of a (low, high) pair, whose width stays;
            the whole ``range`` of such a pair. Measured where images have labels: ``people``, a (least, most) pair
            of counts, of which several settings share the people in an image as they do by themselves; ``size``, a
            number or a (low, high) pair with which people get smaller in the image.
        log: whether its ratios matter, rather than its differences.
        finishing: whether it acts after all that takes time; see ``Finishing``.
        unless: another setting that, when it is given, leaves this one without effect.
    """

    setting: str = attrs.field(validator=_like("sensor.gamma", r"\w+(\.\w+)*"))
    low: float
    high: float
    fits: Literal["value", "centre", "range", "people", "size"] = attrs.field(
        default="centre", validator=_one_of(("value", "centre", "range", "people", "size"))
    )
    log: bool = False
    finishing: bool = False
    unless: str = ""

    def __attrs_post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"{self.setting}: low must be below high, and above 0 with log")


def _tunables(values: Iterable[Tunable]) -> tuple[Tunable, ...]:
    return tuple(values)


@attrs.frozen
class Component:
    """What a plugin declares, in a light module; nothing heavy is imported until ``target`` is used.

    Args:
        kind, name, summary: what it is, how it is called, and one line for listings.
        config: the frozen attrs class of its settings.
        target: ``package.module:Class``, imported on use.
        revision: raise it when the same configuration yields other output; part of every fingerprint.
        defaults: settings that differ from the class's own: presets share a target.
        needs: what its input samples must carry: layer names, ``people.head``, ``people.box``,
            ``people.rotated_box``. Where settings decide about that, the config class has a property ``needs``,
            which is used instead. provides: what its output carries, in the same words; what it carries besides by its
            settings a property ``provides`` of the config class tells.
        trainable: whether the target also has ``fit``. reads: of what is trainable the layers that ``fit`` looks at, of
            a metric those that it does; others of the data sets are not decoded for it. None: all of them.
        learns_from: of a trainable refiner: the sets that ``fit`` gets, ``source`` and ``target`` or ``target`` alone.
        keeps_people: of a refiner: whether everybody shall stay what and where they are, which the drift guard
            watches. False for those that are meant to change people, such as anonymizers.
        sees_people: of a refiner: whether it looks at people's own pixels. False is a promise that these change
            nothing in its output; ``synthkit anonymize`` takes them away before such a refiner sees the image.
        demo_checkpoint: ``package:path/in/package`` of a small checkpoint that ships with the plugin, used where no
            other is given. Detectors that have one are ready to find people (``synthkit detect``).
        demo: settings small enough for ``synthkit demo``, by role: a renderer's ``source`` and ``target``
            (a stand-in for the real domain), ``settings`` for the other kinds. Empty: not for the demo.
        preview: a renderer's settings for ``synthkit preview``: all that it can show, quickly.
        tunable: a renderer's settings that ``synthkit tune`` may fit to real images.
        finish_keeps: settings with which a renderer's samples keep what its ``finish`` needs; see ``Finishing``.
    """

    kind: Kind = attrs.field(validator=_one_of(KINDS))
    name: str
    summary: str
    config: type[Any]
    target: str = attrs.field(validator=_like("package.module:Class", r"[\w.]+:\w+"))
    revision: int = 1
    defaults: Mapping[str, Any] = attrs.field(factory=dict, converter=frozen_mapping)
    needs: frozenset[str] = attrs.field(default=frozenset(), converter=_names)
    provides: frozenset[str] = attrs.field(default=frozenset(), converter=_names)
    trainable: bool = False
    reads: frozenset[str] | None = attrs.field(default=None, converter=attrs.converters.optional(_names))
    learns_from: frozenset[str] = attrs.field(default=frozenset({"source", "target"}), converter=_names)
    keeps_people: bool = True
    sees_people: bool = True
    demo_checkpoint: str | None = None
    demo: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict)
    preview: Mapping[str, Any] = attrs.field(factory=dict, converter=frozen_mapping)
    tunable: tuple[Tunable, ...] = attrs.field(default=(), converter=_tunables)
    finish_keeps: Mapping[str, Any] = attrs.field(factory=dict, converter=frozen_mapping)

    def load(self) -> Any:
        """Import and return the target class."""
        module, _, name = self.target.partition(":")
        return getattr(importlib.import_module(module), name)

    def shipped_checkpoint(self) -> Path | None:
        """Return the file of ``demo_checkpoint``, None where none ships; the plugin's package is imported for it."""
        if self.demo_checkpoint is None:
            return None
        package, _, name = self.demo_checkpoint.partition(":")
        return Path(str(importlib.resources.files(package).joinpath(name)))


@attrs.frozen
class ComponentSpec:
    """A component as it travels: plain values only.

    Args:
        kind, name: which component. options: settings over its defaults.
        checkpoint: path of its weights. checkpoint_sha256: what they must be.
    """

    kind: Kind
    name: str
    options: Mapping[str, Any] = attrs.field(factory=dict)
    checkpoint: str | None = None
    checkpoint_sha256: str | None = None
