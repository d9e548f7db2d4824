# SPDX-License-Identifier: Apache-2.0
"""The metrics ``consistency`` and ``leakage``: people before and after anonymization."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, cast

import attrs
import numpy as np

from synthkit.embedders.people import Pixels
from synthkit.errors import DatasetError
from synthkit.interfaces import Items, MetricResult, Pair, RoleKind, State
from synthkit.sample import Sample
from synthkit_reid.metrics import Ranked, ReidMetric
from synthkit_reid.states import Seen

_ANONYMIZED, _ORIGINALS = "anonymized", "originals"


class _PairMetric(ReidMetric):
    """A metric of people before and after anonymization: image 0 is what became of them, image 1 the original."""

    roles: ClassVar[Mapping[str, RoleKind]] = {"pairs": "pairs"}

    def _images(self, items: Items) -> Iterator[tuple[Sample, tuple[Pixels, ...]]]:
        """Yield originals, which know where people are, with both images."""
        for pair in cast("Iterable[Pair]", items):
            made, original = np.asarray(pair.candidate.image), np.asarray(pair.reference.image)
            if made.shape != original.shape:
                sizes = " and ".join(f"{image.shape[1]} x {image.shape[0]}" for image in (made, original))
                raise DatasetError(f"{self.name}: sample {pair.candidate.key}: the images differ in size: {sizes}")
            # The candidate's own meta does not count: views and splits are those of the originals.
            yield pair.reference, (made, original)

    def _definition(self, ranked: Ranked, name: str) -> dict[str, Any]:
        return {**super()._definition(ranked, name), "untouched": int(ranked.seen.untouched.sum())}

    def _cautions(self, ranked: Ranked) -> list[str]:
        found, count = super()._cautions(ranked), int(ranked.seen.untouched.sum())
        if count:
            found.append(f"{count} of {len(ranked.seen)} people look exactly as before")
        return found


class ConsistencyMetric(_PairMetric):
    """Whether an identity stays one identity after anonymization (thesis 002, section 5.3.3 and table 5.2).

    People are found again among anonymized ones, as before among the originals: both are told.
    """

    name: ClassVar[str] = "consistency"

    def compute(self, states_: Mapping[str, State]) -> Sequence[MetricResult]:
        """Return mAP and ranks among anonymized people, then the same among the originals.

        Raises:
            DatasetError: when nobody is there twice.
        """
        ranked = self._rankings(states_)
        return [
            *self._results(ranked[_ANONYMIZED], "higher", map_too=True),
            *self._results(ranked[_ORIGINALS], "higher", map_too=True, part=_ORIGINALS),
        ]

    def _ranked_all(self, seen: Seen) -> Mapping[str, Ranked]:
        """Return the anonymized among the anonymized, and the originals among the originals."""
        return {name: self._ranked(seen, (n, n), "own") for n, name in enumerate((_ANONYMIZED, _ORIGINALS))}


class LeakageMetric(_PairMetric):
    """Whether the original person can be found from the anonymized one: an attack on the anonymization.

    The attacker has pictures of everybody, taken elsewhere (of another camera, sequence or image than the query), and
    looks up anonymized people among them. What is left in their surroundings finds them as well, so these are removed.
    By chance, a right one is first as often as the gallery has right ones. An attack that does not find the originals
    themselves would prove nothing, so it is told how well it does.
    """

    name: ClassVar[str] = "leakage"

    def compute(self, states_: Mapping[str, State]) -> Sequence[MetricResult]:
        """Return how often anonymized people are found, how often they would be by chance, and the originals are.

        Raises:
            DatasetError: when nobody is there twice.
        """
        attack, limit = self._rankings(states_).values()
        chance = float(attack.chance.found[:, 0].mean())
        cautions = []
        if self._config.background == "kept":
            cautions.append("surroundings are in the pictures: those that stay the same find people by themselves")
        first = limit.scores.found[:, 0]
        low = (self._interval(limit, first) or (0.0, 1.0))[0]
        if low <= chance:
            cautions.append(
                f"the attack finds originals in {first.mean():.0%} of cases (from {low:.0%}), which is not surely above"
                f" chance ({chance:.0%}): it proves nothing"
            )
        bounds = self._interval(attack, attack.scores.found[:, 0])
        above = bounds is not None and bounds[0] > chance
        drawn = [
            attrs.evolve(self._result(attack, name, values, "lower", "chance", cautions=cautions), interval=None)
            for name, values in self._values(attack.chance).items()
        ]
        return [
            *self._results(attack, "lower", map_too=True, cautions=cautions, rank_1_above_chance=above),
            *drawn,
            *self._results(limit, "higher", map_too=False, part=_ORIGINALS, cautions=cautions),
        ]

    def _ranked_all(self, seen: Seen) -> Mapping[str, Ranked]:
        """Return the anonymized among the originals, and the originals among themselves."""
        return {name: self._ranked(seen, (n, 1), "all") for n, name in enumerate((_ANONYMIZED, _ORIGINALS))}
