# SPDX-License-Identifier: Apache-2.0
"""Cutting people out of images: what finders or renderers know of them becomes crops as FDH's (thesis 002, 4.3.2)."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs
import numpy as np

from synthkit import config, finds, inputs
from synthkit.bodies.masks import dilated
from synthkit.bodies.misdetections import LEAST_PER_PART, parts_of, vertices_per_part
from synthkit.bodies.planning import REVISION, SIZE_PX, View, plan_bodies
from synthkit.bodies.reading import LAYERS
from synthkit.config import at_least, between, setting
from synthkit.crops.cutting import extract, extract_layer
from synthkit.crops.planning import CropPlan
from synthkit.dataset import Dataset
from synthkit.dataset.codec import CodecConfig
from synthkit.dataset.sidecars import SidecarSet
from synthkit.dataset.tools.copying import whole, write
from synthkit.errors import ConfigError, DatasetError, WorkError
from synthkit.execution import Executor, JobSpec
from synthkit.execution.scenes import Maker
from synthkit.found import joined
from synthkit.interfaces import Progress, silent
from synthkit.sample import Keypoint, Layer, Person, Sample, Skipped, evolve
from synthkit.stage import seen_from
from synthkit.surfaces import SPACES, SurfaceSpace, checked, space_of

CROP = "crop"
"""Key of a crop's ``meta``: the sample that it was cut ``of``, and the (2, 3) matrix ``crop_from_image``."""

_CARRIED = ("licence", "licence_url", "split", "background", "fdh")
"""Of a sample's ``meta``, in its crops'."""

_DECIMALS = 6


@attrs.frozen
class CutSettings:
    """Which crops are cut."""

    view: View = setting(
        "auto",
        help="which way is up: the image's way (upright), away from the place below the camera (nadir), or the latter"
        " where the camera is known (auto)",
    )
    width_px: int = setting(SIZE_PX[0], help="width of the crops", validator=between(16, 1024))
    height_px: int = setting(SIZE_PX[1], help="height of the crops", validator=between(16, 2048))
    least: float | None = setting(
        None,
        help="least number of different vertices for each part of the body on a surface map; by itself what holds for"
        " the mesh, of finds, and 0 of truth",
        validator=attrs.validators.optional(at_least(0)),
    )
    space: Literal["mpfb", "smpl_27554"] | None = setting(
        None, help="which mesh's surface maps are taken, where there are some of several"
    )
    parts: Path | None = setting(
        None, help="which part each vertex is of, an .npy file, where none ships", decides="content"
    )


def cut(
    images: inputs.Images | Path | str,
    out: Path | str,
    found: Sequence[Path | str] = (),
    settings: CutSettings | None = None,
    *,
    executor: Executor | None = None,
    progress: Progress = silent,
    tell: Callable[[str], None] | None = None,
) -> Dataset:
    """Cut everybody with a mask and a surface map out of images, into a set of crops at ``out``, or do the rest of it.

    People without a surface map are left out, as are those of few pixels, and those whose map is not believed. The set
    is as ``bodies.reading`` reads it. An image in which people could not be looked for is a hole.

    Args:
        images: opened by ``inputs.open_images``, or what it opens: a data set, folder, photo or video.
        found: sets of finds in these images; several are combined as ``finds.combined`` does. Without any the images'
            own layers count.

    Raises:
        DatasetError: when finds are of other images, ``out`` holds something else, or there is not one crop.
            ConfigError: when parts of the body are needed, and are not told or not understood.
    """
    settings = settings or CutSettings()
    opened = images if isinstance(images, inputs.Images) else _opened(images, found, tell)
    sets = [SidecarSet(name, Dataset.open(place)) for name, place in _named(found).items()]
    for one in sets:
        one.check_of(opened.location, opened.fingerprint)
    if settings.parts is not None:
        _check_parts(settings.parts)
        settings = evolve(settings, parts=settings.parts.absolute())
    write(
        out,
        JobSpec("synthkit.bodies.cutting:CutJob", {
            "images": opened.to_plain(),
            "found": {one.name: [whole(one.data.location), one.data.fingerprint] for one in sets},
            "settings": config.plain(settings),
        }),
        len(opened),
        identity={
            "cut": {"revision": REVISION, **config.identity(settings)},
            "images": opened.identity,
            "found": {one.name: one.data.fingerprint for one in sets},
        },
        notes={**opened.notes, "parents": _parents(opened, sets, out), "cut": config.identity(settings)},
        codec=CodecConfig(),
        verb="cut",
        executor=executor,
        progress=progress,
        check=opened.check_unchanged,
    )  # fmt: skip
    made = Dataset.open(out, allow_empty=True)
    if not len(made):
        why = ["nobody in it has a mask and a surface map that is believed", *(reason for _, reason in made.skipped)]
        raise DatasetError(
            f"{made.location}: holds no samples: of no image of {opened.location} is there a crop: {why[-1]}"
        )
    return made


def _parents(opened: inputs.Images, sets: Sequence[SidecarSet], out: Path | str) -> list[dict[str, Any]]:
    parents = [(opened.location, opened.fingerprint), *((one.data.location, one.data.fingerprint) for one in sets)]
    return [{"path": seen_from(place, out), "fingerprint": fingerprint} for place, fingerprint in parents]


def _opened(place: Path | str, found: Sequence[Path | str], tell: Callable[[str], None] | None) -> inputs.Images:
    return inputs.open_images(place, layers=() if found else LAYERS, tell=tell)


def _named(found: Sequence[Path | str]) -> dict[str, Path | str]:
    """Return sets of finds by the names of their folders."""
    named = {str(place).rstrip("/").rpartition("/")[2]: place for place in found}
    if len(named) < len(found):
        raise ConfigError(["--finds: two folders have the same name; rename one of them"])
    return named


class CutJob(Maker):
    """Task n cuts people out of the image of place n.

    Args:
        images: an ``inputs.Images``, plain. found: places and fingerprints of finds, by name. settings: plain.
    """

    def __init__(
        self, images: Mapping[str, Any], found: Mapping[str, tuple[str, str]], settings: Mapping[str, Any]
    ) -> None:
        self._images = inputs.reopened(images)
        self._found = [(SidecarSet.open(name, place), expected) for name, (place, expected) in found.items()]
        self._settings = config.structure(CutSettings, settings)

    def check_machine(self) -> None:
        """Check that images and finds are those that were sent.

        Raises:
            WorkError: when they are not.
        """
        self._images.check_machine()
        for one, expected in self._found:
            if one.data.fingerprint != expected:
                raise WorkError(f"{one.data.location}: is another data set on {socket.gethostname()}")

    def __call__(self, place: int) -> list[Sample | Skipped]:
        """Return the crops of an image, or why there are none."""
        read = self._images.read(place)
        sample = self._with_finds(read) if isinstance(read, Sample) else read
        if isinstance(sample, Skipped):
            return [sample]
        try:
            return list(crops_of(sample, self._settings, truth=not self._found))
        except DatasetError as error:
            return [Skipped(sample.key, str(error))]

    def _with_finds(self, sample: Sample) -> Sample | Skipped:
        sides = {one.name: one.get(sample.key) for one, _ in self._found}
        missing = [name for name, side in sides.items() if side is None]
        if missing:
            return Skipped(sample.key, f"nobody could look for people in it ({', '.join(missing)})")
        looks = {name: side for name, side in sides.items() if side is not None}
        try:
            for side in looks.values():
                _check_masks(side.layers, sample.size_px)
            return joined(sample, finds.combined(looks)) if looks else sample
        except DatasetError as error:
            return Skipped(sample.key, str(error))


def crops_of(sample: Sample, settings: CutSettings, *, truth: bool) -> Iterator[Sample]:
    """Yield a crop of everybody in a sample who has pixels and a surface map that is believed.

    Args:
        truth: whether the maps are no finder's, so that they are believed without a ``least``.

    Raises:
        DatasetError: when it has no masks or no surface map, or these are no such. ConfigError: as ``parts_of`` does.
    """
    space = space_of(sample.layers, settings.space)
    if not sample.people:
        return
    if space is None or "instances" not in sample.layers:
        missing = "surface map" if "instances" in sample.layers else "masks"
        raise DatasetError(f"its people have no {missing}: renderers give such with the layer 'surface', finders that"
                           " 'synthkit plugins list' tells of")  # fmt: skip
    surface = checked(sample.layers[space.layer], space)
    _check_masks(sample.layers, sample.size_px)
    least = _least(settings, space, truth)
    for plan in plan_bodies(sample, (settings.width_px, settings.height_px), settings.view):
        crop = _crop(sample, plan, surface, space)
        if not crop.layers[space.layer].any():
            continue
        if least:
            count = vertices_per_part(crop.layers[space.layer], parts_of(space, settings.parts))
            if count < least:
                continue
        yield crop


def _check_masks(layers: Mapping[str, Layer], size_px: tuple[int, int]) -> None:
    masks = layers.get("instances")
    if masks is not None and masks.shape != size_px[::-1]:
        raise DatasetError(f"has a layer instances of {masks.shape}, expected {size_px[::-1]}")


def _least(settings: CutSettings, space: SurfaceSpace, truth: bool) -> float:
    if settings.least is not None:
        return settings.least
    return 0.0 if truth else LEAST_PER_PART[space.name]


def _check_parts(path: Path) -> None:
    """Check a table of parts before any work.

    Raises:
        ConfigError: when it fits no space.
    """
    problems: list[str] = []
    for space in SPACES.values():
        try:
            parts_of(space, path)
            return
        except ConfigError as error:
            problems += error.problems
    raise ConfigError(problems)


def _crop(sample: Sample, plan: CropPlan, surface: Layer, space: SurfaceSpace) -> Sample:
    """Return one person's crop as a sample."""
    person = (sample.people or ())[plan.person]
    instances = np.asarray(sample.layers["instances"], np.uint16)
    body = extract_layer(instances, plan) == plan.instance
    inside = extract_layer(np.ones(instances.shape, np.uint8), plan) > 0
    own = np.where(instances == plan.instance, surface, 0).astype(np.uint16)
    meta = {name: sample.meta[name] for name in _CARRIED if name in sample.meta}
    meta[CROP] = {"of": sample.key, "crop_from_image": np.round(plan.crop_from_image, _DECIMALS).tolist()}
    return Sample(
        key=f"{sample.key}_{plan.person:03d}",
        image=extract(sample.image, plan),
        people=[_person(person, plan, body)],
        layers={
            "instances": body.astype(np.uint8),
            "mask": np.where(dilated(body) & inside, np.uint8(0), np.uint8(255)),
            space.layer: extract_layer(own, plan),
        },
        sequence=sample.sequence,
        frame=sample.frame,
        time_s=sample.time_s,
        meta=meta,
    )


def _person(person: Person, plan: CropPlan, body: Layer) -> Person:
    """Return somebody as their crop shows them."""
    width, height = plan.size_px
    points = {}
    for name, point in person.keypoints.items():
        x, y = plan.to_crop((point.x_px, point.y_px)).tolist()
        seen = point.visible and 0 <= x <= width and 0 <= y <= height
        points[name] = Keypoint(x, y, visible=seen, world_m=point.world_m)
    rows, columns = (np.flatnonzero(body.any(axis=axis)) for axis in (1, 0))
    box = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) if rows.size else None
    return Person(
        instance=1 if rows.size else None,
        identity=person.identity,
        head_px=None if person.head_px is None else tuple(plan.to_crop(person.head_px).tolist()),
        box_xyxy_px=box,
        keypoints=points,
        visible_fraction=person.visible_fraction,
        attributes=person.attributes,
    )
