# SPDX-License-Identifier: Apache-2.0
"""What ``synthkit tune`` needs of the renderer: sensors upon kept light, and a look that is found again."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest

from synthkit import pipeline, settings
from synthkit.config import structure
from synthkit.errors import ConfigError
from synthkit.execution import Local
from synthkit.plugins import discover
from synthkit.seeds import Seeds
from synthkit.session import Session
from synthkit.tuning.run import tune
from synthkit_blender.config import BlenderConfig

SEEDS = Seeds(11).child("scene", 3)
OTHER = {"exposure_ev": [0.5, 1.0], "white_balance": [0.3, 0.6], "saturation": [0.4, 0.6], "shot_noise": [0.02, 0.04],
         "vignette": [0.3, 0.5], "sharpening": [0.5, 1.0], "timestamp_share": 1.0, "compressed_share": 1.0}  # fmt: skip


@pytest.mark.blender
def test_another_sensor_upon_kept_light_is_what_rendering_with_it_gives(tiny_renderer):
    with tiny_renderer(layers=["light"]) as renderer:
        (kept,) = renderer.render(3, SEEDS)
    with tiny_renderer(layers=["light"], sensor=OTHER) as renderer:
        (expected,) = renderer.render(3, SEEDS)
    assert kept.layers["light"].dtype == np.float32
    assert not np.array_equal(kept.image, expected.image)
    finished = tiny_renderer(sensor=OTHER).finish(kept, SEEDS)
    assert np.array_equal(finished.image, expected.image)
    assert finished.meta == expected.meta
    assert np.array_equal(tiny_renderer().finish(kept, SEEDS).image, kept.image)


def test_plates_have_no_light_to_keep(tmp_path):
    with pytest.raises(ConfigError, match="'light' is of rooms"):
        structure(BlenderConfig, {"layers": ["light"], "backgrounds": str(tmp_path)})


@pytest.mark.slow
@pytest.mark.blender
def test_a_tune_towards_dusk_comes_near_it(tmp_path):
    def planned(name, **options):
        tiny = {"width_px": 96, "height_px": 96, "samples": 2}
        plan = settings.plan(discover(), {"seed": 4, "renderer": {**tiny, **options}}, {"renderer": name})
        return Session(plan.registry, plan.run, Local(workers=2)), plan.components["renderer"]

    session, dusk = planned("blender-dusk")
    pipeline.render(session.reseeded(77), dusk, tmp_path / "real", 12)
    known = {"people": {"sitting": [1, 5], "standing": [0, 4]}, "camera": {"height_m": [2.4, 3.2]}}
    session, start = planned("blender", **known)
    tuned = tune(session, start, str(tmp_path / "real"), tmp_path / "tuned.toml", 32, extractor="none")
    change = tuned.story.verified.changes["statistics"]
    assert change.after.value < 0.6 * change.before.value  # five fresh scenes are too few to be sure of it
    found = tomllib.loads(tuned.settings.read_text())["renderer"]
    low, high = found["sensor"]["saturation"]
    assert (low + high) / 2 < 0.95, "dusk is of pale colours"
    assert sum(found["sensor"]["vignette"]) / 2 > 0.15, "and dark towards the rim"
