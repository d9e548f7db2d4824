# SPDX-License-Identifier: Apache-2.0
"""A renderer that notes who made what, takes its time, and goes wrong on wish; its tests install it as a plugin."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import attrs
import numpy as np

from synthkit.config import setting
from synthkit.errors import WeightsError
from synthkit.hookspecs import hookimpl
from synthkit.interfaces import Component, sample_key
from synthkit.sample import Sample


@attrs.frozen
class Config:
    notes: str | None = setting(None, help="folder for a file per scene made", decides="nothing")
    pause_s: float = setting(0.0, help="how long a scene takes", decides="nothing")
    mistake: int = setting(-1, help="scene that is a mistake of the plugin's")
    users: int = setting(-1, help="scene that the user must mend")
    deadly: int = setting(-1, help="scene that ends the process")
    unusable: bool = setting(False, help="cannot be entered")


class Moody:
    samples_per_scene = 2

    def __init__(self, config, checkpoint, runtime):
        self._config = config
        self._scenes = 0

    def __enter__(self):
        if self._config.unusable:
            raise WeightsError("moody.safetensors: is missing")
        return self

    def __exit__(self, *_):
        return None

    def render(self, scene, seeds):
        config = self._config
        self._scenes += 1
        if config.notes:
            told = (os.environ[name] for name in ("PYTHONHASHSEED", "CUDA_VISIBLE_DEVICES"))
            Path(config.notes, "-".join([f"{scene:04d}", str(os.getpid()), str(self._scenes), *told])).touch()
        time.sleep(config.pause_s)
        if scene == config.mistake:
            raise ValueError("a mistake")
        if scene == config.users:
            raise WeightsError("the user can mend this")
        if scene == config.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        for n in range(self.samples_per_scene):
            image = seeds.stream("image", n).integers(0, 256, (8, 8, 3), np.uint8)
            yield Sample(key=sample_key(scene, n), image=image)


@hookimpl
def synthkit_components():
    return [Component("renderer", "moody", "of many moods", Config, f"{__name__}:Moody")]
