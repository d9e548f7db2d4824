# SPDX-License-Identifier: Apache-2.0
"""A small producer of data sets, run as a process of its own so that it can be killed: OUT SCENES WORKERS."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from synthkit.dataset import DatasetWriter, SceneSpool
from synthkit.execution import Done, JobSpec, Local, run
from synthkit.interfaces import sample_key
from synthkit.sample import Person, Sample, Skipped

SAMPLES_PER_SCENE = 2


def scene(number, *, holes=()):
    """Return the results of a scene: a pure function of its number, but for the holes."""
    results = []
    for n in range(SAMPLES_PER_SCENE):
        draw = np.random.default_rng([number, n])
        key = sample_key(number, n)
        if (number, n) in holes:
            results.append(Skipped(key, "could not be made"))
            continue
        instances = np.zeros((24, 32), np.uint8)
        instances[2:8, 3:9] = 1
        results.append(
            Sample(
                key=key,
                image=draw.integers(0, 256, (24, 32, 3), np.uint8),
                people=[Person(instance=1, box_xyxy_px=(3, 2, 9, 8), head_px=draw.uniform(0, 8, 2))],
                layers={"instances": instances, "depth": draw.uniform(0, 5, (24, 32)).astype(np.float32)},
                meta={"scene": number},
            )
        )
    return results


class SpoolJob:
    """Spools scenes, slowly enough to be interrupted."""

    def __init__(self, spool, pause_s):
        self.spool, self.pause_s = SceneSpool.from_plain(spool), pause_s

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def __call__(self, number):
        time.sleep(self.pause_s)
        return self.spool.put(number, scene(number))


def produce(out, scenes, *, workers=0, pause_s=0.0, scenes_per_shard=3):
    """Write a data set, or the rest of it."""
    with DatasetWriter(out, identity={"what": "spooling"}, scenes=scenes, scenes_per_shard=scenes_per_shard) as writer:
        job = JobSpec("spooling:SpoolJob", {"spool": writer.spool.to_plain(), "pause_s": pause_s})
        for outcome in run(job, writer.pending_scenes(), Local(workers=workers)):
            assert isinstance(outcome, Done), outcome
            writer.finished(outcome.task)
        return writer.finalise()


if __name__ == "__main__":
    produce(Path(sys.argv[1]), int(sys.argv[2]), workers=int(sys.argv[3]), pause_s=0.02)
