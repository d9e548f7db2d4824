# SPDX-License-Identifier: Apache-2.0
"""Those on their feet: they lean, stand or walk."""

from __future__ import annotations

import numpy as np

from synthkit.seeds import Seeds
from synthkit_blender.crowd.gathering import Gathering, Newcomer
from synthkit_blender.crowd.leaners import lean, may_lean
from synthkit_blender.crowd.walks import PHASES, STRIDES_S, Walk, swept, walks, widened
from synthkit_blender.placement import hull

STIR_M = 0.04  # how far who walks may get beyond the outline of their stride as it was looked at


def stand(there: Gathering, seeds: Seeds) -> None:
    """Place one person on their feet."""
    leaning = may_lean(there) and seeds.stream("leaning").random() < there.config.leaning_share
    if leaning and lean(there, seeds):
        return
    rng = seeds.stream("place")
    posture = "walking" if rng.random() < there.config.walking_share else "standing"
    stander = there.newcomer(seeds, posture)
    if there.lasts_s > 0 and stander.body.stride_m > 0:
        _walk(there, stander, seeds, rng)
        return
    pose = there.room_for(stander.outline_m, rng)
    if pose is not None:
        there.add(stander, pose, seeds, walk=Walk(stander.body.stride_m * STRIDES_S))


def _walk(there: Gathering, walker: Newcomer, seeds: Seeds, rng: np.random.Generator) -> None:
    """Let one person walk through the clip, or as far as there is room to."""
    body = walker.body
    stride = [walker.source.moved(body, 0.0, body.stride_m * n / PHASES) for n in range(PHASES)]
    outline = widened(hull(np.concatenate([one.surface_vertices_m for one in stride])), STIR_M)
    for walk in walks(body.stride_m, body.spec.pose.phase if body.spec else 0.0, there.lasts_s):
        pose = there.room_for(swept(outline, min(walk.length_m, walk.gone_m(there.lasts_s))), rng)
        if pose is not None:
            there.add(walker, pose, seeds, walk=walk)
            return
