# SPDX-License-Identifier: Apache-2.0
"""The command that hands images on without the people in them."""

from __future__ import annotations

import enum
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
    from synthkit.interfaces import ComponentSpec
    from synthkit.plugins import Registry


class OnMiss(enum.StrEnum):
    """What is done about images in which nobody was found."""

    QUARANTINE = "quarantine"
    BLUR_IMAGE = "blur-image"
    PASS = "pass"


@app.command()
def anonymize(
    source: Annotated[
        str, typer.Argument(metavar="IN", help="Photos, videos, a data set, or a set of a format 'convert' knows.")
    ],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder for the result, the audit record and the summary.")
    ],
    refiner: RefinerName = None,
    checkpoint: Checkpoint = None,
    detector: Annotated[
        list[str] | None,
        typer.Option(
            "--detector",
            help="What looks for people: a detector's name or checkpoint; may be repeated. Its settings are"
            " detector.NAME.KEY.",
            metavar="NAME|FILE",
        ),
    ] = None,
    found: Annotated[
        list[Path] | None,
        typer.Option(
            "--finds", help="People found in these images by 'synthkit detect'; may be repeated.", metavar="DIR"
        ),
    ] = None,
    truth: Annotated[bool, typer.Option(help="Take the set's own labels for the truth, if it has any.")] = True,
    check: Annotated[
        str | None,
        typer.Option(
            help="Another detector that looks again at the result. Its settings are check.NAME.KEY.",
            metavar="NAME|FILE",
        ),
    ] = None,
    on_miss: Annotated[
        OnMiss | None,
        typer.Option(
            help="Images in which nobody was found are left out, blurred as a whole, or handed on as they are."
            " [default: quarantine]"
        ),
    ] = None,
    config: ConfigFile = None,
    sets: Sets = None,
    seed: Seed = None,
    workers: Workers = None,
    allow_missing: AllowMissing = False,
) -> None:
    """Hand images on without the people in them; whoever is in doubt is blurred, what is in doubt is left out."""
    from synthkit import pipeline, settings
    from synthkit.anonymization import run
    from synthkit.anonymization.policy import Policy
    from synthkit.config import collected, nearest, structure
    from synthkit.errors import ConfigError
    from synthkit.execution import Local
    from synthkit.interfaces import ComponentSpec
    from synthkit.plugins import discover

    flags: dict[str, Any] = {"seed": seed, "anonymize": {} if on_miss is None else {"on_miss": on_miss.value}}
    given = settings.read(config, sets or (), flags)
    tables = {name: given.pop(name, {}) for name in ("anonymize", "detector", "check")}
    registry, problems = discover(), list[str]()
    policy, plan = Policy(), None
    with collected(problems):
        policy = structure(Policy, tables["anonymize"], path="anonymize")
    with collected(problems):
        plan = settings.plan(registry, given, {"refiner": refiner})
    looking, checking = list[ComponentSpec](), list[ComponentSpec]()
    for path, names, chosen in (("detector", detector or (), looking), ("check", [check] if check else (), checking)):
        for name in names:
            with collected(problems):
                chosen.append(_chosen(registry, name, tables[path], path))
        unused = sorted(set(tables[path]) - set(names)) if isinstance(tables[path], dict) else [str(tables[path])]
        problems += [f"{path}.{name}: is not used here{nearest(name, names)}; --{path} NAME uses it" for name in unused]
    if problems or plan is None:
        raise ConfigError(problems)
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
