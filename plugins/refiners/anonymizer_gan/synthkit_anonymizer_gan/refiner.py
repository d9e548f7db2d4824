# SPDX-License-Identifier: Apache-2.0
"""People taken out of images, and others put in their place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch

from synthkit.anonymization.regions import Located
from synthkit.checkpoint import Checkpoint
from synthkit.errors import WeightsError
from synthkit.interfaces import Runtime, SampleSet
from synthkit.sample import Sample, Skipped, evolve
from synthkit.training import devices
from synthkit_anonymizer_gan import fitting, people
from synthkit_anonymizer_gan.conditions import making_of
from synthkit_anonymizer_gan.config import GeneratingConfig
from synthkit_anonymizer_gan.making import Latent, Maker
from synthkit_anonymizer_gan.people import OWN
from synthkit_anonymizer_gan.placing import Placed, placed

_KEPT_LAYERS = frozenset({"instances", "amodal", "depth", "normals", "surface", "surface_smpl", "background"})


class GeneratingRefiner:
    """Makes other people in the place of those who are there.

    Everybody is taken away before anything else is done, so nothing of their pixels is in the result. Who is too small
    for a crop, or has no known surface where the networks want one, is left blank. A sample of which it cannot be told
    where everybody is, is skipped.

    Args:
        config: how latents are chosen; what the networks look like is read from the checkpoint's card.
        checkpoint: of this family, or None when it is to be fitted. runtime: device, threads, seeds and progress.
    """

    family = fitting.FAMILY

    def __init__(self, config: GeneratingConfig, checkpoint: Checkpoint | None, runtime: Runtime) -> None:
        self._config, self._checkpoint, self._runtime = config, checkpoint, runtime
        self._maker: Maker | None = None
        self._look: Latent | None = None

    def __enter__(self) -> Self:
        if self._checkpoint is not None:
            self._checkpoint.require("refiner", self.family)
            self._maker = Maker(self._checkpoint, self._config, devices.set_up(self._runtime))
            self._look = None if self._config.look is None else self._maker.look_in(self._config.look)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._maker = None

    def fit(self, data: Mapping[str, SampleSet], workdir: Path) -> Checkpoint:
        """Train on the people of ``data["target"]``; see ``fitting.fit``."""
        return fitting.fit(self._config, data, workdir, self._runtime)

    def export_onnx(self, path: Path) -> Mapping[str, Any]:
        """Write the generator as one ONNX file and return its card; see ``export.export_onnx``."""
        from synthkit_anonymizer_gan.export import export_onnx  # what it imports takes a second

        checkpoint = self._ready()
        return export_onnx(
            Maker(checkpoint, GeneratingConfig(), torch.device("cpu")), path, checkpoint, self._runtime.seeds
        )

    def refine(self, samples: Iterable[Sample]) -> Iterator[Sample | Skipped]:
        """Yield each sample with others in its people's place; keys and truth are kept, layers that show looks are not.

        Raises:
            WeightsError: when there is no checkpoint.
        """
        self._ready()
        assert self._maker is not None
        for sample in samples:
            told = people.numbered(sample)
            if told is None:
                yield Skipped(sample.key, "nothing tells where all its people are: neither masks nor boxes")
            else:
                yield self._made(self._maker, sample, *told)

    def _ready(self) -> Checkpoint:
        """Return the checkpoint.

        Raises:
            WeightsError: when there is none.
        """
        if self._checkpoint is None:
            raise WeightsError(
                f"the refiner {self.family!r} has no weights: train it with 'synthkit fit', or name a checkpoint"
            )
        return self._checkpoint

    def _made(self, maker: Maker, sample: Sample, numbered: Sample, found: list[Located]) -> Sample:
        """Return a sample with others made in everybody's place."""
        empty = people.emptied(numbered)
        plans = [
            (plan, crop)
            for plan in people.plans_of(empty, maker.size_px, maker.alignment)
            for crop in [people.cut(empty, plan, maker.cut.surface)]
            if (crop.whose == OWN).any() and (maker.cut.surface == "none" or crop.places.any())
        ]
        who = people.identities(empty.people or (), sample.key)
        made = [
            Placed(
                plan, maker.make(crop, self._latent(maker, who[plan.person])), making_of(crop.whose, maker.margin_px)
            )
            for plan, crop in plans
        ]
        made_numbers = {plan.instance for plan, _ in plans}
        blank = [one for number, one in enumerate(found, 1) if number not in made_numbers]
        numbers = [one.instance for one in blank if one.instance is not None]
        note = {**self._note(), "people": len(plans), "blank": len(blank), "blank_instances": numbers}
        return evolve(
            sample,
            image=placed(empty, made, maker.margin_px, self._config.feather_px),
            layers={name: layer for name, layer in sample.layers.items() if name in _KEPT_LAYERS},
            meta={**sample.meta, "refined_by": [*sample.meta.get("refined_by", ()), note]},
        )

    def _latent(self, maker: Maker, identity: str) -> Latent:
        if self._look is not None:
            return self._look
        return maker.drawn(self._runtime.seeds, identity)

    def _note(self) -> dict[str, Any]:
        assert self._checkpoint is not None
        return {"name": self.family, "checkpoint_sha256": self._checkpoint.sha256}
