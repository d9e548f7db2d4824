# SPDX-License-Identifier: Apache-2.0
"""The parts of a set: training, validation, test; one name for each, whatever a set calls it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from synthkit.dataset.formats.contents import LabelHash
from synthkit.dataset.formats.texts import files_named, lines
from synthkit.files import small_file

TRAIN, VAL, TEST = "train", "val", "test"
KNOWN = (TRAIN, VAL, TEST)
TASKS = ("person_keypoints_", "instances_", "image_info_", "keypoints_")  # of COCO's files, before the split
_SYNONYMS = {"training": TRAIN, "valid": VAL, "validation": VAL, "dev": VAL, "testing": TEST}
_YEAR = re.compile(r"[-_]?(19|20)\d\d$")
_TRAINVAL = "trainval"
_ASSUMED = "{count} images are in the list trainval alone: they are taken for the split {part!r}"
_MOST = 100  # letters of a folder's name
_MAX_LIST_BYTES = 100_000_000


def split_name(name: str) -> str:
    """Return a split's one name: ``train`` for training and train2017, ``val`` for valid, others as they are.

    What is left of another name is fit for a folder: letters, digits, ``_`` and ``-``; it may be empty.
    """
    plain = _YEAR.sub("", name.strip().lower())
    return _SYNONYMS.get(plain, plain if plain in KNOWN else re.sub(r"[^\w-]", "_", name.strip()))


def split_of(name: str) -> dict[str, str]:
    """Return ``{"split": ...}`` when a folder of a file's relative name is called like a known split."""
    found = [split for part in name.split("/")[:-1] if (split := split_name(part)) in KNOWN]
    return {"split": found[0]} if found else {}


def split_of_labels(path: Path) -> str | None:
    """Return the split whose labels a file holds, by its name or folder, None when neither tells.

    Files are called ``instances_train2017.json``, ``annotations_val.json`` or ``train/_annotations.coco.json``.
    """
    stem = path.stem
    for task in TASKS:
        if stem.startswith(task):
            return None if stem == f"{task}default" else split_name(stem.removeprefix(task)) or None
    words = [stem, *reversed(re.split(r"[._-]", stem)), path.parent.name]
    return next((split for word in words if (split := split_name(word)) in KNOWN), None)


def stated_split(meta: Mapping[str, Any]) -> str | None:
    """Return the one name of the split that a sample states, fit for a folder; None when it states none."""
    split = meta.get("split")
    if not isinstance(split, str) or not split.strip():
        return None
    return split_name(split)[:_MOST]


def listed_splits(folder: Path, digest: LabelHash, remarks: list[str]) -> dict[str, str]:
    """Return the split of each image by its name without suffix, from lists such as ``ImageSets/Main/*.txt``.

    Lists of one class, with a flag behind each name, are none of splits. Known splits count before others.
    What ``trainval`` alone lists is for validation where there is a list for training, else for training.

    Args:
        folder: of the lists, if there is one. digest: takes the bytes of what is read. remarks: takes a line
            about what was assumed.

    Raises:
        ValueError: naming a list that cannot be read.
    """
    paths = {path: split_name(path.stem) for path in files_named(folder, "*.txt")}
    found: dict[str, str] = {}
    there: set[str] = set()
    for path in sorted(paths, key=lambda path: (paths[path] not in KNOWN, path.name)):
        try:
            data = small_file(path, _MAX_LIST_BYTES, "a list of images")
            rows = lines(data)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        if paths[path] != "default" and all(len(fields) == 1 for _, fields in rows):
            digest.add(path, data)
            there.add(paths[path])
            for _, (image,) in rows:
                found.setdefault(image, paths[path])
    rest = [image for image, split in found.items() if split == _TRAINVAL]
    part = VAL if TRAIN in there and VAL not in there else TRAIN
    if rest:
        remarks.append(_ASSUMED.format(count=len(rest), part=part))
    return found | dict.fromkeys(rest, part)


def validation_remark(splits: Iterable[str], training: str, where: str) -> str | None:
    """Return the line that tells that a set has no images for validation, None when it has some."""
    if VAL in splits:
        return None
    return f"there are no images for validation: {where} names those of {training!r}, which then tell nothing"
