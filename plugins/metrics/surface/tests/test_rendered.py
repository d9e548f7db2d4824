# SPDX-License-Identifier: Apache-2.0
"""Surface consistency of people whom Blender renders: the truth is near perfect, other paint is not."""

from __future__ import annotations

import numpy as np
import pytest

from synthkit.config import structure
from synthkit.interfaces import Runtime
from synthkit.sample import evolve
from synthkit.seeds import Seeds
from synthkit_blender.config import BlenderConfig
from synthkit_blender.renderer import BlenderRenderer
from synthkit_surface.config import SurfaceConfig
from synthkit_surface.metric import SurfaceMetric
from synthkit_surface.patches import divide

pytestmark = [pytest.mark.blender, pytest.mark.slow]

SMALL = {
    "width_px": 288,
    "height_px": 216,
    "samples": 4,
    "layers": ["surface"],
    "people": {"identities": 4, "standing": [4, 4], "sitting": [0, 0]},
}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    runtime = Runtime(Seeds(1), tmp_path_factory.mktemp("cache"))
    with BlenderRenderer(structure(BlenderConfig, SMALL), None, runtime) as renderer:
        return [
            renderer_sample for scene in range(7) for renderer_sample in renderer.render(scene, Seeds(1).child(scene))
        ]


def repainted(sample):
    """Return a sample in which every patch of everybody has a colour of its own, drawn anew in each image."""
    generator = np.random.default_rng([ord(letter) for letter in sample.key])
    paint = generator.integers(20, 236, (300, divide(60).count, 3)).astype(np.uint8)
    image, surface = sample.image.copy(), sample.layers["surface"]
    seen = surface > 0
    patch = divide(60).of_vertex[surface[seen].astype(int) - 1]
    image[seen] = paint[sample.layers["instances"][seen], patch]
    return evolve(sample, image=image)


def judged(samples, tmp_path):
    config = SurfaceConfig()
    with SurfaceMetric(config, None, Runtime(Seeds(0), tmp_path)) as metric:
        found = metric.compute({"candidate": metric.observe("candidate", samples)})
    return {one.name.partition("[")[0]: one.value for one in found if not one.part}


def test_truth_is_near_perfect_and_other_paint_at_chance(rendered, tmp_path):
    truth, chance = judged(rendered, tmp_path), judged(map(repainted, rendered), tmp_path)
    assert truth["surface_consistency"] > 0.87
    assert truth["surface_spread"] < 0.6
    assert chance["surface_consistency"] == pytest.approx(0.5, abs=0.2)
    assert chance["surface_spread"] == pytest.approx(1, abs=0.1)
