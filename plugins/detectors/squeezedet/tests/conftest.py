# SPDX-License-Identifier: Apache-2.0
"""Drawn sets, and a detector that has learned to find what is drawn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from made_discs import Bars, Discs
from PIL import Image

from synthkit.interfaces import Runtime
from synthkit.seeds import Seeds
from synthkit_squeezedet.config import SqueezeDetConfig
from synthkit_squeezedet.detector import SqueezeDetector


@pytest.fixture(scope="session")
def bars():
    """Return the class of drawn sets with rotated boxes."""
    return Bars


@pytest.fixture(scope="session")
def discs():
    """Return the class of drawn sets."""
    return Discs


@pytest.fixture(scope="session")
def trained(discs, tmp_path_factory):
    """Return the checkpoint of a short training."""
    workdir = tmp_path_factory.mktemp("trained")
    data = {"train": discs(48, 1), "validation": discs(12, 2)}
    config = SqueezeDetConfig(backbone="none", steps=300, batch=4, evaluate_every=75, zoom=1.0, colour=0.0, noise=0.0)
    with SqueezeDetector(config, None, Runtime(seeds=Seeds(1), cache_dir=workdir, threads=1)) as detector:
        return detector.fit(data, workdir)


@pytest.fixture(scope="module")
def room():
    """A rendered meeting of seven, 256 x 256, and the middles of the people in it."""
    here = Path(__file__).parent
    middles = json.loads((here / "meeting.json").read_text())["middles_px"]
    return np.asarray(Image.open(here / "meeting.jpg")), np.array(middles)
