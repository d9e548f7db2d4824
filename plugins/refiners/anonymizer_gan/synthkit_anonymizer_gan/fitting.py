# SPDX-License-Identifier: Apache-2.0
"""From settings and data to a checkpoint, and what its card says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from synthkit import __version__, crops
from synthkit import config as configs
from synthkit.checkpoint import Checkpoint
from synthkit.errors import ConfigError, WeightsError
from synthkit.interfaces import Runtime, SampleSet
from synthkit.training import devices, distributed, loop
from synthkit_anonymizer_gan import config as limits
from synthkit_anonymizer_gan import crop_store, surface
from synthkit_anonymizer_gan.config import APPLY_ONLY, GeneratingConfig
from synthkit_anonymizer_gan.discriminator import map_count
from synthkit_anonymizer_gan.networks import Shape
from synthkit_anonymizer_gan.people import Alignment
from synthkit_anonymizer_gan.training import Training, shape_of

FAMILY = "anonymizer-gan"
"""The name in the cards of checkpoints: any preset can apply what any other has learned."""

REVISION = 3
"""Raised when the same settings and data train to other weights."""

_LICENCE = "the weights were learned from the data set named here; its licence applies"


@attrs.frozen
class Cut:
    """How the crops were cut that a checkpoint learned from."""

    alignment: Alignment
    surface: surface.Kind
    margin: float


def fit(config: GeneratingConfig, data: Mapping[str, SampleSet], workdir: Path, runtime: Runtime) -> Checkpoint:
    """Train (or go on training) on the people of ``data["target"]``.

    Raises:
        ConfigError: when the settings fit no such crops. DatasetError: when nobody can be cut out, nothing tells of
        their surface, or the folder holds another training. WorkError: when the losses diverge.
    """
    distributed.check_batch(config.batch)
    if config.appearance and config.feature_weight and min(config.feature_maps) >= map_count(config.size):
        raise ConfigError([
            f"refiner.feature_maps: the discriminator of such crops has resolutions 0 to {map_count(config.size) - 1}"
            f" only, got {list(config.feature_maps)}"
        ])  # fmt: skip
    device = devices.set_up(runtime)
    samples = data["target"]
    with distributed.in_turn():
        store = crop_store.load(samples, config, workdir / "crops", runtime.progress)
    table = surface.table_of(config.surface, config.embedding_file)
    card = card_of(config, samples, store, runtime)
    training = Training(config, store, table, runtime.seeds, device)
    return loop.train(training, workdir, card, config, runtime, stage="train refiner")


def card_of(config: GeneratingConfig, samples: SampleSet, store: crop_store.Store, runtime: Runtime) -> dict[str, Any]:
    """Return what a checkpoint says of itself, identified: all that decides its weights."""
    cut = {"alignment": config.alignment, "surface": config.surface, "margin": config.margin}
    return loop.identified(
        {
            "kind": "refiner",
            "name": FAMILY,
            "revision": REVISION,
            "synthkit": __version__,
            "architecture": {**attrs.asdict(shape_of(config)), "size": list(config.size), "cut": cut},
            "head_at": list(crops.HEAD_AT),
            "config": {key: value for key, value in configs.identity(config).items() if key not in APPLY_ONLY},
            "data": {
                "fingerprint": samples.fingerprint,
                "crops_fingerprint": crop_store.fingerprint(samples, config),
                "images": len(samples),
                "crops": len(store),
                "people": len(set(store.identities.tolist())),
            },
            "steps": config.steps,
            "seeds": repr(runtime.seeds),
            "licence": _LICENCE,
        }
    )


def described(checkpoint: Checkpoint) -> tuple[Shape, Cut]:
    """Return what a card says of the networks and of the crops they are for, checked before it is used.

    Raises:
        WeightsError: when it says nothing, or what could not be built.
    """
    try:
        told = dict(checkpoint.card["architecture"])
        cut = Cut(**told.pop("cut"))
        height, width = told.pop("size")
        shape = Shape(size=(height, width), **told)
    except (KeyError, TypeError, ValueError):
        raise WeightsError(f"checkpoint {checkpoint.path}: its card does not describe who makes people") from None
    if not (_is_sound(shape) and _is_sound_cut(cut) and shape.surface == surface.channels_of(cut.surface)):
        raise WeightsError(f"checkpoint {checkpoint.path}: its card describes no networks that could be built")
    return shape, cut


def _is_sound(shape: Shape) -> bool:
    counts = (
        *((side, limits.LEAST_SIDE_PX, limits.MOST_SIDE_PX) for side in shape.size),
        (shape.channels, 1, limits.MOST_CHANNELS),
        (shape.latent, 2, limits.MOST_LATENT),
        (shape.mapping, 1, limits.MOST_MAPPING),
    )
    whole = type(shape.surface) is int and all(type(n) is int and low <= n <= high for n, low, high in counts)
    flags = type(shape.appearance) is bool and type(shape.co_modulation) is bool
    return whole and flags and all(side % 4 == 0 for side in shape.size)


def _is_sound_cut(cut: Cut) -> bool:
    known = cut.alignment in ("head", "box", "image") and cut.surface in ("mpfb", "smpl", "keypoints", "none")
    return known and type(cut.margin) is float and 0 <= cut.margin <= 0.2
