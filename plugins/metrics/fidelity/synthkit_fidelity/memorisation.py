# SPDX-License-Identifier: Apache-2.0
"""The metric ``memorisation``: whether refined people are real ones whom the refiner learned by heart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, cast

import attrs
import numpy as np
import numpy.typing as npt

from synthkit import crops, weights
from synthkit.checkpoint import Checkpoint
from synthkit.errors import DatasetError, MissingWeightsError
from synthkit.interfaces import Extractor, MetricResult, Runtime, Scored, State
from synthkit.report.drawing import grid, write_png
from synthkit.sample import Person, Sample
from synthkit.training.devices import set_up
from synthkit.training.perceptual import load_features
from synthkit.weights import Wanted
from synthkit_fidelity.config import MemorisationConfig
from synthkit_fidelity.nearest import SKEW, limit, nearest, nearest_other
from synthkit_fidelity.spaces import CROP_PX, PIXELS, Network, Pixels, Space, weight_of

REVISION = 1  # of what is observed: raised when the same samples give other maps

_BATCH = 16
_LEAST_REAL = 20  # people, for a limit that means anything
_NETWORK, _LAYER = "mobilenet_v2", "stride8"
_Z = 1.96
_SHOWN = 8  # pairs in the definition and in a row of the picture


class MemorisationMetric:
    """The share of refined people who are nearer to a real one than real people are to one another.

    The reference is what the refiner was trained towards, the candidate what it made. A refined crop counts as a
    copy when the distance to its nearest real crop lies below what nearest crops of different real people have. So
    do the test of Meehan, Chaudhuri and Dasgupta (A non-parametric test to detect data-copying in generative models,
    AISTATS 2020), which needs real samples that were held out, and the authenticity of Alaa et al. (How faithful is
    your synthetic data?, ICML 2022), whose scale is the real neighbour's own nearest neighbour: in frames of a video
    that is the same person again, so here only other people count, and one scale serves all.
    """

    roles: Mapping[str, Literal["samples", "detections"]] = {"reference": "samples", "candidate": "samples"}

    def __init__(self, config: MemorisationConfig, checkpoint: Checkpoint | None, runtime: Runtime) -> None:
        self._config = config
        self._runtime = runtime
        self._space: Space | None = None
        self._by_network: bool | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._space = None

    def weights(self) -> Sequence[Wanted]:
        """Return the network's weights where people are compared by it."""
        return [(weights.entry(_NETWORK), self._config.weights)] if self._uses_network else []

    def observed(self, role: str) -> Mapping[str, Any]:
        """Return what decides about the maps of people.

        Raises:
            WeightsError: when a file is there that is not what it should be.
        """
        return {
            "people": attrs.asdict(self._about),
            "crops": self._config.picture is not None,
            "revisions": [REVISION, crops.REVISION],
        }

    def observe(self, role: str, items: Iterable[Sample] | Iterable[Scored]) -> State:
        """Return maps of everybody in some samples, where in them the people are, keys, and whom they show.

        Raises:
            WeightsError: when a network is asked for whose weights cannot be had, or a file of it is damaged.
        """
        space = self._opened()
        found = _crops(cast("Iterable[Sample]", items))
        parts: list[tuple[npt.NDArray[Any], ...]] = []
        while batch := list(islice(found, _BATCH)):
            cut, weight = (np.stack([row[n] for row in batch]) for n in (0, 1))
            keys, who = (np.array([row[n] for row in batch], dtype=np.str_) for n in (2, 3))
            parts.append((space.maps(cut), weight, cut if self._config.picture else cut[:, :0], keys, who))
        names = ("maps", "weights", "crops", "keys", "who")
        if not parts:
            return {name: np.zeros(0, np.str_ if name in ("keys", "who") else np.uint8) for name in names}
        return {name: np.concatenate(columns) for name, columns in zip(names, zip(*parts, strict=True), strict=True)}

    def merge(self, states: Sequence[State]) -> State:
        """Return all people, sorted by key: order never matters."""
        filled = [state for state in states if len(state["keys"])]
        if not filled:
            return states[0]
        joined = {name: np.concatenate([state[name] for state in filled]) for name in filled[0]}
        order = np.argsort(joined["keys"], kind="stable")
        return {name: values[order] for name, values in joined.items()}

    def compute(self, states: Mapping[str, State]) -> Sequence[MetricResult]:
        """Return the share of copies among the candidate's people, and the least distance in units of the limit.

        Raises:
            DatasetError: when there are too few people, the reference shows one person only, or its people tell no
                limit.
        """
        real, made = states["reference"], states["candidate"]
        self._check(real, made)
        between_people = nearest_other(real["maps"], real["who"], made["weights"])
        bound = _limit(between_people, self._config.chance)
        which, distance = nearest(made["maps"], made["weights"], real["maps"])
        order = np.argsort(distance, kind="stable")
        if self._config.picture is not None:
            self._write_picture(real["crops"][which[order]], made["crops"][order], self._config.picture)
        copies, total = int((distance < bound).sum()), len(distance)
        pairs = [
            {
                "candidate": str(made["keys"][n]),
                "reference": str(real["keys"][which[n]]),
                "distance": _told(distance[n]),
            }
            for n in order[:_SHOWN]
        ]
        about = self._about
        definition = {
            "copy": "the distance to the nearest real crop is below the limit",
            "limit": _told(bound),
            "limit_from": "distances between nearest crops of different real people:"
            f" median - {SKEW} x (quantile {1 - self._config.chance:g} - median)",
            "median_between_real_people": _told(float(np.median(between_people))),
            "median_to_real": _told(float(np.median(distance))),
            "expected_by_chance": self._config.chance,
            "compared": "where the refined person's mask is, without one where people usually are; unit vectors without"
            " mean",
            "reference_count": len(real["keys"]),
            "reference_people": len(np.unique(real["who"])),
            "nearest_pairs": pairs,
        }
        least = float(distance[order[0]] / bound)
        return [
            MetricResult(
                f"memorised_share[{about.name}]", copies / total, "lower", total, definition, _wilson(copies, total),
                extractor=about, cautions=self._cautions(),
            ),
            MetricResult(
                f"nearest_to_real[{about.name}, limits]", _told(least), "higher", total, definition,
                extractor=about, cautions=self._cautions(),
            ),
        ]  # fmt: skip

    def _cautions(self) -> tuple[str, ...]:
        if self._config.space != "auto" or self._uses_network:
            return ()
        return (
            f"people are compared by coarse colours, as the weights of {_NETWORK} are not here;"
            f" metric.space={_NETWORK} tells where to get them",
        )

    @property
    def _uses_network(self) -> bool:
        """Whether people are compared by a network: where that is asked for, else where its weights can be had.

        Raises:
            WeightsError: when these are damaged, or not where the user says.
        """
        if self._by_network is None:
            self._by_network = self._config.space == _NETWORK or (self._config.space == "auto" and self._at_hand())
        return self._by_network

    def _at_hand(self) -> bool:
        try:
            weights.find(_NETWORK, self._config.weights, self._runtime.progress)
        except MissingWeightsError:
            return False
        return True

    @property
    def _about(self) -> Extractor:
        name, sha256 = PIXELS, None
        if self._uses_network:
            name, sha256 = f"{_NETWORK} {_LAYER}", weights.entry(_NETWORK).sha256
        return Extractor(name, sha256, f"head-aligned crops, {CROP_PX} px")

    def _opened(self) -> Space:
        if self._space is None:
            self._space = self._network() if self._uses_network else Pixels()
        return self._space

    def _network(self) -> Network:
        network, _ = load_features(_NETWORK, [_LAYER], self._config.weights, self._runtime.progress)
        device = set_up(self._runtime)
        return Network(network.to(device), _LAYER, device)

    def _check(self, real: State, made: State) -> None:
        for role, state, least in (("reference", real, _LEAST_REAL), ("candidate", made, 1)):
            if len(state["keys"]) < least:
                raise DatasetError(
                    f"memorisation: the {role} has {len(state['keys'])} people that can be cropped, and"
                    f" at least {least} are needed"
                )
        if len(np.unique(real["who"])) < 2:
            raise DatasetError("memorisation: the reference shows one person only: there is nobody to compare with")

    def _write_picture(self, real: npt.NDArray[np.uint8], made: npt.NDArray[np.uint8], path: Path) -> None:
        shown = min(self._config.shown, len(made))
        rows = []
        for at in range(0, shown, _SHOWN):
            row = slice(at, min(at + _SHOWN, shown))
            blank = [np.full_like(made[0], 255)] * (min(_SHOWN, shown) - (row.stop - row.start))
            rows += [*made[row], *blank, *real[row], *blank]
        write_png(grid(rows, columns=min(_SHOWN, shown)), path)


def _crops(samples: Iterable[Sample]) -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32], str, str]]:
    """Yield each person's crop, where in it the person is, a key, and whom it shows as far as that is known."""
    for sample in samples:
        instances = sample.layers.get("instances")
        for plan in crops.plan_crops(sample, (CROP_PX, CROP_PX)):
            person = (sample.people or ())[plan.person]
            mask = None
            if instances is not None and plan.instance is not None:
                mask = crops.extract_mask(instances, plan)
                if not mask.any():
                    continue
            crop = crops.extract(sample.image, plan)
            yield crop, weight_of(mask), f"{sample.key}#{plan.person}", _who(sample, person)


def _who(sample: Sample, person: Person) -> str:
    """Return a name that pictures share which may show the same person."""
    if person.identity is not None:
        return f"identity {person.identity}"
    return f"clip {sample.sequence}" if sample.sequence is not None else f"image {sample.key}"


def _limit(between_people: npt.NDArray[np.float64], chance: float) -> float:
    bound = limit(between_people, chance)
    if bound <= 0:
        raise DatasetError(
            "memorisation: most people of the reference have a double under another name, and some have none (median"
            f" distance {_told(float(np.median(between_people)))}), so that not even a copy would lie below the limit:"
            " pictures of one person need one identity, or one sequence, in the reference"
        )
    return bound


def _wilson(hits: int, total: int) -> tuple[float, float]:
    """Return the 95 % score interval of a share (Wilson 1927)."""
    share, square = hits / total, _Z**2 / total
    middle, half = share + square / 2, _Z * math.sqrt(share * (1 - share) / total + square / (4 * total))
    return max(0.0, (middle - half) / (1 + square)), min(1.0, (middle + half) / (1 + square))


def _told(value: float) -> float:
    return round(float(value), 4)
