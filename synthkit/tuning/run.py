# SPDX-License-Identifier: Apache-2.0
"""The whole of ``synthkit tune``: measure, search, verify on fresh scenes, write what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from synthkit import claims, config, pipeline, weights
from synthkit.dataset import Dataset
from synthkit.dataset.environments import differences, environment
from synthkit.interfaces import ComponentSpec, scene_of
from synthkit.sample import Sample, evolve
from synthkit.seeds import Seeds
from synthkit.session import Session
from synthkit.tuning import labels, measuring
from synthkit.tuning.checks import check_count, checked
from synthkit.tuning.distance import Vectors, compared, energy_distance
from synthkit.tuning.features import (
    NAMES,
    NETWORK_LAYERS,
    NETWORK_PX,
    Eye,
    circle_of,
    network_features,
    plain_statistics,
)
from synthkit.tuning.plan import Budget, Dials
from synthkit.tuning.space import value_at, with_values
from synthkit.tuning.story import Change, Fitted, Story, Verified
from synthkit.tuning.trials import Reference, Renders, Trials, search
from synthkit.tuning.writing import write_settings

PLAN_FILE = "tune.json"
REVISION = 1  # of the search: raised when the same command comes to something else
MOST_REAL = 200  # real images that are looked at, spread evenly over the set
_LEAST_START = 1e-3  # of a distance that others are told in parts of
_SHOWN = 6  # images side by side


@attrs.frozen
class Tuned:
    """What came of it: the files, and what was found."""

    settings: Path
    report: Path
    story: Story


def tune(
    session: Session,
    renderer: ComponentSpec,
    real: str,
    out: Path,
    renders: int,
    *,
    extractor: str = "auto",
    general: Mapping[str, Any] | None = None,
) -> Tuned:
    """Fit a renderer's settings to real images, or go on with an interrupted fit.

    Beside ``out``, ``NAME.toml``, lie the report, ``NAME.html``, and a folder ``NAME`` with the renders.

    Args:
        renderer: with the settings that are known, which stay as they are.
        real: a data set, or a folder that ``convert`` knows. renders: images that are rendered at most.
        extractor: a network whose features are compared too; ``auto``: one whose weights are there; ``none``.
        general: settings besides the renderer's, to be written with them.

    Raises:
        ConfigError, DatasetError, WeightsError: for what the user can mend; before any work, as far as can be known.
    """
    known = checked(session, renderer, real, out, renders, extractor)
    work, report = out.with_suffix(""), out.with_suffix(".html")
    here = {**environment(), **session.registry.environment(renderer), "tuning": REVISION}
    noted = claims.claim(work, PLAN_FILE, {
        "renderer": session.registry.identity(renderer), "seed": session.run.seed, "renders": renders,
        "real": pipeline.real_identity(known.real), "extractor": known.network, "threads": session.run.threads,
        "tunable": config.plain(session.registry.get("renderer", renderer.name).component.tunable),
    }, {"environment": here})  # fmt: skip
    if changes := differences(noted.get("environment", here), here):
        session.tell(f"warning: {work}: was begun in another environment ({'; '.join(changes)}); what is there stays")
    with closing(pipeline.locked(work)):
        data = pipeline.as_dataset(session, known.real, work / "real")
        check_count(real, len(data))  # not all of a folder may be readable
        job = _Job(session, renderer, known.dials, data, work, renders, known.samples_per_scene, known.network)
        story, options = job.run()
        from synthkit.report.tuning import write_report

        write_settings(out, renderer.name, options, general or {}, story)
        write_report(story, report, out)
    return Tuned(out, report, story)


@attrs.frozen(eq=False)
class _Job:
    session: Session
    renderer: ComponentSpec
    dials: Dials
    data: Dataset
    work: Path
    images: int
    samples_per_scene: int
    network: str

    def run(self) -> tuple[Story, dict[str, Any]]:
        """Return what was found, and the renderer's settings with it."""
        labelled = [_without_pixels(sample) for sample in self.session.counted("real images", self._real())]
        real_sizes = labels.sizes(labelled) if self.dials.sizes else None
        budget = Budget.of(self.images, self.samples_per_scene, self.dials, sized=real_sizes is not None)

        counted = measuring.counts(labelled, self.dials.people)
        renders = self._renders(with_values(self.renderer.options, counted.values), budget.scenes)
        sized = measuring.sizes(renders, real_sizes, self.dials.sizes)
        measured = with_values(renders.spec.options, sized.values)
        renders = self._renders(measured, budget.scenes)
        start = renders.made({})
        eye = self._eye(labelled, start)
        real = eye.look(map(eye.view, self._real()))
        distance = energy_distance(eye.glance(map(eye.view, start)), real["statistics"])
        reference = Reference(real["statistics"], max(distance, _LEAST_START))
        trials = Trials(renders, self.work, eye, reference, self.dials.finishing)
        spent = sized.rounds if sized.values else 0  # else the round is that of the first candidate
        candidates = max(1, budget.evaluations - spent) if self.dials.rendered.size else 1
        best = search(trials, self.dials.rendered, candidates)

        searched = {**best.values, **self.dials.finishing.values(np.array(best.finishing))}
        verified = self._verified(measured, searched, budget.held_out, eye, real)
        kept = searched if verified.improved else {}
        story = Story(
            renderer=self.renderer.name,
            real_images=len(self.data),
            looked_at=len(labelled),
            side_px=eye.side_px,
            budget=budget,
            samples_per_scene=self.samples_per_scene,
            fitted=self._fitted({**counted.values, **sized.values}, kept),
            notes=[*counted.notes, *sized.notes],
            verified=verified,
            kinds=_kinds(self.network),
            worths=[outcome.worth for outcome in trials.outcomes],
            course=trials.outcomes[0].course if self.dials.finishing.size else (),
            seed=self.session.run.seed,
        )
        return story, with_values(measured, kept)

    def _real(self) -> Dataset | list[Sample]:
        """Return the real samples that are looked at."""
        if len(self.data) <= MOST_REAL:
            return self.data
        return [self.data[index] for index in _spread(len(self.data), MOST_REAL)]

    def _renders(self, options: Mapping[str, Any], scenes: int) -> Renders:
        component = self.session.registry.get("renderer", self.renderer.name).component
        kept = component.finish_keeps if self.dials.finishing.size else {}
        spec = attrs.evolve(self.renderer, options=options)
        return Renders(self.session, spec, self.work / "renders", scenes, self.samples_per_scene, kept)

    def _eye(self, labelled: Sequence[Sample], start: Dataset) -> Eye:
        """Return what looks at images, at the size of the smaller image circle."""
        diameters = [2 * circle_of(sample)[2] for sample in labelled]
        side = min(int(np.median(diameters)), int(2 * circle_of(start[0])[2]))
        features = network_features(self.network, self.session.runtime("metric")) if self.network else None
        return Eye(side, features, self.network, self.session.run.threads)

    def _verified(
        self,
        start: Mapping[str, Any],
        searched: Mapping[str, Any],
        scenes: int,
        eye: Eye,
        real: Mapping[str, Vectors],
    ) -> Verified:
        """Render fresh scenes with both settings and compare them."""
        session = self.session.reseeded(Seeds(self.session.run.seed).child("tune").integer("fresh scenes"))
        spec = attrs.evolve(self.renderer, options=start)
        fresh = Renders(session, spec, self.work / "fresh", scenes, self.samples_per_scene)
        sets = {"before": fresh.made({}), "after": fresh.made(searched)}
        vectors = {name: eye.look(map(eye.view, data)) for name, data in sets.items()}
        of_scene = [np.array(list(map(scene_of, data.keys()))) for data in sets.values()]
        changes = {}
        for kind in eye.kinds:
            pair = [vectors[name][kind] for name in sets]
            (before, after), gain = compared(real[kind], pair, of_scene)
            changes[kind] = Change(before, after, gain)
        shared = sorted(set(sets["before"].keys()) & set(sets["after"].keys()))[:_SHOWN]
        views = {name: [eye.view(data.by_key(key)) for key in shared] for name, data in sets.items()}
        views["real"] = [eye.view(self.data[index]) for index in _spread(len(self.data), _SHOWN)]
        looks = {name: plain_statistics(found["statistics"]).mean(axis=0) for name, found in vectors.items()}
        looks["real"] = plain_statistics(real["statistics"]).mean(axis=0)
        return Verified(changes, views, looks)

    def _fitted(self, measured: Mapping[str, Any], searched: Mapping[str, Any]) -> list[Fitted]:
        before = self.session.registry.configure(self.renderer)
        rows = [Fitted(path, value_at(before, path), value, "measured") for path, value in measured.items()]
        finishing = {dial.setting for dial in self.dials.finishing.dials}
        for path, value in searched.items():
            how = "searched, upon what was rendered" if path in finishing else "searched, by rendering anew"
            rows.append(Fitted(path, value_at(before, path), value, how))
        return [row for row in rows if row.before != row.after]


def _without_pixels(sample: Sample) -> Sample:
    """Return a sample whose image is of one black pixel, repeated: many large ones need not stay in memory."""
    return evolve(sample, image=np.broadcast_to(np.uint8(0), sample.image.shape), layers={})


def _kinds(network: str) -> dict[str, str]:
    """Return what each kind of distance is."""
    energy = "energy distance (Szekely and Rizzo 2013), unbiased, between real and rendered images'"
    found = {
        "statistics": f"{energy} {len(NAMES)} statistics of colour by ring, noise and sharpness; a unit is"
        " 8 of Lab's, or a factor of 1.5 in noise and detail, and the three groups count alike"
    }
    if network:
        known, layers = weights.entry(network), " and ".join(NETWORK_LAYERS[network])
        found[network] = (
            f"{energy} features of a network that the search did not ask: {known.architecture} (weights"
            f" {known.sha256[:12]}), {layers}, averaged over the image at {NETWORK_PX} px"
        )
    return found


def _spread(total: int, count: int) -> list[int]:
    """Return up to ``count`` places spread evenly over ``total``."""
    count = min(count, total)
    return [(2 * i + 1) * total // (2 * count) for i in range(count)]
