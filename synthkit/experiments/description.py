# SPDX-License-Identifier: Apache-2.0
"""What an experiment's file says: data, refiners, mixtures, detectors and metrics; all mistakes are told at once."""

from __future__ import annotations

import copy
import itertools
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from synthkit import config, settings
from synthkit.config import all_of, at_least, between, different, setting
from synthkit.errors import ConfigError
from synthkit.interfaces import ComponentSpec, Kind
from synthkit.plugins import Registry
from synthkit.settings import RunSettings

RENDERED, REAL, VALIDATION, TEST = "rendered", "real", "validation", "test"
ROLES = {
    RENDERED: "what is refined: S of thesis 000",
    REAL: "what refiners shall reach, and detectors may learn from: R_train",
    VALIDATION: "what chooses detectors' checkpoints: R_val",
    TEST: "what gives the scores: R_test",
}
"""The data sets of an experiment (thesis 000, section 3.1)."""

_OF_DETECTORS = (VALIDATION, TEST)

PLACE_MARK = "@"
"""Begins a metric's setting that names one of the data sets: ``source = "@rendered"``."""

SEARCH = "search"
"""The table of a search for settings, which only ``synthkit search`` looks at."""

_TABLES = ("data", "refiner", "refiners", "mixtures", "groups", "sizes", "detector", "detectors", "metric", SEARCH)
_AMOUNT = re.compile(r"(.+):(\d+(?:\.\d+)?)", re.DOTALL)


def _some(_: object, __: object, values: Sequence[int]) -> None:
    if not values:
        raise ValueError("needs one at least")


_SEEDS = all_of(between(0, 2**63 - 1), _some, different)


@attrs.frozen
class _Heading:
    """The settings that stand above all tables."""

    title: str = setting("Which data trains the best detector?", help="what the report is called")
    seeds: tuple[int, ...] = setting(
        (0,), help="each refiner and detector is trained once with each of these", validator=_SEEDS
    )
    baselines: tuple[str, ...] = setting(
        (RENDERED, REAL), help="the rows with which all others are compared in pairs", validator=different
    )
    trackers: tuple[str, ...] = setting(
        (), help="plugins that follow the experiment, such as tensorboard", validator=different
    )
    controls: tuple[str, ...] = setting(
        (),
        help="refiners whose looks are not the real one: whether others gain by more than variety (section 5.6)",
        validator=different,
    )


@attrs.frozen
class _DataSettings:
    """A data set: one that is there, or what renders it."""

    path: str | None = setting(None, help="a data set or its URL, or a folder of a format that 'convert' knows")
    renderer: Any = setting(None, help='instead: what renders it, { name = "blender", width_px = 640 }')
    count: int = setting(16, help="samples to render at least, in whole scenes", validator=at_least(1))
    seed: int | None = setting(
        None, help="of the renderer; none: one of its own, from the general seed", validator=between(0, 2**63 - 1)
    )

    def __attrs_post_init__(self) -> None:
        if (self.path is None) == (self.renderer is None):
            raise ValueError("needs either path or renderer")
        if self.path is not None and (self.count, self.seed) != (attrs.fields(_DataSettings).count.default, None):
            raise ValueError("a set that is there has its samples: leave count and seed away")


@attrs.frozen
class _SizeSettings:
    """The table ``sizes``."""

    counts: tuple[int, ...] = setting(
        (), help="so many of the real images", validator=all_of(at_least(1), _some, different)
    )
    refiners: tuple[str, ...] = setting((), help="those that are trained towards so many too", validator=different)


@attrs.frozen
class _RowSettings:
    """What of a refiner's table is not the refiner's own setting."""

    name: str | None = setting(None, help="which refiner; none: the one that the table is called after")
    seeds: tuple[int, ...] | None = setting(
        None,
        help="with which it is trained, where these are others than the experiment's",
        validator=attrs.validators.optional(_SEEDS),
    )
    vary: Any = setting(None, help="settings with a list of values each; every combination becomes a row")


@attrs.frozen
class Rendering:
    """A data set that is to be rendered."""

    spec: ComponentSpec
    count: int
    seed: int | None


@attrs.frozen
class RefinedRow:
    """A refiner with its settings, and the seeds with which it is trained."""

    spec: ComponentSpec
    seeds: tuple[int, ...]


@attrs.frozen
class Part:
    """A row's data as a part of a mixture: all of it, or ``amount`` times as much as the first part has."""

    row: str
    amount: float | None


@attrs.frozen
class Sized:
    """A row of the study of sizes (thesis 000, section 5.7): ``count`` real images and what is refined towards them.

    Args:
        refiner: None for the real images alone. with_real: whether these are trained on beside what is refined.
    """

    count: int
    refiner: str | None
    with_real: bool


@attrs.frozen
class Experiment:
    """All that a file says, checked.

    Args:
        data: by role: what renders it, or where it lies. refiners, mixtures, sizes, detectors: by the names of rows.
        controls: refiners that are none but for the texture. groups: rows whose means are compared, by name.
        run: general settings; its seed is that of rendering and of what metrics draw.
    """

    title: str
    seeds: tuple[int, ...]
    baselines: tuple[str, ...]
    controls: tuple[str, ...]
    trackers: tuple[str, ...]
    run: RunSettings
    data: Mapping[str, Rendering | str]
    refiners: Mapping[str, RefinedRow]
    mixtures: Mapping[str, tuple[Part, ...]]
    groups: Mapping[str, tuple[str, ...]]
    sizes: Mapping[str, Sized]
    detectors: Mapping[str, ComponentSpec]
    metrics: tuple[ComponentSpec, ...]

    @property
    def rows(self) -> list[str]:
        """The names of all training sets that are compared, in the order in which they are told."""
        return [RENDERED, REAL, *self.refiners, *self.mixtures, *self.sizes]

    def seeds_of(self, row: str) -> tuple[int, ...]:
        """Return the seeds with which a row is trained: of a mixture those that all of its refiners have."""
        refiner = self.sizes[row].refiner if row in self.sizes else row
        if refiner is not None and refiner in self.refiners:
            return self.refiners[refiner].seeds
        refined = [self.refiners[part.row].seeds for part in self.mixtures.get(row, ()) if part.row in self.refiners]
        if not refined:
            return self.seeds
        return tuple(seed for seed in refined[0] if all(seed in seeds for seeds in refined))


def read(path: Path, registry: Registry, sets: Iterable[str] = ()) -> Experiment:
    """Return the experiment that a TOML file describes, with changes as ``--set`` gives them.

    Raises:
        ConfigError: with every problem of every part.
    """
    plain = settings.read(path, sets, {})
    problems: list[str] = []
    known = {field.name for field in attrs.fields(_Heading)}
    run = settings.general(plain, [*_TABLES, *known], problems)
    heading = _Heading()
    for key in sorted(known & plain.keys()):  # each by itself, so that what is wrong with one hides nothing of another
        with config.collected(problems):
            heading = attrs.evolve(heading, **{key: getattr(config.structure(_Heading, {key: plain[key]}), key)})
    detectors = {label: spec for label, spec, _ in _components(registry, plain, "detector", problems)}
    data = _data(registry, _table(plain, "data", problems), bool(detectors), problems)
    refiners = _refiners(registry, plain, heading.seeds, problems)
    found = Experiment(
        heading.title, heading.seeds, heading.baselines, heading.controls, heading.trackers, run, data, refiners,
        _mixtures(_table(plain, "mixtures", problems), [RENDERED, REAL, *refiners], problems),
        _groups(_table(plain, "groups", problems), problems),
        _sizes(_table(plain, "sizes", problems), refiners, problems),
        detectors, _metrics(registry, plain, problems),
    )  # fmt: skip
    problems += [*_unprintable(found), *_across(found)]
    for name in heading.trackers:
        with config.collected(problems):
            registry.tracker(name)
    if problems:
        raise ConfigError(dict.fromkeys(problems))
    return found


def _table(plain: Mapping[str, Any], name: str, problems: list[str]) -> Mapping[str, Any]:
    table = plain.get(name, {})
    if isinstance(table, Mapping):
        return table
    problems.append(f"{name}: expected a table, got {table!r}")
    return {}


def _data(
    registry: Registry, table: Mapping[str, Any], judged: bool, problems: list[str]
) -> dict[str, Rendering | str]:
    """Return the data sets; those for detectors are needed where detectors are judged, and else of no use."""
    problems += [f"data.{name}: unknown data set{config.nearest(name, ROLES)}" for name in table if name not in ROLES]
    problems += [f"data.{role}: is required ({what})" for role, what in ROLES.items()
                 if role not in table and (judged or role not in _OF_DETECTORS)]  # fmt: skip
    problems += [f"data.{role}: is for detectors, and there are none: leave it away, or add [detectors.squeezedet]"
                 for role in _OF_DETECTORS if role in table and not judged]  # fmt: skip
    found: dict[str, Rendering | str] = {}
    for role in [role for role in ROLES if role in table]:
        with config.collected(problems):
            given = config.structure(_DataSettings, table[role], path=f"data.{role}")
            found[role] = given.path or _rendering(registry, given, f"data.{role}.renderer")
    return found


def _rendering(registry: Registry, given: _DataSettings, where: str) -> Rendering:
    if not isinstance(given.renderer, Mapping) or not isinstance(given.renderer.get("name"), str):
        raise ConfigError([f'{where}: expected a table such as {{ name = "blender" }}, got {given.renderer!r}'])
    options = {key: value for key, value in given.renderer.items() if key != "name"}
    spec = ComponentSpec("renderer", given.renderer["name"], options)
    registry.configure(spec, path=where)
    return Rendering(spec, given.count, given.seed)


def _refiners(
    registry: Registry, plain: Mapping[str, Any], seeds: tuple[int, ...], problems: list[str]
) -> dict[str, RefinedRow]:
    found: dict[str, RefinedRow] = {}
    for label, spec, own in _components(registry, plain, "refiner", problems):
        if label in ROLES:
            problems.append(f"refiners.{label}: is the name of a data set: choose another")
        found[label] = RefinedRow(spec, own.seeds or seeds)
    return found


def _components(
    registry: Registry, plain: Mapping[str, Any], kind: Kind, problems: list[str]
) -> Iterator[tuple[str, ComponentSpec, _RowSettings]]:
    """Yield (row's name, component, row's settings) of a table of components such as ``refiners``.

    The table in the singular holds settings for all of them that have such.
    """
    tables, shared = _table(plain, f"{kind}s", problems), _table(plain, kind, problems)
    reserved, unused = {field.name for field in attrs.fields(_RowSettings)}, set(shared)
    names, unclear = set[str](), False
    for label, table in tables.items():
        where, before = f"{kind}s.{label}", len(problems)
        own, given, combinations = _RowSettings(), {}, [(list[str](), dict[str, Any]())]
        having: set[str] | None = None
        with config.collected(problems):
            if not isinstance(table, Mapping):
                raise ConfigError([f"{where}: expected a table, got {table!r}"])
            own = config.structure(_RowSettings, {key: table[key] for key in reserved & table.keys()}, path=where)
            given = {key: value for key, value in table.items() if key not in reserved}
            having = {one.name for one in attrs.fields(registry.get(kind, own.name or label).component.config)}
            combinations = _combinations(own.vary, where)
            if kind == "detector" and own.seeds is not None:
                raise ConfigError([f"{where}.seeds: are for refiners; detectors are trained with those of their rows"])
        for words, changes in combinations:
            if (name := ", ".join([label, *words])) in names:
                problems.append(f"{where}: there are two {kind}s called {name!r}: call one otherwise")
            names.add(name)
            spec = ComponentSpec(
                kind, own.name or label, _options(given, shared, (having or set()) - reserved, changes)
            )
            if len(problems) == before:
                spec = _without_idle(registry, spec, shared.keys() - given.keys() - changes.keys())
                with config.collected(problems):
                    registry.configure(spec, path=where)
            unused -= spec.options.keys()
            unclear |= having is None
            # Also one that is wrong is a row, so that nobody is told that it is missing.
            yield name, spec, own
    problems += [
        f"{kind}.{key}: no {kind} of this experiment has such a setting, or it decides nothing"
        for key in sorted(unused)
        if not unclear  # of an unknown component nobody knows which settings it has
    ]


def _options(
    own: Mapping[str, Any], shared: Mapping[str, Any], having: Collection[str], changes: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a component's settings: those for all that it has, those of its table, and what is varied."""
    options = copy.deepcopy({key: value for key, value in shared.items() if key in having})
    config.merge_into(options, copy.deepcopy(own))  # copies, as tables in tables are merged in place
    config.merge_into(options, changes)
    return options


def _without_idle(registry: Registry, spec: ComponentSpec, shared: Collection[str]) -> ComponentSpec:
    """Return a component without those of the settings for all that decide nothing for it."""
    idle = registry.idling(spec).intersection(shared)
    return attrs.evolve(spec, options={key: value for key, value in spec.options.items() if key not in idle})


def _combinations(vary: Any, where: str) -> list[tuple[list[str], dict[str, Any]]]:
    """Return every combination of the values that are varied, in words and as settings."""
    if vary is None:
        return [([], {})]
    if not isinstance(vary, Mapping) or not all(isinstance(values, list) and values for values in vary.values()):
        raise ConfigError([f"{where}.vary: expected settings with a list of values each, got {vary!r}"])
    found = []
    for values in itertools.product(*vary.values()):
        pairs = list(zip(vary, values, strict=True))
        changes: dict[str, Any] = {}
        for key, value in pairs:
            config.merge_into(changes, config.nested(key.split("."), value))
        found.append(([f"{key}={_spelled(value)}" for key, value in pairs], changes))
    return found


def _spelled(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _mixtures(table: Mapping[str, Any], rows: Sequence[str], problems: list[str]) -> dict[str, tuple[Part, ...]]:
    found: dict[str, tuple[Part, ...]] = {}
    for label, parts in table.items():
        where = f"mixtures.{label}"
        if label in rows:
            problems.append(f"{where}: another row has this name")
        if not isinstance(parts, list) or len(parts) < 2 or not all(isinstance(part, str) for part in parts):
            problems.append(f'{where}: expected two rows at least, such as ["real", "NAME:3"], got {parts!r}')
            continue
        split = [_part(text, rows) for text in parts]
        problems += [f"{where}: no row is called {one.row!r}{config.nearest(one.row, rows)}"
                     for one in split if one.row not in rows]  # fmt: skip
        if split[0].amount is not None:
            problems.append(f"{where}: the first is taken whole, others N times as large: leave its amount away")
        problems += [f"{where}: {one.row}:0 adds nothing: leave it away" for one in split if one.amount == 0]
        found[label] = tuple(split)
    return found


def _part(text: str, rows: Sequence[str]) -> Part:
    found = None if text in rows else _AMOUNT.fullmatch(text)
    return Part(text, None) if found is None else Part(found[1], float(found[2]))


def _groups(table: Mapping[str, Any], problems: list[str]) -> dict[str, tuple[str, ...]]:
    found = {}
    for label, rows in table.items():
        if not isinstance(rows, list) or not rows or not all(isinstance(row, str) for row in rows):
            problems.append(f"groups.{label}: expected the names of rows, got {rows!r}")
            continue
        found[label] = tuple(dict.fromkeys(rows))
    return found


def _sizes(table: Mapping[str, Any], refiners: Collection[str], problems: list[str]) -> dict[str, Sized]:
    """Return the rows of the study of sizes by their names."""
    found: dict[str, Sized] = {}
    if not table:
        return found
    with config.collected(problems):
        given = config.structure(_SizeSettings, table, path="sizes")
        problems += [f"sizes.refiners: no refiner is called {name!r}{config.nearest(name, refiners)}"
                     for name in given.refiners if name not in refiners]  # fmt: skip
        for count in sorted(given.counts):
            found[f"real, {count} images"] = Sized(count, None, with_real=True)
            for name in given.refiners:
                found[f"{name}, {count} images"] = Sized(count, name, with_real=False)
                found[f"real + {name}, {count} images"] = Sized(count, name, with_real=True)
    return found


def _metrics(registry: Registry, plain: Mapping[str, Any], problems: list[str]) -> tuple[ComponentSpec, ...]:
    if "metric" not in plain:
        problems.append('metric: is required, such as [metric] with name = "detection"')
        return ()
    with config.collected(problems):
        return settings.plan(registry, {"metric": plain["metric"]}, {"metric": None}).metrics
    return ()


def _unprintable(found: Experiment) -> Iterator[str]:
    """Yield which names would break tables and lines: nothing else may stand in them than what can be printed."""
    named = {"title": [found.title], "refiners": found.refiners, "mixtures": found.mixtures, "groups": found.groups,
             "detectors": found.detectors}  # fmt: skip
    for where, names in named.items():
        for name in names:
            if not name.strip() or not name.isprintable():
                yield f"{where}: {name!r} is empty, or has line breaks or other characters that cannot be printed"


def _across(found: Experiment) -> list[str]:
    """Return what is wrong between the parts."""
    problems = [
        f"baselines: no row is called {name!r}{config.nearest(name, found.rows)}"
        for name in found.baselines if name not in found.rows
    ]  # fmt: skip
    problems += [f"controls: no refiner is called {name!r}{config.nearest(name, found.refiners)}"
                 for name in found.controls if name not in found.refiners]  # fmt: skip
    problems += [f"groups.{label}: no row is called {row!r}{config.nearest(row, found.rows)}"
                 for label, rows in found.groups.items() for row in rows if row not in found.rows]  # fmt: skip
    problems += [f"{table}: is for detectors, and there are none" for table, rows in
                 (("mixtures", found.mixtures), ("sizes", found.sizes)) if rows and not found.detectors]  # fmt: skip
    problems += [f"sizes: another row is called {label!r}: call that one otherwise" for label in found.sizes
                 if label in found.refiners or label in found.mixtures]  # fmt: skip
    problems += [
        f"mixtures.{row}: its refiners have no seed in common" for row in found.mixtures if not found.seeds_of(row)
    ]
    roles = [role for role in ROLES if found.detectors or role not in _OF_DETECTORS]
    for metric in found.metrics:
        problems += [f"metric.{metric.name}: no data set is called {place!r}{config.nearest(place, roles)}"
                     for place in places(metric) if place not in roles]  # fmt: skip
    return problems


def places(metric: ComponentSpec) -> list[str]:
    """Return the data sets that a metric's settings name."""
    return [value[1:] for value in metric.options.values() if isinstance(value, str) and value[:1] == PLACE_MARK]


def placed(metric: ComponentSpec, where: Mapping[str, str]) -> ComponentSpec:
    """Return a metric whose settings have the places of the data sets that they name."""
    named = {f"{PLACE_MARK}{role}": place for role, place in where.items()}
    options = {key: named.get(value, value) if isinstance(value, str) else value
               for key, value in metric.options.items()}  # fmt: skip
    return attrs.evolve(metric, options=options)
