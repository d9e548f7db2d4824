# SPDX-License-Identifier: Apache-2.0
"""Anonymizing on any machine: scene n of the new set is the image of place n, or a hole that says why."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from synthkit import config, finds, inputs
from synthkit.anonymization.people import TRACKS, TRUTH, Look, Quarantined, doubts_of, truth_of
from synthkit.anonymization.policy import Policy
from synthkit.anonymization.regions import Extent
from synthkit.anonymization.treating import Treatment
from synthkit.cache import cache_dir
from synthkit.dataset import Dataset
from synthkit.dataset.formats.photos import TRANSPARENT
from synthkit.dataset.sidecars import SidecarSet
from synthkit.errors import WorkError
from synthkit.interfaces import ComponentSpec, Detector, Refiner, Runtime
from synthkit.jobs import ComponentJob
from synthkit.sample import Sample, Sidecar, Skipped
from synthkit.seeds import Seeds

UNREADABLE = "it cannot be read"
ENDED = "work on it ended its process, or took too long"


class AnonymizeJob(ComponentJob):
    """Task n treats the image of place n.

    What others' code or data say of a failure is left out of the reason: it may hold names and places.

    Args:
        images: an ``inputs.Images``, plain. looks: sets of finds by the method's name, each a ``path``, the
            ``fingerprint`` and from which score finds are ``believed``. truth: whether the set's own labels count.
        policy, extent: as in ``Treatment``. check: the detector that looks again: ``spec`` and ``believed``.
    """

    component: Refiner

    def __init__(
        self,
        images: Mapping[str, Any],
        looks: Mapping[str, Mapping[str, Any]],
        truth: bool,
        policy: Mapping[str, Any],
        extent: Extent,
        check: Mapping[str, Any] | None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self._images = inputs.reopened(images)
        self._sets = {
            name: (SidecarSet(name, Dataset.open(look["path"], allow_empty=name == TRACKS)), look)
            for name, look in looks.items()
        }
        self._truth = truth
        self._policy = config.structure(Policy, policy)
        self._check = None if check is None else _Check(**check, job=self)
        self._treatment = Treatment(
            name=self.spec.name,
            refine=self._refine,
            sees_people=self.registry.declared(self.spec).sees_people,
            extent=extent,
            policy=self._policy,
            check=None if self._check is None else (self._check.name, self._check),
        )

    def check_machine(self) -> None:
        """Check besides that images and finds are the same."""
        super().check_machine()
        self._images.check_machine()
        for found, look in self._sets.values():
            if found.data.fingerprint != look["fingerprint"]:
                raise WorkError(f"{found.data.location}: is another set of finds on {socket.gethostname()}")

    def __call__(self, scene: int) -> Sequence[Sample | Skipped]:
        """Return the image to be handed on, or why there is none."""
        key = new_key(self._images, scene, self._policy)
        try:
            return [self._anonymized(scene, key)]
        except Quarantined as reason:
            return [Skipped(key, str(reason))]
        except Exception as error:  # whatever it was, the original must not pass
            return [Skipped(key, f"work on it failed ({type(error).__name__})")]

    def results(self, scene: int) -> Sequence[Sample | Skipped]:
        """Return what a call returns."""
        return self(scene)

    def keys(self, scene: int) -> list[str]:
        """Return the new key of a place."""
        return [new_key(self._images, scene, self._policy)]

    def _anonymized(self, place: int, key: str) -> Sample:
        try:
            sample = self._images.read(place)
        except Exception:
            raise Quarantined(UNREADABLE) from None
        if isinstance(sample, Skipped):
            raise Quarantined(UNREADABLE)
        if TRANSPARENT in doubts_of(sample) or self._images.hides(place):
            raise Quarantined("transparency hides some of it, and would not do so any more")
        looks = {name: Look(_found(name, found, sample), look["believed"])
                 for name, (found, look) in self._sets.items()}  # fmt: skip
        truth = truth_of(sample) if self._truth else None
        return self._treatment(sample, looks if truth is None else {**looks, TRUTH: truth}, key)

    def _refine(self, sample: Sample) -> Sample | Skipped:
        try:
            results = list(self.component.refine([sample]))
        except Exception as error:
            raise Quarantined(f"refiner {self.spec.name!r} failed ({type(error).__name__})") from None
        if len(results) != 1 or results[0].key != sample.key or not isinstance(results[0], Sample | Skipped):
            raise Quarantined(f"refiner {self.spec.name!r} gave no answer for it")
        return results[0]


class _Check:
    """The detector that looks again at what is to be handed on.

    Args:
        spec: plain. believed: the score from which on its finds count.
    """

    def __init__(self, spec: Mapping[str, Any], believed: float, job: AnonymizeJob) -> None:
        self._spec, self._believed = ComponentSpec(**spec), believed
        runtime = Runtime(Seeds(0).child("check"), cache_dir(), device=job.device, threads=1)
        self._detector: Detector = job.also(job.registry.build(self._spec, runtime))

    @property
    def name(self) -> str:
        return self._spec.name

    def __call__(self, sample: Sample) -> Look:
        try:
            answers = list(itertools.islice(self._detector.detect([sample]), 2))
            if len(answers) != 1:
                raise finds.Nonsense("no answer")
            names = self._detector.class_names
            return Look(finds.sidecar_of(answers[0], sample, names, self._believed), self._believed)
        except Exception:
            raise Quarantined(f"{self.name} could not look at it again") from None


def new_key(images: inputs.Images, place: int, policy: Policy) -> str:
    """Return the key under which the image of a place is handed on."""
    return images.key(place) if policy.names == "keep" else f"{place:06d}"


def _found(name: str, found: SidecarSet, sample: Sample) -> Sidecar:
    """Return what a method found in a sample.

    Raises:
        Quarantined: when it did not look, or at something else.
    """
    try:
        sidecar = found.get(sample.key)
    except Exception:
        sidecar = None
    if sidecar is None or sidecar.people is None:
        raise Quarantined(f"{name} could not tell who is in it")
    sizes = [layer.shape[1::-1] for layer in sidecar.layers.values()]
    stated = sidecar.meta.get("size_px")
    if any(size != sample.size_px for size in sizes) or (stated is not None and tuple(stated) != sample.size_px):
        raise Quarantined(f"{name} looked at an image of another size")
    if name == TRACKS and sidecar.sequence != sample.sequence:
        raise Quarantined("finds do not tell of which clip it is")
    return sidecar
