# SPDX-License-Identifier: Apache-2.0
"""The metric ``surface-consistency``: whether people keep their colours on the same place of the body."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, cast

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.checkpoint import Checkpoint
from synthkit.errors import DatasetError
from synthkit.interfaces import Chart, Evidence, Items, MetricResult, RoleKind, Runtime, State
from synthkit.resampling import LEAST_UNITS, Units, interval
from synthkit.sample import Sample
from synthkit_surface import patches
from synthkit_surface.comparing import differences
from synthkit_surface.config import SurfaceConfig
from synthkit_surface.pairing import Comparison, across_sets, within_set
from synthkit_surface.views import View, views

REVISION = 1  # of what is observed: raised when the same samples give other colours

Floats = npt.NDArray[np.float64]
Statistic = Callable[[Floats, npt.NDArray[np.int32]], Floats]
"""Takes rows (N, 1 or 2), one a person, and how often each counts in each resample (R, N) to values (R,)."""


@attrs.frozen(eq=False)
class Judged:
    """The differences of one person's views.

    Args:
        identity, kind: who, and of which pairs, see ``Comparison``.
        own, others: (N, places) and (M, places), NaN where not compared.
    """

    identity: str
    kind: str
    own: Floats
    others: Floats

    @property
    def consistency(self) -> float:
        """The share of comparisons in which the person is more like themselves than like somebody else."""
        own, others = (np.nanmean(apart, axis=1) for apart in (self.own, self.others))
        ordered = np.sort(others)
        below, upto = (np.searchsorted(ordered, own, side) for side in ("left", "right"))
        return float(1 - (below + upto).mean() / 2 / len(ordered))

    def means(self, places: npt.NDArray[np.bool_]) -> tuple[float, float]:
        """Return the mean differences on some places: to the person's own views, and to those of others."""
        return _mean(self.own[:, places]), _mean(self.others[:, places])


class SurfaceMetric:
    """Whether a person's colours stay where they are on the body, across poses, cameras, rooms and draws.

    Thesis 002, section 7.2.2, asks for a likeness that does not depend on the pose, and proposes to compare colours on
    corresponding places of rendered models. Here the layer ``surface`` tells the place, patches of some 500 cm2 are
    compared with the light taken off as ``comparing.py`` tells, and the scale is how different other people are:

    * ``surface_consistency``: how often two views of a person are more alike than a view of them and one of somebody
      else: 1 is perfect, 0.5 chance. It is the area under the ROC curve (Hanley and McNeil 1982), the mean over people.
    * ``surface_difference``: the mean difference between views of a person, in CIELAB units.
    * ``surface_spread``: that, over the difference between people: 0 is perfect, 1 chance; also of parts of the body.
    """

    def __init__(self, config: SurfaceConfig, checkpoint: Checkpoint | None, runtime: Runtime) -> None:
        self._config = config
        self._runtime = runtime
        self._found: tuple[Mapping[str, State], list[Judged]] | None = None

    @property
    def roles(self) -> Mapping[str, RoleKind]:
        """The judged set, and another draw of it where that is what views are compared with."""
        names = ("candidate",) if self._config.compare == "views" else ("reference", "candidate")
        return dict.fromkeys(names, "samples")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._found = None

    def observed(self, role: str) -> Mapping[str, Any]:
        """Return what decides about the colours of views."""
        return {
            "value": "colours of patches of the body",
            "revision": [REVISION, patches.REVISION],
            "patches": self._config.patches,
            "min_pixels": self._config.min_pixels,
        }

    def observe(self, role: str, items: Items) -> State:
        """Return the colours of everybody's patches in each image.

        Raises:
            DatasetError: when a sample does not tell what is where on people's bodies.
        """
        division = patches.divide(self._config.patches)
        found = list(views(cast("Iterable[Sample]", items), division, self._config.min_pixels))
        return _packed(found, division.count)

    def merge(self, states: Sequence[State]) -> State:
        """Return all views; their order never matters."""
        return {name: np.concatenate([state[name] for state in states]) for name in states[0]}

    def compute(self, states: Mapping[str, State]) -> Sequence[MetricResult]:
        """Return consistency, difference and spread, and the spread of parts of the body.

        Raises:
            DatasetError: when nobody can be compared with themselves.
        """
        division = patches.divide(self._config.patches)
        judged = self._judged(states)
        results = []
        for kind in sorted({one.kind for one in judged}):
            results += self._results(kind, [one for one in judged if one.kind == kind], division)
        if self._config.picture is not None:
            from synthkit_surface.picture import write_picture

            write_picture(division, *_by_place(judged), self._config.picture)
        return results

    def explain(self, states: Mapping[str, State]) -> Evidence:
        """Return how differences are spread, of people to themselves and to others."""
        judged = self._judged(states)
        pairs = {"the same person": [one.own for one in judged], "other people": [one.others for one in judged]}
        series = {
            name: _cumulative(np.concatenate([np.nanmean(apart, axis=1) for apart in parts]))
            for name, parts in pairs.items()
        }
        chart = Chart(
            "Differences between views", "colour difference", "share of pairs", series,
            "The farther apart the curves, the more a person stays one person.",
        )  # fmt: skip
        return Evidence([chart], {}, {})

    def _judged(self, states: Mapping[str, State]) -> list[Judged]:
        """Return everybody's differences, found once for the numbers and the chart."""
        if self._found is None or self._found[0] is not states:
            self._found = states, self._judge(states)
        return self._found[1]

    def _judge(self, states: Mapping[str, State]) -> list[Judged]:
        candidate = _sorted(states["candidate"])
        seeds, most = self._runtime.seeds, self._config.pairs
        if "reference" in states:
            reference = _sorted(states["reference"])
            colours = np.concatenate([candidate["colours"], reference["colours"]])
            found = across_sets(candidate, reference, most, seeds)
        else:
            colours, found = candidate["colours"], within_set(candidate, most, seeds)
        judged = [one for comparison in found if (one := self._compared(comparison, colours)) is not None]
        if not judged:
            where = "in both sets" if "reference" in states else "in two images, which renderer.people.identities gives"
            raise DatasetError(
                f"surface-consistency: nobody of a known identity is seen well enough {where}, beside others to compare"
                f" with; {len(candidate['key'])} views of {len(np.unique(candidate['identity']))} people were looked at"
            )
        return judged

    def _compared(self, comparison: Comparison, colours: npt.NDArray[np.float32]) -> Judged | None:
        """Return the differences of a person's pairs that share enough, None where there are none."""
        config = self._config
        own, others = (
            differences(colours[pairs[:, 0]], colours[pairs[:, 1]], config.light, config.min_places)
            for pairs in (comparison.own, comparison.others)
        )
        own, others = (apart[~np.isnan(apart).all(axis=1)] for apart in (own, others))
        return Judged(comparison.identity, comparison.kind, own, others) if len(own) and len(others) else None

    def _results(self, kind: str, judged: Sequence[Judged], division: patches.Patches) -> list[MetricResult]:
        everywhere = np.ones(division.count, bool)
        means = np.array([one.means(everywhere) for one in judged])
        consistency = np.array([one.consistency for one in judged])
        definition = {
            **self._definition(kind),
            "people": len(judged),
            "pairs_of_a_person": sum(len(one.own) for one in judged),
            "pairs_with_others": sum(len(one.others) for one in judged),
            "difference_to_others": round(float(means[:, 1].mean()), 4),
        }
        who = np.array([one.identity for one in judged])
        results = [
            self._result("surface_consistency", kind, "", who, consistency[:, None], _first, definition),
            self._result("surface_difference", kind, "", who, means, _first, definition),
            self._result("surface_spread", kind, "", who, means, _ratio, definition),
        ]
        for number, group in enumerate(patches.GROUPS):
            of_group = np.array([one.means(division.group == number) for one in judged])
            known = ~np.isnan(of_group).any(axis=1)
            if known.any():
                spread = self._result("surface_spread", kind, group, who[known], of_group[known], _ratio, definition)
                results.append(spread)
        return results

    def _result(
        self,
        name: str,
        kind: str,
        part: str,
        who: npt.NDArray[np.str_],
        rows: Floats,
        statistic: Statistic,
        definition: Mapping[str, Any],
    ) -> MetricResult:
        """Return a statistic of rows, one a person, with its interval over people."""
        light = {"exposure": "", "cast": ", cast taken off", "none": ", light as it is"}[self._config.light]
        units = Units.of(who)
        draws = units.draws(self._runtime.seeds.stream("bootstrap"), self._config.bootstrap)
        few = f"the intervals rest on {units.count} people, too few for them: they may be too narrow"
        return MetricResult(
            name=f"{name}[{kind}{light}]",
            value=float(statistic(rows, np.ones((1, len(rows)), np.int32))[0]),
            better="higher" if name == "surface_consistency" else "lower",
            count=len(rows),
            definition=definition,
            interval=interval(statistic(rows, draws)),
            part=part,
            counts={"people": len(rows)},
            cautions=(few,) if self._config.bootstrap and units.count < LEAST_UNITS else (),
        )

    def _definition(self, kind: str) -> dict[str, Any]:
        config = self._config
        pairs = {
            "scenes": "views of a person in different scenes",
            "frames": "views of a person in frames of one clip",
            "draws": "the same view in two draws",
        }
        return {
            "compared": pairs[kind],
            "difference": "CIELAB under D65 (CIE 1976), mean over shared places",
            "light": config.light,
            "places": f"{config.patches} patches of the MPFB base mesh, at least {config.min_pixels} pixels each",
            "min_places": config.min_places,
            "interval": f"95 % percentile bootstrap over people, {config.bootstrap} resamples",
        }


def _packed(found: Sequence[View], count: int) -> State:
    return {
        "key": np.array([view.key for view in found], dtype=np.str_),
        "sequence": np.array([view.sequence for view in found], dtype=np.str_),
        "identity": np.array([view.identity for view in found], dtype=np.str_),
        "colours": np.stack([view.colours for view in found]) if found else np.zeros((0, count, 3), np.float32),
    }


def _sorted(state: State) -> State:
    order = np.lexsort((state["identity"], state["key"]))
    return {name: values[order] for name, values in state.items()}


def _by_place(judged: Sequence[Judged]) -> tuple[Floats, Floats]:
    """Return the mean difference at each place, (places,): to own views, and to those of others; NaN where none."""
    own, others = (np.concatenate(parts) for parts in zip(*((one.own, one.others) for one in judged), strict=True))
    return _column_means(own), _column_means(others)


def _column_means(apart: Floats) -> Floats:
    known = ~np.isnan(apart)
    counts = known.sum(axis=0)
    sums = np.where(known, apart, 0.0).sum(axis=0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _mean(apart: Floats) -> float:
    known = apart[~np.isnan(apart)]
    return float(known.mean()) if known.size else float("nan")


def _first(rows: Floats, counts: npt.NDArray[np.int32]) -> Floats:
    return np.asarray(counts @ rows[:, 0] / counts.sum(axis=1))


def _ratio(rows: Floats, counts: npt.NDArray[np.int32]) -> Floats:
    own, others = (counts @ rows).T
    return np.where(others > 0, own / np.where(others > 0, others, 1), 1.0)


def _cumulative(values: Floats) -> list[tuple[float, float]]:
    """Return the share of values up to each of 101 of their quantiles."""
    shares = np.linspace(0, 1, 101)
    return [(round(float(x), 4), round(float(y), 4)) for x, y in zip(np.quantile(values, shares), shares, strict=True)]
