# SPDX-License-Identifier: GPL-3.0-or-later
"""One request: build the scene and render its passes into files."""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import bpy

from synthkit_blender_worker import scenes
from synthkit_blender_worker.wire import Array


def render(request: dict[str, Any], arrays: list[Array]) -> dict[str, Any]:
    """Render a request's passes as multilayer OpenEXR files in a new temporary folder, which is the asker's to remove.

    Returns:
        The reply's header, with the folder's name and ``passes``: of each its name, its file in the folder, the
        whole image's size (height, width), and the region (top, bottom, left, right) of it that the file holds.
    """
    busy = _cpu_s()
    try:
        reply = _rendered(request, arrays)
    finally:
        scenes.clear()  # Blender keeps its own copies of what it rendered
    reply["timings"]["cpu"] = _cpu_s() - busy
    return reply


def _rendered(request: dict[str, Any], arrays: list[Array]) -> dict[str, Any]:
    started = time.perf_counter()
    groups = scenes.build(request, arrays)
    timings = {"build": time.perf_counter() - started}
    folder = Path(tempfile.mkdtemp(prefix="frame-"))
    listing: list[dict[str, Any]] = []
    for settings in request["passes"]:
        started = time.perf_counter()
        size, (rows, columns) = scenes.prepare_pass(settings, request, groups)
        file = f"{settings['name']}.exr"
        _render(folder / file)
        region = (rows.start, rows.stop, columns.start, columns.stop)
        listing.append({"name": settings["name"], "file": file, "size": size, "region": region})
        timings[f"render_{settings['name']}"] = time.perf_counter() - started
    return {"folder": folder.name, "passes": listing, "timings": timings}


def _render(path: Path) -> None:
    bpy.context.scene.render.filepath = str(path)
    # A cancelled render raises nothing and leaves no file.
    if bpy.ops.render.render(write_still=True) != {"FINISHED"}:
        raise RuntimeError(f"Blender did not finish the pass {path.stem}")


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
