# SPDX-License-Identifier: GPL-3.0-or-later
"""What Cycles computes on."""

from __future__ import annotations

from typing import Any

import bpy

BACKENDS = ("OPTIX", "CUDA", "HIP", "ONEAPI", "METAL")  # on one machine the first that has a device is the fastest


class NoDeviceError(Exception):
    """The wanted kind of device is not there; the message says what was looked for."""


def use_device(scene: Any, device: str) -> None:
    """Make a scene render on ``cpu``, or on all GPUs of the first backend that has any.

    Raises:
        NoDeviceError: without a GPU that Cycles can use.
    """
    if device == "cpu":
        scene.cycles.device = "CPU"
        return
    preferences = bpy.context.preferences.addons["cycles"].preferences
    for backend in BACKENDS:
        try:
            preferences.compute_device_type = backend
        except TypeError:  # this Blender was built without it
            continue
        preferences.refresh_devices()
        if any(found.type == backend for found in preferences.devices):
            for found in preferences.devices:
                found.use = found.type == backend
            scene.cycles.device = "GPU"
            scene.cycles.denoising_use_gpu = True
            return
    raise NoDeviceError(f"no GPU that Cycles can use was found (looked for {', '.join(BACKENDS)})")
