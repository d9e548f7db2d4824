# SPDX-License-Identifier: Apache-2.0
"""Figures 5.1 to 5.4 of thesis 002, of a checkpoint and crops.

The thesis had its figures' inputs made in an image editor: one background with several postures, one posture in several
backgrounds. Crops that were cut alike can exchange them exactly: a posture is a mask and a surface, and networks see no
more of anybody. Where the empty scene is not known, what the background's own person hid is left out, as are others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.checkpoint import Checkpoint
from synthkit.dataset import Dataset
from synthkit.sample import Sample
from synthkit.seeds import Seeds
from synthkit.session import Session
from synthkit.training import devices, pictures
from synthkit_anonymizer_gan import drawing, latents
from synthkit_anonymizer_gan.conditions import making_of
from synthkit_anonymizer_gan.config import GeneratingConfig
from synthkit_anonymizer_gan.making import Latent, Maker
from synthkit_anonymizer_gan.people import BLANK, NOBODY, OTHERS, OWN, Crop, Pixels

_ROWS = 4
_SHOWN_PX = 144  # about the height of a crop in a figure, at least
_LEAST_SHARE = 0.5  # of the median of masks' areas, of people who are shown


def write(
    session: Session, originals: Dataset, checkpoint: Checkpoint, sampling: GeneratingConfig, folder: Path, shown: int
) -> None:
    """Write figures 5.1 to 5.3 and ``interpolation.png``, and with an appearance mapper figure 5.4.

    Args:
        originals: of ``drawing.crops_of``. sampling: how latents are drawn and truncated. shown: people
            in a row.
    """
    maker = Maker(checkpoint, sampling, devices.set_up(session.runtime("refiner")))
    samples = chosen(originals, shown)
    crops = [drawing.crop_in(sample, maker.cut.surface) for sample in samples]
    seeds = Seeds(session.run.seed).child("figures")
    normal = [latents.of_identity(seeds, str(number), maker.shape.latent) for number in range(shown)]
    drawn = list(maker.spread_out(np.stack(normal)))
    between = maker.spread_out(latents.between(normal[0], normal[-1], shown))
    middle = maker.spread.mean.cpu().numpy()
    backgrounds = [emptied(sample, crop) for sample, crop in zip(samples, crops, strict=True)]
    sheets: dict[str, Sequence[npt.NDArray[np.float32] | Pixels]] = {
        "pose": _rows_of(maker, [backgrounds[0]] * len(crops), crops, [middle, *drawn[: _ROWS - 1]]),
        "background": _rows_of(maker, backgrounds, [crops[0]] * len(crops), [middle, *drawn[: _ROWS - 1]]),
        "diversity": _in_place(maker, samples[:_ROWS], drawn),
        "interpolation": _in_place(maker, samples[:_ROWS], between),
    }
    if maker.shape.appearance:
        sheets["reconstruction"] = _reconstruction(maker, samples)
    for name, rows in sheets.items():
        sheet = pictures.sheet(rows)
        times = max(1, round(_SHOWN_PX / maker.size_px[1]))  # small crops would be hard to see
        pictures.write_png(folder / f"{name}.png", sheet.repeat(times, axis=0).repeat(times, axis=1))


def chosen(originals: Dataset, count: int) -> list[Sample]:
    """Return crops from all over a set of whom much is seen."""
    masks = Dataset.open(originals.location, layers=("instances",))
    areas = np.array([np.count_nonzero(sample.layers["instances"]) for sample in masks])
    large = np.flatnonzero(areas >= _LEAST_SHARE * np.median(areas))
    return [originals[int(index)] for index in pictures.spread(large, count)]


def exchanged(background: Crop, posture: Crop) -> Crop:
    """Return a crop with the background of one, emptied, and the posture of another."""
    own = posture.whose == OWN
    whose = np.where(own, OWN, background.whose).astype(np.uint8)
    return Crop(background.image, whose, posture.places)


def emptied(sample: Sample, crop: Crop) -> Crop:
    """Return a sample's crop without its people: the empty scene where it is known, else all in it count as others."""
    if "background" in sample.layers:
        return attrs.evolve(crop, image=np.asarray(sample.layers["background"]), whose=np.zeros_like(crop.whose))
    return attrs.evolve(crop, whose=np.where(crop.whose == NOBODY, NOBODY, OTHERS).astype(np.uint8))


def _rows_of(
    maker: Maker, backgrounds: Sequence[Crop], postures: Sequence[Crop], rows: Sequence[Latent]
) -> list[npt.NDArray[np.float32] | Pixels]:
    """Return rows of pictures (N, h, w, 3): what is given, and people made in it with each latent."""
    given = [exchanged(*pair) for pair in zip(backgrounds, postures, strict=True)]
    made = [np.stack([np.where(_kept(maker, crop), crop.image, maker.make(crop, z)) for crop in given]) for z in rows]
    return [np.stack([_given(maker, crop) for crop in given]), *made]


def _in_place(maker: Maker, samples: Sequence[Sample], people: Iterable[Latent]) -> list[Pixels]:
    """Return a row for each crop: it, and somebody made in its place with each latent (figure 5.3)."""
    given = list(people)
    return [np.stack([one.image, *(drawing.completed(maker, one, z) for z in given)]) for one in samples]


def _reconstruction(maker: Maker, samples: Sequence[Sample]) -> list[Pixels]:
    """Return a row of crops, and for each of some its look put upon all of them (figure 5.4)."""
    rows = [np.stack([np.full_like(samples[0].image, 255), *(one.image for one in samples)])]
    for one in samples[:_ROWS]:
        look = maker.look_of(drawing.crop_in(one, maker.cut.surface, one.image))
        rows.append(np.stack([one.image, *(drawing.completed(maker, other, look) for other in samples)]))
    return rows


def _given(maker: Maker, crop: Crop) -> Pixels:
    """Return what is known of a crop, and where somebody is to be made, with their surface as shades."""
    picture = np.where(_kept(maker, crop), crop.image, np.array(BLANK, np.uint8))
    known = crop.places > 0
    if known.any():
        shades = maker.generator.embedding.cpu().numpy()[crop.places[known].astype(np.int64), :3]
        picture[known] = np.clip(128 + 60 * shades, 0, 255)
    return picture


def _kept(maker: Maker, crop: Crop) -> npt.NDArray[np.bool_]:
    """Return which pixels (h, w, 1) of a crop are not to be made."""
    return ~making_of(crop.whose, maker.margin_px)[..., None]
