# SPDX-License-Identifier: Apache-2.0
"""The metric ``reid``, and what is ranked and told by all metrics of this kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, ClassVar, Literal, Self, cast

import attrs
import numpy as np
from PIL import Image

from synthkit import crops
from synthkit.checkpoint import Checkpoint
from synthkit.embedders import people
from synthkit.embedders.networks import Embed, Embedder, Vector, embedder_of, weights_of
from synthkit.embedders.people import Cut, Pixels, cut_out
from synthkit.errors import DatasetError, WeightsError
from synthkit.interfaces import Chart, Evidence, Items, MetricResult, RoleKind, Runtime, State
from synthkit.sample import Sample
from synthkit.weights import Wanted
from synthkit_reid import distances, pictures, states
from synthkit_reid.config import ReidConfig
from synthkit_reid.intervals import interval
from synthkit_reid.ranking import Floats, Labels, Protocol, Removal, Scores, by_chance, score
from synthkit_reid.states import THUMB_PX, Seen

_FEW = 10  # people or sequences on which numbers rest
_DRAWN = {"person": "people", "sequence": "sequences"}
_KEPT = {
    "own": "pictures of the query's person in the query's {view} do not count",
    "all": "pictures of the query's {view} are not in the gallery",
}
_SHOTS = {
    "all": "all pictures",
    "single": "one picture of each person, drawn; the mean over all draws (ranks alone, mAP is of all pictures)",
}


@attrs.frozen(eq=False)
class Ranked:
    """A gallery ranked for queries.

    Args:
        seen: everybody. queries, gallery: who is asked for, and among whom.
        images: which of a sample's images (0, or 1 for the original) are the queries', and the gallery's.
        chance: scores to expect if the gallery were in any order.
    """

    seen: Seen
    queries: Any
    gallery: Any
    images: tuple[int, int]
    removal: Removal
    labels: Labels
    scores: Scores
    chance: Scores

    @property
    def asked(self) -> Any:
        """(V,) which of everybody are the scored queries."""
        return self.queries[self.scores.query]

    @property
    def people(self) -> int:
        """How many people are asked for."""
        return len(np.unique(self.labels.identity[self.asked]))


class ReidMetric:
    """How well people are found again among pictures of others, in the space of a network that it names."""

    roles: ClassVar[Mapping[str, RoleKind]] = {"candidate": "samples"}
    name: ClassVar[str] = "reid"

    def __init__(self, config: ReidConfig, checkpoint: Checkpoint | None, runtime: Runtime) -> None:
        self._config = config
        self._runtime = runtime
        self._embedder: Embedder | None = None
        self._network: Embed | None = None
        self._length: int | None = None
        self._found: tuple[Mapping[str, State], Mapping[str, Ranked]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._embedder, self._network, self._found = None, None, None

    def weights(self) -> Sequence[Wanted]:
        """Return the embedder's published weights, if it has such."""
        return weights_of(self._config)

    def observed(self, role: str) -> Mapping[str, Any]:
        """Return what the role's state depends on: the embedder, and how people are cut out."""
        config = self._config
        return {
            "embedder": attrs.asdict(self.embedder.about),
            "pictures": [people.REVISION, crops.REVISION, config.background, config.min_extent_px],
            "thumbs": config.pictures is not None,
        }

    @property
    def embedder(self) -> Embedder:
        """The network that tells people apart; see ``embedder_of`` for errors."""
        if self._embedder is None:
            self._embedder = embedder_of(self._config, self._runtime)
        return self._embedder

    def observe(self, role: str, items: Items) -> State:
        """Return embeddings of everybody in some samples.

        Raises:
            WeightsError: when the embedder's weights cannot be had, or are not what their card tells.
            DatasetError: when backgrounds are to go and there are no masks.
        """
        rows, left_out = [], Counter[str]()
        for sample, images in self._images(items):
            for found in cut_out(sample, images, self._cut):
                if isinstance(found, str):
                    left_out[found] += 1
                    continue
                rows.append((sample, found, [self._embed(picture) for picture in found.pixels], self._thumbs(found)))
        return states.collect(rows, left_out).state

    def merge(self, states_: Sequence[State]) -> State:
        """Return everybody, sorted by key: order never matters."""
        return states.joined([Seen.of(state) for state in states_]).state

    def compute(self, states_: Mapping[str, State]) -> Sequence[MetricResult]:
        """Return mAP and ranks.

        Raises:
            DatasetError: when nobody is there twice.
        """
        (ranked,) = self._rankings(states_).values()
        return self._results(ranked, "higher", map_too=True)

    def explain(self, states_: Mapping[str, State]) -> Evidence:
        """Return how many are found up to each rank."""
        rankings = self._rankings(states_)
        first = next(iter(rankings.values()))
        curves = {title: ranked.scores.cmc for title, ranked in rankings.items()} | {"by chance": first.chance.cmc}
        chart = Chart(
            title=f"{self.name}: found among the nearest",
            x_label="pictures that are looked at",
            y_label="share of queries",
            series={
                title: [(float(rank), float(share)) for rank, share in enumerate(curve, start=1)]
                for title, curve in curves.items()
            },
            note=f"Cumulative match characteristic in the space of {self.embedder.about.name}.",
        )
        return Evidence((chart,), {}, {})

    def _rankings(self, states_: Mapping[str, State]) -> Mapping[str, Ranked]:
        """Return what is ranked, by what it shows; ranked once for the numbers and the curves."""
        if self._found is None or self._found[0] is not states_:
            (state,) = states_.values()
            self._found = states_, self._ranked_all(states.joined([Seen.of(state)]))
        return self._found[1]

    def _ranked_all(self, seen: Seen) -> Mapping[str, Ranked]:
        return {"people": self._ranked(seen, (0, 0), "own")}

    def _images(self, items: Items) -> Iterator[tuple[Sample, tuple[Pixels, ...]]]:
        """Yield samples, and the images in which the people are looked at."""
        for sample in cast("Iterable[Sample]", items):
            yield sample, (np.asarray(sample.image),)

    @property
    def _cut(self) -> Cut:
        card = self.embedder.card
        background = card.neutral if self._config.background == "removed" else None
        return Cut(card.size_px, background, self._config.min_extent_px)

    def _embed(self, picture: Pixels) -> Vector:
        """Return a picture's embedding, as long as any other's.

        Raises:
            WeightsError: when it is not, or what comes out is none.
        """
        if self._network is None:
            self._network = self.embedder.load()
        found = self.embedder.embed(self._network, picture)
        self._length = self._length or len(found)
        if len(found) != self._length:
            raise WeightsError(
                f"embedder {self.embedder.about.name}: gives {self._length} numbers for some pictures and {len(found)}"
                " for others"
            )
        return found

    def _thumbs(self, found: people.Picture) -> list[Pixels]:
        if self._config.pictures is None:
            return []
        return [np.asarray(Image.fromarray(picture).resize(THUMB_PX)) for picture in found.pixels]

    def _ranked(self, seen: Seen, images: tuple[int, int], removal: Removal) -> Ranked:
        """Return the gallery ranked.

        Raises:
            DatasetError: when no query has anybody to be found.
        """
        queries, gallery = seen.asked()
        view = seen.view(self._config.view)
        labels = seen.labels(view)
        asked, among = (Labels(labels.identity[rows], labels.view[rows]) for rows in (queries, gallery))
        protocol = Protocol(removal, self._config.shots, max(self._config.ranks))
        if len(queries) and len(gallery):
            vectors = seen.vectors[queries, images[0]], seen.vectors[gallery, images[1]]
            found = score(distances.blocks(*vectors, self._config.distance), asked, among, protocol)
            if len(found.query):
                chance = by_chance(found, protocol)
                return Ranked(seen, queries, gallery, images, removal, labels, found, chance)
        known = len(np.unique(seen.identity[seen.told("identity")]))
        raise DatasetError(
            f"{self.name}: nobody is there twice: there are {len(seen)} pictures of {known} known people, and none"
            f" of another {view} shows the same one"
            + ("" if view == "image" else f"; set metric.view=image to count pictures of the same {view}")
        )

    def _results(
        self, ranked: Ranked, better: Literal["higher", "lower"], *, map_too: bool, part: str = "", **more: Any
    ) -> list[MetricResult]:
        self._write_pictures(ranked, part)
        return [
            self._result(ranked, name, values, better, part, **more)
            for name, values in self._values(ranked.scores, map_too=map_too).items()
        ]

    def _values(self, scores: Scores, *, map_too: bool = True) -> dict[str, Floats]:
        """Return what is averaged over queries, (V,), by the name of the mean."""
        values = {"map": scores.ap, "map_trapezoid": scores.ap_trapezoid} if map_too else {}
        return values | {f"rank_{rank}": scores.found[:, rank - 1] for rank in self._config.ranks}

    def _result(
        self, ranked: Ranked, name: str, values: Floats, better: Literal["higher", "lower"], part: str = "", *,
        cautions: Sequence[str] = (), **more: Any,
    ) -> MetricResult:  # fmt: skip
        about = self.embedder.about
        removed = ", no background" if self._config.background == "removed" else ""
        single = ", single shot" if self._config.shots == "single" and name.startswith("rank") else ""
        return MetricResult(
            name=f"{self.name}_{name}[{about.name}{removed}{single}]",
            value=float(values.mean()),
            better=better,
            count=len(values),
            definition={**self._definition(ranked, name), **more},
            interval=self._interval(ranked, values),
            part=part,
            extractor=about,
            counts={"queries": len(values), "gallery": len(ranked.gallery), "people": ranked.people},
            cautions=(*self._cautions(ranked), *cautions),
        )

    def _interval(self, ranked: Ranked, values: Floats) -> tuple[float, float] | None:
        """Return the interval of the mean of values of the scored queries, (V,)."""
        return interval(values, ranked.seen.clusters(self._config.resample)[ranked.asked])

    def _definition(self, ranked: Ranked, name: str) -> dict[str, Any]:
        config, seen = self._config, ranked.seen
        view = seen.view(config.view)
        formula = {
            "map": "mean precision at the right pictures, as torchreid's AP",
            "map_trapezoid": "area under straight lines between ranks, as AP of Market-1501's own compute_AP.m",
        }.get(name, f"share of queries with a right picture among the first {name.removeprefix('rank_')}")
        split = bool((seen.split == "query").any())
        return {
            "value": formula,
            "queries": "the split 'query'" if split else "everybody whose identity is known",
            "gallery": f"{'the split test' if split else 'everybody'}, {_SHOTS[config.shots]}",
            "view": f"{view}: {_KEPT[ranked.removal].format(view=view)}",
            "distance": config.distance,
            "ties": "the mean over all orders of pictures at equal distances",
            "by_chance": round(float(self._values(ranked.chance)[name].mean()), 6),
            "background": config.background,
            "queries_without_match": len(ranked.queries) - len(ranked.scores.query),
            "strangers_in_gallery": int((seen.identity[ranked.gallery] == "").sum()),
            "left_out": dict(zip(states.REASONS, seen.left_out.tolist(), strict=True)),
            "interval": f"95 %, had there been other {_DRAWN[config.resample]} (Korn and Graubard 1998)",
        }

    def _cautions(self, ranked: Ranked) -> list[str]:
        found = [f"only {ranked.people} people are asked for"] if ranked.people < _FEW else []
        if self._config.resample == "sequence":
            count = len(np.unique(ranked.seen.clusters("sequence")[ranked.asked]))
            found += [f"intervals rest on {count} sequences"] if count < _FEW else []
        return found

    def _write_pictures(self, ranked: Ranked, part: str) -> None:
        folder = self._config.pictures
        if folder is not None:
            file = f"{self.name}-{part}.png" if part else f"{self.name}.png"
            pictures.write(ranked, self._config.distance, self._config.shown, folder / file)
