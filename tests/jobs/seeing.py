# SPDX-License-Identifier: Apache-2.0
"""A detector of bright people that goes wrong on wish; its tests install it as a plugin."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import attrs
import cv2
import numpy as np

from synthkit.config import setting
from synthkit.errors import WeightsError
from synthkit.hookspecs import hookimpl
from synthkit.interfaces import Component
from synthkit.sample import Detections


@attrs.frozen
class Config:
    fault: str = setting("", help="what goes wrong")
    at: str = setting("", help="key of the image at which it does")
    masks: bool = setting(False, help="give masks too")
    notes: str | None = setting(None, help="folder for a file per image looked at", decides="nothing")
    start: Path | None = setting(None, help="a file to begin from", decides="content")
    pause_s: float = setting(0.0, help="how long an image takes", decides="nothing")


def found(sample, boxes, scores=None, labels=None, **more):
    count = len(boxes)
    return Detections(
        key=sample.key,
        boxes_xyxy_px=np.asarray(boxes, np.float32).reshape(-1, 4),
        scores=np.asarray([0.9] * count if scores is None else scores, np.float32),
        labels=np.asarray([0] * count if labels is None else labels, np.int32),
        **more,
    )


class Seeing:
    class_names = ("person", "head")

    def __init__(self, config, checkpoint, runtime):
        self.config = config
        self.operating_score = checkpoint.card["operating_score"] if checkpoint else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def detect(self, samples):
        for sample in samples:
            if self.config.notes:
                Path(self.config.notes, f"{sample.key}-{os.getpid()}-{time.monotonic_ns()}").touch()
            time.sleep(self.config.pause_s)
            if sample.key == self.config.at:
                yield from self.wrong(sample)
            else:
                yield self.right(sample)

    def right(self, sample):
        """Each patch of one brightness above 100 is a person, whose score is its brightness."""
        count, numbers, stats, _ = cv2.connectedComponentsWithStats((sample.image[..., 0] > 100).astype(np.uint8))
        rows = range(1, count)
        boxes = [(x, y, x + w, y + h) for x, y, w, h, _ in stats[1:]]
        scores = [sample.image[numbers == n].max() / 255 for n in rows]
        layers = {"instances": numbers.astype(np.uint16)} if self.config.masks else {}
        return found(sample, boxes, scores, layers=layers)

    def wrong(self, sample):
        box = (1, 1, 5, 5)
        match self.config.fault:
            case "raises":
                raise ValueError("a mistake")
            case "shows":
                yield found(sample, [box], layers={"picture": sample.image})
            case "says":
                raise WeightsError("the weights are wet")
            case "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            case "hangs":
                time.sleep(600)
            case "no answer":
                return
            case "two answers":
                yield from (found(sample, [box]), found(sample, [box]))
            case "for ever":
                while True:
                    yield found(sample, [box])
            case "another key":
                yield attrs.evolve(found(sample, [box]), key="other")
            case "none":
                yield None
            case "nan":
                yield found(sample, [(1, 1, np.nan, 5)])
            case "nan score":
                yield found(sample, [box], [np.nan])
            case "infinite":
                yield found(sample, [(1, 1, np.inf, 5)])
            case "turned round":
                yield found(sample, [(5, 1, 1, 5)])
            case "empty box":
                yield found(sample, [(5, 1, 5, 5)])
            case "around":
                yield found(sample, [(24, 3, 24, 9), (0, 16, 7, 16)])
            case "outside":
                yield found(sample, [(900, 900, 950, 950)])
            case "score":
                yield found(sample, [box], [1.5])
            case "label":
                yield found(sample, [box], labels=[7])
            case "counts":
                yield found(sample, [box, box], [0.5])
            case "crowd":
                yield found(sample, [box] * 5000)
            case "rotated":
                yield found(sample, [box], rotated_boxes=np.array([[3, 3, -2, 4, 0]], np.float32))
            case "points":
                yield found(sample, [box], points_px=np.array([[np.nan, 3]], np.float32))
            case "mask":
                yield found(sample, [box], layers={"instances": np.zeros((3, 3), np.uint8)})
            case "mask of nobody":
                size = sample.image.shape[:2]
                yield found(sample, [box], layers={"instances": np.full(size, 2, np.uint8)})


@hookimpl
def synthkit_components():
    return [Component("detector", "seeing", "sees what is bright", Config, f"{__name__}:Seeing")]
