# SPDX-License-Identifier: Apache-2.0
"""Small data sets that tests of formats write and read again, and the boxes of their people."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from synthkit.dataset import DatasetWriter, formats

WIDTH, HEIGHT = 120, 80


def written(path, samples, codec=None):
    """Write samples as a data set; return its folder."""
    with DatasetWriter(path, identity={"test": len(samples)}, scenes=len(samples), codec=codec) as writer:
        for place, sample in enumerate(samples):
            writer.spool.put(place, [sample])
            writer.finished(place)
        writer.finalise()
    return path


def image(seed=0):
    """Return noise, (HEIGHT, WIDTH, 3)."""
    return np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def reopened(path):
    """Return the samples of a set of any format."""
    opened = formats.find(path).open(path)
    return [opened.sample(n) for n in range(len(opened))]


def spans(length):
    """Pairs of edges at least a pixel apart, at the precision of a data set."""
    edges = st.tuples(st.floats(0, length - 2), st.floats(1, length))
    return edges.map(lambda pair: (round(pair[0], 3), round(min(length, pair[0] + pair[1]), 3)))


BOXES = st.tuples(spans(WIDTH), spans(HEIGHT)).map(lambda spans: (spans[0][0], spans[1][0], spans[0][1], spans[1][1]))
