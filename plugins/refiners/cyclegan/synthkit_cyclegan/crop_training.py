# SPDX-License-Identifier: Apache-2.0
"""What trainings on two sets of crops share: the crops, the number of steps, and the checkpoint's card."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import attrs

from synthkit import __version__, crops
from synthkit import config as configs
from synthkit.interfaces import Progress, Runtime, SampleSet
from synthkit.training import distributed, loop
from synthkit_cyclegan import crop_store
from synthkit_cyclegan.crop_settings import REFINE_ONLY, CropSettings
from synthkit_cyclegan.crop_store import Crops

ROLES = ("source", "target")
ROUNDS = 160
"""Times that the smaller set is seen when no step budget is given (thesis 000, section 3.5.1)."""

_LICENCE = "the weights were learned from the data sets named here; their licences apply"


@attrs.frozen(eq=False)
class CropPair:
    """The crops of both domains, (N, crop_px, crop_px, 3) uint8 each (4 with masks), and what the card says of them."""

    source: Crops
    target: Crops
    card: Mapping[str, Any]


def load_pair(
    config: CropSettings, data: Mapping[str, SampleSet], workdir: Path, progress: Progress,
    *, masked: Collection[str] = (),
) -> CropPair:  # fmt: skip
    """Return the crops of ``data["source"]`` and ``data["target"]``, cut once and kept below ``workdir``.

    Args:
        masked: the roles whose crops are to have their people's masks as a fourth channel.

    Raises:
        ConfigError: when the batch cannot be shared. DatasetError: when a set has nobody to crop. WorkError: when
        the disk is full.
    """
    distributed.check_batch(config.batch)
    choices, folder = {"source": crop_store.ALL, "target": config.target_crops}, workdir / "crops"
    with distributed.in_turn():
        source, target = (
            crop_store.load(
                data[role],
                role,
                config.crop_px,
                folder,
                progress,
                choices[role],
                masked=role in masked,
                windows=config.windows,
            )
            for role in ROLES
        )
    card = {
        role: {
            "fingerprint": data[role].fingerprint,
            "crops_fingerprint": crop_store.fingerprint(
                data[role], config.crop_px, choices[role], windows=config.windows
            ),
            "images": len(data[role]),
            "crops": len(kept),
        }
        for role, kept in zip(ROLES, (source, target), strict=True)
    }
    return CropPair(source, target, card)


def steps_of(config: CropSettings, source: int, target: int) -> int:
    """Return the number of training steps for sets of those sizes."""
    return config.steps or max(1, ROUNDS * min(source, target) // config.batch)


def card_of(
    family: str, revision: int, config: CropSettings, pair: CropPair, runtime: Runtime,
    *, architecture: Mapping[str, Any], more: Mapping[str, Any] | None = None, leave_out: frozenset[str] = frozenset(),
) -> dict[str, Any]:  # fmt: skip
    """Return what a checkpoint says of itself, identified: all that decides its weights.

    Args:
        family: the refiner's name in cards. revision: of its training.
        architecture: what is needed to build its networks again.
        more: further entries that decide. leave_out: settings of which ``more`` says what became of them.
    """
    unsaid = REFINE_ONLY | leave_out
    return loop.identified(
        {
            "kind": "refiner",
            "name": family,
            "revision": revision,
            "synthkit": __version__,
            "architecture": {**architecture, "crop_px": config.crop_px, "head_at": list(crops.HEAD_AT)},
            "config": {key: value for key, value in configs.identity(config).items() if key not in unsaid},
            "data": dict(pair.card),
            "steps": steps_of(config, len(pair.source), len(pair.target)),
            "seeds": repr(runtime.seeds),
            "licence": _LICENCE,
            **(more or {}),
        }
    )
