# SPDX-License-Identifier: Apache-2.0
"""Anonymizing a whole folder or data set: find people, treat them, look again, and account for everybody.

Originals are read where they lie and never written anywhere: not to temporary files, not to the finds, not to what
waits to be joined to shards.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from synthkit import claims, config, detection, inputs, surfaces
from synthkit.anonymization import audit, files, flicker, sound
from synthkit.anonymization.audit import Counts
from synthkit.anonymization.clips import tracked
from synthkit.anonymization.flicker import Flicker
from synthkit.anonymization.job import ENDED
from synthkit.anonymization.people import TRACKS, TRUTH
from synthkit.anonymization.policy import Policy
from synthkit.anonymization.reentry import Recogniser
from synthkit.anonymization.treating import LEFT_BLANK, REVISION
from synthkit.dataset import Dataset
from synthkit.dataset.sidecars import SidecarSet
from synthkit.errors import ConfigError
from synthkit.interfaces import ComponentSpec
from synthkit.jobs import job_arguments
from synthkit.report import templates
from synthkit.session import Session
from synthkit.stage import Stage, try_out

CLAIM = "anonymize.json"
DATASET, FINDS, AUDIT, SUMMARY = "dataset", "finds", "audit.jsonl", "summary.html"


@attrs.frozen(eq=False)
class Anonymized:
    """What came of it.

    Args:
        dataset: to be handed on. files: the same as a folder of photos or videos, where such came in.
        audit: a line for each person. summary: the page for whoever answers for it. counts: of the audit.
        flicker: of clips, where there are some with people.
    """

    dataset: Dataset
    files: Path | None
    audit: Path
    summary: Path
    counts: Counts
    flicker: Flicker | None


@attrs.frozen(eq=False)
class Methods:
    """What looks for people.

    Args:
        truth: whether a set's own labels count, and are enough. detectors: with their checkpoints.
        finds: sets of sidecars that ``synthkit detect`` or others made of the same images.
        check: a detector that looks again at what is to be handed on; another one than those that looked.
    """

    truth: bool = True
    detectors: Sequence[ComponentSpec] = ()
    finds: Sequence[Path] = ()
    check: ComponentSpec | None = None


def anonymize(
    session: Session,
    source: Path | str,
    refiner: ComponentSpec,
    out: Path,
    methods: Methods | None = None,
    policy: Policy | None = None,
) -> Anonymized:
    """Treat everybody in all images of ``source``, into ``out``, or do the rest of it.

    Args:
        source: a data set, a folder or file of a format that ``convert`` reads, photos or videos.
        refiner: what treats people. Where its settings have ``extent = "head"`` it treats heads alone, and no more is
            asked of it.
        out: a folder: ``dataset``, and of photos ``images``, of videos ``video``, are to be handed on;
            ``audit.jsonl``, ``summary.html`` and ``finds`` tell how, and stay.

    Raises:
        ConfigError: when nothing would look for people, or the detector that looks again is one that looked.
        DatasetError: when the images cannot be read, or ``out`` holds something else.
        WeightsError: when a detector, an embedder or the refiner cannot be entered; nothing is written then.
    """
    methods, policy = methods or Methods(), policy or Policy()
    if policy.sound == "keep":
        sound.check()
    images = inputs.open_images(
        source, layers=("instances", *surfaces.LAYERS), progress=session.progress, tell=session.tell
    )
    _check_methods(session, methods, images)
    given = _given(session, methods.finds, images)
    templates.check()
    try_out(session, refiner)
    detectors = [(spec, _believed(session, spec, policy)["believed"]) for spec in methods.detectors]
    check = None if methods.check is None else _believed(session, methods.check, policy)
    recogniser = None if policy.reentry is None else Recogniser(policy.reentry, session.runtime("reentry"))
    work = _work(session, images, refiner, methods, policy, given)
    claims.claim(out, CLAIM, work)
    looks = {found.name: _look(found.data, policy.confident or 0.0) for found in given}
    for spec, believed in detectors:
        looks[spec.name] = _detected(session, spec, believed, images, out, policy)
    tracks = tracked(images, looks, out / FINDS, policy, recogniser) if looks else None
    if tracks is not None:
        _treat_anew_by(session, tracks, out)
        looks[TRACKS] = _look(tracks, 0.0)
    data = _treated(
        session, images, refiner, out, work, {"looks": looks, "truth": methods.truth, "check": check}, policy
    )
    folder = files.write(session, data, images, out, policy)
    counts = audit.write(data, out / AUDIT)
    _tell_blank(session, refiner.name, counts)
    from synthkit.report import anonymization as page  # it needs an extra

    names = {found.name: path.resolve().name for found, path in zip(given, methods.finds, strict=True)}
    restless = None if tracks is None else flicker.measured(data, images, policy)
    page.write_report(data, counts, out / SUMMARY, names, restless)
    folder = files.write_sound(session, data, images, out, policy) or folder
    return Anonymized(data, folder, out / AUDIT, out / SUMMARY, counts, restless)


def _given(session: Session, folders: Sequence[Path], images: inputs.Images) -> list[SidecarSet]:
    """Open sets of finds. They are called by numbers: what a folder is called may be anybody's name.

    Raises:
        DatasetError: when they are of other images.
    """
    given = [SidecarSet.open(f"finds-{number}", folder) for number, folder in enumerate(folders, 1)]
    for found, folder in zip(given, folders, strict=True):
        found.check_of(images.location, images.fingerprint)
        session.tell(f"{found.name}: {folder}")
    return given


def _check_methods(session: Session, methods: Methods, images: inputs.Images) -> None:
    problems = []
    looking = [spec.name for spec in methods.detectors]
    if (
        not looking
        and not methods.finds
        and (not methods.truth or images.opened_as.get("form") in (files.PHOTOS, files.VIDEO))
    ):
        problems.append("nothing looks for people: give --detector NAME, or --finds DIR from 'synthkit detect'")
    twice = sorted({name for name in looking if looking.count(name) > 1 or name in (TRUTH, TRACKS)})
    if twice:
        problems.append(f"{', '.join(twice)}: names more than one method")
    folders = [path.resolve() for path in methods.finds]
    problems += [f"--finds {path}: is given twice, and agrees with itself" for path in sorted(set(folders))
                 if folders.count(path) > 1]  # fmt: skip
    if methods.check is not None:
        known = [session.registry.identity(spec) for spec in methods.detectors]
        if session.registry.identity(methods.check) in known:
            problems.append(
                f"--check {methods.check.name}: is the detector that looked, and overlooks the same people again;"
                " give another one, or the same with other weights"
            )
    if problems:
        raise ConfigError(problems)


def _work(
    session: Session, images: inputs.Images, refiner: ComponentSpec, methods: Methods, policy: Policy,
    given: Sequence[SidecarSet],
) -> dict[str, Any]:  # fmt: skip
    """Return what the folder is for, and what decides about the result."""
    identity = session.registry.identity
    return {
        "anonymize": REVISION,
        "images": images.identity,
        "refiner": identity(refiner),
        "truth": methods.truth,
        "detectors": {spec.name: identity(spec) for spec in methods.detectors},
        "finds": {found.name: found.data.fingerprint for found in given},
        "check": None if methods.check is None else identity(methods.check),
        "policy": config.identity(policy),
        "seed": session.run.seed,
        "codec": config.plain(session.run.codec),
    }


def _look(data: Dataset, believed: float) -> dict[str, Any]:
    return {"path": str(Path(data.location).resolve()), "fingerprint": data.fingerprint, "believed": believed}


def _believed(session: Session, spec: ComponentSpec, policy: Policy) -> dict[str, Any]:
    """Return a detector as it travels, and the score from which on its finds are believed."""
    score = detection.known_score(session, spec) if policy.confident is None else policy.confident
    return {"spec": job_arguments(session, spec)["spec"], "believed": score}


def _detected(
    session: Session, spec: ComponentSpec, believed: float, images: inputs.Images, out: Path, policy: Policy
) -> dict[str, Any]:
    """Have a detector look at all images, at people in doubt too."""
    made = detection.detect(
        session, spec, images, out / FINDS / spec.name,
        least_score=believed * policy.doubtful, timeout_s=policy.timeout_s,
    )  # fmt: skip
    return _look(made.dataset, believed)


def _tell_blank(session: Session, refiner: str, counts: Counts) -> None:
    """Say how many people are gone without anybody in their place, where a refiner was to put somebody there."""
    if blank := counts.people.get(LEFT_BLANK, 0):
        session.tell(
            f"{blank} of {sum(counts.people.values())} people are left blank: refiner {refiner!r} could put nobody in"
            " their place, as they are too small, or nothing tells what it needs to know of them, such as a layer of"
            " their surfaces"
        )


def _treat_anew_by(session: Session, tracks: Dataset, out: Path) -> None:
    """Remove what was treated by other tracks.

    Where a detector had failed in a frame and has looked by now, or a clip has grown, somebody may be known of who was
    missed in the frames around it.
    """
    note = out / FINDS / f"{TRACKS}.json"
    others = not (note.is_file() and tracks.fingerprint.encode() in note.read_bytes())
    if others and (out / DATASET).exists():
        session.tell("more is known of the clips than before: all frames are treated anew")
        for name in (files.PHOTOS, files.VIDEO, files.SOUND, DATASET):
            if (out / name).exists():
                shutil.rmtree(out / name)
    claims.write_json(note, {"tracks": tracks.fingerprint})


def _treated(
    session: Session, images: inputs.Images, refiner: ComponentSpec, out: Path, work: Mapping[str, Any],
    looking: Mapping[str, Any], policy: Policy,
) -> Dataset:  # fmt: skip
    """Have all images treated, each in a process that may die or hang without any harm to the others.

    Args:
        work: what decides about the result. looking: the arguments of the job about what looks, and looks again.
    """
    session = attrs.evolve(session, executor=session.executor.limited(policy.timeout_s))
    settings = session.registry.configure(refiner)
    stage = Stage(
        session=session,
        spec=refiner,
        job="synthkit.anonymization.job:AnonymizeJob",
        arguments={
            "images": images.to_plain(),
            **looking,
            "policy": config.plain(policy),
            "extent": getattr(settings, "extent", "body"),
        },
        identity=work,
        # Of where things were, and of others' settings and words, nothing.
        notes={"anonymized_by": refiner.name},
        keys=lambda place: [images.key(place) if policy.names == "keep" else f"{place:06d}"],
        verb="anonymize",
        check=images.check_unchanged,
        ended=lambda _: ENDED,
        may_be_empty=True,
    )
    return stage.run(out / DATASET, len(images)).dataset
