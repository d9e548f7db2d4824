# SPDX-License-Identifier: Apache-2.0
"""From a fitted detector to a file that a device can have: form, bits, comparison, card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import attrs
import numpy as np
import numpy.typing as npt
import onnx

from synthkit import claims
from synthkit import config as configs
from synthkit.checkpoint import Checkpoint
from synthkit.dataset import Dataset, storage
from synthkit.deployment.budget import budget
from synthkit.deployment.cards import DetectorCard, parse_card
from synthkit.deployment.files import OnnxFile, with_card
from synthkit.deployment.linting import lint
from synthkit.deployment.modelcard import markdown, usage
from synthkit.deployment.parity import Parity, compare
from synthkit.deployment.profiles import PROFILES, Profile, Quantisation, profile_named
from synthkit.deployment.quantising import quantise
from synthkit.deployment.runner import Runner
from synthkit.deployment.sessions import as_input
from synthkit.errors import ConfigError, DatasetError, WorkError
from synthkit.interfaces import Deployable, Detector, OnnxForm, SampleSet, Scored
from synthkit.letterbox import Letterbox
from synthkit.sample import Detections, Sample
from synthkit.seeds import Seeds
from synthkit.session import Session

_DRAWN = 4
_DEFAULT_SCORE = 0.3
_FLOAT_MATCHED, _FLOAT_IOU, _FLOAT_SCORE = 0.98, 0.99, 1e-3
_LEAST_IOU = 0.75  # mean of 8 bits against float: below it boxes are other boxes


@attrs.frozen
class Wishes:
    """What an export shall be; what is None the profile decides, or else the most usual.

    Args:
        variant, dynamic, opset: see ``OnnxForm``. int8: quantise; per_tensor: with one scale per weight tensor.
        calibrate: data set whose images tell the ranges. check: data set to compare and judge on; None: other images
            of ``calibrate``, or drawn ones.
        images: how many of ``calibrate`` to take. profile: name of the device's, whose findings then refuse the file.
        least_matched: share of boxes that 8 bits must find again. most_f1_loss: what F1 may lose by them.
    """

    variant: Literal["complete", "network"] | None = None
    dynamic: bool = False
    opset: int | None = None
    int8: bool = False
    per_tensor: bool = False
    calibrate: str | None = None
    check: str | None = None
    images: int = 64
    profile: str | None = None
    least_matched: float = 0.9
    most_f1_loss: float = 0.01

    def resolved(self) -> tuple[Profile, OnnxForm, Quantisation]:
        """Return profile, form and scheme.

        Raises:
            ConfigError: naming all that does not go together.
        """
        profile = profile_named(self.profile) if self.profile is not None else PROFILES["any"]
        scheme: Quantisation = profile.quantisations[0]
        if self.int8 or self.per_tensor:
            scheme = "per-tensor" if self.per_tensor or profile.quantisations == ("per-tensor",) else "per-channel"
        variant = self.variant or ("network" if profile.operators is not None else "complete")
        problems = []
        if scheme != "float" and self.calibrate is None:
            why = "--int8" if self.int8 or self.per_tensor else f"--profile {profile.name}"
            problems.append(f"{why}: needs --calibrate SET, images from which the ranges of activations are taken")
        if scheme == "float" and self.calibrate is not None:
            problems.append("--calibrate: is for --int8, and for profiles of devices that want 8 bits")
        if self.per_tensor and not self.int8:
            problems.append("--per-tensor: is for --int8")
        if self.opset is not None and not 13 <= self.opset <= 20:
            problems.append(f"--opset {self.opset}: must lie between 13 and 20")
        if self.dynamic and profile.static:
            problems.append(f"--dynamic: the toolchain of {profile.name} needs fixed shapes")
        if problems:
            raise ConfigError(problems)
        return profile, OnnxForm(variant, self.dynamic, self.opset or profile.opset), scheme


def export(
    session: Session,
    detector: Deployable,
    checkpoint: Checkpoint,
    out: Path,
    wishes: Wishes,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write a detector as ``out``, its card beside as JSON and Markdown, and return the card.

    Nothing is written when the file finds other boxes than the detector, or the profile's toolchain would not take it.

    Args:
        settings: over those of the training, as the detector has them: for the card, by which the file is made again.

    Raises:
        ConfigError: for wishes that do not go together, or that the profile refuses. DatasetError: when a set is
            empty. WorkError: when finds differ beyond tolerance.
    """
    profile, form, scheme = wishes.resolved()
    graph = detector.onnx_graph(form)
    card = parse_card(graph.card, "the detector's card")
    calibration, check = _sets(wishes, card, session)
    comparison = _Comparison(session, detector, card, check, wishes)
    checks: dict[str, Any] = {"float": comparison.of_float(graph.model, str(out))}
    data = graph.model
    if scheme != "float":
        data = quantise(data, card.input.name, _inputs(card, session.counted("calibrate", calibration)), scheme,
                        graph.ranges)  # fmt: skip
        checks |= comparison.of_quantised(data, str(out))
    findings = lint(OnnxFile.parse(data), profile)
    refused = [str(finding) for finding in findings if finding.level == "error"]
    if wishes.profile is not None and refused:
        raise ConfigError([f"--profile {profile.name}: {line}" for line in refused])
    inner = {
        "detector": configs.plain(card), "format": "ONNX", "variant": form.variant, "quantisation": scheme,
        "opset": form.opset, **graph.about,
        "calibration": _described(calibration) if scheme != "float" else None,
        "checked_on": _described(check), "checks": checks,
    }  # fmt: skip
    whole = with_card(onnx.load_model_from_string(data), inner, usage(card, out.name))
    written = OnnxFile.parse(whole)
    full = {
        **inner, "file": out.name, "bytes": len(whole), "sha256": hashlib.sha256(whole).hexdigest(),
        "ir_version": written.model.ir_version, "profile": profile.name, "next": profile.after,
        "findings": [str(finding) for finding in findings], "budget": attrs.asdict(budget(written, card.input)),
        "made_with": {"wishes": _by_content(wishes), "settings": dict(settings or {}), "seed": session.run.seed,
                      "threads": session.run.threads},
    }  # fmt: skip
    for finding in findings:
        session.tell(str(finding))
    _write(out, whole, full)
    return full


@attrs.frozen(eq=False)
class _Comparison:
    """The detector's own answers beside a file's."""

    session: Session
    detector: Deployable
    card: DetectorCard
    check: SampleSet
    wishes: Wishes
    _own: list[Detections] = attrs.field(factory=list)

    def of_float(self, data: bytes, name: str) -> dict[str, Any]:
        """Return how alike a float file's finds are.

        Raises:
            WorkError: when they are not.
        """
        found = compare(self._ours(), self._theirs(data, name), self.card.score_threshold)
        if found.matched < _FLOAT_MATCHED or found.mean_iou < _FLOAT_IOU or found.mean_score_difference > _FLOAT_SCORE:
            raise WorkError(f"export to {name}: ONNX Runtime's boxes differ from torch's: {_told(found)}")
        return attrs.asdict(found)

    def of_quantised(self, data: bytes, name: str) -> dict[str, Any]:
        """Return how alike the finds of 8 bits are, and how good both are where people are known.

        Raises:
            WorkError: when they differ beyond tolerance.
        """
        score = self.card.operating_score or _DEFAULT_SCORE
        ours, theirs = self._ours(), self._theirs(data, name)
        found = compare(ours, theirs, score)
        if not found.boxes:
            raise WorkError(
                f"export to {name}: no box of the sample images has a score of {score:.2f}, so nothing can be compared;"
                " give --check a set with people in it"
            )
        advice = "calibrate on more images like the sensor's (--calibrate, --images), or allow it (--least-matched)"
        if found.matched < self.wishes.least_matched or found.mean_iou < _LEAST_IOU:
            raise WorkError(f"export to {name}: 8 bits find other boxes: {_told(found)}; {advice}")
        metrics = self._metrics(ours, theirs)
        loss = metrics["f1_loss"] if metrics else 0.0
        if loss > self.wishes.most_f1_loss:
            raise WorkError(
                f"export to {name}: F1 falls by {loss:.3f}, more than {self.wishes.most_f1_loss:g}, with 8 bits:"
                f" {metrics['before']['f1']:.3f} to {metrics['after']['f1']:.3f}; calibrate on more images like the"
                " sensor's, or allow it (--most-f1-loss)"
            )
        return {"quantised": attrs.asdict(found), "metrics": metrics or None}

    def _ours(self) -> list[Detections]:
        if not self._own:
            detector = cast(Detector, self.detector)
            self._own.extend(detector.detect(self.session.counted("detect", self.check)))
        return self._own

    def _theirs(self, data: bytes, name: str) -> list[Detections]:
        runner = Runner.of(self.card, data, name, self.session.run.threads or 1)
        return [runner.detect(s.key, np.asarray(s.image)) for s in self.session.counted("compare", self.check)]

    def _metrics(self, before: Sequence[Detections], after: Sequence[Detections]) -> dict[str, Any]:
        """Return both judgements, at the score that is best for the float detector; empty without known people."""
        if all(sample.people is None for sample in self.check):
            return {}
        score = self.detector.judged(self._scored(before))["score"]  # of several classes each one's best may be another
        first, second = (self.detector.judged(self._scored(found), score) for found in (before, after))
        return {"before": dict(first), "after": dict(second), "f1_loss": round(first["f1"] - second["f1"], 6)}

    def _scored(self, found: Sequence[Detections]) -> Iterator[Scored]:
        return (Scored(sample, answer) for sample, answer in zip(self.check, found, strict=True))


@attrs.frozen(eq=False)
class _Some:
    """Some samples of a set."""

    whole: SampleSet
    places: Sequence[int]

    @property
    def fingerprint(self) -> str:
        """Of the whole set: it says nothing of how many were taken."""
        return self.whole.fingerprint

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int, /) -> Sample:
        return self.whole[self.places[index]]

    def __iter__(self) -> Iterator[Sample]:
        return (self.whole[place] for place in self.places)


@attrs.frozen(eq=False)
class _Drawn:
    """Drawn images, for where no set is given: noise, smooth or fine, with some bright discs."""

    seeds: Seeds
    size_px: tuple[int, int]
    fingerprint: str = "drawn"

    def __len__(self) -> int:
        return _DRAWN

    def __getitem__(self, index: int, /) -> Sample:
        stream = self.seeds.stream("export", index)
        width, height = self.size_px
        image = stream.integers(0, 256, (height, width, 3)).astype(np.float64) / (1 + index)
        y, x = np.mgrid[:height, :width]
        for _ in range(8):
            at, radius = stream.uniform(0, 1, 2) * self.size_px, stream.uniform(4, 24)
            image[np.hypot(x - at[0], y - at[1]) < radius] = stream.uniform(0, 255, 3)
        return Sample(key=f"drawn_{index}", image=image.astype(np.uint8))

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))


def _sets(wishes: Wishes, card: DetectorCard, session: Session) -> tuple[SampleSet, SampleSet]:
    """Return what to calibrate on and what to compare on, which share no image unless there is but one."""
    nothing = _Drawn(session.runtime("detector").seeds, card.input.size_px)
    given = None if wishes.calibrate is None else _opened(wishes.calibrate, "--calibrate")
    check = None if wishes.check is None else _opened(wishes.check, "--check")
    if given is None:
        return nothing, check or nothing
    if check is not None:
        return _Some(given, _spread(len(given), wishes.images)), check
    places = _spread(len(given), 2 * wishes.images)
    return _Some(given, places[::2]), _Some(given, places[1::2] or places)


def _by_content(wishes: Wishes) -> dict[str, Any]:
    """Return wishes as plain JSON that names sets by their fingerprints."""
    return {name: Dataset.open(value).fingerprint if name in ("calibrate", "check") and value is not None else value
            for name, value in attrs.asdict(wishes).items()}  # fmt: skip


def _spread(count: int, most: int) -> list[int]:
    """Return at most so many places, evenly spread."""
    return [int(place) for place in np.unique(np.linspace(0, count - 1, min(count, most)).round())]


def _opened(source: str, option: str) -> SampleSet:
    found = Dataset.open(source)
    if not len(found):
        raise DatasetError(f"{option} {source}: there are no samples in it")
    return found


def _inputs(card: DetectorCard, samples: Iterator[Sample]) -> Iterator[npt.NDArray[Any]]:
    for sample in samples:
        fit = Letterbox(sample.size_px, card.input.size_px, card.input.fit, card.input.grey)
        yield as_input(card.input, fit.apply(np.asarray(sample.image)))


def _described(samples: SampleSet) -> dict[str, Any]:
    return {"fingerprint": samples.fingerprint, "images": len(samples)}


def _told(found: Parity) -> str:
    return (
        f"of {found.boxes} boxes with a score of {found.score:g} or more {found.matched:.1%} are found again, with"
        f" a mean IoU of {found.mean_iou:.3f} and scores {found.mean_score_difference:.4f} apart"
    )


def _write(out: Path, data: bytes, card: Mapping[str, Any]) -> None:
    with storage.disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    storage.write_atomically(out, [data])
    claims.write_json(out.with_suffix(".json"), json.loads(json.dumps(card)))
    storage.write_atomically(out.with_suffix(".md"), [markdown(card).encode()])
