# SPDX-License-Identifier: Apache-2.0
"""Crops of a set, cut once and kept as one flat array of bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from synthkit import config, crops
from synthkit.crop_choice import CropChoice
from synthkit.crops.windows import REVISION as WINDOWS_REVISION
from synthkit.crops.windows import cut_windows
from synthkit.dataset import storage
from synthkit.errors import ConfigError, DatasetError
from synthkit.interfaces import Progress, SampleSet
from synthkit.sample import Sample

Crops = npt.NDArray[np.uint8]
ALL = CropChoice()


def load(
    samples: SampleSet, role: str, crop_px: int, folder: Path, progress: Progress,
    choice: CropChoice = ALL, *, masked: bool = False, windows: bool = False,
) -> Crops:  # fmt: skip
    """Return the crops of everybody in a set, (N, crop_px, crop_px, 3) uint8, mapped from a file.

    Args:
        samples: the set. role: how messages call it. folder: where the file is kept, under a name that
            holds the set's fingerprint, so that it is never used for another. choice: whose crops are taken.
        masked: whether a fourth channel tells where the person is: 255 there, 0 elsewhere.
        windows: whether they are windows of whole images instead, of which the choice's list may drop some.

    Raises:
        DatasetError: when there is nobody to crop, saying what people need, or somebody has no mask where masks are
        asked for. WorkError: when the disk is full. ConfigError: when the choice names a list that does not fit the
        set, or has rules although windows are cut.
    """
    if windows and choice != CropChoice(list=choice.list):
        raise ConfigError(["target_crops: its rules are about people; of whole images only a list of images counts"])
    name = fingerprint(samples, crop_px, choice, windows=windows)[:16]
    path = folder / f"{role}-{name}{'-masked' if masked else ''}.u8"
    if not path.exists():
        with storage.disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            storage.clear_temporaries(folder)
        cut = _windows if windows else _masked_people if masked else _people
        storage.write_atomically(path, _cut(samples, role, crop_px, progress, crops.Chooser(choice), cut))
    if path.stat().st_size == 0:
        raise DatasetError(
            f"the {role} set ({len(samples)} images) has none of at least {crop_px} pixels each way that shows anything"
            if windows
            else f"the {role} set ({len(samples)} images) has no people to crop: each needs a head point, a box, a"
            " rotated box or an instance mask, and an extent of a few pixels; and the choice of crops must leave some"
        )
    return np.memmap(path, np.uint8, "r").reshape(-1, crop_px, crop_px, 4 if masked else 3)


def fingerprint(samples: SampleSet, crop_px: int, choice: CropChoice = ALL, *, windows: bool = False) -> str:
    """Return the identity of a set's crops."""
    how = {"windows": WINDOWS_REVISION} if windows else {"head_at": crops.HEAD_AT, "crops": crops.REVISION}
    return config.fingerprint(
        {"set": samples.fingerprint, "crop_px": crop_px, "choice": config.identity(choice), **how}
    )


def _cut(
    samples: SampleSet, role: str, crop_px: int, progress: Progress, chooser: crops.Chooser,
    cut: Callable[[Sample, int, crops.Chooser], Iterator[Crops]],
) -> Iterator[bytes]:  # fmt: skip
    """Yield the bytes of each crop that is taken."""
    for done in range(len(samples)):
        progress(f"crop {role}", done, len(samples))
        for crop in cut(samples[done], crop_px, chooser):
            yield crop.tobytes()
    chooser.check_all_met()
    progress(f"crop {role}", len(samples), len(samples))


def _windows(sample: Sample, crop_px: int, chooser: crops.Chooser) -> Iterator[Crops]:
    if not chooser.drops_image(sample):
        yield from cut_windows(sample, crop_px)


def _people(sample: Sample, crop_px: int, chooser: crops.Chooser) -> Iterator[Crops]:
    for plan in _plans(sample, crop_px, chooser):
        yield crops.extract(sample.image, plan)


def _masked_people(sample: Sample, crop_px: int, chooser: crops.Chooser) -> Iterator[Crops]:
    for plan in _plans(sample, crop_px, chooser):
        yield np.dstack([crops.extract(sample.image, plan), _mask(sample, plan)])


def _plans(sample: Sample, crop_px: int, chooser: crops.Chooser) -> Iterator[crops.CropPlan]:
    for plan in crops.plan_crops(sample, (crop_px, crop_px)):
        if chooser.reason_against(sample, plan) is None:
            yield plan


def _mask(sample: Sample, plan: crops.CropPlan) -> npt.NDArray[np.uint8]:
    if plan.instance is None or "instances" not in sample.layers:
        raise DatasetError(f"sample {sample.key}: person {plan.person} has no mask in a layer 'instances'")
    mask = crops.extract_mask(sample.layers["instances"], plan)
    return np.where(mask, np.uint8(255), np.uint8(0))
