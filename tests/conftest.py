# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Undo what shells do to commands in the background: these, and all that they start, ignore Ctrl-C."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what tests cache out of the user's cache, shared within one test process."""
    base = tmp_path_factory.getbasetemp()
    monkeypatch.setenv("SYNTHKIT_CACHE", str(Path(base) / "cache"))
