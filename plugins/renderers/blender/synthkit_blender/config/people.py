# SPDX-License-Identifier: Apache-2.0
"""Settings of who is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import attrs

from synthkit.config import between, setting
from synthkit_blender.config.limits import Range, a_folder, counts, within

_FEW = attrs.validators.optional(between(1, 1_000_000))
_SHARE = attrs.validators.optional(within(0, 1))


def _normal(_: Any, __: Any, value: tuple[float, float] | None) -> None:
    if value is not None and not (0 <= value[0] <= 1 and 0 <= value[1] <= 1):
        raise ValueError(f"must be (mean, standard deviation), each from 0 to 1, got {list(value)}")


@attrs.frozen
class LooksConfig:
    """Looks by numbers, in the terms of the thesis's table 7.1 (docs/rendering.md says what each means)."""

    phenotypes: int | None = setting(
        None, help="how many different bodies and faces there are; by itself no two are alike", validator=_FEW
    )
    expressions: int | None = setting(
        None, help="how many different facial expressions there are; by itself no two are alike", validator=_FEW
    )
    melanin: Range | None = setting(
        None,
        help="0 the lightest skin, 1 the darkest; by itself what goes with the ancestry",
        validator=_SHARE,
    )
    skin_hue: Range = setting((0.5, 0.5), help="0.5 changes nothing; 0.01 more turns hues by 3.6 degrees",
                              validator=within(0, 1))  # fmt: skip
    skin_bump: Range = setting((0.5, 0.5), help="0 smooth skin, 1 rough", validator=within(0, 1))
    skin_oil: Range = setting((0.5, 0.5), help="0 dry skin, 1 shining", validator=within(0, 1))
    fabric_saturation: tuple[float, float] | None = setting(
        None, help="mean and standard deviation of garments' saturation; by itself the wardrobe's own colours",
        validator=_normal,
    )  # fmt: skip
    fabric_value: tuple[float, float] | None = setting(
        None, help="mean and standard deviation of garments' brightness, with fabric_saturation", validator=_normal
    )

    def __attrs_post_init__(self) -> None:
        if (self.fabric_saturation is None) != (self.fabric_value is None):
            raise ValueError("set fabric_saturation and fabric_value together, or neither")


@attrs.frozen
class PeopleConfig:
    """Who is there (thesis tables 7.1 and 7.2 give the counts)."""

    sitting: tuple[int, int] = setting(
        (1, 5), help="least and most sitting people; they stand where there is no seat left for them", validator=counts
    )
    standing: tuple[int, int] = setting((0, 4), help="least and most people on their feet", validator=counts)
    walking_share: float = setting(0.35, help="share of those on their feet who walk", validator=between(0, 1))
    leaning_share: float = setting(
        0.15,
        help="share of those on their feet who lean against a wall or on a table; on plates nobody does",
        validator=between(0, 1),
    )
    age_years: Range = setting((18.0, 80.0), help="ages", validator=within(18, 90))
    female_share: float = setting(0.5, help="share of women", validator=between(0, 1))
    pattern_share: float = setting(0.3, help="share of garments with a pattern", validator=between(0, 1))
    looks: LooksConfig = setting(attrs.Factory(LooksConfig), help="looks by numbers")
    assets: Path | None = setting(
        None,
        help="folder of clothes, hair and skins in MakeHuman's layout (.mhclo, .mhmat), besides the library's own",
        validator=a_folder,
        decides="content",
    )
    assets_share: float = setting(
        0.7, help="with assets: share of people dressed from them, and of hair from them", validator=between(0, 1)
    )
    accessory_share: float = setting(
        0.35,
        help="share of people with a lanyard, a backpack, a shoulder bag or a cap; who sits has put bags down",
        validator=between(0, 1),
    )
    identities: int | None = setting(
        None,
        help="draw everybody from this many people, who come again in other scenes; none is new people each time",
        validator=attrs.validators.optional(between(1, 1_000_000)),
    )
    wardrobe: Literal["identity", "scene"] = setting(
        "identity", help="whether the people of identities keep their clothes, or are dressed anew in each scene"
    )
    cast: Path | None = setting(
        None,
        help="folder of rigged people (.glb, .gltf), besides the library's own",
        validator=a_folder,
        decides="content",
    )
    cast_share: float = setting(
        0.5, help="with cast: share of people taken from it, as long as it has somebody who is not there yet",
        validator=between(0, 1),
    )  # fmt: skip
    motions: Path | None = setting(
        None,
        help="folder of motion capture (.bvh; joints named as CMU, Mixamo or MakeHuman do), for standing and walking",
        validator=a_folder,
        decides="content",
    )
    motions_share: float = setting(
        0.6, help="with motions: share of those who stand or walk posed from them", validator=between(0, 1)
    )
    pose_amount: float = setting(1.0, help="how far poses stray from the library's", validator=between(0, 2))

    def __attrs_post_init__(self) -> None:
        most = self.sitting[1] + self.standing[1]
        if self.identities is not None and self.identities < most:
            raise ValueError(
                f"identities is {self.identities}, but a scene may hold {most} people; set at least as many"
            )
