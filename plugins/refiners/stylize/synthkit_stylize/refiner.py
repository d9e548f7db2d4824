# SPDX-License-Identifier: Apache-2.0
"""People blended with pictures: much variance in texture, and none of it real (thesis 000, section 5.6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Self

import attrs
import numpy as np

from synthkit import config as configs
from synthkit import crops
from synthkit.checkpoint import Checkpoint
from synthkit.errors import PluginError
from synthkit.interfaces import Runtime
from synthkit.sample import Person, Sample, evolve
from synthkit.seeds import Seeds
from synthkit_stylize.blending import Floats, blend, window
from synthkit_stylize.config import StylizeConfig
from synthkit_stylize.textures import Textures

_PLANNED_PX = 256
_LEAST_PX, _MOST_PX = 32, 1024  # of a crop's sides; a person who is larger still gets a coarser texture
_DECIMALS = 4


class StylizeRefiner:
    """Gives each person a texture of their own; the background and the truth stay as they are.

    Who gets which texture, how much and which part of it depends on the sample's key and the person's instance
    alone. In a clip it depends on the clip and the person's identity, so that a texture stays on its person. It
    lies upright on them: the picture is cut as a person's crop, with the head up and as large as they are.
    """

    def __init__(self, config: StylizeConfig, checkpoint: Checkpoint | None, runtime: Runtime) -> None:
        self._config = config
        self._seeds = runtime.seeds
        self._textures: Textures | None = None
        self._sha256 = ""

    def __enter__(self) -> Self:
        self._textures = Textures.open(self._config.textures)
        self._sha256 = configs.content_sha256(self._config.textures, "textures")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._textures = None

    def refine(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        """Yield each sample with its people blended; keys, people and layers are kept.

        Raises:
            DatasetError: when a sample has people but no instance layer, or a picture was changed meanwhile.
        """
        if self._textures is None:
            raise PluginError("the refiner 'stylize' opens its textures when it is entered: use it in a 'with' block")
        for sample in samples:
            yield self._stylized(sample, self._textures)

    def _stylized(self, sample: Sample, textures: Textures) -> Sample:
        plans = [_at_image_scale(plan) for plan in _plans(sample)]
        people = sample.people or ()
        done, notes = [], []
        for plan in plans:
            seeds = self._seeds_of(sample, people[plan.person])
            crop, note = self._blended(sample, plan, textures, seeds)
            done.append((plan, crop))
            notes.append({"instance": plan.instance, **note})
        told = {"name": "stylize", "textures_sha256": self._sha256, "people": notes}
        meta = {**sample.meta, "refined_by": [*sample.meta.get("refined_by", ()), told]}
        if not done:
            return evolve(sample, meta=meta)
        meta["licences"] = {**sample.meta.get("licences", {}), "textures": self._config.licence}
        return evolve(sample, image=crops.reinsert(sample, done, feather_px=self._config.feather_px), meta=meta)

    def _blended(
        self, sample: Sample, plan: crops.CropPlan, textures: Textures, seeds: Seeds
    ) -> tuple[Floats, dict[str, Any]]:
        """Return a person's crop with a texture, and what is to be told of it."""
        index = int(seeds.stream("texture").integers(len(textures)))
        strength = float(seeds.stream("strength").uniform(*self._config.strength))
        span = float(seeds.stream("span").uniform(*self._config.span))
        texture = window(textures.pixels(index), plan.size_px, span, seeds.stream("window"))
        inside = crops.extract_mask(sample.layers["instances"], plan)
        crop = blend(crops.extract(sample.image, plan), texture, inside, strength, self._config.shading)
        return crop, {"texture": textures.items[index].name, "strength": round(strength, _DECIMALS)}

    def _seeds_of(self, sample: Sample, person: Person) -> Seeds:
        if sample.sequence is not None and person.identity is not None:
            return self._seeds.child("clip", sample.sequence, "identity", person.identity)
        return self._seeds.child("sample", sample.key, "instance", person.instance or 0)


def _plans(sample: Sample) -> list[crops.CropPlan]:
    plans = crops.plan_crops(sample, (_PLANNED_PX, _PLANNED_PX))
    return [plan for plan in plans if plan.instance is not None]


def _at_image_scale(plan: crops.CropPlan) -> crops.CropPlan:
    """Return the same crop with about as many pixels as the image has there, so that no detail is lost or made up."""
    side = int(np.clip(round(_PLANNED_PX / plan.scale), _LEAST_PX, _MOST_PX))
    matrix = plan.crop_from_image * (side / _PLANNED_PX)
    return attrs.evolve(plan, size_px=(side, side), crop_from_image=matrix)
