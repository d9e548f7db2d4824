# SPDX-License-Identifier: Apache-2.0
"""Everybody of a scene, and all chairs, placed one after the other."""

from __future__ import annotations

import attrs

from synthkit.seeds import Seeds
from synthkit_blender.config import PeopleConfig
from synthkit_blender.crowd.chairs import chairs_at_walls, empty_chairs
from synthkit_blender.crowd.figure import Figure, PeopleSource
from synthkit_blender.crowd.gathering import Gathering, Stage
from synthkit_blender.crowd.sitters import seat
from synthkit_blender.crowd.standers import stand
from synthkit_blender.people.types import Looks, PersonRanges
from synthkit_blender.placement import Placed


@attrs.frozen(eq=False)
class Crowd:
    """Everybody, and the chairs: those sat on first, then the empty ones."""

    figures: tuple[Figure, ...]
    chairs: tuple[Placed, ...]


def populate(
    stage: Stage, config: PeopleConfig, source: PeopleSource, seeds: Seeds, shutter_s: float,
    times_s: tuple[float, ...] = (0.0,),
) -> Crowd:  # fmt: skip
    """Place people and chairs; where no room is found, there are fewer of them.

    Args:
        times_s: of a clip's images, in all of which everybody needs room.
    """
    counts = seeds.stream("counts")
    sitting = int(counts.integers(config.sitting[0], config.sitting[1] + 1))
    standing = int(counts.integers(config.standing[0], config.standing[1] + 1))
    there = Gathering(stage, config, source, person_ranges(config), shutter_s, times_s)
    for n in range(sitting):
        seat(there, seeds.child("sitting", n))
    for n in range(standing):
        stand(there, seeds.child("standing", n))
    empty = empty_chairs(there, seeds.stream("empty chairs")) if stage.empty_chairs else []
    if stage.empty_chairs and stage.free_chairs:
        empty += chairs_at_walls(there, seeds.stream("chairs at walls"))
    taken = [figure.chair for figure in there.figures if figure.chair is not None]
    return Crowd(tuple(there.figures), (*taken, *empty))


def person_ranges(config: PeopleConfig) -> PersonRanges:
    """Return what people are drawn from."""
    return PersonRanges(
        age_years=config.age_years,
        female_share=config.female_share,
        pattern_share=config.pattern_share,
        accessory_share=config.accessory_share,
        motions_share=config.motions_share,
        pose_amount=config.pose_amount,
        assets_share=config.assets_share,
        looks=Looks(**attrs.asdict(config.looks)),
    )
