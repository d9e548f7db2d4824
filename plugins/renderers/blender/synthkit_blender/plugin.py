# SPDX-License-Identifier: Apache-2.0
"""What this distribution brings: the renderer ``blender`` and a preset with another look."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

import attrs

from synthkit.hookspecs import hookimpl
from synthkit.interfaces import Component, Tunable
from synthkit_blender.config import BlenderConfig, Layer

TARGET = "synthkit_blender.renderer:BlenderRenderer"
PROVIDES = frozenset({"instances", "people.head", "people.box", "people.rotated_box"})
REVISION = 18

DUSK = {
    "room": {"style": "warm"},
    "light": {"window_share": [0.0, 0.15], "ambient_share": [0.15, 0.25], "kelvin": [2700.0, 3400.0]},
    "sensor": {
        "exposure_ev": [-0.5, 0.0],
        "auto_white_balance": [0.0, 0.2],
        "white_balance": [0.15, 0.4],
        "green_tint": [0.0, 0.12],
        "saturation": [0.55, 0.8],
        "gamma": [0.9, 1.0],
        "vignette": [0.35, 0.6],
        "read_noise": [0.002, 0.005],
        "shot_noise": [0.01, 0.03],
        "blur_px": [0.4, 0.8],
    },
}
THESIS = {
    "samples": 350,
    "people": {
        "sitting": [1, 5],
        "standing": [0, 4],
        "leaning_share": 0.0,
        "accessory_share": 0.0,
        "age_years": [18.0, 80.0],
        "looks": {
            "phenotypes": 18,
            "expressions": 43,
            "melanin": [0.2, 1.0],
            "skin_hue": [0.49, 0.51],
            "skin_bump": [0.0, 1.0],
            "skin_oil": [0.0, 1.0],
            "fabric_saturation": [0.0, 0.3],
            "fabric_value": [0.5, 0.2],
        },
    },
    "plates": {"scenes_per_background": 5},
}
"""Tables 7.1 and 7.2 of Andersson and Andersson (LU-CS-EX 2019-13)."""

PREVIEW = {"layers": [name for name in get_args(Layer) if name != "light"]}  # which looks like the image
TUNABLE = (
    Tunable("people.sitting", 0, 20, fits="people"),
    Tunable("people.standing", 0, 20, fits="people"),
    Tunable("camera.height_m", 1.9, 6.0, fits="size", unless="backgrounds"),
    Tunable("light.window_share", 0.0, 0.9, unless="backgrounds"),
    Tunable("light.ambient_share", 0.0, 0.8),
    Tunable("light.kelvin", 2400.0, 9000.0, log=True),
    *(
        attrs.evolve(tunable, finishing=True, unless="backgrounds")
        for tunable in (
            Tunable("sensor.exposure_ev", -2.0, 2.0, fits="range"),
            Tunable("sensor.vignette", 0.0, 0.9),
            Tunable("sensor.blur_px", 0.0, 2.5),
            Tunable("sensor.read_noise", 0.0002, 0.03, log=True),
            Tunable("sensor.shot_noise", 0.001, 0.1, log=True),
            Tunable("sensor.grain_px", 0.0, 2.0),
            Tunable("sensor.white_balance", -1.0, 1.0, fits="range"),
            Tunable("sensor.green_tint", -0.5, 0.5),
            Tunable("sensor.saturation", 0.0, 2.0, fits="range"),
            Tunable("sensor.gamma", 0.5, 1.8, log=True),
            Tunable("sensor.contrast", 0.6, 2.0, log=True),
            Tunable("sensor.black_level", 0.0, 0.15),
            Tunable("sensor.sharpening", 0.0, 2.5),
        )
    ),
)


@hookimpl
def synthkit_components() -> Iterable[Component]:
    """Return the renderer and its presets."""
    return [
        _renderer("blender", "people in rooms or over background plates, by Blender's Cycles", demo={"source": {}}),
        _renderer(
            "blender-dusk",
            "blender with warm rooms, dim light and a noisy sensor: a stand-in for a target domain",
            defaults=DUSK,
            demo={"target": {}},
        ),
        _renderer(
            "blender-thesis",
            "blender with the people of Andersson and Andersson's thesis (Lund 2019), for plates",
            defaults=THESIS,
        ),
    ]


def _renderer(name: str, summary: str, **own: Any) -> Component:
    return Component(
        kind="renderer",
        name=name,
        summary=summary,
        config=BlenderConfig,
        target=TARGET,
        revision=REVISION,
        provides=PROVIDES,
        preview=PREVIEW,
        tunable=TUNABLE,
        finish_keeps={"layers": ["light"]},
        **own,
    )
