# SPDX-License-Identifier: Apache-2.0
"""The finder that ships, as those find it who installed the package, on a rendered room that it has not seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synthkit import finds
from synthkit.detectors import chosen
from synthkit.errors import ConfigError
from synthkit.plugins import discover
from synthkit.sample import Sample
from synthkit.session import Session
from synthkit.settings import RunSettings
from synthkit_surface_finder.config import SHIPPED

HERE = Path(__file__).parent
MOST_BYTES = 3_000_000


@pytest.fixture(scope="module")
def answer():
    """Return what is found in a rendered meeting, from the detector's own score on."""
    sample = Sample(key="meeting", image=np.asarray(Image.open(HERE / "meeting.jpg")))
    registry = discover()
    with Session(registry, RunSettings(device="cpu", threads=1)).entered(
        chosen(registry, "surface-ceiling", {})
    ) as detector:
        (found,) = detector.detect([sample])
        return finds.sidecar_of(found, sample, detector.class_names, detector.operating_score)


@pytest.fixture(scope="module")
def truth():
    """Return the layers ``instances`` and ``surface`` of the meeting."""
    return tuple(np.asarray(Image.open(HERE / f"meeting_{name}.png")) for name in ("instances", "surface"))


def test_it_is_small():
    component = discover().get("detector", "surface-ceiling").component
    assert component.demo_checkpoint == SHIPPED
    assert component.shipped_checkpoint().stat().st_size <= MOST_BYTES


def test_what_training_settled_cannot_be_set_otherwise():
    registry = discover()
    assert chosen(registry, "surface-ceiling", {"mask_threshold": 0.5}).options["mask_threshold"] == 0.5
    with pytest.raises(ConfigError) as caught:
        chosen(registry, "surface-ceiling", {"side_px": 64, "margin": 3.0, "width": 8, "whole_px": 512})
    names = [problem.partition(" was settled by")[0] for problem in caught.value.problems]
    assert names == ["detector.side_px:", "detector.margin:", "detector.width:", "detector.whole_px:"]


def test_its_masks_hold_people(answer, truth):
    people, found = truth[0] > 0, answer.layers["instances"] > 0
    assert (people & found).sum() / (people | found).sum() > 0.6
    assert set(np.unique(answer.layers["instances"])) <= set(range(len(answer.people) + 1))


def test_its_surfaces_are_places_of_the_body(answer, truth):
    body = pytest.importorskip("synthkit_blender.people.surface", reason="needs the mesh of the blender renderer")
    both = (truth[1] > 0) & (answer.layers["surface"] > 0)
    true, found = (body.part_labels(layer[both].astype(np.uint16)) for layer in (truth[1], answer.layers["surface"]))
    assert np.mean(true == found) > 0.4  # of 17 parts
    assert np.array_equal(answer.layers["surface"] > 0, answer.layers["instances"] > 0)
