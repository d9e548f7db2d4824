# SPDX-License-Identifier: Apache-2.0
"""A small experiment whose components learn within milliseconds, for the tests of experiments."""

from __future__ import annotations

import re
from pathlib import Path

import light_components

from synthkit.experiments import description, planning
from synthkit.plugins import Origin, discover
from synthkit.session import Session

CIRCLES = 'renderer = { name = "circles-NAME", size_px = 48, circles = [1, 3] }'
TEXT = f"""
title = "Light"
threads = 1
controls = ["tint"]

[data.rendered]
count = 12
{CIRCLES.replace("NAME", "x1")}
[data.real]
count = 8
{CIRCLES.replace("NAME", "y1")}
[data.validation]
count = 4
{CIRCLES.replace("NAME", "y1")}
[data.test]
count = 24
{CIRCLES.replace("NAME", "y1")}

[refiners.tint]
name = "light-tint"

[mixtures]
"real + 1 x tint" = ["real", "tint:1"]

[groups]
real = ["real", "real + 1 x tint"]
none = ["rendered", "tint"]

[sizes]
counts = [4]

[detectors.light-blobs]

[metric]
name = "detection,psnr"

[metric.detection]
target = "person"
coco = false
size_edges_px = []
distance_edges = []
"""
PLAIN = re.sub(r"\[mixtures\].*(?=\[detectors)", "", TEXT, flags=re.DOTALL).replace('controls = ["tint"]', "")
"""Without what is told of several rows."""


def registry_with_light():
    """Return all that is installed, and the light components."""
    found = discover()
    found.add(light_components, Origin("light", "1.0", "light"))
    return found


def settled(tmp_path_factory):
    """Return a folder with the experiment as ``light.toml``, and a path on which its components are installed."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "light.toml").write_text(TEXT)
    (folder / "site").mkdir()
    return folder, light_components.installed(folder / "site")


def read(registry, folder, *sets):
    """Return the experiment of a folder, with other settings."""
    return description.read(folder / "light.toml", registry, sets)


def planned(registry, described, out=Path("nowhere")):
    """Return the plan of an experiment."""
    return planning.plan(Session(registry, described.run), described, out)
