# SPDX-License-Identifier: Apache-2.0
"""Every benchmark's short run works and ends with a line for programs: ``pytest -m slow tests/test_benchmarks.py``."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SCRIPTS = sorted(path.name for path in BENCHMARKS.glob("*.py") if '"--quick"' in path.read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", SCRIPTS)
def test_short_run_ends_with_results(name, tmp_path):
    done = subprocess.run(
        [sys.executable, BENCHMARKS / name, "--quick"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    results = json.loads(done.stdout.splitlines()[-1])["results"]
    assert results
    assert all(math.isfinite(result["ours"]) for result in results)
