# SPDX-License-Identifier: Apache-2.0
"""Refiners that treat people badly on wish; their tests install them as a plugin."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import attrs
import numpy as np

from synthkit.config import setting
from synthkit.hookspecs import hookimpl
from synthkit.interfaces import Component
from synthkit.sample import Skipped, evolve


@attrs.frozen
class Config:
    fault: str = setting("", help="what goes wrong")
    at: str = setting("", help="key of the image at which it does; none: at all")
    tells: bool = setting(True, help="tell in the corner what there was to be seen where people were")
    notes: str | None = setting(None, help="folder for a file per image", decides="nothing")
    pause_s: float = setting(0.0, help="how long an image takes", decides="nothing")


class Sloppy:
    def __init__(self, config, checkpoint, runtime):
        self.config = config

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def refine(self, samples):
        for sample in samples:
            if self.config.notes:
                Path(self.config.notes, f"{sample.key}-{time.monotonic_ns()}").touch()
            time.sleep(self.config.pause_s)
            wrong = self.config.fault and self.config.at in ("", sample.key)
            yield from (self.wrong(sample) if wrong else [self.covered(sample)])

    def wrong(self, sample):
        match self.config.fault:
            case "unchanged":
                yield sample
            case "faint":
                yield evolve(sample, image=(sample.image * 0.9).astype(np.uint8))
            case "one":
                yield self.covered(sample, only=1)
            case "raises":
                raise ValueError(f"/home/ann/{sample.key}.jpg")
            case "skips":
                yield Skipped(sample.key, f"/home/ann/{sample.key}.jpg")
            case "no answer":
                return
            case "another key":
                yield evolve(self.covered(sample), key="other")
            case "another size":
                yield evolve(sample, image=sample.image[1:], layers={})
            case "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            case "hangs":
                time.sleep(600)

    def covered(self, sample, only=None):
        """Cover people."""
        image, mask = sample.image.copy(), sample.layers["instances"]
        if self.config.tells and (mask > 0).any():
            image[:2, :2] = sample.image[mask > 0].mean(axis=0)
        image[mask > 0 if only is None else mask == only] = 7
        return evolve(sample, image=image)


@hookimpl
def synthkit_components():
    target = f"{__name__}:Sloppy"
    return [
        Component("refiner", "sloppy", "treats people", Config, target, keeps_people=False),
        Component("refiner", "blind", "treats people unseen", Config, target, keeps_people=False, sees_people=False),
    ]
