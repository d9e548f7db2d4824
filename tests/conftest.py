# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what tests cache out of the user's cache, shared within one test process."""
    base = tmp_path_factory.getbasetemp()
    monkeypatch.setenv("SYNTHKIT_CACHE", str(Path(base) / "cache"))
