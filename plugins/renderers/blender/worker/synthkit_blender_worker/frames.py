# SPDX-License-Identifier: GPL-3.0-or-later
"""One request: build the scene, render its passes, read them back."""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import OpenEXR

from synthkit_blender_worker import scenes
from synthkit_blender_worker.wire import Array

CRYPTOMATTE_LAYERS = 3  # two ids each


def render(request: dict[str, Any], arrays: list[Array]) -> tuple[dict[str, Any], list[Array]]:
    """Render a request's passes.

    Returns:
        The reply's header, with ``passes``: each its name and the layers it has; and the layers in that order:
        ``color`` (H, W, 4) linear, ``depth`` (H, W) metres along the ray, ``ids`` and ``coverage`` (6, H, W).
    """
    busy = _cpu_s()
    started = time.perf_counter()
    groups = scenes.build(request, arrays)
    timings = {"build": time.perf_counter() - started}
    listing: list[dict[str, Any]] = []
    results: list[Array] = []
    with tempfile.TemporaryDirectory(prefix="frame-") as folder:
        regions = []
        for settings in request["passes"]:
            started = time.perf_counter()
            regions.append(scenes.prepare_pass(settings, request, groups))
            _render(_path(folder, settings))
            timings[f"render_{settings['name']}"] = time.perf_counter() - started
        started = time.perf_counter()
        scenes.clear()  # before the layers are read, for Blender keeps its own copies of them
        for settings, (size, region) in zip(request["passes"], regions, strict=True):
            layers = _read(_path(folder, settings), bool(settings["truth"]), size, region)
            listing.append({"name": settings["name"], "layers": list(layers)})
            results.extend(layers.values())
        timings["read"] = time.perf_counter() - started
    timings["cpu"] = _cpu_s() - busy
    return {"passes": listing, "timings": timings}, results


def _path(folder: str, settings: dict[str, Any]) -> Path:
    return Path(folder) / f"{settings['name']}.exr"


def _render(path: Path) -> None:
    bpy.context.scene.render.filepath = str(path)
    # A cancelled render raises nothing and leaves no file.
    if bpy.ops.render.render(write_still=True) != {"FINISHED"}:
        raise RuntimeError(f"Blender did not finish the pass {path.stem}")


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _read(path: Path, truth: bool, size: tuple[int, int], region: tuple[slice, slice]) -> dict[str, Array]:
    """Read a pass's layers into images of the whole size, 0 outside the rendered region."""
    with OpenEXR.File(str(path), separate_channels=True) as file:
        channels = {name.split(".", 1)[1]: channel.pixels for name, channel in file.channels().items()}

    def whole(names: list[str]) -> Array:
        planes = np.zeros((len(names), *size), np.float32)
        for plane, name in zip(planes, names, strict=True):
            plane[region] = channels.pop(name)
        return planes

    layers = {"color": np.ascontiguousarray(whole([f"Combined.{c}" for c in "RGBA"]).transpose(1, 2, 0))}
    if truth:
        layers["depth"] = whole(["Depth.Z"])[0]
        ranks = [f"CryptoAsset{n:02d}.{c}" for n in range(CRYPTOMATTE_LAYERS) for c in "rgba"]
        layers["ids"], layers["coverage"] = whole(ranks[0::2]), whole(ranks[1::2])
    return layers
