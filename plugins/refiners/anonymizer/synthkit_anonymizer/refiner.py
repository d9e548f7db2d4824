# SPDX-License-Identifier: Apache-2.0
"""People made unrecognisable, nothing put in their place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from synthkit.anonymization import obscuring
from synthkit.anonymization.obscuring import Pixels
from synthkit.anonymization.regions import Located, Region, extent_of, located
from synthkit.checkpoint import Checkpoint
from synthkit.interfaces import Runtime
from synthkit.sample import Sample, Skipped, evolve
from synthkit_anonymizer.config import AnonymizerConfig, CellsConfig, MaskConfig

# Those that show no looks. What a layer of another plugin holds nobody here can know.
_KEPT_LAYERS = frozenset({"instances", "amodal", "depth", "normals", "surface", "background", "alpha"})


class _Anonymizer(ABC):
    """Treats everybody, the smallest first, so that whoever is large hides more of those before them.

    A sample of which it cannot be told where its people are is skipped: fail closed.
    """

    name: str

    def __init__(self, config: AnonymizerConfig, checkpoint: Checkpoint | None, runtime: Runtime) -> None:
        self._settings = config
        self._region_of = extent_of(config.extent)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def refine(self, samples: Iterable[Sample]) -> Iterator[Sample | Skipped]:
        """Yield each sample with its people treated; keys and truth are kept, layers that show looks are not."""
        for sample in samples:
            people = located(sample)
            if people is None:
                yield Skipped(sample.key, "nothing tells where all its people are: neither masks nor boxes")
            else:
                yield self._treated(sample, people)

    def _treated(self, sample: Sample, people: list[Located]) -> Sample:
        image = sample.image.copy()
        for one in people:
            region = self._region_of(one, sample.size_px)
            length_px = region.length_px
            margin = max(self._settings.least_margin_px, self._settings.margin * length_px)
            self._treat(image, region.grown(margin, sample.size_px), length_px)
        told = {"name": self.name, "extent": self._settings.extent, "people": len(people)}
        return evolve(
            sample,
            image=image,
            layers={name: layer for name, layer in sample.layers.items() if name in _KEPT_LAYERS},
            meta={**sample.meta, "refined_by": [*sample.meta.get("refined_by", ()), told]},
        )

    @abstractmethod
    def _treat(self, image: Pixels, region: Region, length_px: float) -> None:
        """Change a region of an image in place; ``length_px``: of what is in it, without the margin."""


class MaskRefiner(_Anonymizer):
    """Covers people; no pixel of theirs is looked at."""

    name = "anonymizer-mask"

    def __init__(self, config: MaskConfig, checkpoint: Checkpoint | None, runtime: Runtime) -> None:
        super().__init__(config, checkpoint, runtime)
        self._colour = config.colour

    def _treat(self, image: Pixels, region: Region, length_px: float) -> None:
        obscuring.fill(image, region, self._colour)


class _Cells(_Anonymizer):
    def __init__(self, config: CellsConfig, checkpoint: Checkpoint | None, runtime: Runtime) -> None:
        super().__init__(config, checkpoint, runtime)
        self._cells = config.head_cells if config.extent == "head" else config.body_cells
        self._shades = config.shades


class BlurRefiner(_Cells):
    """Blurs people: soft spots of a few greys are left."""

    name = "anonymizer-blur"

    def _treat(self, image: Pixels, region: Region, length_px: float) -> None:
        obscuring.blur(image, region, length_px, self._cells, self._shades)


class PixelateRefiner(_Cells):
    """Pixelates people: large squares of a few greys are left."""

    name = "anonymizer-pixelate"

    def _treat(self, image: Pixels, region: Region, length_px: float) -> None:
        obscuring.pixelate(image, region, length_px, self._cells, self._shades)
