# SPDX-License-Identifier: Apache-2.0
"""A refiner and a detector that learn within milliseconds and without torch, as a plugin that processes can find."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import ClassVar

import attrs
import cv2
import numpy as np
from safetensors.numpy import load_file, save_file

from synthkit import config as configs
from synthkit.checkpoint import CARD_KEY, CHECKPOINT_FILE, Checkpoint
from synthkit.config import setting
from synthkit.errors import WorkError
from synthkit.hookspecs import hookimpl
from synthkit.interfaces import Component
from synthkit.sample import Detections, evolve


@attrs.frozen
class Config:
    steps: int = setting(3, help="how often it looks")
    pause_s: float = setting(0.0, help="how long each step takes", decides="nothing")
    strength: float = setting(1.0, help="how far it goes")
    goes_wrong: str = setting("", help="error: fails; kill: its process dies")
    checkpoint_every: int = setting(1, help="as trainings have it", decides="nothing")
    start: Path | None = setting(None, help="a file to begin with", decides="content")


class Learner:
    def __init__(self, config, checkpoint, runtime):
        self.config, self.checkpoint, self.runtime = config, checkpoint, runtime

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def learned(self):
        return {name: np.asarray(value) for name, value in load_file(self.checkpoint.path).items()}

    def _fitted(self, kind, name, workdir, data, values, more):
        if self.config.goes_wrong == "error":
            raise WorkError("it was told to fail")
        if self.config.goes_wrong == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        with (workdir / "curves.jsonl").open("w") as file:
            for step in range(self.config.steps):
                time.sleep(self.config.pause_s)
                file.write(json.dumps({"step": step, "loss": 1 / (step + 1), "val_f1": step / (step + 1)}) + "\n")
                self.runtime.progress("learning", step + 1, self.config.steps)
        card = {"kind": kind, "name": name, "config": configs.identity(self.config), "steps": self.config.steps,
                "data": {role: _told(part) for role, part in data.items()}, "licence": "none", **more}  # fmt: skip
        path = workdir / CHECKPOINT_FILE
        save_file({key: np.array(value, np.float32) for key, value in values.items()}, path,
                  {CARD_KEY: json.dumps(card, sort_keys=True)})  # fmt: skip
        return Checkpoint.open(path)


class Tint(Learner):
    """Moves people's colours by as much as the target's images differ from the source's, and a seed's chance."""

    family: ClassVar = "light-tint"

    def fit(self, data, workdir):
        means = {role: np.mean([_people(one).mean(axis=0) for one in part], axis=0) for role, part in data.items()}
        shift = means["target"] - means["source"] + self.runtime.seeds.stream("chance").normal(0, 2, 3)
        return self._fitted("refiner", "light-tint", workdir, data, {"shift": shift}, {})

    def refine(self, samples):
        shift = self.learned()["shift"] * self.config.strength
        for sample in samples:
            mask = sample.layers["instances"] > 0
            image = sample.image.astype(np.float32)
            image[mask] += shift
            yield evolve(sample, image=np.clip(image, 0, 255).astype(np.uint8))


class Blobs(Learner):
    """Finds what has people's colour, by the mean colour of those it saw."""

    class_names: ClassVar = ("person",)

    def fit(self, data, workdir):
        colour = np.mean([_people(one).mean(axis=0) for one in data["train"]], axis=0)
        return self._fitted("detector", "light-blobs", workdir, data, {"colour": colour}, {"operating_score": 0.4})

    def detect(self, samples):
        colour = self.learned()["colour"]
        for sample in samples:
            near = (np.abs(sample.image.astype(np.float32) - colour).max(axis=2) < 60).astype(np.uint8)
            _, _, stats, _ = cv2.connectedComponentsWithStats(near)
            boxes = np.array([[x, y, x + w, y + h] for x, y, w, h, area in stats[1:] if area > 12], np.float32)
            boxes = boxes.reshape(-1, 4)
            yield Detections(sample.key, boxes, np.full(len(boxes), 0.5, np.float32), np.zeros(len(boxes), np.int32))


def _told(data):
    return {"fingerprint": data.fingerprint, "parts": getattr(data, "parts", None)}


def _people(sample):
    return sample.image[sample.layers["instances"] > 0].reshape(-1, 3)


@hookimpl
def synthkit_components():
    return [
        Component("refiner", "light-tint", "learns a colour", Config, "light_components:Tint", trainable=True,
                  needs={"instances"}),
        Component("detector", "light-blobs", "learns a colour", Config, "light_components:Blobs", trainable=True),
    ]  # fmt: skip


def installed(folder):
    """Make the plugin one that processes find whose PYTHONPATH begins so; return that."""
    info = folder / "light-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: light\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[synthkit.v1]\nlight = light_components\n")
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - PYTHONPATH is text
    return os.pathsep.join([str(folder), here, *filter(None, [os.environ.get("PYTHONPATH")])])
