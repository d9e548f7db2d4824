# SPDX-License-Identifier: Apache-2.0
"""The metrics ``frechet`` (``fid``, ``clean-fid``, ``fid-clip``), ``kid``, ``inception-score`` and ``prdc``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from synthkit.errors import DatasetError
from synthkit.interfaces import Chart, Evidence, MetricResult, State
from synthkit_fidelity.config import FeatureConfig, FrechetConfig, InceptionScoreConfig, KidConfig, PrdcConfig
from synthkit_fidelity.entropy import inception_scores
from synthkit_fidelity.extractors import Inception
from synthkit_fidelity.extrapolation import LEAST, PARTS, STRAIGHT, Extrapolation, extrapolate
from synthkit_fidelity.features import Features
from synthkit_fidelity.gaussians import frechet_distance
from synthkit_fidelity.kernels import subset_distances
from synthkit_fidelity.manifolds import overlap
from synthkit_fidelity.observing import FeatureMetric, named, with_parts

_FID_NAMES = {
    ("inception", "tf1"): "fid",
    ("inception", "clean"): "clean_fid",
    ("clip", "squash"): "fid_clip[squash]",
    ("clip", "centre-crop"): "fid_clip[centre-crop]",
}
_KID_NAMES = {("inception", "tf1"): "kid", ("inception", "clean"): "clean_kid"}
_KID_SIZE = 1000
_SCORE_SPLITS = 10
_FEW_VECTORS = 1000  # below which precision and recall differ by some hundredths from draw to draw


class FrechetMetric(FeatureMetric[FrechetConfig]):
    """The Frechet distance between two sets in a named feature space (thesis 000, equation 2.26).

    In Inception's space of 2015-12-05 behind TensorFlow 1's resizing it is the Frechet Inception Distance (Heusel et
    al., NeurIPS 2017); behind Pillow's, clean-fid's; in CLIP's, FID_CLIP (Kynkaanniemi et al., ICLR 2023). No other
    carries these names. Numbers compare only when their names and definitions are equal, and fewer images give
    larger ones; what endlessly many would give is extrapolated.
    """

    _drawn: tuple[Mapping[str, State], Extrapolation | None] | None = None

    def compute(self, states: Mapping[str, State]) -> Sequence[MetricResult]:
        """Return the distance between ``candidate`` and ``reference``, and the extrapolated one.

        Raises:
            DatasetError: when a set has fewer than two items.
        """
        found = self.gather(states)
        reference, candidate = (found[role].gaussian() for role in ("reference", "candidate"))
        name = named(_FID_NAMES, "frechet_distance", self.config, self.space)
        dimensions = len(reference.mean)
        definition = {
            "formula": "|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), unbiased covariances",
            "dimensions": dimensions,
        }
        value, cautions = frechet_distance(reference, candidate), _few(found, dimensions)
        results = [self.result(name, value, "lower", found, definition=definition, cautions=cautions)]
        line = self._line(states)
        if line is not None:
            stem, bracket, inside = name.partition("[")
            definition |= {
                "extrapolated_from": line.counts.tolist(),
                "subsets_each": f"up to {PARTS} without a vector in common",
                "distances": [round(float(distance), 6) for distance in line.distances],
                "bias_of_the_reference": "stays: only the candidate's number is varied",
            }
            limit = f"{stem}_infinity{bracket}{inside}"
            rough = _rough(found, dimensions)
            results.append(self.result(limit, line.limit, "lower", found, definition=definition, cautions=rough))
        return results

    def explain(self, states: Mapping[str, State]) -> Evidence:
        """Return how the distance falls with the number of images."""
        line = self._line(states)
        if line is None:
            return Evidence((), {}, {})
        counts = np.linspace(line.counts[0], line.counts[-1], 100)
        chart = Chart(
            title="Distance of fewer images",
            x_label="images or crops of the candidate",
            y_label="distance",
            series={
                "random subsets": list(zip(line.counts.tolist(), line.distances.tolist(), strict=True)),
                f"{line.limit:.4g} + {line.slope:.4g} / N": [(float(n), line.limit + line.slope / n) for n in counts],
            },
            note=f"{named(_FID_NAMES, 'frechet_distance', self.config, self.space)}: those of equal numbers compare, or"
            " the limit.",
        )
        return Evidence((chart,), {}, {})

    def _line(self, states: Mapping[str, State]) -> Extrapolation | None:
        """Return the extrapolation, found once for the numbers and the chart."""
        if self._drawn is None or self._drawn[0] is not states:
            found = self.gather(states)
            vectors, line = found["candidate"].vectors, None
            if self.config.infinity_points and len(vectors) >= LEAST:
                draws = self.runtime.seeds.stream("infinity")
                line = extrapolate(found["reference"].gaussian(), vectors, self.config.infinity_points, draws)
            self._drawn = states, line
        return self._drawn[1]


class KidMetric(FeatureMetric[KidConfig]):
    """The kernel distance between two sets; in Inception's space the Kernel Inception Distance.

    It is unbiased, so that sets of different size compare. Its interval holds 95 % of the subsets.
    """

    def compute(self, states: Mapping[str, State]) -> Sequence[MetricResult]:
        """Return the mean distance of random subsets.

        Raises:
            DatasetError: when a set has fewer than two items.
        """
        found = self.gather(states)
        reference, candidate = (found[role].vectors for role in ("reference", "candidate"))
        size = min(self.config.subset_size, len(reference), len(candidate))
        draws = self.runtime.seeds.stream("subsets")
        ours, theirs = (
            np.stack([draws.choice(len(vectors), size, replace=False) for _ in range(self.config.subsets)])
            for vectors in (reference, candidate)
        )
        values = subset_distances(reference, candidate, ours, theirs)
        name = named(_KID_NAMES, "kernel_distance", self.config, self.space)
        low, high = (float(value) for value in np.quantile(values, (0.025, 0.975)))
        whole = size == max(len(reference), len(candidate))  # each subset is all there is
        return [
            self.result(
                name if size == _KID_SIZE else with_parts(name, f"subsets of {size}"),
                float(values.mean()),
                "lower",
                found,
                interval=None if whole else (low, high),
                interval_of="" if whole else "subsets",
                cautions=self._cautions(size),
                definition={
                    "formula": "squared MMD under (x y / d + 1)^3, unbiased",
                    "subsets": self.config.subsets,
                    "subset_size": size,
                    "interval": "holds 95 % of the subsets, which overlap; it is no interval of their mean",
                    "subsets_deviation": float(values.std()),
                },
            )
        ]

    def _cautions(self, size: int) -> tuple[str, ...]:
        wanted = self.config.subset_size
        fewer = f"subsets of {size}, for want of {wanted}: the mean stands, their spread is another"
        return (fewer,) if size != wanted else ()


class InceptionScoreMetric(FeatureMetric[InceptionScoreConfig]):
    """The Inception Score: how surely each image shows one class of ImageNet, and all together many of them.

    It looks at no reference, and of images of people alone it says little: there is hardly a class for these.
    """

    roles: Mapping[str, Literal["samples", "detections", "pairs"]] = {"candidate": "samples"}

    @property
    def features(self) -> FeatureConfig:
        """Inception's space, as FID has it."""
        config = self.config
        return FeatureConfig(
            extractor="inception", weights=config.weights, region=config.region, crop_px=config.crop_px
        )

    def compute(self, states: Mapping[str, State]) -> Sequence[MetricResult]:
        """Return the mean of the parts' scores.

        Raises:
            DatasetError: when there are fewer images than parts.
        """
        found = self.gather(states)
        splits, vectors = self.config.splits, found["candidate"].vectors
        if len(vectors) < splits:
            raise DatasetError(f"the candidate has {len(vectors)} items, too few for {splits} parts: set metric.splits")
        network, device = self.network()
        assert isinstance(network, Inception)
        logits = network.logits(vectors, device)
        scores = inception_scores(logits, splits)
        name = named({("inception", "tf1"): "inception_score"}, "", self.features, self.space)
        return [
            self.result(
                name if splits == _SCORE_SPLITS else with_parts(name, f"{splits} parts"),
                float(scores.mean()),
                "higher",
                found,
                cautions=_small_parts(len(vectors) // splits, logits.shape[1]),
                definition={
                    "formula": "exp(mean KL(p(y|x) | p(y))), mean of the parts",
                    "splits": splits,
                    "splits_deviation": float(scores.std()),
                },
            )
        ]


class PrdcMetric(FeatureMetric[PrdcConfig]):
    """Precision, recall, density and coverage: whether what is made looks real, and whether it is as various."""

    @property
    def least(self) -> int:
        """Vectors that each set must have."""
        return self.config.neighbours + 2

    def compute(self, states: Mapping[str, State]) -> Sequence[MetricResult]:
        """Return the four of them.

        Raises:
            DatasetError: when a set has too few items.
        """
        found = self.gather(states)
        k = self.config.neighbours
        real, made = (found[role].vectors[: self.config.at_most] for role in ("reference", "candidate"))
        shares = overlap(real, made, k)
        definition = {"neighbours": k, "vectors": {"reference": len(real), "candidate": len(made)}}
        least = min(len(real), len(made))
        few = (f"{least} vectors are few, with wide balls: compare equal counts only",) if least < _FEW_VECTORS else ()
        return [
            self.result(
                with_parts(named({}, name, self.config, self.space), f"k={k}"), value, "higher", found,
                definition=definition | {"formula": formula}, cautions=few,
            )
            for name, value, formula in (
                ("precision", shares.precision, "share of the candidate within the real vectors' balls"),
                ("recall", shares.recall, "share of the real within the candidate's vectors' balls"),
                ("density", shares.density, "real balls that hold a vector of the candidate, over k"),
                ("coverage", shares.coverage, "share of the real vectors' balls that hold one of the candidate"),
            )
        ]  # fmt: skip


def _small_parts(each: int, classes: int) -> tuple[str, ...]:
    if each >= classes:
        return ()
    return (
        f"parts of {each} images for {classes} classes: a score is at most its number of images, and too low of few;"
        " compare equal counts only",
    )


def _few(found: Mapping[str, Features], dimensions: int) -> tuple[str, ...]:
    least = min(features.count for features in found.values())
    if least > dimensions:
        return ()
    return (
        f"{least} items span no space of {dimensions} dimensions: the distance is biased upwards; compare equal"
        " counts only",
    )


def _rough(found: Mapping[str, Features], dimensions: int) -> tuple[str, ...]:
    least = min(features.count for features in found.values())
    if least >= STRAIGHT * dimensions:
        return ()
    return (
        f"extrapolated from {least} items in {dimensions} dimensions: rough below {STRAIGHT * dimensions}, as bias is"
        " there no constant over N; it may even be negative, and compares no better than the distance",
    )
