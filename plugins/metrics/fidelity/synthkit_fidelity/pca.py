# SPDX-License-Identifier: Apache-2.0
"""The metric ``pca``: real, refined and synthetic images on the principal components of all of them together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.dataset import Dataset
from synthkit.errors import DatasetError
from synthkit.interfaces import Chart, Evidence, MetricResult, State
from synthkit_fidelity import extractors
from synthkit_fidelity.config import PcaConfig
from synthkit_fidelity.extractors import Space
from synthkit_fidelity.features import Features
from synthkit_fidelity.observing import FeatureMetric, named, with_parts

Floats = npt.NDArray[np.float64]

_ROUNDING = 1e-6  # of the distance of centres: what is left of the spread of equal vectors
_COLUMNS = 8192  # of the vectors that are in memory at double precision
_TITLES = {"reference": "real", "candidate": "refined", "source": "synthetic"}


@attrs.frozen(eq=False)
class Components:
    """Sets of vectors on their common principal components.

    Args:
        scores: by set, (n, c) coordinates, in units of the features. explained: (c,) shares of the variance.
    """

    scores: Mapping[str, Floats]
    explained: Floats

    def distance(self, first: str, second: str, components: int | None = None) -> float:
        """Return how far apart the centres of two sets are, over the second's own spread about its centre.

        Args:
            components: how many are looked at; None for all, which is the whole space.

        Raises:
            DatasetError: when the second has no spread.
        """
        ours, theirs = (self.scores[name][:, :components] for name in (first, second))
        spread = np.sqrt(((theirs - theirs.mean(axis=0)) ** 2).sum(axis=1).mean())
        apart = np.linalg.norm(ours.mean(axis=0) - theirs.mean(axis=0))
        if spread <= _ROUNDING * max(apart, np.finfo(float).tiny):
            raise DatasetError(f"the {second}'s images are all the same: without a spread distances have no unit")
        return float(apart / spread)


def principal_components(sets: Mapping[str, npt.NDArray[Any]]) -> Components:
    """Return all principal components of several sets of (n, d) vectors together (thesis 000, section 2.10).

    They are found from the products of the vectors with one another, which are few, not of the dimensions, which are
    many. Each component points to where the vector farthest from the middle lies.
    """
    joint = np.concatenate(list(sets.values()))
    products = np.zeros((len(joint), len(joint)))
    for start in range(0, joint.shape[1], _COLUMNS):
        block = joint[:, start : start + _COLUMNS].astype(np.float64)
        block -= block.mean(axis=0)
        products += block @ block.T
    values, vectors = np.linalg.eigh(products)
    values, vectors = np.clip(values[::-1], 0.0, None)[:-1], vectors[:, ::-1][:, :-1]  # the middle takes one away
    scores = vectors * np.sqrt(values)
    farthest = np.abs(scores).argmax(axis=0)
    scores *= np.where(scores[farthest, np.arange(scores.shape[1])] < 0, -1.0, 1.0)
    ends = np.cumsum([len(vectors) for vectors in sets.values()])[:-1]
    parts = dict(zip(sets, np.split(scores, ends), strict=True))
    return Components(parts, values / max(values.sum(), np.finfo(float).tiny))


class PcaMetric(FeatureMetric[PcaConfig]):
    """How far refined images went from the synthetic towards the real ones (thesis 000, figure 4.10).

    Its numbers are distances between the centres of two sets, over the spread of the real one: in the plane of the
    first two components, which shows little of the variance, and in the whole space.
    """

    _found: tuple[Mapping[str, State], Components, Mapping[str, Features]] | None = None

    def make_space(self) -> Space:
        """Return the space of a layer, place by place where so set."""
        return extractors.space_of(self.config, flat=self.config.flat)

    @property
    def most(self) -> int | None:
        """At most so many vectors of each set are looked at."""
        return min(self.config.at_most, self.config.max_items or self.config.at_most)

    def compute(self, states: Mapping[str, State]) -> Sequence[MetricResult]:
        """Return the distances of the candidate's centre, and of the source's, from the reference's.

        Raises:
            DatasetError: when a set has fewer than two items.
        """
        components, found = self._components(states)
        plane = {role: [_told(value) for value in scores[:, :2].mean(axis=0)] for role, scores in
                 components.scores.items()}  # fmt: skip
        definition = {
            "explained_variance": [_told(share) for share in components.explained[:2]],
            "centres": plane,
            "each": len(components.scores["reference"]),
            "unit": "root mean square distance of the reference's vectors from their centre",
        }
        name = named({}, "centre_distance", self.config, self.space)
        return [
            self.result(
                with_parts(name, told), components.distance(role, "reference", count), "lower", found,
                definition=definition, part="" if role == "candidate" else "before refinement",
            )
            for role in ("candidate", "source") if role in components.scores
            for told, count in (("2 components", 2), ("all components", None))
        ]  # fmt: skip

    def explain(self, states: Mapping[str, State]) -> Evidence:
        """Return the images on the first two components."""
        components, _ = self._components(states)
        first, second = components.explained[:2]
        chart = Chart(
            title=f"Principal components of {self.space.about.name}",
            x_label=f"component 1 ({first:.1%} of the variance)",
            y_label=f"component 2 ({second:.1%})",
            series={
                _TITLES[role]: [(float(x), float(y)) for x, y in scores[:, :2]]
                for role, scores in components.scores.items()
            },
            note="A point is an image or crop, a ringed one the centre of its set.",
            scattered=True,
        )
        return Evidence((chart,), {}, {})

    def _components(self, states: Mapping[str, State]) -> tuple[Components, Mapping[str, Features]]:
        """Return the components of as many vectors of each set, found once for the numbers and the chart."""
        if self._found is None or self._found[0] is not states:
            every = dict(states)
            if self.config.source is not None:
                every["source"] = self.observe("source", self._counted(Dataset.open(self.config.source)))
            found = self.gather(every)
            each = min(features.count for features in found.values())
            roles = [role for role in ("reference", "source", "candidate") if role in found]
            sets: dict[str, npt.NDArray[Any]] = {role: found[role].vectors[:each] for role in roles}
            self._found = states, principal_components(sets), found
        return self._found[1], self._found[2]

    def _counted(self, data: Dataset) -> Iterator[Any]:
        for n, sample in enumerate(data):
            self.runtime.progress("measure source", n, len(data))
            yield sample


def _told(value: float) -> float:
    return round(float(value), 6)
