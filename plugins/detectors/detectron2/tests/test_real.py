# SPDX-License-Identifier: Apache-2.0
"""The detector with real detectron2 code and random weights, where that code can be had."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER_VARIABLE = "SYNTHKIT_TEST_DETECTRON2"
"""A folder in which detectron2 (and DensePose, if that is to be tested too) is installed, instead of a download."""

# A package of detectron2's Python code; its compiled part is of another Python, and not needed here.
_CODE = ("--only-binary", ":all:", "--python-version", "310", "--implementation", "cp", "sal-detectron2==0.7.2")
_REST = (
    "setuptools<81", "fvcore", "iopath<0.1.10", "yacs", "omegaconf", "antlr4-python3-runtime==4.9.3", "hydra-core",
    "tabulate", "termcolor", "cloudpickle", "portalocker", "torchvision",
)  # fmt: skip


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    """Return a folder with detectron2's code."""
    given = os.environ.get(FOLDER_VARIABLE)
    if given:
        return given
    for module in ("matplotlib", "pycocotools"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"detectron2 needs {module}")
    folder = tmp_path_factory.mktemp("detectron2")
    for wanted in (_CODE, _REST):
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), *wanted]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"detectron2's code cannot be had: {(done.stderr.splitlines() or ['pip failed'])[-1]}")
    return str(folder)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_real_networks_find_and_find_nobody(code, tmp_path):
    script = Path(__file__).with_name("real_detectron2.py")
    path = os.pathsep.join([*filter(None, sys.path), code])
    environment = {**os.environ, "PYTHONPATH": path, "TORCHDYNAMO_DISABLE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, script, tmp_path], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    some, none = told["some"], told["none"]
    assert some["people"] > 0
    most, pixels = some["layers"]["instances"]
    assert 0 < most <= some["people"]
    assert pixels > 0
    assert none["people"] == 0
    assert none["layers"]["instances"] == [0, 0]
    if told["densepose"]:
        most, pixels = some["layers"]["surface_smpl"]
        assert 0 < most <= 27_554
        assert pixels > 0
        assert none["layers"]["surface_smpl"] == [0, 0]
