# SPDX-License-Identifier: Apache-2.0
"""Small drawn images with discs, the "heads", or bars on uneven ground, and short trainings of SqueezeDet on them."""

from __future__ import annotations

import attrs
import cv2
import numpy as np

from synthkit.interfaces import Runtime, silent
from synthkit.sample import Person, RotatedBox, Sample
from synthkit.seeds import Seeds
from synthkit_squeezedet.config import SqueezeDetConfig
from synthkit_squeezedet.detector import SqueezeDetector

BRIEF = {"backbone": "none", "steps": 6, "batch": 2, "checkpoint_every": 2, "evaluate_every": 3, "log_every": 1}
PLAIN = {"zoom": 1.0, "colour": 0.0, "noise": 0.0}  # what few steps can do without


class Discs:
    """A set of drawn images; the same seed gives the same images."""

    def __init__(self, count, seed, size_px=(128, 96), radius_px=(8, 14), per_image=(1, 4)):
        self.fingerprint = f"discs-{count}-{seed}-{size_px}-{radius_px}-{per_image}"
        self._samples = [_draw(f"{seed}_{n:03d}", [seed, n], size_px, radius_px, per_image) for n in range(count)]

    def __len__(self):
        return len(self._samples)

    def __getitem__(self, index):
        return self._samples[index]

    def __iter__(self):
        return iter(self._samples)


def _draw(key, seed, size_px, radius_px, per_image):
    generator = np.random.default_rng(seed)
    width, height = size_px
    ground = generator.normal(0, 20, (height // 8, width // 8, 3))
    image = generator.uniform(120, 200, 3) + cv2.resize(ground, size_px)
    y, x = np.mgrid[:height, :width] + 0.5
    people, places = [], []
    while len(people) < generator.integers(*per_image):
        radius = generator.uniform(*radius_px)
        place = generator.uniform(radius, np.array(size_px) - radius)
        if any(np.hypot(*(place - other)) < 2.2 * radius_px[1] for other in places):
            break
        places.append(place)
        image[np.hypot(x - place[0], y - place[1]) < radius] = generator.uniform(0, 60, 3)
        people.append(Person(head_box_xyxy_px=(*(place - radius), *(place + radius)), head_px=tuple(place)))
    return Sample(key=key, image=np.clip(image, 0, 255).astype(np.uint8), people=people)


class Bars:
    """A set of drawn images (128, 96) of dark ellipses, longer than wide, in any direction."""

    def __init__(self, count, seed):
        self.fingerprint = f"bars-{count}-{seed}"
        self._samples = [_draw_bars(f"{seed}_{n:03d}", [seed, n]) for n in range(count)]

    def __len__(self):
        return len(self._samples)

    def __getitem__(self, index):
        return self._samples[index]

    def __iter__(self):
        return iter(self._samples)


def _draw_bars(key, seed):
    generator = np.random.default_rng(seed)
    image = cv2.resize(generator.normal(0, 20, (12, 16, 3)), (128, 96)) + generator.uniform(120, 200, 3)
    y, x = np.mgrid[:96, :128] + 0.5
    people = []
    for _ in range(generator.integers(1, 4)):
        low, high = [20, 20, 8, 22, -90], [108, 76, 12, 32, 90]
        box = RotatedBox.normalized(*generator.uniform(low, high))
        if any(np.hypot(box.cx - one.rotated_box.cx, box.cy - one.rotated_box.cy) < 34 for one in people):
            continue
        angle = np.radians(box.degrees)
        across = (x - box.cx) * np.cos(angle) + (y - box.cy) * np.sin(angle)
        along = (y - box.cy) * np.cos(angle) - (x - box.cx) * np.sin(angle)
        image[np.hypot(across / box.w * 2, along / box.h * 2) < 1] = generator.uniform(0, 60, 3)
        people.append(Person(rotated_box=box))
    return Sample(key=key, image=np.clip(image, 0, 255).astype(np.uint8), people=people)


def make(tmp_path, checkpoint=None, progress=silent, **settings):
    runtime = Runtime(seeds=Seeds(1), cache_dir=tmp_path, threads=1, progress=progress)
    return SqueezeDetector(SqueezeDetConfig(**settings), checkpoint, runtime)


def small(discs, train=4, validation=2):
    return {"train": discs(train, 1, (64, 48)), "validation": discs(validation, 2, (64, 48))}


def bodied(person):
    left, top, right, bottom = person.head_box_xyxy_px
    box = RotatedBox.normalized((left + right) / 2, (top + bottom) / 2, right - left, 1.3 * (bottom - top), 40)
    return attrs.evolve(person, rotated_box=box, box_xyxy_px=person.head_box_xyxy_px)
