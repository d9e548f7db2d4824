# SPDX-License-Identifier: Apache-2.0
"""A set's people, cut once and kept as one flat array of bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from synthkit import config as configs
from synthkit import crops as core_crops
from synthkit.crops import CropPlan
from synthkit.dataset import storage
from synthkit.errors import ConfigError, DatasetError
from synthkit.files import small_file
from synthkit.interfaces import Progress, SampleSet
from synthkit.sample import Sample
from synthkit_anonymizer_gan import people, surface
from synthkit_anonymizer_gan.conditions import making_of
from synthkit_anonymizer_gan.config import GeneratingConfig
from synthkit_anonymizer_gan.people import Crop

REVISION = 2
"""Raised when the same sample yields other crops to learn from."""

_MOST_LIST_BYTES = 500_000_000
_BYTES = 6  # of a pixel: red, green, blue, whose it is, and the place on the surface, low byte first


@attrs.frozen(eq=False)
class Store:
    """The crops of a set.

    Args:
        pixels: (N, h, w, 6) uint8. identities: (N,) who each is, as a number.
    """

    pixels: npt.NDArray[np.uint8]
    identities: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> Crop:
        """Return a crop."""
        pixels = np.asarray(self.pixels[index])
        places = pixels[..., 4].astype(np.int64) + 256 * pixels[..., 5].astype(np.int64)
        return Crop(pixels[..., :3], pixels[..., 3], places.astype(np.uint16))

    def others_of(self, index: int) -> npt.NDArray[np.int64]:
        """Return which other crops show the same person."""
        same = np.flatnonzero(self.identities == self.identities[index])
        return np.asarray(same[same != index])


def load(samples: SampleSet, config: GeneratingConfig, folder: Path, progress: Progress) -> Store:
    """Return the crops of everybody in a set, mapped from a file in ``folder`` that is made where it is missing.

    Raises:
        DatasetError: when nobody can be cut out, or nothing tells where their surface is. WorkError: when the disk is
        full. ConfigError: when ``leave_out`` is no list.
    """
    name = fingerprint(samples, config)[:16]
    path, names = folder / f"people-{name}.u8", folder / f"people-{name}.json"
    if not (path.exists() and names.exists()):
        with storage.disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            storage.clear_temporaries(folder)
        who: list[str] = []
        storage.write_atomically(path, _cut(samples, config, progress, who))
        storage.write_atomically(names, (json.dumps(who).encode(),))
    if path.stat().st_size == 0:
        raise DatasetError(
            f"the set ({len(samples)} images) has nobody to learn from: people need masks or boxes, an extent of a few"
            " pixels, and all in an image must have them"
        )
    _, numbers = np.unique(np.array(json.loads(names.read_text())), return_inverse=True)
    return Store(np.memmap(path, np.uint8, "r").reshape(-1, *config.size, _BYTES), numbers.astype(np.int64))


def fingerprint(samples: SampleSet, config: GeneratingConfig) -> str:
    """Return the identity of a set's crops."""
    cut: dict[str, Any] = {
        "crop_px": config.crop_px,
        "alignment": config.alignment,
        "surface": config.surface,
        "margin": config.margin,
    }
    if config.leave_out is not None:
        cut["leave_out"] = sorted(_left_out(config.leave_out, samples))
    revisions = {"revision": REVISION, "people": people.REVISION, "crops": core_crops.REVISION}
    return configs.fingerprint({"set": samples.fingerprint, **cut, **revisions})


def _cut(samples: SampleSet, config: GeneratingConfig, progress: Progress, who: list[str]) -> Iterator[bytes]:
    """Yield the bytes of each crop, and note who it is."""
    left_out = _left_out(config.leave_out, samples)
    for done in range(len(samples)):
        progress("crop people", done, len(samples))
        sample = samples[done]
        if not people.tells_posture(sample, config.surface):
            raise DatasetError(_no_surface(sample, config))
        told = people.numbered(sample)
        if told is None:
            continue
        numbered, _ = told
        of_each = people.identities(numbered.people or (), sample.key)
        empty = people.emptied(numbered)
        for plan in people.plans_of(numbered, config.crop_px, config.alignment):
            if (sample.key, plan.person) in left_out:
                continue
            who.append(of_each[plan.person])
            yield _bytes(_learned(numbered, empty, plan, config))
    progress("crop people", len(samples), len(samples))


def _left_out(file: Path | None, samples: SampleSet) -> frozenset[tuple[str, int]]:
    """Return whom a list of ``outliers.find`` names: samples' keys and places of people.

    Raises:
        ConfigError: when it is no such file, or of another set, whose people have other places.
    """
    if file is None:
        return frozenset()
    try:
        told = json.loads(small_file(file, _MOST_LIST_BYTES, "a list of outliers"))
        of, found = told["of"], frozenset((str(one["sample"]), int(one["person"])) for one in told["outliers"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ConfigError(
            [f"refiner.leave_out: {file}: is no list of 'synthkit generator outliers': {error}"]
        ) from None
    if of != samples.fingerprint:
        raise ConfigError([f"refiner.leave_out: {file}: is of another data set, whose people have other places"])
    return found


def _learned(sample: Sample, empty: Sample, plan: CropPlan, config: GeneratingConfig) -> Crop:
    """Return a crop in which somebody is seen where they are to be made, and around them what refining sees there.

    Cutting mixes pixels: of people's colours something reaches beyond their margins, the more the larger a crop shows
    the image. A network would learn to look there for who is to be made.
    """
    crop = people.cut(sample, plan, config.surface)
    making = making_of(crop.whose, people.margin_px(config.margin, config.crop_px))
    image = np.where(making[..., None], crop.image, core_crops.extract(empty.image, plan))
    return attrs.evolve(crop, image=image)


def _bytes(crop: Crop) -> bytes:
    low, high = (crop.places & 255).astype(np.uint8), (crop.places >> 8).astype(np.uint8)
    return np.dstack([crop.image, crop.whose, low, high]).tobytes()


def _no_surface(sample: Sample, config: GeneratingConfig) -> str:
    remedy = {
        "mpfb": "render with --set 'renderer.layers=[\"surface\"]', or take surface=smpl for FDH",
        "smpl": "FDH has it; for rendered people take surface=mpfb",
        "keypoints": "rendered people have them",
    }[config.surface]
    layer = surface.layer_of(config.surface)
    needed = "people with key points" if layer is None else f"layer {layer}"
    return f"sample {sample.key}: has no {needed}, which surface={config.surface} needs: {remedy}; or surface=none"
