# SPDX-License-Identifier: Apache-2.0
"""The plugin's declaration: light, found by its entry point, and configurable."""

from __future__ import annotations

import subprocess
import sys

import pytest

from synthkit.errors import ConfigError
from synthkit.interfaces import ComponentSpec, Refiner, Trainable
from synthkit.plugins import discover
from synthkit_cyclegan.objective import objective


def test_listing_imports_no_torch():
    code = (
        "import sys; from synthkit_cyclegan.plugin import synthkit_components as c;"
        " assert len(c()) == 12;"
        " assert not {'torch', 'cv2', 'safetensors'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Thesis 000, table 3.2: losses with their weights, and the poolings they look at.
TABLE = {
    "cyclegan-cp": ({"cyclic_pixels": 10}, None),
    "cyclegan-cpcf": ({"cyclic_pixels": 10, "cyclic_features": 1e-5}, (2,)),
    "cyclegan-cpcfif": ({"cyclic_pixels": 10, "cyclic_features": 1e-5, "identity_features": 5e-6}, (2,)),
    "cyclegan-cpcfip": ({"cyclic_pixels": 10, "cyclic_features": 1e-5, "identity_pixels": 10}, (2,)),
    "cyclegan-dfm": ({"discriminator_features": 1e-5, "identity_features": 5e-6}, (2,)),
    "cyclegan-mean": ({"mean_features": 1e-5, "identity_features": 5e-6}, (2, 5)),
    "cyclegan-mean-noskip": ({"mean_features": 5e-5, "identity_features": 5e-6}, (2, 5)),
}


@pytest.mark.parametrize("suffix", ["", "-noskip"])
@pytest.mark.parametrize("name", [name for name in TABLE if not name.endswith("-noskip")])
def test_presets_are_the_rows_of_table_3_2(name, suffix, monkeypatch, runtime):
    monkeypatch.setenv("SYNTHKIT_PLUGINS", "synthkit-cyclegan")
    registry = discover()
    spec = ComponentSpec("refiner", name + suffix)
    config = registry.configure(spec)
    weights, pools = TABLE.get(name + suffix, TABLE[name])
    assert {term.name: term.weight for term in objective(config)} == {"adversarial": 1, **weights}
    assert config.skip is (suffix == "")
    assert pools is None or config.perceptual_pools == pools
    assert (config.adversarial, config.batch, config.learning_rate, config.beta1) == ("least_squares", 1, 2e-4, 0.5)
    assert (config.crop_px, config.pool, config.generator_filters, config.discriminator_filters) == (128, 50, 64, 64)
    component = registry.build(spec, runtime)
    assert isinstance(component, Refiner)
    assert isinstance(component, Trainable)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop_px": 130}, "multiple of 4"),
        ({"crop_px": 16}, "between 32 and 4096"),
        ({"crop_px": 8192}, "between 32 and 4096"),
        ({"generator_filters": 1024}, "between 1 and 512"),
        ({"perceptual_pools": [2, 6]}, "poolings from 1 to 5, each once, got \\[2, 6\\]"),
        ({"perceptual_pools": [2, 2]}, "each once"),
        ({"perceptual_pools": []}, "a feature loss has a weight, but no layer to compare"),
        ({"adversarial": "hinge"}, "least_squares"),
        ({"cyclic_pixel_weight": -1}, "must be at least 0"),
        ({"step": 3}, "did you mean 'steps'"),
        ({"perceptual": "resnet"}, "vgg16"),
    ],
)
def test_wrong_settings_are_told(options, message, monkeypatch):
    monkeypatch.setenv("SYNTHKIT_PLUGINS", "synthkit-cyclegan")
    with pytest.raises(ConfigError, match=message):
        discover().configure(ComponentSpec("refiner", "cyclegan-dfm", options=options))


def test_all_mistakes_are_told_at_once(monkeypatch):
    monkeypatch.setenv("SYNTHKIT_PLUGINS", "synthkit-cyclegan")
    wrong = {"adversarial": "hinge", "perceptual_pools": [7], "cyclic_pixel_weight": -1}
    with pytest.raises(ConfigError) as caught:
        discover().configure(ComponentSpec("refiner", "cyclegan-cp", options=wrong))
    assert all(name in str(caught.value) for name in wrong)
