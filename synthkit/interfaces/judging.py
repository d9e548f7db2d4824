# SPDX-License-Identifier: Apache-2.0
"""Metrics: what they look at, their numbers, and what stands behind these."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.interfaces.running import Entered
from synthkit.sample import Array, Detections, Sample

if TYPE_CHECKING:
    from synthkit.weights import Wanted

State = Mapping[str, npt.NDArray[Any]]
"""A metric's partial result: named arrays without objects, so that it can be kept as npz."""


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
        value, interval: the number, and its 95 % interval when one was computed.
        interval_of: what 95 % of which lie in it, such as ``subsets``; empty for a confidence interval of the value.
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
    interval_of: str = ""
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
        images: exhibits that are about whole images, by how they were chosen: by lot, the best, the worst.
    """

    charts: Sequence[Chart]
    counts: Mapping[str, Mapping[str, int]]
    exhibits: Mapping[str, Sequence[Exhibit]]
    images: Mapping[str, Sequence[Exhibit]] = attrs.field(factory=dict)


@runtime_checkable
class Metric(Entered, Protocol):
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
class Weighted(Protocol):
    """A metric of networks with published weights, which are looked for before anything is observed."""

    def weights(self) -> Sequence[Wanted]:
        """Return which weights ``observe`` needs, so that all that are missing are told at once."""


@runtime_checkable
class Resampling(Protocol):
    """A metric whose numbers can be compared in pairs: on the same resamples of the same items."""

    def resampled(self, states: Mapping[str, State]) -> Mapping[str, npt.NDArray[np.float64]]:
        """Return what results of the whole set would be on resampled items, by the results' names, (resamples,) each.

        Resample n is made of the same items whatever is told about them: it depends on their keys and the runtime's
        seeds alone. Where one says nothing about a result, that is NaN.
        """


@runtime_checkable
class Explaining(Protocol):
    """A metric that can show what stands behind its numbers."""

    def explain(self, states: Mapping[str, State]) -> Evidence:
        """Return the evidence for one merged state per role."""
