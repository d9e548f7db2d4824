# SPDX-License-Identifier: Apache-2.0
"""How a worker is started, by a Python that has bpy or by a Blender, and what to do when it cannot be."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from synthkit.errors import WorkError
from synthkit_blender.config import WorkerConfig

MODULE = "synthkit_blender_worker"
INSTALL = "pip install -e plugins/renderers/blender/worker"
LINUX_LIBRARIES = "libgl1 libsm6 libice6 libx11-6 libxext6 libxfixes3 libxi6 libxkbcommon0 libxrender1"


def program(config: WorkerConfig) -> str:
    """Return the program that runs the worker."""
    return str(config.blender or config.python or sys.executable)


def command(config: WorkerConfig) -> list[str]:
    """Return the command that starts a worker, but for the worker's own arguments.

    Raises:
        WorkError: when a Blender is to run a worker that is not installed here.
    """
    if config.blender is None:
        return [program(config), "-P", "-m", MODULE]  # nothing is imported from the folder it is started in
    start = f"import sys; sys.path.insert(0, {str(_folder())!r}); from {MODULE}.__main__ import main; "
    arguments = "sys.argv[sys.argv.index('--') + 1:]"
    return [
        program(config), "--background", "--factory-startup", "--python-exit-code", "3",
        "--python-expr", f"{start}sys.exit(main({arguments}))", "--",
    ]  # fmt: skip


def environment(config: WorkerConfig) -> dict[str, str]:
    """Return the variables a worker gets: another program than this one is not shown where this one's modules are."""
    if config.python is None and config.blender is None:
        return dict(os.environ)
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}


def _folder() -> Path:
    """Return the folder that holds the worker's package, which is not imported here: it is of another licence."""
    spec = importlib.util.find_spec(MODULE)
    if spec is None or spec.origin is None:
        raise WorkError(f"blender worker: {sys.executable} has no {MODULE} to hand to Blender; {install_remedy()}")
    return Path(spec.origin).parent.parent


def start_remedy(config: WorkerConfig) -> str:
    """Return what to do when a program does not start the worker."""
    if config.blender is not None:
        return "set renderer.worker.blender to the program of an installed Blender, 4.5 or newer"
    if config.python is not None:
        return f"set renderer.worker.python to a Python that has bpy and the worker, or {install_remedy()}"
    return install_remedy()


def install_remedy() -> str:
    """Return how the worker is installed."""
    return f"install the worker there, in the folder of synthkit's sources: {INSTALL}"


def library_remedy() -> str:
    """Return how the system's libraries that Blender needs are installed."""
    if sys.platform.startswith("linux"):
        return f"on Debian or Ubuntu run: apt-get install -y {LINUX_LIBRARIES}"
    return install_remedy()
