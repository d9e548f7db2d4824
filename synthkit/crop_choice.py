# SPDX-License-Identifier: Apache-2.0
"""Settings: which crops of a set are taken; see ``crops.choosing``. Light, for the settings of refiners hold them."""

from __future__ import annotations

from pathlib import Path

import attrs

from synthkit.config import all_of, at_least, between, ordered, setting


def _an_aspect(instance: object, attribute: attrs.Attribute[object], value: tuple[float, float] | None) -> None:
    if value is not None:
        all_of(at_least(1), ordered)(instance, attribute, value)


@attrs.frozen
class CropChoice:
    """Which crops of a set are taken; by default all."""

    list: Path | None = setting(
        None,
        help="text file of crops and images to keep or drop, as 'synthkit crops' writes it; it outvotes the rules",
        decides="content",
    )
    min_px: float = setting(0.0, help="least length of a person in the image", validator=at_least(0))
    min_sharpness: float = setting(
        0.0, help="least sharpness: deviation of the Laplacian around the person, grey levels", validator=at_least(0)
    )
    min_inside: float = setting(
        0.0, help="least part of the person's box that lies in the image", validator=between(0, 1)
    )
    max_overlap: float = setting(
        1.0, help="largest part of the person's box that another one's box may cover", validator=between(0, 1)
    )
    aspect: tuple[float, float] | None = setting(
        None, help="least and largest length of the person's box over its width, from 1 up", validator=_an_aspect
    )
