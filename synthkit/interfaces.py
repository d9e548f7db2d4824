# SPDX-License-Identifier: Apache-2.0
"""What a plugin is: the declaration it makes, and the protocols its components follow.

Components are built as ``target(config, checkpoint, runtime)``, do no input or output in their
constructor, and are context managers entered once per process. What travels between processes is the
``ComponentSpec``, never an instance.
"""

from __future__ import annotations

import importlib
import importlib.resources
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self, runtime_checkable

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.checkpoint import Checkpoint
from synthkit.sample import Array, Detections, Sample, Skipped, frozen_mapping
from synthkit.seeds import Seeds

Kind = Literal["renderer", "refiner", "detector", "metric"]
KINDS: tuple[Kind, ...] = ("renderer", "refiner", "detector", "metric")

State = Mapping[str, npt.NDArray[Any]]
"""A metric's partial result: named arrays without objects, so that it can be kept as npz."""


def _names(values: Iterable[str]) -> frozenset[str]:
    return frozenset(values)


def _one_of(known: Sequence[str]) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    """Return a validator for a name out of several; attrs' own tells plugin authors of its insides."""

    def check(_: Any, field: attrs.Attribute[Any], value: Any) -> None:
        if value not in known:
            raise ValueError(f"{field.name} must be one of {', '.join(known)}, got {value!r}")

    return check


def _like(example: str, pattern: str) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    """Return a validator for a text of a form."""

    def check(_: Any, field: attrs.Attribute[Any], value: Any) -> None:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"{field.name} must be like {example}, got {value!r}")

    return check


@attrs.frozen
class Tunable:
    """A setting of a renderer that ``synthkit tune`` may fit to real images.

    Args:
        setting: its path: ``sensor.gamma``. low, high: where it is looked for.
        fits: what is fitted, and how. Searched: a ``value``; the ``centre`` of a (low, high) pair, whose width stays;
            the whole ``range`` of such a pair. Measured where images have labels: ``people``, a (least, most) pair
            of counts, of which several settings share the people in an image as they do by themselves; ``size``, a
            number or a (low, high) pair with which people get smaller in the image.
        log: whether its ratios matter, rather than its differences.
        finishing: whether it acts after all that takes time; see ``Finishing``.
        unless: another setting that, when it is given, leaves this one without effect.
    """

    setting: str = attrs.field(validator=_like("sensor.gamma", r"\w+(\.\w+)*"))
    low: float
    high: float
    fits: Literal["value", "centre", "range", "people", "size"] = attrs.field(
        default="centre", validator=_one_of(("value", "centre", "range", "people", "size"))
    )
    log: bool = False
    finishing: bool = False
    unless: str = ""

    def __attrs_post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"{self.setting}: low must be below high, and above 0 with log")


def _tunables(values: Iterable[Tunable]) -> tuple[Tunable, ...]:
    return tuple(values)


@attrs.frozen
class Component:
    """What a plugin declares, in a light module; nothing heavy is imported until ``target`` is used.

    Args:
        kind, name, summary: what it is, how it is called, and one line for listings.
        config: the frozen attrs class of its settings.
        target: ``package.module:Class``, imported on use.
        revision: raise it when the same configuration yields other output; part of every fingerprint.
        defaults: settings that differ from the class's own: presets share a target.
        needs: what its input samples must carry: layer names, ``people.head``, ``people.box``,
            ``people.rotated_box``. Where settings decide about that, the config class has a property ``needs``,
            which is used instead. provides: what its output carries, in the same words.
        trainable: whether the target also has ``fit``. reads: of what is trainable the layers that ``fit`` looks at, of
            a metric those that it does; others of the data sets are not decoded for it. None: all of them.
        keeps_people: of a refiner: whether everybody shall stay what and where they are, which the drift guard
            watches. False for those that are meant to change people, such as anonymizers.
        sees_people: of a refiner: whether it looks at people's own pixels. False is a promise that these change
            nothing in its output; ``synthkit anonymize`` takes them away before such a refiner sees the image.
        demo_checkpoint: ``package:path/in/package`` of a small checkpoint that ships with the plugin, used where no
            other is given. Detectors that have one are ready to find people (``synthkit detect``).
        demo: settings small enough for ``synthkit demo``, by role: a renderer's ``source`` and ``target``
            (a stand-in for the real domain), ``settings`` for the other kinds. Empty: not for the demo.
        preview: a renderer's settings for ``synthkit preview``: all that it can show, quickly.
        tunable: a renderer's settings that ``synthkit tune`` may fit to real images.
        finish_keeps: settings with which a renderer's samples keep what its ``finish`` needs; see ``Finishing``.
    """

    kind: Kind = attrs.field(validator=_one_of(KINDS))
    name: str
    summary: str
    config: type[Any]
    target: str = attrs.field(validator=_like("package.module:Class", r"[\w.]+:\w+"))
    revision: int = 1
    defaults: Mapping[str, Any] = attrs.field(factory=dict, converter=frozen_mapping)
    needs: frozenset[str] = attrs.field(default=frozenset(), converter=_names)
    provides: frozenset[str] = attrs.field(default=frozenset(), converter=_names)
    trainable: bool = False
    reads: frozenset[str] | None = attrs.field(default=None, converter=attrs.converters.optional(_names))
    keeps_people: bool = True
    sees_people: bool = True
    demo_checkpoint: str | None = None
    demo: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict)
    preview: Mapping[str, Any] = attrs.field(factory=dict, converter=frozen_mapping)
    tunable: tuple[Tunable, ...] = attrs.field(default=(), converter=_tunables)
    finish_keeps: Mapping[str, Any] = attrs.field(factory=dict, converter=frozen_mapping)

    def load(self) -> Any:
        """Import and return the target class."""
        module, _, name = self.target.partition(":")
        return getattr(importlib.import_module(module), name)

    def shipped_checkpoint(self) -> Path | None:
        """Return the file of ``demo_checkpoint``, None where none ships; the plugin's package is imported for it."""
        if self.demo_checkpoint is None:
            return None
        package, _, name = self.demo_checkpoint.partition(":")
        return Path(str(importlib.resources.files(package).joinpath(name)))


class Progress(Protocol):
    """How long work tells where it is; calls are cheap and may come from any stage."""

    def __call__(self, stage: str, done: int, total: int | None, note: str = "") -> None:
        """Report ``done`` of ``total`` units of ``stage``; ``note`` is a short free text (a loss, a rate)."""


def silent(stage: str, done: int, total: int | None, note: str = "") -> None:
    """Report nothing."""


@attrs.frozen
class Runtime:
    """What a component gets from whoever runs it.

    Args:
        seeds: the component's own subtree of random streams.
        cache_dir: for what can be made again at any time.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps`` or ``auto``. threads: CPU threads it may use.
    """

    seeds: Seeds
    cache_dir: Path
    device: str = "cpu"
    threads: int = 1
    progress: Progress = silent


class SampleSet(Protocol):
    """A finite, indexable set of samples, such as an opened data set."""

    @property
    def fingerprint(self) -> str:
        """The identity of the content, stable across copies."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Sample: ...
    def __iter__(self) -> Iterator[Sample]: ...


class _Entered(Protocol):
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@runtime_checkable
class Renderer(_Entered, Protocol):
    """Makes samples from nothing but its configuration and seeds."""

    @property
    def samples_per_scene(self) -> int:
        """How many samples each scene yields; fixed by the configuration."""

    def render(self, scene: int, seeds: Seeds) -> Iterator[Sample | Skipped]:
        """Yield exactly ``samples_per_scene`` results, keyed by ``sample_key(scene, n)``.

        Args:
            scene: index >= 0. seeds: the scene's own streams. Nothing else may matter.
        """


@runtime_checkable
class Finishing(Protocol):
    """A renderer that can do its last steps again, with other settings of them, upon what an earlier render kept."""

    def finish(self, sample: Sample, seeds: Seeds) -> Sample:
        """Return the sample as rendering the scene with this renderer's settings would give it.

        The renderer need not be entered for it, and may be asked from several threads.

        Args:
            sample: rendered with ``Component.finish_keeps``, and else with settings that differ at most in those
                which are declared as finishing. seeds: the scene's.
        """


@runtime_checkable
class Refiner(_Entered, Protocol):
    """Turns samples into other samples, one for one."""

    def refine(self, samples: Iterable[Sample]) -> Iterator[Sample | Skipped]:
        """Yield one result per sample, in order, with its key and its truth.

        Each output depends on its own sample alone, never on its neighbours.
        """


@runtime_checkable
class Detector(_Entered, Protocol):
    """Finds people (or heads) in images."""

    @property
    def class_names(self) -> Sequence[str]:
        """Names of the labels in ``Detections.labels``: ``head``, ``person``."""

    def detect(self, samples: Iterable[Sample]) -> Iterator[Detections]:
        """Yield one result per sample, in order; only the image is looked at."""


@runtime_checkable
class Calibrated(Protocol):
    """A detector that knows from which score on its finds are to be believed."""

    @property
    def operating_score(self) -> float | None:
        """The least score that counts, known once the detector is entered; None where nobody found it out."""


@runtime_checkable
class Exportable(Protocol):
    """A refiner of images, or a detector that has no card for runners, that can leave as one ONNX file."""

    def export_onnx(self, path: Path) -> Mapping[str, Any]:
        """Write the ONNX file; return its card: inputs, outputs, sizes, how to decode, checks made."""


@attrs.frozen
class OnnxForm:
    """In which form a detector is to leave.

    Args:
        variant: ``complete``: from pixels to boxes; ``network``: what devices compute fast, and no more: convolution,
            ReLU, max-pooling, concatenation, sigmoid. The rest is the card's to tell.
        dynamic: whether any number of images goes in and, for the network, any height and width in whole strides.
        opset: the newest operators it may use.
    """

    variant: Literal["complete", "network"] = "complete"
    dynamic: bool = False
    opset: int = 17


@attrs.frozen(eq=False)
class OnnxGraph:
    """A detector as an ONNX model.

    Args:
        model: its bytes, weights and all. card: plain values of a ``synthkit.deployment.cards.DetectorCard``.
        about: what else the model's card shall tell: plain JSON.
        ranges: least and greatest value that matter of tensors for which these are known, by name: of pixels, or of
            logits beyond which a score is as good as 0 or 1. 8 bits are spread over them.
    """

    model: bytes
    card: Mapping[str, Any]
    about: Mapping[str, Any]
    ranges: Mapping[str, tuple[float, float]] = attrs.field(factory=dict)


@runtime_checkable
class Deployable(Protocol):
    """A detector whose network leaves as an ONNX file for devices; synthkit quantises, compares and describes it."""

    def onnx_graph(self, form: OnnxForm) -> OnnxGraph:
        """Return the fitted network in a form."""

    def judged(self, scored: Iterable[Scored], score: float | None = None) -> Mapping[str, float]:
        """Return how good answers are, by the measure that chose the checkpoint.

        Args:
            score: the least that counts; None takes the one with the best F1.

        Returns:
            ``precision``, ``recall``, ``f1`` and ``score``, the one that was taken.

        Raises:
            DatasetError: when no sample says who is in it.
        """


@runtime_checkable
class Trainable(_Entered, Protocol):
    """A component that learns before it works."""

    def fit(self, data: Mapping[str, SampleSet], workdir: Path) -> Checkpoint:
        """Train and return the checkpoint.

        Resumes from what an interrupted call left in ``workdir``, to the same weights on a CPU. Refiners
        get ``source`` and ``target``; detectors ``train`` and, when there is one, ``validation``.
        Training curves are written to ``workdir/curves.jsonl``, one JSON object a line: ``step``, losses by
        name, and scores of an evaluation with names that begin with ``val_``. A detector's card may tell
        its ``operating_score``, the least score at which it did best on the validation set.

        The card's ``name`` is the component's, or, where presets apply one another's checkpoints, that of their
        target's attribute ``family``.
        """


@attrs.frozen(eq=False)
class Scored:
    """A sample with its truth, and what a detector found in it."""

    sample: Sample
    detections: Detections


@attrs.frozen(eq=False)
class Pair:
    """A sample, and the one of the same key in the set that it is compared with, such as what it was refined from."""

    candidate: Sample
    reference: Sample


RoleKind = Literal["samples", "detections", "pairs"]
Items = Iterable[Sample] | Iterable[Scored] | Iterable[Pair]
"""What a metric looks at in a role, by the role's kind."""


@attrs.frozen
class Extractor:
    """What turned images into the numbers that a metric compares.

    Args:
        name: which network, and where it is tapped. sha256: of its weights' file; None where nothing was learned.
        preprocessing: how images became its input: sizes, interpolation, ranges.
        stand_in_for: the published network whose place it takes; empty where it is the one that the metric's name
            promises.
    """

    name: str
    sha256: str | None
    preprocessing: str
    stand_in_for: str = ""


@attrs.frozen
class MetricResult:
    """A number with its definition. What is measured on, and by which version, is added by who runs the metric.

    Args:
        name: the metric's id; it names the extractor and preprocessing where they matter.
        value, interval: the number, and a confidence interval when one was computed.
        better: which way is good. count: how many items it rests on.
        definition: all else that decides about it, as plain JSON: formula, thresholds, region.
        part: which part of the set it is about, such as small people; empty for all of it.
        extractor: what it compares in, for metrics that have such.
        counts: how many items each role has, where these differ or are no images.
        cautions: why it may not mean what it seems to, a sentence each.
        data: fingerprints of the data sets, by role: ``candidate``, ``reference``.
        version: distribution, version and revision of the metric.
    """

    name: str
    value: float
    better: Literal["higher", "lower"]
    count: int
    definition: Mapping[str, Any] = attrs.field(factory=dict)
    interval: tuple[float, float] | None = None
    part: str = ""
    extractor: Extractor | None = None
    counts: Mapping[str, int] = attrs.field(factory=dict)
    cautions: tuple[str, ...] = ()
    data: Mapping[str, str] = attrs.field(factory=dict)
    version: str = ""


@attrs.frozen(eq=False)
class Chart:
    """Curves behind a metric's numbers.

    Args:
        title, x_label, y_label, note: what it shows. series: named curves, (x, y) in the order of x.
        mark: an x to be marked, such as the threshold of the numbers.
        scattered: whether the series are clouds of points in any order, each with its centre, rather than curves.
    """

    title: str
    x_label: str
    y_label: str
    series: Mapping[str, Sequence[tuple[float, float]]]
    note: str = ""
    mark: float | None = None
    scattered: bool = False


@attrs.frozen(eq=False)
class Exhibit:
    """A place in an image that tells why a metric's numbers are what they are.

    Args:
        key: the sample's key. focus_px: (4, 2) corners of what it is about. note: a few words.
        truth_px, found_px: (4, 2) corners each of all that is true, and was found, in the image.
    """

    key: str
    focus_px: Array
    note: str
    truth_px: Sequence[Array]
    found_px: Sequence[Array]


@attrs.frozen(eq=False)
class Evidence:
    """What stands behind a metric's numbers.

    Args:
        counts: by group and kind, such as false alarms of each kind. exhibits: by group, the most telling first.
    """

    charts: Sequence[Chart]
    counts: Mapping[str, Mapping[str, int]]
    exhibits: Mapping[str, Sequence[Exhibit]]


@runtime_checkable
class Metric(_Entered, Protocol):
    """Judges one set, two sets, pairs of samples or detections, from states that can be kept and merged.

    A role called ``reference`` gets the set that is compared with; others get the judged one, and pairs both, joined by
    key. One that judges detections is built with the checkpoint of the detector where there is one: its card may tell
    the ``operating_score``.
    """

    @property
    def roles(self) -> Mapping[str, RoleKind]:
        """What it looks at: ``{"reference": "samples", "candidate": "samples"}``, ``{"both": "pairs"}`` or such."""

    def observe(self, role: str, items: Items) -> State:
        """Return the state of some items in a role."""

    def merge(self, states: Sequence[State]) -> State:
        """Return the state of all items; order never matters to the result."""

    def compute(self, states: Mapping[str, State]) -> Sequence[MetricResult]:
        """Return the results for one merged state per role."""


@runtime_checkable
class Keeping(Protocol):
    """A metric whose states are kept in the cache, and shared by all that observe the same, whatever they compute."""

    def observed(self, role: str) -> Mapping[str, Any]:
        """Return all that the role's state depends on besides the items and installed versions, as plain JSON.

        Such as the extractor and its weights' sha256, preprocessing, region, and a revision to be raised when the code
        observes otherwise; not what matters to ``compute`` alone, nor to speed alone. Called when entered.
        """


@runtime_checkable
class Explaining(Protocol):
    """A metric that can show what stands behind its numbers."""

    def explain(self, states: Mapping[str, State]) -> Evidence:
        """Return the evidence for one merged state per role."""


@attrs.frozen
class ComponentSpec:
    """A component as it travels: plain values only.

    Args:
        kind, name: which component. options: settings over its defaults.
        checkpoint: path of its weights. checkpoint_sha256: what they must be.
    """

    kind: Kind
    name: str
    options: Mapping[str, Any] = attrs.field(factory=dict)
    checkpoint: str | None = None
    checkpoint_sha256: str | None = None


def sample_key(scene: int, index: int = 0) -> str:
    """Return the key of a rendered sample: scene and place in it; by ``key_order`` they sort as they were made."""
    return f"{scene:08d}_{index:03d}"


def scene_of(key: str) -> int:
    """Return the scene of a rendered sample's key."""
    return int(key.partition("_")[0])


def key_order(key: str) -> tuple[int, str]:
    """Return by what keys of one scene are sorted: numbers that outgrow their zeros stay in order."""
    return len(key), key


def empty_detections(key: str) -> Detections:
    """Return a detector's answer for an image without finds."""
    return Detections(
        key=key,
        boxes_xyxy_px=np.zeros((0, 4), np.float32),
        scores=np.zeros(0, np.float32),
        labels=np.zeros(0, np.int32),
    )
