# SPDX-License-Identifier: Apache-2.0
"""Candidates: rendered with the same scenes and seeds each, finished in many ways, and held against real images."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from synthkit import claims, config, pipeline
from synthkit.dataset import Dataset
from synthkit.errors import DatasetError, PluginError, WorkError
from synthkit.interfaces import ComponentSpec, Finishing, scene_of
from synthkit.sample import Sample
from synthkit.seeds import Seeds
from synthkit.session import Session
from synthkit.tuning.distance import Vectors, energy_distance
from synthkit.tuning.features import Eye, Picture
from synthkit.tuning.search import minimise
from synthkit.tuning.space import Space, Vector, copied, with_values

JOURNAL = "evaluations.json"
WIDE, NARROW = 30, 10  # evaluations for each coordinate of the finish: upon the first candidate, and upon each
_SPREAD, _NARROW_SPREAD = 0.2, 0.08
# What cannot be told from the images stays where it was: going through all of a setting costs so much of the start's
# distance.
ANCHOR = 0.05


@attrs.frozen(eq=False)
class Reference:
    """Real images as statistics (M, d), and how far from them the start is: distances are told in parts of that."""

    statistics: Vectors
    start: float

    def share(self, found: Vectors) -> float:
        """Return the distance of some statistics as a part of the start's."""
        return energy_distance(found, self.statistics) / self.start


@attrs.frozen
class Outcome:
    """A candidate: its values by path, the finish (a point) that the search upon it began at and the one that it
    found, its worth, and the worth of each finish that was tried.
    """

    values: Mapping[str, Any]
    begun: tuple[float, ...]
    finishing: tuple[float, ...]
    worth: float
    course: tuple[float, ...]


@attrs.frozen(eq=False)
class Renders:
    """Candidates as data sets in a folder; the same settings are rendered once.

    Args:
        spec: the renderer with what is not searched. scenes: of each candidate.
        samples_per_scene: as the renderer says. kept: settings that keep what finishing needs.
    """

    session: Session
    spec: ComponentSpec
    folder: Path
    scenes: int
    samples_per_scene: int
    kept: Mapping[str, Any] = attrs.field(factory=dict)

    def made(self, values: Mapping[str, Any]) -> Dataset:
        """Render a candidate, or the rest of it.

        Raises:
            WorkError: when next to nothing of it could be rendered.
        """
        options = with_values(self.spec.options, values)
        config.merge_into(options, copied(self.kept))
        spec = attrs.evolve(self.spec, options=options)
        name = config.fingerprint({"identity": self.session.registry.identity(spec), "seed": self.session.run.seed})
        made = pipeline.render(self.session, spec, self.folder / name[:12], self.scenes * self.samples_per_scene)
        if len(made.dataset) < 2:
            raise WorkError(f"{made.dataset.location}: of {self.scenes} scenes only {len(made.dataset)} samples could"
                            " be rendered; at least 2 are needed")  # fmt: skip
        return made.dataset


@attrs.define(eq=False)
class Trials:
    """Renders candidates and fits upon each what acts after rendering; what is known already is read again.

    Args:
        work: the folder of the journal. eye: how images are looked at. reference: what they are held against.
        finishing: what is fitted upon a candidate.
    """

    renders: Renders
    work: Path
    eye: Eye
    reference: Reference
    finishing: Space
    outcomes: list[Outcome] = attrs.Factory(list)
    _journal: list[dict[str, Any]] = attrs.Factory(list)

    def __attrs_post_init__(self) -> None:
        path = self.work / JOURNAL
        if path.exists():
            try:
                self._journal = list(json.loads(path.read_bytes())["evaluations"])
            except (ValueError, KeyError, TypeError, OSError):
                raise DatasetError(f"{path}: is damaged; remove it to begin anew") from None

    @property
    def session(self) -> Session:
        """What the work shares."""
        return self.renders.session

    def evaluate(self, values: Mapping[str, Any], anchored: float) -> Outcome:
        """Return what comes of a candidate; the next in the journal, as long as that is the same.

        Args:
            values: of what is rendered anew, by path. anchored: what its distance from the start costs.
        """
        number = len(self.outcomes)
        if number < len(self._journal):
            known = self._journal[number]
            if known["values"] != json.loads(json.dumps(dict(values))):
                raise DatasetError(f"{self.work}: was begun in another environment; choose another --out")
            points = [tuple(known[key]) for key in ("begun", "finishing", "course")]
            outcome = Outcome(known["values"], points[0], points[1], known["worth"], points[2])
        else:
            outcome = self._fitted(values, list(self.renders.made(values)), anchored)
            self._journal.append(attrs.asdict(outcome))
            claims.write_json(self.work / JOURNAL, {"evaluations": self._journal})
        self.outcomes.append(outcome)
        return outcome

    def _fitted(self, values: Mapping[str, Any], samples: Sequence[Sample], anchored: float) -> Outcome:
        """Return a candidate with the best finish that was found upon it.

        The first is searched widely. From where that ended all, the first too, get the same further search, so that
        none is better for having been searched longer.
        """
        size, start = self.finishing.size, self.finishing.start
        if not size:
            worth = self.reference.share(self.eye.glance(map(self.eye.view, samples))) + anchored
            return Outcome(dict(values), (), (), worth, (worth,))
        seeds = Seeds(self.session.run.seed).child("tune", "finishing")
        wide, narrow = size * WIDE, size * NARROW
        course: list[float] = []

        def evaluate(_: int, vector: Vector) -> float:
            seen = self.eye.glance(self._finished(values, vector, samples))
            course.append(self.reference.share(seen) + anchored + ANCHOR * _moved(vector, start))
            self.session.progress("fit the finish", len(course), narrow if self.outcomes else wide + narrow)
            return course[-1]

        if self.outcomes:
            begin = np.array(self.outcomes[0].begun)
        else:
            seed = seeds.integer("wide") % 2**32
            begin = minimise(evaluate, start, evaluations=wide, spread=_SPREAD, seed=seed).vector
        seed = seeds.integer("narrow") % 2**32
        found = minimise(evaluate, begin, evaluations=narrow, spread=_NARROW_SPREAD, seed=seed)
        return Outcome(dict(values), tuple(begin.tolist()), tuple(found.vector.tolist()), found.value, tuple(course))

    def _finished(self, values: Mapping[str, Any], vector: Vector, samples: Sequence[Sample]) -> list[Picture]:
        """Return what rendering with a finish would show."""
        spec = self.renders.spec
        wanted = attrs.evolve(spec, options=with_values(spec.options, {**values, **self.finishing.values(vector)}))
        renderer = self.session.registry.build(wanted, self.session.runtime("renderer"))
        if not isinstance(renderer, Finishing):
            raise PluginError(f"renderer {spec.name!r} declares finish_keeps but has no finish()")
        seeds = Seeds(self.session.run.seed).child("renderer")

        def finished(sample: Sample) -> Picture:
            done = renderer.finish(sample, seeds.child("scene", scene_of(sample.key)))
            return self.eye.view(done)

        with ThreadPoolExecutor(self.eye.threads) as pool:
            return list(pool.map(finished, samples))


def search(trials: Trials, space: Space, evaluations: int) -> Outcome:
    """Return the best candidate of a bounded number; the first is the start itself."""
    start = space.start

    def evaluate(n: int, vector: Vector) -> float:
        trials.session.progress("candidates", n, evaluations, "")
        outcome = trials.evaluate(space.values(vector) if n else {}, ANCHOR * _moved(vector, start))
        trials.session.progress("candidates", n + 1, evaluations, f"best {min(o.worth for o in trials.outcomes):.3f}")
        return outcome.worth

    seed = Seeds(trials.session.run.seed).child("tune").integer("candidates") % 2**32
    minimise(evaluate, start, evaluations=evaluations, spread=_SPREAD, seed=seed)
    return min(trials.outcomes, key=lambda outcome: outcome.worth)


def _moved(vector: Vector, start: Vector) -> float:
    return float(((vector - start) ** 2).sum())
