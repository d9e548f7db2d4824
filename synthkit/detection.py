# SPDX-License-Identifier: Apache-2.0
"""Finding people as a stage: what a detector finds in images becomes a set of sidecars, joined to them by key.

A place in which people could not be looked for, because the image is damaged or the detector failed, died, hung or
gave what cannot be right, is a hole with its reason. An image in which nobody was found has a sidecar without people.
The one is never taken for the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from synthkit import detectors, finds, inputs
from synthkit.dataset.sidecars import SIDECAR_OF
from synthkit.errors import ConfigError, WeightsError
from synthkit.interfaces import Calibrated, ComponentSpec
from synthkit.plugins import Registry
from synthkit.session import Session
from synthkit.settings import Plan, general
from synthkit.stage import Made, Stage, provenance, seen_from

DEFAULT_SCORE = 0.5
"""The least score of a detector that does not know its own."""

TIMEOUT_S = 300.0
"""How long an image may take."""


def detect(
    session: Session,
    detector: ComponentSpec,
    images: inputs.Images | Path | str,
    out: Path | str,
    *,
    least_score: float | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Made:
    """Find people in all images, into a set of sidecars at ``out``, or do the rest of it.

    The set has a place for each of the images, in their order: a ``Sidecar`` with their key, and ``sequence``,
    ``frame`` and ``time_s`` where they have these; or a hole (``Dataset.skipped``). ``finds.sidecar_of`` tells what is
    in a sidecar. It holds no pixels but masks and surfaces, where the detector gives them. Like every stage it goes on
    where it stopped, to the same bytes, whatever the number of workers; holes are tried again.

    ``SidecarSet.open(NAME, out)`` reads it, ``get(key)`` is None for a hole, and ``Joined`` puts it beside its images.

    Args:
        detector: with its checkpoint, as ``detectors.chosen`` gives it.
        images: opened by ``inputs.open_images``, or a data set, folder, photo or video that it opens.
        out: a folder, or a URL that fsspec reaches.
        least_score: keep finds from this score on, 0..1. None takes the one that the detector knows
            (``Calibrated``), or else ``DEFAULT_SCORE``.
        timeout_s: how long an image may take in a worker process before it becomes a hole.

    Raises:
        DatasetError: when the images cannot be read, change meanwhile, or ``out`` holds something else.
        WeightsError, ConfigError: when the detector cannot be entered. WorkError: when not one image could be looked
            at.
    """
    opened = images if isinstance(images, inputs.Images) else inputs.open_images(images, tell=session.tell)
    known = known_score(session, detector)  # what is wrong with the detector's files is told before ``out`` is claimed
    least = known if least_score is None else least_score
    session = attrs.evolve(session, executor=session.executor.limited(timeout_s))
    origin = {"path": seen_from(opened.location, out), "fingerprint": opened.fingerprint}
    stage = Stage(
        session=session,
        spec=detector,
        job="synthkit.jobs:DetectJob",
        arguments={"images": opened.to_plain(), "least_score": least},
        identity={
            "component": session.registry.identity(detector),
            "seed": session.run.seed,
            "images": opened.identity,
            "least_score": least,
            "finds": finds.REVISION,
        },
        notes={
            **opened.notes,
            "stages": [*opened.notes.get("stages", ()), {**provenance(session, detector), "least_score": least}],
            "parents": [origin],
            SIDECAR_OF: {**origin, **opened.opened_as},
        },
        keys=lambda place: [opened.key(place)],
        verb="detect",
        check=opened.check_unchanged,
    )
    return stage.run(out, len(opened))


def known_score(session: Session, detector: ComponentSpec) -> float:
    """Return the least score that a detector knows, or the default; it is entered for it.

    On the CPU, because those who do the work may have devices that this process has not.
    """
    runtime = attrs.evolve(session.runtime("detector"), device="cpu")
    with session.registry.build(detector, runtime) as instance:
        score = instance.operating_score if isinstance(instance, Calibrated) else None
    if score is None:
        return DEFAULT_SCORE
    if not isinstance(score, int | float) or not 0 <= score <= 1:
        raise WeightsError(f"detector {detector.name!r}: its operating score is {score!r}, expected 0 to 1")
    return float(score)


def plan(
    registry: Registry, settings: Mapping[str, Any], name: str | None = None, checkpoint: Path | None = None
) -> Plan:
    """Check the settings of a command that finds people, and return them with its detector; see ``detectors.chosen``.

    Args:
        settings: plain values, as ``settings.plan`` takes them; without ``name``, that in their table is meant.

    Raises:
        ConfigError: with every problem of every part. WeightsError: as ``detectors.chosen`` does.
    """
    problems: list[str] = []
    run = general(settings, ("detector",), problems)
    spec = detectors.from_settings(registry, settings, name, checkpoint, problems)
    if spec is None or problems:
        raise ConfigError(problems)
    return Plan(registry, run, {"detector": spec})
