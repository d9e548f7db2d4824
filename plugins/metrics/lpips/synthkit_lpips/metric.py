# SPDX-License-Identifier: Apache-2.0
"""The metrics ``lpips``, ``ssim`` and ``psnr``: how far images are from those of the same key in another set."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar, cast

import numpy as np
import numpy.typing as npt

from synthkit.checkpoint import Checkpoint
from synthkit.errors import DatasetError
from synthkit.interfaces import Extractor, Items, MetricResult, Pair, RoleKind, Runtime, State
from synthkit.resampling import Units, interval, sequences_of, unit_of
from synthkit.weights import Wanted
from synthkit_lpips import structure
from synthkit_lpips.config import LpipsConfig, PairConfig
from synthkit_lpips.regions import Mask, Pixels, Region, regions

if TYPE_CHECKING:
    import torch

    from synthkit_lpips.distance import PerceptualDistance

REVISION = 2  # of what is observed: raised when the same pairs give other values

_LEAST_PX = 32  # what the networks make features of
_NAMES = {"original": "lpips", "reconstruction": "lpips_reconstruction", "diversity": "lpips_diversity"}

_Config = TypeVar("_Config", bound=PairConfig)


class PairMetric(ABC, Generic[_Config]):
    """The mean over pairs of some value of each; its 95 % percentile bootstrap interval over images or sequences."""

    roles: Mapping[str, RoleKind] = {"pairs": "pairs"}
    better: Literal["higher", "lower"] = "higher"

    def __init__(self, config: _Config, checkpoint: Checkpoint | None, runtime: Runtime) -> None:
        self._config = config
        self._runtime = runtime

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def observed(self, role: str) -> Mapping[str, Any]:
        """Return what decides about the values of pairs."""
        crop_px = self._config.crop_px if self._config.crops else None
        return {
            "value": type(self).__name__,
            "revision": REVISION,
            "region": self._config.region,
            "crop_px": crop_px,
        }

    def observe(self, role: str, items: Items) -> State:
        """Return the value of each pair of pictures, with the samples' keys and sequences, and whom they show."""
        sequences: dict[str, str] = {}
        rows = list(self._rows(regions(_noting(cast("Iterable[Pair]", items), sequences), self._config)))
        return {
            "key": np.array([key for key, _, _ in rows], dtype=np.str_),
            "sequence": np.array([sequences[key] for key, _, _ in rows], dtype=np.str_),
            "person": np.array([person for _, person, _ in rows], dtype=np.int64),
            "value": np.array([value for _, _, value in rows], dtype=np.float64),
        }

    def merge(self, states: Sequence[State]) -> State:
        """Return all values; their order never matters."""
        return {name: np.concatenate([state[name] for state in states]) for name in states[0]}

    def compute(self, states: Mapping[str, State]) -> Sequence[MetricResult]:
        """Return the mean.

        Raises:
            DatasetError: when there is nothing to compare, or sequences are to be resampled and there is none.
        """
        state, config = states["pairs"], self._config
        order = np.lexsort((state["person"], state["key"]))
        keys, values = state["key"][order], state["value"][order]
        if not len(values):
            what = "no people's masks" if config.masked else "no images"
            what = "no people who can be cropped" if config.crops else what
            raise DatasetError(f"{self._name()}: there is nothing to compare: {what}")
        units = Units.of(keys if config.resample == "image" else sequences_of(state["sequence"][order], keys))
        means = units.means(values, self._runtime.seeds.stream("bootstrap"), config.bootstrap)
        return [
            MetricResult(
                name=self._name(),
                value=float(values.mean()),
                better=self.better,
                count=len(values),
                definition={**self._definition(), "images": len(np.unique(keys))},
                interval=interval(means),
                extractor=self._extractor(),
                cautions=(*(units.caution(config.resample) if config.bootstrap else ()), *self._cautions(values)),
            )
        ]

    @abstractmethod
    def _rows(self, found: Iterator[Region]) -> Iterator[tuple[str, int, float]]:
        """Yield key, person and value of each region."""

    def _extractor(self) -> Extractor | None:
        return None

    def _name(self) -> str:
        return f"{self._kind()}[{self._where()}]"

    @abstractmethod
    def _kind(self) -> str:
        """Return what results are called."""

    def _where(self) -> str:
        config = self._config
        return f"{config.region}, {config.crop_px} px" if config.crops else config.region

    def _definition(self) -> dict[str, Any]:
        config = self._config
        return {
            "region": f"head-aligned crops, {config.crop_px} px" if config.crops else "whole images",
            "counted": "people alone, all else made equal" if config.masked else "everything",
            "interval": f"95 % percentile bootstrap over {config.resample}s, {config.bootstrap} resamples",
        }

    def _cautions(self, values: npt.NDArray[np.float64]) -> tuple[str, ...]:
        return ()


def _noting(pairs: Iterable[Pair], sequences: dict[str, str]) -> Iterator[Pair]:
    """Yield pairs, noting what each is resampled with where sequences are."""
    for pair in pairs:
        sequences[pair.candidate.key] = unit_of(pair.candidate, "sequence")
        yield pair


class PixelMetric(PairMetric[PairConfig]):
    """A value that is computed from the pixels of one pair alone."""

    value: Callable[[Pixels, Pixels, Mask | None], float]

    def _rows(self, found: Iterator[Region]) -> Iterator[tuple[str, int, float]]:
        for region in found:
            try:
                yield region.key, region.person, type(self).value(region.candidate, region.reference, region.mask)
            except ValueError as error:
                raise DatasetError(f"sample {region.key}: {error}") from None


class SsimMetric(PixelMetric):
    """The mean structural similarity (Wang et al. 2004), as scikit-image has it with their Gaussian window."""

    value = staticmethod(structure.ssim)

    def _kind(self) -> str:
        return "ssim"

    def _definition(self) -> dict[str, Any]:
        window = "scikit-image: gaussian_weights, sigma 1.5, no sample covariance, data_range 255, mean of RGB channels"
        return {**super()._definition(), "formula": window}


class PsnrMetric(PixelMetric):
    """The mean peak signal-to-noise ratio in dB, as scikit-image has it; equal pictures count 100 dB."""

    value = staticmethod(structure.psnr)

    def _kind(self) -> str:
        return "psnr"

    def _definition(self) -> dict[str, Any]:
        formula = f"10 log10(255^2 / MSE) of each pair in dB, at most {structure.MOST_DB:g}; then the mean"
        return {**super()._definition(), "formula": formula}

    def _cautions(self, values: npt.NDArray[np.float64]) -> tuple[str, ...]:
        equal = int((values == structure.MOST_DB).sum())
        return (f"{equal} pairs are equal and count {structure.MOST_DB:g} dB",) if equal else ()


class LpipsMetric(PairMetric[LpipsConfig]):
    """The mean LPIPS v0.1 (Zhang et al. 2018) of pairs; thesis 002, section 4.11, has three uses of it.

    To the original; of the reconstruction; and between two draws from one original, where more is more diversity.
    """

    def __init__(self, config: LpipsConfig, checkpoint: Checkpoint | None, runtime: Runtime) -> None:
        super().__init__(config, checkpoint, runtime)
        self.better = "higher" if config.measure == "diversity" else "lower"
        self._loaded: tuple[PerceptualDistance, torch.device] | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loaded = None

    def weights(self) -> Sequence[Wanted]:
        """Return LPIPS's weights: the heads, and the network's where nothing stands in for them."""
        from synthkit_lpips.distance import weights_of

        return weights_of(self._config)

    def observed(self, role: str) -> Mapping[str, Any]:
        """Return what decides about the values of pairs, weights among it."""
        from synthkit_lpips.distance import HEADS, backbone_sha256

        network = self._config.network
        files = [backbone_sha256(network, self._config.stand_in), HEADS[network].sha256]
        return {**super().observed(role), "network": network, "weights": files}

    def _rows(self, found: Iterator[Region]) -> Iterator[tuple[str, int, float]]:
        """Yield the values of regions, as many at once as the network shall take, all of one size."""
        for _, alike in groupby(found, key=lambda region: region.candidate.shape):
            while batch := list(islice(alike, self._config.batch)):
                values = self._distances(batch)
                yield from ((one.key, one.person, float(value)) for one, value in zip(batch, values, strict=True))

    def _distances(self, batch: Sequence[Region]) -> npt.NDArray[np.float32]:
        import torch

        if min(batch[0].candidate.shape[:2]) < _LEAST_PX:
            raise DatasetError(f"sample {batch[0].key}: LPIPS needs pictures of at least {_LEAST_PX} px on each side")
        network, device = self._network()

        def images(pictures: Sequence[npt.NDArray[np.uint8]]) -> torch.Tensor:
            return torch.from_numpy(np.stack(pictures)).to(device).permute(0, 3, 1, 2).float() / 255.0

        masks = [region.mask for region in batch if region.mask is not None]
        mask = torch.from_numpy(np.stack(masks)[:, None]).to(device).float() if masks else None
        with torch.inference_mode():
            found = network(images([one.candidate for one in batch]), images([one.reference for one in batch]), mask)
        return np.asarray(found.cpu().numpy())

    def _network(self) -> tuple[PerceptualDistance, torch.device]:
        if self._loaded is None:
            from synthkit.training.devices import set_up
            from synthkit_lpips.distance import load_distance

            config, device = self._config, set_up(self._runtime)
            distance = load_distance(
                config.network, config.backbone, config.heads, config.stand_in, self._runtime.progress
            )
            self._loaded = distance.to(device), device
        return self._loaded

    def _kind(self) -> str:
        config = self._config
        return _NAMES[config.measure] if config.stand_in is None else f"{config.network}_feature_distance"

    def _where(self) -> str:
        config = self._config
        network = f"v0.1 {config.network}" if config.stand_in is None else f"weights of {config.stand_in.name}"
        return f"{network}, {super()._where()}"

    def _extractor(self) -> Extractor:
        from synthkit_lpips.distance import HEADS, TRUNKS, backbone_sha256

        config = self._config
        trunk = TRUNKS[config.network]
        of = "torchvision" if config.stand_in is None else config.stand_in.name
        return Extractor(
            name=f"{trunk.features} of {of} ({', '.join(trunk.layers)}), {HEADS[config.network].architecture}",
            sha256=backbone_sha256(config.network, config.stand_in),
            preprocessing="sizes as they are; RGB in 0..1 less ImageNet's mean, by its deviation",
            stand_in_for="" if config.stand_in is None else f"LPIPS v0.1 {config.network}",
        )

    def _definition(self) -> dict[str, Any]:
        from synthkit_lpips.distance import HEADS

        heads = HEADS[self._config.network]
        people = "; cells averaged by how much of them is people" if self._config.masked else ""
        return {
            **super()._definition(),
            "formula": f"squared differences of unit features, weighted by linear heads, mean over cells{people}",
            "measure": self._config.measure,
            "heads_file": heads.file,
            "heads_sha256": heads.sha256,
        }
