# SPDX-License-Identifier: Apache-2.0
"""Flicker: what changes of treated people from frame to frame, beside what was filmed."""

from __future__ import annotations

import numpy as np
import pytest
from made_private import SIZE, anonymized, unlabelled, written

from synthkit.anonymization.run import Methods
from synthkit.interfaces import ComponentSpec
from synthkit.sample import Person, Sample, Sidecar
from synthkit.seeds import Seeds

FRAMES, WIDTH, HEIGHT = 7, 20, 40


pytestmark = pytest.mark.usefixtures("sloppy_installed")


def clip(tmp_path, jitter, missing=()):
    """Write a clip of noise in which a box goes right by two pixels a frame, and down and up again; and its finds."""
    samples, sides = [], []
    for n in range(FRAMES):
        image = Seeds(n).stream("image").integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)
        top = 10 + jitter * (n % 2)
        person = Person(instance=1, box_xyxy_px=(4 + 2 * n, top, 4 + 2 * n + WIDTH, top + HEIGHT),
                        attributes={"score": 0.9, "label": "person"})  # fmt: skip
        when = {"sequence": "clip", "frame": n}
        samples.append(Sample(key=f"f{n}", image=image, **when))
        if n not in missing:
            sides.append(Sidecar(key=f"f{n}", people=[person], meta={"size_px": [SIZE, SIZE]}, **when))
    return written(tmp_path / "clip", samples), written(tmp_path / "found", sides)


def flicker(tmp_path, jitter=0, refiner=None, **more):
    source, found = clip(tmp_path, jitter, **more)
    made = anonymized(source, tmp_path / "out", refiner, methods=Methods(finds=(found,)), edge_frames=0)
    return made, made.flicker


@pytest.mark.parametrize("jitter", [0, 3])
def test_jumps_are_what_leaves_an_even_motion(jitter, tmp_path):
    made, found = flicker(tmp_path, jitter)
    assert found.pairs == FRAMES - 1
    assert found.treated == 0.0  # of one colour
    assert 40 < found.filmed < 120  # noise
    # Boxes are drawn with a pixel around them, and cover whole pixels.
    assert found.jumps == pytest.approx(2 * jitter / (HEIGHT + 2), abs=0.01)
    assert "by how much boxes leave an even motion" in made.summary.read_text()


def test_what_was_left_of_people_flickers_with_them(tmp_path, monkeypatch):
    monkeypatch.delenv("SYNTHKIT_PLUGINS")
    _, found = flicker(tmp_path, refiner=ComponentSpec("refiner", "anonymizer-blur", {"shades": 0}))
    assert 0 < found.treated < found.filmed


def test_frames_that_are_left_out_are_no_neighbours(tmp_path):
    _, found = flicker(tmp_path, missing=(3,))
    assert found.pairs == FRAMES - 3


def test_images_of_no_clip_do_not_flicker(tmp_path):
    side = Sidecar(key="s0", people=[Person(instance=1, box_xyxy_px=(4, 4, 20, 40), attributes={"score": 0.9})])
    found = written(tmp_path / "found", [side])
    made = anonymized(unlabelled(tmp_path), tmp_path / "out", methods=Methods(finds=(found,)))
    assert made.flicker is None
    assert "Flicker" not in made.summary.read_text()
