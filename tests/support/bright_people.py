# SPDX-License-Identifier: Apache-2.0
"""Images with bright patches for people, and what finds these: the plugin ``seeing`` of ``tests/jobs``."""

from __future__ import annotations

import cv2
import numpy as np

from synthkit.dataset import Dataset, DatasetWriter
from synthkit.execution import Local
from synthkit.interfaces import ComponentSpec
from synthkit.plugins import discover
from synthkit.sample import Sample, Skipped
from synthkit.session import Session
from synthkit.settings import RunSettings

SEEING = ComponentSpec("detector", "seeing")
RUN = RunSettings(scenes_per_shard=2)


def session(executor=None):
    return Session(discover(), RUN, executor or Local(0))


def seeing(**options):
    return ComponentSpec("detector", "seeing", options)


def picture(n, size_px=(24, 16)):
    """An image with n % 3 bright patches, the last the brightest."""
    image = np.full((size_px[1], size_px[0], 3), n, np.uint8)
    for patch in range(n % 3):
        image[2 + patch : 8, 2 + 10 * patch : 6 + 10 * patch] = 180 + 40 * patch
    return image


def video(path, frames):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (64, 48))
    for n in range(frames):
        writer.write(picture(n, (64, 48)))
    writer.release()
    return path


def written(out, results):
    with DatasetWriter(out, identity={}, scenes=len(results), scenes_per_shard=4) as writer:
        for scene, result in enumerate(results):
            writer.spool.put(scene, [result])
            writer.finished(scene)
        writer.finalise()
    return Dataset.open(out)


def five_and_a_hole(out):
    """A data set of five images, with 0, 1, 2, 0 and 1 people, and a hole."""
    samples = [Sample(key=f"s{n}", image=picture(n)) for n in range(5)]
    return written(out, [*samples, Skipped("s5", "too dark")])


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
