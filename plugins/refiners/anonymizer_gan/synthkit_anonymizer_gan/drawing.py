# SPDX-License-Identifier: Apache-2.0
"""Sets of crops: people as they are, and what a checkpoint makes in their place, for metrics to compare."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np

from synthkit import crops as core_crops
from synthkit.checkpoint import Checkpoint
from synthkit.crops import CropPlan
from synthkit.crops.cutting import extract_layer
from synthkit.dataset import Dataset
from synthkit.dataset.codec import CodecConfig
from synthkit.dataset.tools.copying import parent, whole, write
from synthkit.errors import DatasetError, WorkError
from synthkit.execution import JobSpec
from synthkit.execution.scenes import Maker as SceneMaker
from synthkit.interfaces import Runtime
from synthkit.sample import Keypoint, Layer, Person, Sample, Skipped, evolve
from synthkit.seeds import Seeds
from synthkit.session import Session
from synthkit.surfaces import SPACES
from synthkit.training import devices
from synthkit_anonymizer_gan import fitting, people, surface
from synthkit_anonymizer_gan.conditions import making_of
from synthkit_anonymizer_gan.config import SAMPLING, GeneratingConfig
from synthkit_anonymizer_gan.making import Latent, Maker
from synthkit_anonymizer_gan.people import OTHERS, OWN, Crop

Kind = Literal["drawn", "drawn-again", "reconstructed", "other-view", "identities"]
"""Whose latent people get: one of their own, drawn (twice: for diversity); that of their own look; that of their look
in another image; one of their identity's."""

FROM_LOOKS: frozenset[Kind] = frozenset({"reconstructed", "other-view"})
"""Those for which a checkpoint needs an appearance mapper."""

REVISION = 2
"""Raised when the same set and checkpoint give other pictures."""

_OTHERS, _EMPTIED, _CROP = "others", "emptied", "crop"
_LAYERS = ("instances", "background", *(space.layer for space in SPACES.values()))
_CARRIED = ("camera", "split", "background", "licence", "licence_url")
_DECIMALS = 6


def crops_of(session: Session, data: Path | str, checkpoint: Checkpoint, out: Path) -> Dataset:
    """Write the crops of a set's people as a checkpoint takes them, or the rest of them, and return them.

    Each is a sample of one person: with their mask (``instances``), where others are (``others``), what is left of the
    picture when everybody's pixels are taken away before it is cut out (``emptied``), and, as far as the set has these,
    their places on the body's surface and the empty scene (``background``).

    Raises:
        DatasetError: when nobody can be cut out, or ``out`` holds something else. WeightsError: as ``described`` does.
    """
    shape, cut = fitting.described(checkpoint)
    samples = Dataset.open(data, layers=_LAYERS)
    if len(samples) and not people.tells_posture(samples[0], cut.surface):
        needed = surface.layer_of(cut.surface) or "key points"
        raise DatasetError(f"sample {samples.key(0)}: has no {needed}, which {checkpoint.path} learned from")
    arguments = {"size_px": [shape.size[1], shape.size[0]], "alignment": cut.alignment, "kind": cut.surface}
    write(
        out,
        JobSpec("synthkit_anonymizer_gan.drawing:CutJob", {"data": _place(samples), **arguments}),
        len(samples),
        identity={
            "crops": {"of": samples.fingerprint, **arguments, "revision": [people.REVISION, core_crops.REVISION]}
        },
        notes={"parents": [parent(samples, out)]},
        codec=CodecConfig(),
        verb="crop people",
        executor=session.executor,
        progress=session.progress,
    )
    made = Dataset.open(out, allow_empty=True)
    if not len(made):
        raise DatasetError(f"{samples.location}: has nobody who could be cut out: people need masks or boxes")
    return made


def draw(
    session: Session, originals: Dataset, checkpoint: Checkpoint, kind: Kind, out: Path,
    sampling: GeneratingConfig | None = None,
) -> Dataset | None:  # fmt: skip
    """Write what a checkpoint makes of crops, or the rest of it, and return it; None where there is nothing to make.

    Pixels that are not to be made anew are the originals'. Of ``other-view`` only those are in the set of whom there
    is another image; the same ``seed`` gives the same people, those of ``identities`` the refiner's.

    Args:
        originals: of ``crops_of``. sampling: how latents are drawn and truncated, None for the defaults.

    Raises:
        DatasetError: when ``out`` holds something else.
    """
    looks = _looks(originals, kind, Seeds(session.run.seed).child("other view"))
    if not looks:
        return None
    chosen = sampling or GeneratingConfig()
    settings = {name: getattr(chosen, name) for name in SAMPLING}
    identity = {
        "of": originals.fingerprint, "checkpoint_sha256": checkpoint.sha256, "kind": kind, "sampling": settings,
    }  # fmt: skip
    seed = {} if kind == "reconstructed" else {"seed": session.run.seed}
    write(
        out,
        JobSpec("synthkit_anonymizer_gan.drawing:DrawJob", {
            "data": _place(originals), "checkpoint": str(checkpoint.path.absolute()), "sha256": checkpoint.sha256,
            "kind": kind, "looks": looks, "seed": session.run.seed, "device": session.run.device,
            "sampling": settings,
        }),
        len(looks),
        identity={"draws": {**identity, **seed, "revision": REVISION}},
        notes={"parents": [parent(originals, out)], "checkpoint": {"sha256": checkpoint.sha256}},
        codec=CodecConfig(),
        verb=f"make people ({kind})",
        executor=session.executor,
        progress=session.progress,
    )  # fmt: skip
    return Dataset.open(out)


class _Reading(SceneMaker):
    """What makes scenes from a set's samples.

    Args:
        data: place and fingerprint of the set.
    """

    def __init__(self, data: Sequence[str]) -> None:
        self._data, self._fingerprint = Dataset.open(data[0]), data[1]

    def check_machine(self) -> None:
        """Check that the set is the one that was sent.

        Raises:
            WorkError: when it is not.
        """
        if self._data.fingerprint != self._fingerprint:
            raise WorkError(f"{self._data.location}: is another data set on {socket.gethostname()}")


class CutJob(_Reading):
    """Task n cuts people out of sample n, as a generator takes them."""

    def __init__(
        self, data: Sequence[str], size_px: Sequence[int], alignment: people.Alignment, kind: surface.Kind
    ) -> None:
        super().__init__(data)
        self._size_px, self._alignment, self._kind = (size_px[0], size_px[1]), alignment, kind

    def __call__(self, place: int) -> list[Sample | Skipped]:
        """Return the crops of a sample's people, but of those whose surface is wanted and not known."""
        sample = self._data[place]
        told = people.numbered(sample)
        if told is None:
            return [Skipped(sample.key, "nothing tells where all its people are: neither masks nor boxes")]
        plans = people.plans_of(told[0], self._size_px, self._alignment)
        empty = people.emptied(told[0])
        made = [_crop_sample(told[0], empty, plan) for plan in plans]
        return [one for one in made if self._kind == "none" or crop_in(one, self._kind).places.any()]


class DrawJob(_Reading):
    """Task n makes somebody in one of the crops.

    Args:
        checkpoint, sha256: of the generator. kind: see ``Kind``.
        looks: of each task, the place of its crop, and of the one whose look is taken.
        seed, device: as in the general settings. sampling: the settings of ``SAMPLING``.
    """

    def __init__(
        self, data: Sequence[str], checkpoint: str, sha256: str, kind: Kind, looks: Sequence[Sequence[int]],
        seed: int, device: str, sampling: Mapping[str, Any],
    ) -> None:  # fmt: skip
        super().__init__(data)
        self._checkpoint, self._kind, self._looks = (checkpoint, sha256), kind, looks
        self._runtime = Runtime(Seeds(seed), Path(), device=device, threads=1)
        self._sampling = GeneratingConfig(**sampling)
        self._maker: Maker | None = None

    def __enter__(self) -> Self:
        path, sha256 = self._checkpoint
        checkpoint = Checkpoint.open(path, expected_sha256=sha256)
        self._maker = Maker(checkpoint, self._sampling, devices.set_up(self._runtime))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._maker = None

    def __call__(self, place: int) -> list[Sample | Skipped]:
        """Return a crop with somebody else in it."""
        assert self._maker is not None
        sample, look = (self._data[index] for index in self._looks[place])
        z = self._latent(self._maker, sample, look)
        return [evolve(sample, image=completed(self._maker, sample, z))]

    def _latent(self, maker: Maker, sample: Sample, look: Sample) -> Latent:
        if self._kind in FROM_LOOKS:
            return maker.look_of(crop_in(look, maker.cut.surface, look.image))
        if self._kind == "identities":
            # The refiner's own seeds and names: what it would put into whole images.
            who = _person(sample).identity or _named_by_place(sample)
            return maker.drawn(self._runtime.seeds.child("refiner"), who)
        return maker.drawn(self._runtime.seeds.child(self._kind), sample.key)


def completed(maker: Maker, sample: Sample, z: Latent) -> people.Pixels:
    """Return a crop of ``crops_of`` with somebody made in it, all else as it was, (h, w, 3)."""
    crop = crop_in(sample, maker.cut.surface)
    made = np.clip(np.rint(maker.make(crop, z)), 0, 255).astype(np.uint8)
    return np.where(making_of(crop.whose, maker.margin_px)[..., None], made, sample.image)


def crop_in(sample: Sample, kind: surface.Kind, image: people.Pixels | None = None) -> Crop:
    """Return a crop of ``crops_of`` as the networks' views take it; without another ``image``, the emptied one."""
    own, others = sample.layers["instances"] > 0, sample.layers[_OTHERS] > 0
    if kind == "keypoints":
        places = people.dots(_person(sample), CropPlan(0, 1, sample.size_px, np.eye(2, 3)))
    else:
        known = surface.places(sample, kind)
        places = np.zeros(own.shape, np.uint16) if known is None else known
    whose = np.where(own, OWN, np.where(others, OTHERS, 0)).astype(np.uint8)
    pixels = np.asarray(sample.layers[_EMPTIED]) if image is None else image
    return Crop(pixels, whose, places)


def told(sample: Sample) -> tuple[str, int]:
    """Return which sample a crop of ``crops_of`` was cut out of, and which of its people it shows."""
    return sample.meta[_CROP]["of"], sample.meta[_CROP]["person"]


def _crop_sample(sample: Sample, empty: Sample, plan: CropPlan) -> Sample:
    """Return one person's crop as a sample; ``empty`` is the image without people."""
    person = (sample.people or ())[plan.person]
    crop = people.cut(sample, plan, "none")
    own = crop.whose == OWN
    layers: dict[str, Layer] = {
        "instances": own.astype(np.uint8),
        _OTHERS: (crop.whose == OTHERS).astype(np.uint8),
        _EMPTIED: core_crops.extract(empty.image, plan),
    }
    for space in SPACES.values():
        if space.layer in sample.layers:
            layers[space.layer] = np.where(own, extract_layer(sample.layers[space.layer], plan), 0)
    if "background" in sample.layers:
        layers["background"] = core_crops.extract(sample.layers["background"], plan)
    head = None if person.head_px is None else tuple(plan.to_crop(person.head_px).tolist())
    points = {}
    for name, point in person.keypoints.items():
        x, y = plan.to_crop((point.x_px, point.y_px)).tolist()
        points[name] = Keypoint(x, y, visible=point.visible)
    carried = {name: sample.meta[name] for name in _CARRIED if name in sample.meta}
    matrix = np.round(plan.crop_from_image, _DECIMALS).tolist()
    return Sample(
        key=f"{sample.key}_{plan.person:03d}",
        image=crop.image,
        people=[
            Person(instance=1, identity=person.identity, head_px=head, keypoints=points, attributes=person.attributes)
        ],
        layers=layers,
        sequence=sample.sequence,
        frame=sample.frame,
        time_s=sample.time_s,
        meta={**carried, _CROP: {"of": sample.key, "person": plan.person, "crop_from_image": matrix}},
    )


def _looks(originals: Dataset, kind: Kind, seeds: Seeds) -> list[list[int]]:
    """Return the places of crops, each with that of the crop whose look it gets, or its own."""
    everybody = range(len(originals))
    if kind != "other-view":
        return [[place, place] for place in everybody]
    labels = Dataset.open(originals.location, layers=())
    seen = [(sample.key, _person(sample).identity, sample.meta[_CROP]["of"]) for sample in labels]
    of_each: dict[str, list[int]] = {}
    for place, (_, identity, _) in enumerate(seen):
        if identity is not None:
            of_each.setdefault(identity, []).append(place)
    looks = []
    for place, (key, identity, image) in enumerate(seen):
        others = [other for other in of_each.get(identity or "", ()) if seen[other][2] != image]
        if others:
            looks.append([place, others[int(seeds.stream(key).integers(len(others)))]])
    return looks


def _person(sample: Sample) -> Person:
    (person,) = sample.people or ()
    return person


def _named_by_place(sample: Sample) -> str:
    """Return the name that the refiner gives to who is known by none."""
    return "{}/{}".format(*told(sample))


def _place(data: Dataset) -> list[str]:
    return [whole(data.location), data.fingerprint]
