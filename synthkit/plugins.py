# SPDX-License-Identifier: Apache-2.0
"""Finding plugins and their components: one registry, in which a broken plugin is a line and not a crash."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from typing import Any, cast

import attrs
import pluggy

from synthkit import config, entrypoints, hookspecs
from synthkit.checkpoint import Checkpoint
from synthkit.entrypoints import ALLOW_VARIABLE
from synthkit.errors import ConfigError, PluginError
from synthkit.interfaces import Component, ComponentSpec, Kind, Runtime

_CORE = "synthkit-core"
TRACKING = (
    "synthkit_experiment_began", "synthkit_step_began", "synthkit_curves", "synthkit_step_ended",
    "synthkit_experiment_ended",
)  # fmt: skip
"""The hooks of plugins that follow experiments."""

_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)\s*(\[(?P<extras>[^]]*)\])?")
_EXTRA = re.compile(r"""\bextra\s*==\s*["']([\w.-]+)["']""")


@attrs.frozen
class Origin:
    """Where a component comes from: distribution, its version, and the entry point's name."""

    distribution: str
    version: str
    plugin: str


@attrs.frozen
class Broken:
    """A plugin that could not be used, and why."""

    origin: Origin
    reason: str


@attrs.frozen
class Registered:
    """A component and its origin."""

    component: Component
    origin: Origin


class Registry:
    """Every component of the plugins that work, and the reasons of those that do not."""

    def __init__(self) -> None:
        self._manager = pluggy.PluginManager("synthkit")
        self._manager.add_hookspecs(hookspecs)
        self._components: dict[tuple[Kind, str], Registered] = {}
        self.broken: list[Broken] = []
        self.trackers: dict[str, Origin] = {}

    def add(self, plugin: Any, origin: Origin) -> None:
        """Register a plugin module or object; whatever is wrong with it is noted in ``broken``."""
        name = f"{origin.distribution}:{origin.plugin}"
        try:
            self._manager.register(plugin, name=name)
            self._manager.check_pending()
            implementations = [
                hook for hook in self._manager.hook.synthkit_components.get_hookimpls() if hook.plugin_name == name
            ]
            if not self._manager.get_hookcallers(plugin):
                raise PluginError("it does not implement synthkit_components(), nor a hook that follows experiments")
            components = [part for hook in implementations for part in _call(hook.function)]
            self._check(components, origin)
        except Exception as error:  # a stranger's code: anything may be raised, and none of it is fatal
            if self._manager.has_plugin(name):
                self._manager.unregister(name=name)
            self.broken.append(Broken(origin, _one_line(error)))
            return
        for component in components:
            self._components[component.kind, component.name] = Registered(component, origin)
        if any(caller.name in TRACKING for caller in self._manager.get_hookcallers(plugin) or ()):
            self.trackers[origin.plugin] = origin

    def note_broken(self, origin: Origin, error: BaseException) -> None:
        """Note a plugin that could not even be imported."""
        self.broken.append(Broken(origin, _one_line(error)))

    def tracker(self, name: str) -> Any:
        """Return the plugin of that name that follows experiments, for ``call``.

        Raises:
            PluginError: when there is none.
        """
        origin = self.trackers.get(name)
        if origin is None:
            hint = config.nearest(name, self.trackers) or "; none is installed"
            raise PluginError(f"trackers: no plugin that follows experiments is called {name!r}{hint}")
        return self._manager.get_plugin(f"{origin.distribution}:{origin.plugin}")

    def call(self, plugin: Any, hook: str, **told: Any) -> None:
        """Call a hook of one plugin alone, where it has it."""
        others = [other for other in self._manager.get_plugins() if other is not plugin]
        self._manager.subset_hook_caller(hook, others)(**told)

    def _check(self, components: list[Component], origin: Origin) -> None:
        seen: set[tuple[Kind, str]] = set()
        for component in components:
            if not isinstance(component, Component):
                raise PluginError(f"synthkit_components() must give Component objects, got {component!r}")
            key = component.kind, component.name
            other = self._components.get(key)
            if other or key in seen:
                holder = other.origin.distribution if other else origin.distribution
                raise PluginError(
                    f"{component.kind} {component.name!r} comes from {holder} and {origin.distribution};"
                    f" uninstall one of them, or choose with {ALLOW_VARIABLE}"
                )
            seen.add(key)
            config.check_given(component.config, component.defaults, path=f"{component.name}.defaults")
            config.check_given(component.config, component.finish_keeps, path=f"{component.name}.finish_keeps")
            _check_tunable(component)

    def _given(self, spec: ComponentSpec) -> tuple[type[Any], dict[str, Any]]:
        component = self.get(spec.kind, spec.name).component
        values: dict[str, Any] = dict(component.defaults)
        config.merge_into(values, spec.options)
        return component.config, values

    def all(self, kind: Kind | None = None) -> list[Registered]:
        """Return the components of a kind (or all), sorted by kind and name."""
        found = [item for (k, _), item in self._components.items() if kind in (None, k)]
        return sorted(found, key=lambda item: (item.component.kind, item.component.name))

    def get(self, kind: Kind, name: str) -> Registered:
        """Return a component by kind and name.

        Raises:
            PluginError: naming the nearest known one and any broken plugin that may have brought it.
        """
        found = self._components.get((kind, name))
        if found:
            return found
        names = [item.component.name for item in self.all(kind)]
        hint = config.nearest(name, names) or f"; no {kind} is installed"
        if self.broken:
            hint += f" (not loaded: {', '.join(sorted({b.origin.distribution for b in self.broken}))};"
            hint += " see 'synthkit plugins list')"
        raise PluginError(f"no {kind} is called {name!r}{hint}")

    def configure(self, spec: ComponentSpec, *, path: str | None = None) -> Any:
        """Return the config of a component: its class's defaults, its preset's, and the spec's options."""
        return config.structure(*self._given(spec), path=path or spec.kind)

    def idling(self, spec: ComponentSpec) -> set[str]:
        """Return the names of a component's settings that decide nothing, as the others are."""
        return config.idling(*self._given(spec))

    def declared(self, spec: ComponentSpec) -> Component:
        """Return what a component declares, with what its samples must and will carry when it is set up so."""
        component, settings = self.get(spec.kind, spec.name).component, self.configure(spec)
        provides = component.provides | getattr(settings, "provides", frozenset())
        return attrs.evolve(component, needs=getattr(settings, "needs", component.needs), provides=provides)

    def build(self, spec: ComponentSpec, runtime: Runtime) -> Any:
        """Return a component, not yet entered.

        Raises:
            PluginError, ConfigError, WeightsError: for an unknown name, wrong options, other weights; or
            when the component's module cannot be imported.
        """
        component = self.get(spec.kind, spec.name).component
        settings = self.configure(spec)
        checkpoint = None
        if spec.checkpoint:
            checkpoint = Checkpoint.open(spec.checkpoint, expected_sha256=spec.checkpoint_sha256)
        return _loaded(component)(settings, checkpoint, runtime)

    def family(self, component: Component) -> str:
        """Return the name in the cards of a component's checkpoints, which presets of one target share.

        Raises:
            PluginError: when the component's module cannot be imported.
        """
        return str(getattr(_loaded(component), "family", component.name))

    def identity(self, spec: ComponentSpec) -> dict[str, Any]:
        """Return what decides about a component's output: its revision, settings and weights."""
        return {
            "kind": spec.kind,
            "name": spec.name,
            "revision": self.get(spec.kind, spec.name).component.revision,
            "config": config.identity(self.configure(spec)),
            "checkpoint_sha256": spec.checkpoint_sha256,
        }

    def provenance(self, spec: ComponentSpec) -> dict[str, Any]:
        """Return where a component came from: its distribution, version and revision, and its settings.

        ``config`` holds the settings as given; ``config_sha256`` is of what of them decides about output,
        with the content of the files they name.
        """
        found = self.get(spec.kind, spec.name)
        settings = self.configure(spec)
        return {
            "kind": spec.kind,
            "name": spec.name,
            "distribution": found.origin.distribution,
            "version": found.origin.version,
            "revision": found.component.revision,
            "config": config.plain(settings),
            "config_sha256": config.fingerprint(config.identity(settings)),
            "checkpoint_sha256": spec.checkpoint_sha256,
        }

    def environment(self, spec: ComponentSpec) -> dict[str, str]:
        """Return the installed versions of a component's distribution and of what that asks for.

        Nothing of it is imported. What is not installed is left out, and so are dependencies of
        dependencies: those that decide about output are asked for by name.
        """
        origin = self.get(spec.kind, spec.name).origin
        return {origin.distribution: origin.version, **_required_versions(origin.distribution)}


def check_chain(stages: Sequence[tuple[str, Component]], provided: frozenset[str]) -> frozenset[str]:
    """Check that each stage gets what it needs from those before it; return what comes out.

    Raises:
        ConfigError: naming every stage and what it lacks.
    """
    problems = []
    for label, component in stages:
        missing = component.needs - provided
        if missing:
            problems.append(
                f"{label} {component.name!r} needs {', '.join(sorted(missing))};"
                f" before it there is only {', '.join(sorted(provided)) or 'nothing'}"
            )
        provided |= component.provides
    if problems:
        raise ConfigError(problems)
    return provided


def discover() -> Registry:
    """Return the registry of the installed plugins.

    ``SYNTHKIT_PLUGINS`` (comma-separated distribution or entry-point names) restricts what is loaded.
    """
    registry = Registry()
    for point in entrypoints.points(hookspecs.GROUP):
        origin = _origin(point)
        try:
            plugin = point.load()
        except (Exception, SystemExit) as error:  # a stranger's module: report it and go on
            registry.note_broken(origin, error)
            continue
        registry.add(plugin, origin)
    return registry


def _check_tunable(component: Component) -> None:
    """Check that what can be tuned is there, is what it is fitted as, and may be all that it is looked for in."""
    if not component.tunable:
        return
    defaults = {name: default for name, _, default, _ in config.describe(component.config)}
    for tunable in component.tunable:
        where = f"{component.name}.tunable: {tunable.setting}"
        if tunable.setting not in defaults:
            raise PluginError(f"{where}: no such setting{config.nearest(tunable.setting, defaults)}")
        pair = isinstance(defaults[tunable.setting], list)
        if tunable.fits != "size" and pair == (tunable.fits == "value"):
            raise PluginError(f"{where}: {'a pair is' if pair else 'a number is'} not fitted as a {tunable.fits}")
        for end in (tunable.low, tunable.high):
            number = int(end) if tunable.fits == "people" else end
            table = config.nested(tunable.setting.split("."), [number, number] if pair else number)
            config.check_given(component.config, table, path=f"{component.name}.tunable")


def _required_versions(distribution: str) -> dict[str, str]:
    """Return the installed versions of a distribution's requirements, the core's extras among them.

    What the core itself asks for is left out: where it decides about bytes, the records have it anyway.
    """
    own = {match["name"] for match, extra in _parsed(_CORE) if extra is None}
    found: dict[str, str] = {}
    for match, extra in _parsed(distribution):
        if extra is not None:
            continue
        if match["name"] == _CORE:
            wanted = {name.strip() for name in (match["extras"] or "").split(",")}
            found |= _versions(one["name"] for one, part in _parsed(_CORE) if part in wanted)
        elif match["name"] not in own:
            found |= _versions([match["name"]])
    return found


def _parsed(distribution: str) -> list[tuple[re.Match[str], str | None]]:
    """Return a distribution's requirements, each with the extra that it belongs to."""
    try:
        lines = metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:
        return []
    parsed = []
    for line in lines:
        match, extra = _REQUIREMENT.match(line), _EXTRA.search(line)
        if match:
            parsed.append((match, extra[1] if extra else None))
    return parsed


def _versions(names: Iterable[str]) -> dict[str, str]:
    found = {}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _call(function: Callable[..., object]) -> Iterable[Component]:
    return cast(Iterable[Component], function())


def _origin(point: metadata.EntryPoint) -> Origin:
    version = point.dist.version if point.dist else "unknown"
    return Origin(entrypoints.distribution(point), version, point.name)


def _loaded(component: Component) -> Any:
    try:
        return component.load()
    except (ImportError, AttributeError) as error:
        raise PluginError(f"{component.kind} {component.name!r} cannot be loaded: {_one_line(error)}") from error


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
