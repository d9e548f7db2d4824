# SPDX-License-Identifier: Apache-2.0
"""The settings that render sets like FDH: understood as they stand, and, in little, rendered and cut."""

from __future__ import annotations

from pathlib import Path

import pytest

from synthkit import pipeline, settings
from synthkit.bodies.cutting import cut
from synthkit.bodies.reading import BodyCrops
from synthkit.execution import Local
from synthkit.plugins import discover
from synthkit.session import Session
from synthkit.surfaces import MPFB

FILES = sorted(Path(__file__).parents[1].glob("*.toml"))
SMALL = ["renderer.width_px=160", "renderer.height_px=120", "renderer.samples=1", "renderer.people.identities=3",
         "renderer.people.sitting=[1,1]", "renderer.people.standing=[2,2]"]  # fmt: skip


def plan(path, sets=()):
    return settings.plan(discover(), settings.read(path, sets, {}), {"renderer": None})


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_they_ask_for_maps_and_for_people_who_come_again(path):
    made = plan(path)
    config = made.registry.configure(made.components["renderer"])
    assert "surface" in config.layers
    assert config.people.identities > 1
    assert config.people.wardrobe == "identity"
    assert min(config.width_px, config.height_px) >= 2 * 288, "people are as large as FDH's crops"


@pytest.mark.slow
@pytest.mark.blender
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_same_people_are_cut_out_of_several_scenes(path, tmp_path):
    made = plan(path, SMALL)
    session = Session(made.registry, made.run, Local(1))
    pipeline.render(session, made.components["renderer"], tmp_path / "rendered", 3)
    crops = BodyCrops(cut(tmp_path / "rendered", tmp_path / "crops"))
    assert crops.space == MPFB
    assert max(map(len, crops.identities.values())) > 1, "pairs of one person"
    for crop in crops:
        assert not (crop.surface[~crop.person] > 0).any()
        assert (crop.surface > 0).sum() > 0.8 * crop.person.sum(), "maps are exact but for things that are carried"
