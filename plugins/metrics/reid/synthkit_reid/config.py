# SPDX-License-Identifier: Apache-2.0
"""The settings of the metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import attrs

from synthkit.config import all_of, at_least, between, setting
from synthkit.embedders.config import EmbedderConfig

Background = Literal["kept", "removed"]
View = Literal["auto", "camera", "sequence", "image"]


def _rising(_: Any, __: attrs.Attribute[Any], value: tuple[int, ...]) -> None:
    if not value or list(value) != sorted(set(value)):
        raise ValueError(f"must be ranks that rise, got {list(value)}")


@attrs.frozen
class ReidConfig(EmbedderConfig):
    """Which network tells people apart, which pictures are ranked, and how far."""

    background: Background = setting(
        "kept",
        help="removed: pixels that are not the person's become the network's neutral colour, by the set's masks,"
        " or rotated boxes where there are none",
    )
    view: View = setting(
        "auto",
        help="pictures of the same person that do not count, as they share with the query its: camera (Market-1501),"
        " sequence, or image; auto: the first of these of which the set has several",
    )
    shots: Literal["all", "single"] = setting(
        "all", help="the whole gallery, or the mean over all galleries of a single picture of each person"
    )
    distance: Literal["cosine", "euclidean"] = setting("cosine", help="between embeddings")
    ranks: tuple[int, ...] = setting(
        (1, 5, 10, 20), help="ranks up to which somebody is to be found",
        validator=all_of(at_least(1), between(1, 1000), _rising),
    )  # fmt: skip
    resample: Literal["person", "sequence"] = setting(
        "person",
        help="what other queries would be of, for the interval: other people, or other sequences, as all who are in one"
        " share its light and place",
    )
    min_extent_px: float = setting(
        12.0, help="people shorter than this in the image are left out", validator=at_least(1)
    )
    pictures: Path | None = setting(
        None, help="folder for PNGs: queries with what ranks nearest to them", decides="nothing"
    )
    shown: int = setting(12, help="queries in each, the worst and the best", validator=between(1, 200))


@attrs.frozen
class ConsistencyConfig(ReidConfig):
    """The same, of people before and after anonymization."""

    background: Background = setting(
        "removed",
        help="removed: pixels that are not the person's become the network's neutral colour, by the reference's masks,"
        " or rotated boxes where there are none;"
        " kept: as thesis 002 has it, where the surroundings help",
    )


@attrs.frozen
class LeakageConfig(ReidConfig):
    """The same, of anonymized people looked up among the originals."""

    background: Background = setting(
        "removed",
        help="removed: pixels that are not the person's become the network's neutral colour, by the reference's masks,"
        " or rotated boxes where there are none;"
        " kept: what the surroundings tell counts as leaked",
    )
