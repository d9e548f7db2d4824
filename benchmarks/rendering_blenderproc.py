# SPDX-License-Identifier: GPL-3.0-or-later
"""The peer of ``rendering.py``: a scene of ours, built and rendered through BlenderProc's API.

Started by ``rendering.py --blenderproc PYTHON`` with a Python in which BlenderProc 2.8, bpy 4.5 and what
BlenderProc asks for are installed:

    pip install blenderproc "bpy==4.5.*" "numpy<2" requests imageio scikit-image pypng scipy matplotlib h5py pytz \
        opencv-python-headless trimesh gitpython scikit-learn python-dateutil pyrender rich

It reads SCENE.npz (the request's JSON and arrays) and prints a line of JSON: seconds of each frame, all of
BlenderProc's own work included, and the process's resident memory after each. BlenderProc has no fisheye, so the lens
is set with bpy; its materials get our base colours without patterns, its lamps and samples are ours.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import bpy  # isort: skip - before BlenderProc, which needs it

PIXEL_MM = 0.05


def blenderproc() -> Any:
    """Import BlenderProc outside the Blender it would install itself into."""
    site = next(path for path in sys.path if path.endswith("site-packages"))
    os.environ["INSIDE_OF_THE_INTERNAL_BLENDER_PYTHON_ENVIRONMENT"] = "1"
    spec = importlib.util.find_spec("blenderproc")
    package = sys.modules["blenderproc"] = importlib.util.module_from_spec(spec)
    package.__path__ = spec.submodule_search_locations
    from blenderproc.python.utility.SetupUtility import SetupUtility

    SetupUtility.setup_pip = staticmethod(lambda *_, **__: site)  # all is installed already
    del sys.modules["blenderproc"]
    sys.path.append(site)  # for it takes the folder that it lies in off the path
    import blenderproc

    return blenderproc


def start(bproc: Any) -> None:
    """Do what ``bproc.init`` does, but for the language, of which the bpy package has one only."""
    from blenderproc.python.renderer import RendererUtility
    from blenderproc.python.utility.Initializer import _Initializer

    bproc.clean_up(clean_up_camera=True)
    bpy.context.scene.render.engine = "CYCLES"
    RendererUtility.set_render_devices(use_only_cpu=True)
    _Initializer.set_default_parameters()


def frame(bproc: Any, header: dict[str, Any], arrays: list[np.ndarray], first: bool) -> None:
    """Build the scene anew and render colours, distances and instances; outputs can be chosen once in a process."""
    bproc.clean_up(clean_up_camera=True)
    for number, thing in enumerate(header["objects"]):
        mesh = header["meshes"][thing["mesh"]]
        made = bproc.object.create_with_empty_mesh(f"object_{number:04d}")
        faces = [face[:3] if face[2] == face[3] else face for face in arrays[mesh["faces"]].tolist()]
        made.get_mesh().from_pydata(arrays[mesh["vertices"]].tolist(), [], faces)
        made.set_local2world_mat(np.array(thing["matrix"]))
        made.set_cp("category_id", number + 1)
        made.blender_obj.pass_index = number + 1
        counts = [part["faces"] for part in mesh["parts"]]
        for slot, surface in enumerate(thing["surfaces"]):
            look = header["surfaces"][surface]
            material = bproc.material.create(f"material_{number:04d}_{slot:02d}")
            material.set_principled_shader_value("Base Color", [*look["color"], 1.0])
            material.set_principled_shader_value("Roughness", look["roughness"])
            made.add_material(material)
        made.get_mesh().attributes.new("material_index", "INT", "FACE").data.foreach_set(
            "value", np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        )
    for lamp in header["lights"]:
        light = bproc.types.Light("AREA")
        light.set_local2world_mat(np.array(lamp["matrix"]))
        light.set_energy(lamp["watts"])
        light.set_color(lamp["color"])
    bproc.renderer.set_world_background(header["world"]["color"], header["world"]["strength"])
    camera(bproc, header["camera"])
    bproc.renderer.set_max_amount_of_samples(header["settings"]["samples"])
    bproc.renderer.set_cpu_threads(header["settings"]["threads"])
    if first:
        bproc.renderer.enable_distance_output(activate_antialiasing=False)
        bproc.renderer.enable_segmentation_output(map_by=["instance"])
    found = bproc.renderer.render()
    assert {"colors", "distance", "instance_segmaps"} <= found.keys(), found.keys()


def camera(bproc: Any, spec: dict[str, Any]) -> None:
    """Set the pose by BlenderProc, the lens by bpy."""
    bproc.camera.set_resolution(spec["width_px"], spec["height_px"])
    pose = np.array(spec["world_from_camera"]) @ np.diag([1.0, -1.0, -1.0, 1.0])
    bproc.camera.add_camera_pose(pose)
    data = bpy.context.scene.camera.data
    data.type, data.panorama_type = "PANO", "FISHEYE_LENS_POLYNOMIAL"
    data.fisheye_fov = 2 * spec["rendered_theta_rad"]
    data.sensor_width = PIXEL_MM * max(spec["width_px"], spec["height_px"])
    data.fisheye_polynomial_k0 = 0.0
    for power, coefficient in enumerate(spec["theta_coefficients"], start=1):
        setattr(data, f"fisheye_polynomial_k{power}", -coefficient / PIXEL_MM**power)


def main() -> None:
    """Render the scene as often as wanted, after one frame that does not count."""
    path, frames = Path(sys.argv[1]), int(sys.argv[2])
    with np.load(path) as stored:
        header = json.loads(bytes(stored["header"]))
        arrays = [stored[f"array_{n}"] for n in range(len(stored.files) - 1)]
    bproc = blenderproc()
    start(bproc)
    seconds, memory_mb = [], []
    for n in range(frames + 1):
        began = time.perf_counter()
        frame(bproc, header, arrays, first=n == 0)
        seconds.append(time.perf_counter() - began)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        memory_mb.append(pages * os.sysconf("SC_PAGE_SIZE") / 1e6)
    print(json.dumps({"seconds": seconds[1:], "memory_mb": memory_mb[1:]}))


if __name__ == "__main__":
    main()
