# SPDX-License-Identifier: Apache-2.0
"""Reading FDH's tars; see ``fdh.py`` for what they hold."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from synthkit.dataset.formats import fdh_arrays, fdh_embedding, fdh_metadata, originals
from synthkit.dataset.formats.base import told
from synthkit.dataset.formats.fdh_metadata import SPLITS
from synthkit.dataset.formats.photos import NOT_STATED
from synthkit.dataset.formats.source import FileSource, Stored
from synthkit.dataset.formats.texts import files_named
from synthkit.dataset.reader import Dataset
from synthkit.errors import DatasetError
from synthkit.interfaces import Progress, silent
from synthkit.sample import Layer, Person, Sample
from synthkit.surfaces import SMPL, SPACES, SurfaceSpace

_NEEDED = ("image.png", "mask.png")
_MEMBERS = frozenset(
    {*_NEEDED, "maskrcnn_mask.png", "keypoints.npy", "vertices.npy", "e_mask.png"}
)  # of the names as readers lower-case them
_LOOKED_AT = 64  # samples, to tell in what unit key points are
_FRACTIONS = "key points are taken as fractions of the image's width and height"
_PIXELS = "key points are taken as pixels"


def places_of(path: Path) -> list[tuple[str | None, Path]]:
    """Return (split, folder of tars): train/ and val/, or else the folder or tar itself, whose split is unknown."""
    found: list[tuple[str | None, Path]] = [(name, path / name) for name in SPLITS if _tars(path / name)]
    return found or [(None, path)] if _tars(path) or found else []


def first_tar(path: Path) -> Path | None:
    """Return the first tar of a set, None when there is none."""
    return next((tar for _, place in places_of(path) for tar in _tars(place)), None)


def _tars(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix == ".tar" else []
    return files_named(path, "*.tar")


class FdhSource(FileSource):
    """An opened set. What tars and records list is checked as a whole, each sample's arrays when it is read.

    Args:
        path: the set's folder, a folder of tars, or one tar.

    Raises:
        DatasetError: telling everything that is wrong.
    """

    def __init__(self, path: Path) -> None:
        problems: list[str] = []
        root = path if path.is_dir() else path.parent
        self._where = path
        self._parts: list[tuple[str | None, Dataset]] = []
        for split, place in places_of(path):
            try:
                self._parts.append((split, Dataset.open(place)))
            except DatasetError:
                problems += _damaged(place)
        if not self._parts and not problems:
            problems.append(f"{path}: has no tars, nor has train/ or val/")
        self._ends = list(itertools.accumulate(len(part) for _, part in self._parts))
        found = self._survey(problems)
        self._metadata = _metadata(root, problems)
        embedding = _embedding(root, problems)
        if problems:
            raise told(path, problems)
        self._pixels, unit = self._unit()
        notes = {
            "source": "FDH format",
            "folder": root.resolve().name,
            "licence": NOT_STATED,  # of the whole; an image has its own, if the metadata say so
            "keypoints": "pixels" if self._pixels else "fractions",
            **({"embed_map": embedding} if embedding else {}),
        }
        super().__init__(notes, (*unit, *_remarks(found, embedding), *self._compared()))

    def identify(self, progress: Progress = silent) -> Mapping[str, Any]:
        """Return the hashes of the tars with their names, and of the metadata."""
        places = places_of(self._where)
        tars = {f"{split or ''}/{tar.name}": tar for split, place in places for tar in _tars(place)}
        return {
            "tars_sha256": self._hashed(tars, progress),
            "metadata_sha256": self._metadata.sha256 if self._metadata else None,
            "embed_map_sha256": self._notes.get("embed_map", {}).get("sha256"),
        }

    def __len__(self) -> int:
        return self._ends[-1]

    def key(self, index: int) -> str:
        """Return a sample's key."""
        _, part, within = self._place(index)
        return part.key(within)

    def read(self, index: int) -> tuple[Sample, Stored | None]:
        """Return one crop with its person, and its image's file.

        Raises:
            DatasetError: when one of its members is damaged, or they do not fit together.
        """
        split, key, members = self._members(index)
        try:
            return self._sample(split, key, members), ("png", originals.bare("png", members["image.png"]))
        except ValueError as error:
            raise DatasetError(f"{self._where}: sample {key}: {error}") from None

    def _members(self, index: int) -> tuple[str | None, str, Mapping[str, bytes]]:
        split, part, within = self._place(index)
        return split, *part.members(within)

    def _place(self, index: int) -> tuple[str | None, Dataset, int]:
        """Return a sample's split, and its place in that split's tars."""
        place = bisect_right(self._ends, index)
        split, part = self._parts[place]
        return split, part, index - self._ends[place] + len(part)

    def _survey(self, problems: list[str]) -> Counter[str]:
        """Return how often each member comes; samples that come twice or lack what is needed are problems."""
        found: Counter[str] = Counter()
        keys: set[str] = set()
        for _, part in self._parts:
            for shard, entry in ((n, entry) for n in range(len(part.shards)) for entry in part.index(n).entries()):
                names = [name for name, _, _ in entry.members]
                found.update(names)
                missing = [name for name in _NEEDED if name not in names]
                if ("vertices.npy" in names) != ("e_mask.png" in names):
                    missing += [name for name in ("vertices.npy", "E_mask.png") if name.lower() not in names]
                if missing:
                    problems.append(f"{part.where(shard)}: sample {entry.key} has no {' and no '.join(missing)}")
                if entry.key in keys:
                    problems.append(f"{part.where(shard)}: sample {entry.key} comes twice")
                keys.add(entry.key)
        return found

    def _unit(self) -> tuple[bool, list[str]]:
        """Return whether key points are in pixels, and the line that says so.

        Raises:
            DatasetError: when some are and some are not.
        """
        pixels: list[str] = []
        fractions: list[str] = []
        for index in sorted({int(i) for i in np.linspace(0, len(self) - 1, _LOOKED_AT)}):
            _, key, members = self._members(index)
            if "keypoints.npy" not in members:
                continue
            try:
                farthest = fdh_arrays.farthest(fdh_arrays.points_of(members["keypoints.npy"]))
            except ValueError as error:
                raise DatasetError(f"{self._where}: sample {key}: {error}") from None
            if farthest:
                (pixels if farthest > fdh_arrays.FAR else fractions).append(key)
        if pixels and fractions:
            raise DatasetError(
                f"{self._where}: key points of sample {pixels[0]} are in pixels, of {fractions[0]} in fractions:"
                " expected one of the two throughout"
            )
        return bool(pixels), [_PIXELS if pixels else _FRACTIONS] if pixels or fractions else []

    def _compared(self) -> Iterator[str]:
        """Yield what there is to tell about the metadata."""
        if self._metadata is None:
            yield f"there is no {fdh_metadata.NAME}: licences and origins of the images are unknown"
            return
        keys: list[tuple[str | None, str]] = []
        for split, part in self._parts:
            keys += zip(itertools.repeat(split), part.keys(), strict=False)
        unknown = sum(key not in self._metadata for _, key in keys)
        if unknown:
            yield f"{unknown} samples are not in {fdh_metadata.NAME}: their licences are unknown"
        moved = sum(split is not None and self._metadata.split(key) not in (None, split) for split, key in keys)
        if moved:
            yield f"{moved} samples lie in another split than {fdh_metadata.NAME} says; where they lie counts"

    def _sample(self, split: str | None, key: str, members: Mapping[str, bytes]) -> Sample:
        image = fdh_arrays.image_of(members["image.png"])
        height, width = image.shape[:2]
        entry = (self._metadata.get(key) if self._metadata else None) or {}
        mask = fdh_arrays.mask_of("mask.png", members["mask.png"], (height, width))
        layers: dict[str, Layer] = {"mask": np.where(mask, np.uint8(fdh_arrays.KEEP), np.uint8(0))}
        if "vertices.npy" in members:
            space = _space(entry)
            known = fdh_arrays.mask_of("E_mask.png", members["e_mask.png"], (height, width))
            layers[space.layer] = fdh_arrays.surface_of(members["vertices.npy"], known, space)
        person = _identity(entry)
        if "maskrcnn_mask.png" in members:
            name = "maskrcnn_mask.png"
            body = ~fdh_arrays.mask_of(name, members[name], (height, width))
            layers["instances"] = body.astype(np.uint8)
            person |= _extent(body)
        if "keypoints.npy" in members:
            points = fdh_arrays.points_of(members["keypoints.npy"])
            person["keypoints"] = fdh_arrays.keypoints_of(points, (width, height), pixels=self._pixels)
        source = {"format": "fdh", "file": key, "size_px": [width, height]}
        meta = {"source": source, **_origin(entry), **({"split": split} if split else {})}
        return Sample(key=key, image=image, people=[Person(**person)], layers=layers, meta=meta)


def _origin(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of an image's licence and origin, and nothing else."""
    licence, url = entry.get("license"), entry.get("license_url")
    others = {name: value for name, value in entry.items() if name not in (fdh_metadata.SURFACE, fdh_metadata.IDENTITY)}
    return {
        "licence": licence if isinstance(licence, str) and licence else NOT_STATED,
        **({"licence_url": url} if isinstance(url, str) and url else {}),
        **({"fdh": fdh_metadata.carried(others)} if others else {}),
    }


def _space(entry: Mapping[str, Any]) -> SurfaceSpace:
    """Return the space of an image's vertices: the original's, unless its entry names another one.

    Raises:
        ValueError: when nobody knows that.
    """
    name = entry.get(fdh_metadata.SURFACE, SMPL.name)
    if not isinstance(name, str) or name not in SPACES:
        raise ValueError(f"{fdh_metadata.NAME} names the surface {str(name)[:40]!r}, known are {', '.join(SPACES)}")
    return SPACES[name]


def _identity(entry: Mapping[str, Any]) -> dict[str, Any]:
    name = entry.get(fdh_metadata.IDENTITY)
    return {"identity": name} if isinstance(name, str) and name else {}


def _damaged(place: Path) -> list[str]:
    """Return what is wrong with each tar."""
    problems = []
    for tar in _tars(place):
        try:
            Dataset.open(tar)
        except DatasetError as error:
            problems.append(str(error))
    return problems or [f"{place}: holds no samples"]


def _extent(body: np.ndarray[Any, np.dtype[np.bool_]]) -> dict[str, Any]:
    """Return a person's instance and box, nothing when no pixel is theirs."""
    rows, columns = np.flatnonzero(body.any(axis=1)), np.flatnonzero(body.any(axis=0))
    if not rows.size:
        return {}
    return {"instance": 1, "box_xyxy_px": (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)}


def _metadata(root: Path, problems: list[str]) -> fdh_metadata.Metadata | None:
    """Return the metadata of a set's folder or of the one above, None when there are none."""
    for path in (root / fdh_metadata.NAME, root.parent / fdh_metadata.NAME):
        if path.is_file() and (path.parent == root or root.name in SPLITS):
            try:
                return fdh_metadata.Metadata(path)
            except ValueError as error:
                problems.append(f"{path}: {error}")
    return None


def _embedding(root: Path, problems: list[str]) -> dict[str, Any]:
    """Return what to note of the embedding map, nothing when there is none."""
    for path in (root / fdh_embedding.NAME, root.parent / fdh_embedding.NAME):
        if path.is_file() and (path.parent == root or root.name in SPLITS):
            try:
                return {"sha256": fdh_embedding.sha256_of(path), "checked": fdh_embedding.check(path)}
            except DatasetError as error:
                problems.append(str(error))
    return {}


def _remarks(found: Counter[str], embedding: Mapping[str, Any]) -> list[str]:
    others = sorted(name for name in found if name not in _MEMBERS)
    shown = ", ".join(f"{name[:40]} ({found[name]})" for name in others[:8])
    left_out = [f"other members are left out: {shown}{', ...' if others[8:] else ''}"] if others else []
    unchecked = (
        [f"{fdh_embedding.NAME} is not checked: torch is not installed"] if embedding.get("checked") is False else []
    )
    return left_out + unchecked
