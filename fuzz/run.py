# SPDX-License-Identifier: Apache-2.0
"""Coverage-guided fuzzing of one target: ``python fuzz/run.py TARGET [CORPUS ...] [-max_total_time=60 ...]``.

Needs ``pip install atheris``. Options are libFuzzer's; see README.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent))
with atheris.instrument_imports(
    include=["synthkit.dataset", "synthkit.sample", "synthkit.deployment", "synthkit.config", "tarfile", "zipfile"]
):
    import onnx_targets
    import targets

_TARGETS = targets.TARGETS | onnx_targets.TARGETS

_MEMORY_MIB = 2048
_SECONDS_PER_CASE = 10


def main() -> None:
    """Fuzz the target that the first argument names."""
    if len(sys.argv) < 2 or sys.argv[1] not in _TARGETS:
        sys.exit(f"usage: run.py TARGET [CORPUS] [OPTIONS]; targets: {', '.join(_TARGETS)}")
    target = _TARGETS[sys.argv.pop(1)]
    limits = [f"-rss_limit_mb={_MEMORY_MIB}", f"-timeout={_SECONDS_PER_CASE}"]
    atheris.Setup([sys.argv[0], *limits, *sys.argv[1:]], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
