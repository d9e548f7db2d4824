# SPDX-License-Identifier: Apache-2.0
"""Making a data set or a checkpoint again from what it says of itself, and comparing."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from synthkit import config, pipeline
from synthkit.checkpoint import Checkpoint, sha256_of
from synthkit.dataset import Dataset, description
from synthkit.drift.settings import GuardSettings
from synthkit.errors import DatasetError
from synthkit.interfaces import ComponentSpec
from synthkit.lineage.artefacts import ONNX_SETS, Artefact, Parent
from synthkit.lineage.tracing import Lineage, trace
from synthkit.session import Session

Make = Callable[[], str]
"""Makes an artefact again, and returns its fingerprint."""


@attrs.frozen
class Reproduced:
    """What was made again, and whether it is the same."""

    place: Path
    expected: str
    found: str

    @property
    def same(self) -> bool:
        """Whether the fingerprints are equal."""
        return self.expected == self.found


def reproduce(
    session: Session, path: Path, out: Path, places: Sequence[Path] = (), files: Mapping[str, Any] | None = None
) -> Reproduced:
    """Make a data set, a checkpoint or an ONNX file again, in a new folder, from the same parents.

    Args:
        session: its general settings give way to those that the artefact was made with. places: see ``trace``.
        files: settings of the component that name files or folders, for those that lie elsewhere now.

    Raises:
        DatasetError: when a parent is nowhere to be found, the artefact does not tell enough, a file that it was made
            with is another one or not given, or ``out`` is its own folder.
    """
    lineage = trace(path, places)
    own = lineage.start.place
    if out.resolve() == (own if own.is_dir() else own.parent).resolve():
        raise DatasetError(f"{out}: is what shall be made again: choose a new folder")
    try:
        make = _maker(session, lineage, path, out, files or {})
    except (KeyError, TypeError, AttributeError) as error:
        told = f"{type(error).__name__}: {error}"
        raise DatasetError(f"{path}: does not tell enough to be made again ({told})") from None
    return Reproduced(out, lineage.start.fingerprint, make())


def _maker(session: Session, lineage: Lineage, path: Path, out: Path, files: Mapping[str, Any]) -> Make:
    """Return what makes it again, once all that it tells of itself is read."""
    kind = lineage.start.kind
    if kind == "data set":
        return _data_set(session, lineage, out, files)
    if kind == "checkpoint":
        return _checkpoint(session, lineage, out, files)
    if kind == "ONNX file":
        return _onnx(session, lineage, out)
    raise DatasetError(f"{path}: {kind} are not made again by themselves: reproduce what they were made from")


def _data_set(session: Session, lineage: Lineage, out: Path, files: Mapping[str, Any]) -> Make:
    start = lineage.start
    data = Dataset.open(start.place, layers=(), allow_empty=True)
    stages = data.manifest.notes.get("stages", ()) if data.manifest else ()
    if not stages or stages[-1].get("kind") not in ("renderer", "refiner"):
        raise DatasetError(f"{start.place}: does not tell which renderer or refiner made it")
    assert data.manifest is not None
    last = stages[-1]
    spec = ComponentSpec(last["kind"], last["name"], _with(last["config"], files))
    same = config.plain(session.registry.configure(attrs.evolve(spec, options=last["config"]))) == last["config"]
    # A version with other settings has another sha256 whatever is in the files.
    if same and session.registry.provenance(spec)["config_sha256"] != last["config_sha256"]:
        raise DatasetError(
            f"{start.place}: files or folders that its settings name hold something else than when it was made: give"
            " the right ones with --set, such as --set people.assets=FOLDER"
        )
    guard = last.get("guard") or {"mode": "off"}
    manifest = data.manifest
    run = attrs.evolve(
        session.run, seed=last["seed"], image_format=manifest.codec.image_format,
        jpeg_quality=manifest.codec.jpeg_quality, guard=config.structure(GuardSettings, guard),
        scenes_per_shard=manifest.scenes_per_shard or session.run.scenes_per_shard,
        shard_mb=None if manifest.shard_bytes is None else manifest.shard_bytes // 10**6,
    )  # fmt: skip
    again = attrs.evolve(session, run=run)
    if spec.kind == "renderer":
        if start.parents:
            raise _taken_from(start, start.parents[0].fingerprint)
        return lambda: pipeline.render(again, spec, out, len(data.slots())).dataset.fingerprint
    known = {parent.role: _found(lineage, parent) for parent in start.parents}
    source = Dataset.open(known["source"].place, layers=(), allow_empty=True)
    if source.manifest is not None and source.manifest.notes.get("stages") == stages:
        raise _taken_from(start, source.fingerprint)
    weights = known["checkpoint"].place if "checkpoint" in known else None
    return lambda: (
        pipeline.refine(
            again, spec if weights is None else pipeline.with_weights(again, spec, weights), known["source"].place, out
        ).dataset.fingerprint
    )


def _taken_from(start: Artefact, other: str) -> DatasetError:
    """Return the error of a set that has the stages of another one, of which it holds what somebody chose."""
    return DatasetError(f"{start.place}: was taken from the data set {other[:12]}: reproduce that one")


def _found(lineage: Lineage, parent: Parent) -> Artefact:
    found = lineage.found.get(parent.fingerprint)
    if found is None:
        raise DatasetError(f"{parent.role} {parent.fingerprint[:12]}: is nowhere to be found; say where with --in")
    return found


def _checkpoint(session: Session, lineage: Lineage, out: Path, files: Mapping[str, Any]) -> Make:
    start = lineage.start
    claim = _claim(start.place.parent / pipeline.FIT_FILE)
    told, card = claim["component"], Checkpoint.open(start.place).card
    component = session.registry.get(told["kind"], told["name"]).component
    spec = ComponentSpec(told["kind"], told["name"], _with(config.told(component.config, told["config"]), files))
    other = list(_differing(told["config"], session.registry.identity(spec)["config"]))
    if other:
        raise DatasetError(
            f"{start.place}: was made with other {', '.join(other)}, of which it tells only what was in it: give"
            f" the file with --set {other[0]}=FILE"
        )
    again = attrs.evolve(session, run=attrs.evolve(session.run, seed=claim["seed"], threads=claim["threads"]))
    known = {parent.role: _found(lineage, parent).place for parent in start.parents}
    if spec.kind == "refiner":
        return lambda: pipeline.fit(again, spec, known, out).sha256
    parts = card["data"]["train"].get("parts")
    amounts = [part["times_the_first"] for part in parts] if parts else [None]
    train = [place for role, place in known.items() if role.startswith("train")]
    data = [
        str(place) if amount is None else f"{place}:{amount:g}" for place, amount in zip(train, amounts, strict=True)
    ]
    validation = str(known["validation"]) if "validation" in known else None
    return lambda: pipeline.train(again, spec, data, out, validation).sha256


def _with(settings: Mapping[str, Any], files: Mapping[str, Any]) -> dict[str, Any]:
    options = copy.deepcopy(dict(settings))
    config.merge_into(options, files)
    return options


def _differing(then: Mapping[str, Any], now: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Yield the names of settings that are not what they were; of those that there were then."""
    for name, value in then.items():
        if isinstance(value, Mapping) and isinstance(now.get(name), Mapping):
            yield from _differing(value, now[name], f"{path}{name}.")
        elif now.get(name) != value:
            yield f"{path}{name}"


def _onnx(session: Session, lineage: Lineage, out: Path) -> Make:
    from synthkit.deployment.exporting import Wishes  # needs an extra, as exporting does

    start = lineage.start
    known = {parent.role: _found(lineage, parent).place for parent in start.parents}
    if "checkpoint" not in known:
        raise DatasetError(f"{start.place}: its card does not tell which checkpoint it was made from")
    if (out / start.place.name).exists():
        raise DatasetError(f"{out / start.place.name}: is there already: choose another folder")
    made = description.load(start.place.with_suffix(".json").read_bytes()).get("made_with")
    wishes, options, again = None, {}, session
    if made is not None:  # what is exported without wishes, as a refiner is, tells none
        sets = {role: str(known[role]) for role in ONNX_SETS if role in known}
        wishes, options = Wishes(**{**made["wishes"], **sets}), made["settings"]
        again = attrs.evolve(session, run=attrs.evolve(session.run, seed=made["seed"], threads=made["threads"]))

    def make() -> str:
        pipeline.export(again, known["checkpoint"], out / start.place.name, wishes, options)
        return sha256_of(out / start.place.name)

    return make


def _claim(path: Path) -> Mapping[str, Any]:
    try:
        claim = description.load(path.read_bytes())
    except (OSError, ValueError):
        raise DatasetError(f"{path}: is missing or damaged, and tells how the checkpoint was trained") from None
    if not isinstance(claim, Mapping) or not {"component", "seed", "threads"} <= claim.keys():
        raise DatasetError(f"{path}: does not tell how the checkpoint was trained")
    return claim
