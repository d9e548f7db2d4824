# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from jobs_plugins import install_jobs

if TYPE_CHECKING:
    from synthkit.dataset import Dataset
    from synthkit.plugins import Registry


def pytest_configure(config: pytest.Config) -> None:
    """Undo what shells do to commands in the background: these, and all that they start, ignore Ctrl-C."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what tests cache out of the user's cache, shared within one test process."""
    base = tmp_path_factory.getbasetemp()
    monkeypatch.setenv("SYNTHKIT_CACHE", str(Path(base) / "cache"))


@pytest.fixture
def seeing_installed(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a detector that goes wrong on wish."""
    install_jobs(tmp_path_factory.mktemp("plugins"), monkeypatch, "seeing")


@pytest.fixture
def sloppy_installed(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a detector and refiners that go wrong on wish."""
    install_jobs(tmp_path_factory.mktemp("plugins"), monkeypatch, "seeing", "sloppy")


@pytest.fixture(scope="module")
def registry() -> Registry:
    """Return all that is installed, and components that learn within milliseconds."""
    from experiment_lab import registry_with_light

    return registry_with_light()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return a folder with a small experiment, and a path on which its components are installed."""
    from experiment_lab import settled

    return settled(tmp_path_factory)


@pytest.fixture
def images(tmp_path: Path) -> Dataset:
    """Return a set of five images with bright patches for people, and a hole."""
    from bright_people import five_and_a_hole

    return five_and_a_hole(tmp_path / "images")


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Return a set of three images whose labels tell names and places."""
    from made_private import labelled, written

    return written(tmp_path / "labelled", [labelled(n) for n in range(3)])


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder of two photos that tell whose they are."""
    from made_private import write_photos

    return write_photos(tmp_path)
