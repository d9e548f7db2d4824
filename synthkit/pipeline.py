# SPDX-License-Identifier: Apache-2.0
"""The stages as functions: render, fit, refine, and ``build``, all three; each goes on where it stopped."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from synthkit import claims, config, detectors
from synthkit.checkpoint import CHECKPOINT_FILE, Checkpoint
from synthkit.dataset import Dataset, formats, storage, stores
from synthkit.dataset.mixture import open_mixture
from synthkit.dataset.records import MANIFEST
from synthkit.drift.settings import REVISION as GUARD_REVISION
from synthkit.errors import ConfigError, PluginError, WeightsError
from synthkit.interfaces import Component, ComponentSpec, Deployable, Exportable, SampleSet, Trainable
from synthkit.jobs import scene_keys, slot_key
from synthkit.plugins import check_chain
from synthkit.sample import Sample
from synthkit.session import Session
from synthkit.stage import Made, Stage, provenance, seen_from, try_out
from synthkit.training import ranks

if TYPE_CHECKING:
    from synthkit.deployment.exporting import Wishes

BUILD_FILE = "build.json"
FIT_FILE = "fit.json"
DEFAULT_PARENT = Path("synthkit-out")
_SHORT_HASH = 8
_LOOKED_AT = 64  # samples, in search of one with people


@attrs.frozen(eq=False)
class Built:
    """What ``build`` made; what was skipped in rendering is skipped in refining too."""

    rendered: Dataset
    checkpoint: str | None
    refined: Dataset
    skipped: int


def render(session: Session, renderer: ComponentSpec, out: Path | str, count: int) -> Made:
    """Render at least ``count`` samples, in whole scenes, into a data set at ``out``, or the rest of them.

    Args:
        out: a folder, or a URL that fsspec reaches.

    Raises:
        DatasetError: when ``out`` holds something else. ConfigError: for wrong settings. WorkError: when not one
            sample could be made.
    """
    with session.registry.build(renderer, session.runtime("renderer")) as component:
        per_scene = component.samples_per_scene

    stage = Stage(
        session=session,
        spec=renderer,
        job="synthkit.jobs:RenderJob",
        arguments={},
        identity={"component": session.registry.identity(renderer), "seed": session.run.seed},
        notes={"stages": [provenance(session, renderer)]},
        keys=lambda scene: scene_keys(scene, per_scene),
        verb="render",
    )
    return stage.run(out, -(-count // per_scene))


def refine(session: Session, refiner: ComponentSpec, source: Path | str, out: Path | str) -> Made:
    """Refine the data set at ``source`` into one at ``out``, sample for sample, or the rest of them.

    Args:
        source, out: folders, or URLs that fsspec reaches.

    Raises:
        DatasetError: when ``source`` cannot be read or ``out`` holds something else. ConfigError: for wrong
            settings, or a refiner that needs what the source does not have. WorkError: when not one sample could
            be made.
    """
    data = Dataset.open(source)
    slots = data.slots()
    component = session.registry.declared(refiner)
    check_chain([("refiner", component)], provided_by(data))
    guard = session.run.guard if component.keeps_people and session.run.guard.mode != "off" else None
    parent = dict(data.manifest.notes) if data.manifest else {}
    stage = Stage(
        session=session,
        spec=refiner,
        job="synthkit.jobs:RefineJob",
        arguments={
            "source": str(source) if stores.is_url(source) else str(Path(source).resolve()),
            "source_fingerprint": data.fingerprint,
            "guard": config.plain(guard),
        },
        identity={
            "component": session.registry.identity(refiner),
            "seed": session.run.seed,
            # Its configuration, not its content: a source that has grown is still the same source.
            "source": data.manifest.fingerprint if data.manifest else data.fingerprint,
            "guard": None if guard is None else {"revision": GUARD_REVISION, **config.identity(guard)},
        },
        notes={
            **parent,
            "stages": [*parent.get("stages", ()), {**provenance(session, refiner), "guard": config.plain(guard)}],
            "parents": [{"path": seen_from(source, out), "fingerprint": data.fingerprint}],
        },
        keys=lambda index: [slot_key(data, slots[index])],
        verb="refine",
    )
    if stores.at(out).size(MANIFEST) is None:
        try_out(session, refiner)
    return stage.run(out, len(slots))


def fit(session: Session, spec: ComponentSpec, data: Mapping[str, Path | str | SampleSet], workdir: Path) -> Checkpoint:
    """Train a component, or go on with an interrupted training, or return what was finished before.

    Args:
        data: data sets by role: ``source`` and ``target`` for refiners, ``train`` and ``validation`` for
            detectors. Of those that are named by their place only the layers that it learns from are decoded.
        workdir: for the checkpoint, curves and states; belongs to this one training.

    Raises:
        PluginError: when the component learns nothing. DatasetError: when a data set cannot be read, or
            ``workdir`` holds another training, or is in use. WeightsError: when weights it starts from cannot be had.
    """
    component = session.registry.get(spec.kind, spec.name).component
    if not component.trainable:
        raise PluginError(f"{spec.kind} {spec.name!r} learns nothing: use it as it is")
    if spec.kind == "refiner":
        _check_roles(component, data)
    opened = {
        role: Dataset.open(item, layers=component.reads) if isinstance(item, str | Path) else item
        for role, item in data.items()
    }
    claim = {
        "component": session.registry.identity(spec),
        "seed": session.run.seed,
        "threads": session.run.threads,
        "data": {role: item.fingerprint for role, item in opened.items()},
    }
    new = not (workdir / FIT_FILE).exists()
    with _together():
        with _in_turn():
            finished = _claim_workdir(workdir, claim)
        return finished or _fitted(session, spec, opened, workdir, claim, new)


def _check_roles(refiner: Component, data: Mapping[str, Any]) -> None:
    """Check that a refiner gets the data sets that it learns from, and no others.

    Raises:
        ConfigError: naming each that is missing or too many.
    """
    missing = [f"--{role}: refiner {refiner.name!r} learns from it too" for role in refiner.learns_from - set(data)]
    surplus = [f"--{role}: refiner {refiner.name!r} learns nothing from it" for role in set(data) - refiner.learns_from]
    if missing or surplus:
        raise ConfigError(sorted(missing + surplus))


def train(
    session: Session, detector: ComponentSpec, data: Sequence[str], workdir: Path, validation: str | None = None
) -> Checkpoint:
    """Train a detector on a data set, or on several in stated amounts, as ``fit`` does.

    Args:
        data: folders or URLs; ``refined:3`` takes 3 times as many samples as the first set has. validation: chooses the
            checkpoint.
    """
    layers = session.registry.declared(detector).reads
    mixture = open_mixture(data, session.runtime("mixture").seeds, layers=layers)
    sources: dict[str, str | SampleSet] = {"train": mixture}
    if validation:
        sources["validation"] = validation
    return fit(session, detector, sources, workdir)


def build(
    session: Session,
    renderer: ComponentSpec,
    refiner: ComponentSpec,
    out: Path | str | None,
    count: int,
    *,
    real: Path | str | None = None,
    checkpoint: Path | None = None,
) -> Built:
    """Render, train the refiner towards ``real``, and refine: everything below ``out``.

    Args:
        out: its folder, or, where nothing is trained, a URL that fsspec reaches; None for a folder in
            ``synthkit-out`` named by the configuration.
        count: samples to render at least, in whole scenes; may be raised when the same build is run again,
            unless the refiner is trained.
        real: the target: a data set (a URL too), or a folder of a format that ``convert`` knows. Without it (and
            without ``checkpoint``) the refiner's small demonstration checkpoint is used.

    Raises:
        ConfigError, DatasetError, PluginError, WeightsError: before any work, as far as can be known.
    """
    parts = [session.registry.declared(spec) for spec in (renderer, refiner)]
    check_chain([(part.kind, part) for part in parts], frozenset())
    if real is not None and checkpoint is not None:
        raise ConfigError(["--real trains a checkpoint and --checkpoint gives one: choose one of them"])
    if real is not None and not parts[1].trainable:
        raise ConfigError([f"refiner {refiner.name!r} learns nothing from --real: leave it away"])
    if real is not None and out is not None and stores.is_url(out):
        raise ConfigError(
            [f"--out {out}: training needs a folder on this machine: build there, or render, fit and refine in turn"]
        )
    if real is None:
        refiner = with_weights(session, refiner, checkpoint)
    target = None if real is None else opened_real(session, real)
    claim = {
        "renderer": session.registry.identity(renderer),
        "refiner": session.registry.identity(refiner),
        "seed": session.run.seed,
        "threads": session.run.threads,
        "guard": config.plain(session.run.guard),
        "codec": config.plain(session.run.codec),
        "real": None if target is None else real_identity(target),
    }
    out = out or _default_folder({**claim, "count": count}, renderer.name, refiner.name)
    # What is trained on the rendered samples depends on how many there are; else a build can grow.
    claims.claim(out, BUILD_FILE, claim if real is None else {**claim, "count": count})
    real_set = None if target is None else as_dataset(session, target, Path(out, "real"))

    rendered = render(session, renderer, _below(out, "rendered"), count)
    if real_set is not None:
        sets: dict[str, SampleSet] = {"source": rendered.dataset, "target": real_set}
        pair = {role: item for role, item in sets.items() if role in parts[1].learns_from}
        fitted = fit(session, refiner, pair, Path(out, "refiner"))
        refiner = attrs.evolve(refiner, checkpoint=str(fitted.path.resolve()), checkpoint_sha256=fitted.sha256)
    refined = refine(session, refiner, rendered.dataset.location, _below(out, "refined"))
    return Built(rendered.dataset, refiner.checkpoint, refined.dataset, refined.skipped)


def _below(place: Path | str, name: str) -> Path | str:
    return f"{str(place).rstrip('/')}/{name}" if stores.is_url(place) else Path(place, name)


def with_weights(session: Session, spec: ComponentSpec, checkpoint: Path | None) -> ComponentSpec:
    """Return the spec with its checkpoint: the one given, or the plugin's small demonstration one.

    Raises:
        WeightsError: when neither is there, or it is another component's.
    """
    component = session.registry.get(spec.kind, spec.name).component
    if not component.trainable:
        if checkpoint is not None:
            raise WeightsError(f"{spec.kind} {spec.name!r} takes no checkpoint")
        return spec
    if checkpoint is None:
        checkpoint = component.shipped_checkpoint()
        if checkpoint is None:
            raise WeightsError(
                f"{component.kind} {component.name!r} must be trained first: give --real DATASET to 'build',"
                " or --checkpoint FILE from 'synthkit fit'"
            )
        own = (
            "for your own sensor's look give --real DATASET (or a trained --checkpoint)"
            if "source" in component.learns_from
            else "for one of your own give --checkpoint FILE from 'synthkit fit'"
        )
        session.tell(f"{spec.kind} {spec.name!r}: using its small demonstration checkpoint; {own}")
    opened = Checkpoint.open(checkpoint)
    opened.require(spec.kind)
    return attrs.evolve(spec, checkpoint=str(opened.path.resolve()), checkpoint_sha256=opened.sha256)


def export(
    session: Session,
    checkpoint: Path,
    out: Path,
    wishes: Wishes | None = None,
    options: Mapping[str, Any] | None = None,
) -> Mapping[str, Any]:
    """Write the ONNX file of what a checkpoint holds and, beside it, its card; return the card.

    Args:
        checkpoint: or the folder of the training that made it. wishes: of detectors: what the file shall be.
        options: of detectors: settings over those it was trained with.

    Raises:
        ConfigError: when ``out`` is not named as an ONNX file, or the wishes cannot be met. WeightsError: when no
            installed component applies the checkpoint. PluginError: when its component cannot be exported.
        WorkError: when the file does not do what the component does.
    """
    if out.suffix.lower() != ".onnx":  # a mistyped name must not cost the file that has it
        raise ConfigError([f"--onnx {out}: expected a name that ends in .onnx"])
    opened = Checkpoint.open(checkpoint / CHECKPOINT_FILE if checkpoint.is_dir() else checkpoint)
    spec = _applying(session, opened, options or {})
    with session.entered(spec) as component:
        if isinstance(component, Deployable):
            from synthkit.deployment import exporting  # needs an extra, as exporting does

            return exporting.export(session, component, opened, out, wishes or exporting.Wishes(), options)
        if not isinstance(component, Exportable):
            raise PluginError(f"{spec.kind} {spec.name!r} cannot be exported as ONNX")
        if wishes is not None and attrs.asdict(wishes) != attrs.asdict(type(wishes)()):
            raise ConfigError([f"{spec.kind} {spec.name!r}: leaves as it is; all options but --onnx are for detectors"])
        with storage.disk_errors(out):
            out.parent.mkdir(parents=True, exist_ok=True)
            card = component.export_onnx(out)
    claims.write_json(out.with_suffix(".json"), card)
    return card


def _applying(session: Session, checkpoint: Checkpoint, options: Mapping[str, Any]) -> ComponentSpec:
    """Return the component that applies a checkpoint: a detector as it was trained, or the first refiner that can.

    Raises:
        WeightsError: when there is none. ConfigError: when a refiner is given a detector's settings.
    """
    if checkpoint.card.get("kind") != "refiner":
        return detectors.chosen(session.registry, None, options, checkpoint.path)
    if options:
        raise ConfigError([f"detector: checkpoint {checkpoint.path} is a refiner's: leave its settings away"])
    name, broken = checkpoint.card.get("name"), []
    for item in session.registry.all("refiner"):
        component = item.component
        try:
            if component.trainable and session.registry.family(component) == name:
                return ComponentSpec("refiner", component.name, {}, str(checkpoint.path), checkpoint.sha256)
        except PluginError as error:  # another's plugin must not stand in the way
            broken.append(str(error))
    reasons = "".join(f"; {reason}" for reason in broken)
    raise WeightsError(f"checkpoint {checkpoint.path}: no refiner that is installed applies those of {name!r}{reasons}")


def provided_by(data: Dataset) -> frozenset[str]:
    """Return what the samples of a set carry, in the words of ``Component.provides``.

    The first sample with people in it is looked at; rooms that are known to be empty lack nothing.
    """
    return carried_by(peopled(data) or data[0])


def peopled(samples: Iterable[Sample]) -> Sample | None:
    """Return the first sample with people in it, None where the first of them show none."""
    return next((sample for sample in itertools.islice(samples, _LOOKED_AT) if sample.people), None)


def carried_by(sample: Sample) -> frozenset[str]:
    """Return what a sample carries, in the words of ``Component.provides``."""
    people = sample.people or ()
    carried: dict[str, list[object]] = {
        "people.head": [person.head_px for person in people],
        "people.box": [person.box_xyxy_px for person in people],
        "people.rotated_box": [person.rotated_box for person in people],
    }
    empty = sample.people == ()
    return frozenset(sample.layers) | {word for word, values in carried.items() if empty or any(values)}


def _claim_workdir(workdir: Path, claim: Mapping[str, Any]) -> Checkpoint | None:
    """Take a training folder for ``claim``; return the checkpoint when this training was finished there.

    Where somebody removed the checkpoint, the training goes on from what else is there.
    """
    noted = claims.claim(workdir, FIT_FILE, claim)
    result = noted.get("checkpoint")
    if result is None or not (workdir / result["file"]).exists():
        return None
    return Checkpoint.open(workdir / result["file"], expected_sha256=result["sha256"])


def _fitted(
    session: Session, spec: ComponentSpec, data: Mapping[str, SampleSet], workdir: Path, claim: Mapping[str, Any],
    new: bool,
) -> Checkpoint:  # fmt: skip
    """Train in a folder that is taken for it; of several processes, the first keeps what comes of it.

    Where data show that settings are wrong, a folder that is ``new`` is given back empty, for the right ones.
    """
    keeps = ranks.rank() == 0
    with closing(locked(workdir)) if keeps else nullcontext(), session.entered(spec) as instance:
        if not isinstance(instance, Trainable):
            raise PluginError(f"{spec.kind} {spec.name!r} is declared trainable but has no fit()")
        if keeps:
            storage.clear_temporaries(workdir)
        try:
            checkpoint = instance.fit(data, workdir)
        except ConfigError:
            if keeps and new:
                _give_back(workdir)
            raise
        if keeps:
            result = {"file": str(checkpoint.path.relative_to(workdir)), "sha256": checkpoint.sha256}
            claims.write_json(workdir / FIT_FILE, {**claim, "checkpoint": result})
    return checkpoint


def _give_back(workdir: Path) -> None:
    """Empty a folder that was taken for a training in vain; what was learned, if anything, is never removed."""
    if any(workdir.rglob("*.safetensors")):
        return
    for item in workdir.iterdir():
        if item.is_dir() and not item.is_symlink():
            shutil.rmtree(item, ignore_errors=True)
        else:
            item.unlink(missing_ok=True)


def _together() -> AbstractContextManager[None]:
    """Train with the other processes that torchrun started, if it did."""
    if ranks.size() == 1:
        return nullcontext()
    from synthkit.training import distributed  # it imports torch

    return distributed.joined()


def _in_turn() -> AbstractContextManager[None]:
    if ranks.size() == 1:
        return nullcontext()
    from synthkit.training import distributed

    return distributed.in_turn()


def locked(folder: Path) -> storage.FolderLock:
    """Return the right to work in a folder, to be closed."""
    with storage.disk_errors(folder):
        return storage.FolderLock(folder)


def _default_folder(claim: Mapping[str, Any], renderer: str, refiner: str) -> Path:
    return DEFAULT_PARENT / f"{renderer}-{refiner}-{config.fingerprint(claim)[:_SHORT_HASH]}"


def opened_real(session: Session, place: Path | str) -> Dataset | formats.Conversion:
    """Open a data set, or a folder of another format that is to be one; all that is wrong with it is told now."""
    if stores.is_url(place) or formats.is_dataset(Path(place)):
        return Dataset.open(place)
    return formats.prepare(place, progress=session.progress, tell=session.tell)


def real_identity(real: Dataset | formats.Conversion) -> str:
    """Return what tells this set of real samples from others."""
    return real.fingerprint if isinstance(real, Dataset) else config.fingerprint(real.identity)


def as_dataset(session: Session, real: Dataset | formats.Conversion, converted: Path) -> Dataset:
    """Return the real samples as a data set, converted into a folder where they are not one yet."""
    if isinstance(real, Dataset):
        return real
    data = real.run(converted, progress=session.progress)
    line = formats.left_out(data)
    if line:
        session.tell(f"--real {real.place}: {line}")
    return data
