# SPDX-License-Identifier: Apache-2.0
"""The plugin's declaration: light, found by its entry point, and configurable."""

from __future__ import annotations

import subprocess
import sys

import pytest

from synthkit.errors import ConfigError
from synthkit.interfaces import ComponentSpec, Refiner, Trainable
from synthkit.plugins import discover


def test_listing_imports_no_torch():
    code = (
        "import sys; from synthkit_cyclegan.plugin import synthkit_components as c;"
        " assert [x.name for x in c()] == ['cyclegan-dfm', 'cyclegan-dfm-noskip'];"
        " assert not {'torch', 'cv2', 'safetensors'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_presets_are_found_and_built(monkeypatch, runtime):
    monkeypatch.setenv("SYNTHKIT_PLUGINS", "synthkit-cyclegan")
    registry = discover()
    for name, skip in (("cyclegan-dfm", True), ("cyclegan-dfm-noskip", False)):
        spec = ComponentSpec("refiner", name)
        assert registry.configure(spec).skip is skip
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
        ({"perceptual": "vgg16", "perceptual_layer": "stride4"}, "vgg16 has no layer 'stride4'; it has pool1"),
        ({"perceptual_layer": "pool2"}, "set perceptual too"),
        ({"step": 3}, "did you mean 'steps'"),
        ({"perceptual": "resnet"}, "vgg16"),
    ],
)
def test_wrong_settings_are_told(options, message, monkeypatch):
    monkeypatch.setenv("SYNTHKIT_PLUGINS", "synthkit-cyclegan")
    with pytest.raises(ConfigError, match=message):
        discover().configure(ComponentSpec("refiner", "cyclegan-dfm", options=options))
