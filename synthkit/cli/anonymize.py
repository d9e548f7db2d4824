# SPDX-License-Identifier: Apache-2.0
"""The command that hands images on without the people in them."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synthkit.cli.app import app, finish
from synthkit.cli.options import (
    AllowMissing,
    Checkpoint,
    ConfigFile,
    RefinerName,
    Seed,
    Sets,
    Workers,
    cores,
    session_of,
)

if TYPE_CHECKING:
    from synthkit.anonymization.policy import Policy
    from synthkit.interfaces import ComponentSpec
    from synthkit.plugins import Registry
    from synthkit.settings import Plan


class OnMiss(enum.StrEnum):
    """What is done about images in which nobody was found."""

    QUARANTINE = "quarantine"
    BLUR_IMAGE = "blur-image"
    PASS = "pass"


Source = Annotated[
    str, typer.Argument(metavar="IN", help="Photos, videos, a data set, or a set of a format 'convert' knows.")
]
Out = Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the result, the audit record and the summary.")]
Detectors = Annotated[
    list[str] | None,
    typer.Option(
        "--detector",
        help="What looks for people: a detector's name or checkpoint; may be repeated. Its settings are"
        " detector.NAME.KEY.",
        metavar="NAME|FILE",
    ),
]
Finds = Annotated[
    list[Path] | None,
    typer.Option("--finds", help="People found in these images by 'synthkit detect'; may be repeated.", metavar="DIR"),
]
Truth = Annotated[bool, typer.Option(help="Take the set's own labels for the truth, if it has any.")]
Check = Annotated[
    str | None,
    typer.Option(
        help="Another detector that looks again at the result. Its settings are check.NAME.KEY.", metavar="NAME|FILE"
    ),
]
Missed = Annotated[
    OnMiss | None,
    typer.Option(
        help="Images in which nobody was found are left out, blurred as a whole, or handed on as they are."
        " [default: quarantine]"
    ),
]


@app.command()
def anonymize(
    source: Source,
    out: Out,
    refiner: RefinerName = None,
    checkpoint: Checkpoint = None,
    detector: Detectors = None,
    found: Finds = None,
    truth: Truth = True,
    check: Check = None,
    on_miss: Missed = None,
    config: ConfigFile = None,
    sets: Sets = None,
    seed: Seed = None,
    workers: Workers = None,
    allow_missing: AllowMissing = False,
) -> None:
    """Hand images on without the people in them; whoever is in doubt is blurred, what is in doubt is left out."""
    from synthkit import pipeline, settings
    from synthkit.anonymization import run
    from synthkit.execution import Local

    flags: dict[str, Any] = {"seed": seed, "anonymize": {} if on_miss is None else {"on_miss": on_miss.value}}
    given = settings.read(config, sets or (), flags)
    plan, policy, looking, checking = _planned(given, refiner, detector or (), [check] if check else ())
    methods = run.Methods(truth, looking, tuple(found or ()), checking[0] if checking else None)
    with session_of(plan, Local(workers or cores())) as session:
        spec = pipeline.with_weights(session, plan.components["refiner"], checkpoint)
        made = run.anonymize(session, source, spec, out, methods, policy)
    people = sum(made.counts.people.values())
    typer.echo(f"anonymized: {made.dataset.location} ({len(made.dataset)} images, {people} people treated)")
    if made.files is not None:
        typer.echo(f"files:      {made.files}")
    typer.echo(f"audit:      {made.audit}")
    typer.echo(f"summary:    {made.summary}")
    finish(made.counts.images.get("left out", 0), allow_missing, f"{made.audit} says why")


def _planned(
    given: dict[str, Any], refiner: str | None, detectors: Sequence[str], checks: Sequence[str]
) -> tuple[Plan, Policy, list[ComponentSpec], list[ComponentSpec]]:
    """Return the settings that were given, what is done in doubt, and the detectors that look, and look again.

    Args:
        given: all settings; those of this command are taken out.

    Raises:
        ConfigError: with everything that is wrong.
    """
    from synthkit import settings
    from synthkit.anonymization.policy import Policy
    from synthkit.config import collected, nearest, structure
    from synthkit.errors import ConfigError
    from synthkit.plugins import discover

    tables = {name: given.pop(name, {}) for name in ("anonymize", "detector", "check")}
    registry, problems = discover(), list[str]()
    policy, plan = Policy(), None
    with collected(problems):
        policy = structure(Policy, tables["anonymize"], path="anonymize")
    with collected(problems):
        plan = settings.plan(registry, given, {"refiner": refiner})
    chosen: dict[str, list[ComponentSpec]] = {"detector": [], "check": []}
    for path, names in (("detector", detectors), ("check", checks)):
        for name in names:
            with collected(problems):
                chosen[path].append(_chosen(registry, name, tables[path], path))
        unused = sorted(set(tables[path]) - set(names)) if isinstance(tables[path], dict) else [str(tables[path])]
        problems += [f"{path}.{name}: is not used here{nearest(name, names)}; --{path} NAME uses it" for name in unused]
    if problems or plan is None:
        raise ConfigError(problems)
    return plan, policy, chosen["detector"], chosen["check"]


def _chosen(registry: Registry, name: str, tables: Any, path: str) -> ComponentSpec:
    """Return a detector by its name, or by a checkpoint of it.

    Raises:
        ConfigError, PluginError, WeightsError: when it cannot be used so.
    """
    from synthkit import detectors
    from synthkit.errors import ConfigError

    file = Path(name)
    checkpoint = file if file.is_file() else None
    table = tables.get(name, {}) if isinstance(tables, dict) and checkpoint is None else {}
    if not isinstance(table, dict):
        raise ConfigError([f"{path}.{name}: expected a table of settings such as {path}.{name}.score_threshold"])
    spec = detectors.chosen(registry, None if checkpoint else name, table, checkpoint)
    registry.configure(spec, path=f"{path}.{spec.name}")
    return spec
