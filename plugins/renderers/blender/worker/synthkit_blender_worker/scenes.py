# SPDX-License-Identifier: GPL-3.0-or-later
"""From a request's plain values to a Blender scene: meshes, lights, camera, render settings."""

from __future__ import annotations

import functools
import math
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix  # type: ignore[import-not-found]  # comes with bpy, untyped

from synthkit_blender_worker.devices import use_device
from synthkit_blender_worker.surfaces import REST_ATTRIBUTE, SLACK_ATTRIBUTE, UV_ATTRIBUTE, SurfaceFactory
from synthkit_blender_worker.wire import Array

PIXEL_MM = 0.05  # size of a pixel on the imaginary sensor; any value renders the same
FRAME = 1
AMBIENT_FACTOR = 1.0  # ambient light after the last bounce, of the sky's strength
AMBIENT_DISTANCE_M = 2.0

Groups = dict[str, list[Any]]


def build(request: dict[str, Any], arrays: list[Array]) -> Groups:
    """Build the whole scene in an empty file (see ``clear``); return its objects by group."""
    _factory_settings()
    scene = bpy.context.scene
    scene.frame_set(FRAME)
    _render_settings(scene, request["settings"])
    _camera(scene, request["camera"])
    _world(scene, request["world"], arrays)
    for number, light in enumerate(request["lights"]):
        _light(scene, light, number)
    owners = {owner["name"]: _owner(scene, owner) for owner in request["owners"]}
    surfaces = SurfaceFactory(request["surfaces"], arrays)
    meshes = [_mesh(spec, arrays) for spec in request["meshes"]]
    groups: Groups = {}
    for number, spec in enumerate(request["objects"]):
        thing = _object(scene, spec, number, meshes, surfaces)
        if spec["owner"] is not None:
            thing.parent = owners[spec["owner"]]
        groups.setdefault(spec["group"], []).append(thing)
    return groups


def clear() -> None:
    """Drop the scene and all that was rendered of it: what objects leave behind when removed adds up."""
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True, load_ui=False)


@functools.cache
def _factory_settings() -> None:
    """Forget the user's settings, once: it takes five times as long as a new file."""
    bpy.ops.wm.read_factory_settings(use_empty=True)


def prepare_pass(settings: dict[str, Any], request: dict[str, Any], groups: Groups) -> Any:
    """Choose what one pass shows, at which size, and with which layers.

    Returns the size (height, width) of the whole image and the (rows, columns) of it that are rendered.
    """
    scene = bpy.context.scene
    scale = float(settings["scale"])
    size = tuple(max(1, round(request["camera"][side] * scale)) for side in ("height_px", "width_px"))
    region = _region(scene, request["camera"]["region_px"], scale, size)
    scene.render.film_transparent = bool(settings["transparent"])
    for group, things in groups.items():
        for thing in things:
            thing.hide_render = group in settings["hidden"]
            thing.visible_camera = group not in settings["unseen"]
            thing.is_holdout = group in settings["holdout"]
    layer, wanted = scene.view_layers[0], settings["truth"]
    layer.use_pass_z, layer.use_pass_normal = "depth" in wanted, "normals" in wanted
    layer.use_pass_cryptomatte_asset, layer.pass_cryptomatte_depth = "people" in wanted, 6
    _prepare_rays(scene, request["settings"], flat=bool(settings["flat"]))
    return size, region


def _prepare_rays(scene: Any, settings: dict[str, Any], *, flat: bool) -> None:
    """Choose how each pixel is sampled: by many paths over its area and time, or by one ray through its centre."""
    cycles = scene.cycles
    scene.render.use_motion_blur = bool(settings["motion_blur"]) and not flat
    cycles.samples = 1 if flat else int(settings["samples"])
    cycles.use_denoising = bool(settings["denoise"]) and not flat
    cycles.pixel_filter_type = "GAUSSIAN" if flat else "BLACKMAN_HARRIS"
    cycles.filter_width = 0.01 if flat else 1.5
    # One smooth material: bumps are no shape.
    scene.view_layers[0].material_override = _plain_material() if flat else None


def _plain_material() -> Any:
    material = bpy.data.materials.get("plain") or bpy.data.materials.new("plain")
    material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    shader, output = tree.nodes.new("ShaderNodeBsdfDiffuse"), tree.nodes.new("ShaderNodeOutputMaterial")
    tree.links.new(shader.outputs["BSDF"], output.inputs["Surface"])
    return material


def _region(scene: Any, region_px: list[int], scale: float, size: Any) -> tuple[slice, slice]:
    """Set the size and the region to render; a little within its pixels, for Blender rounds down."""
    render, (height, width) = scene.render, size
    render.resolution_y, render.resolution_x = size
    left, top = (int(place * scale) for place in region_px[:2])
    right, bottom = (min(math.ceil(region_px[n] * scale), most) for n, most in ((2, width), (3, height)))
    render.use_border = render.use_crop_to_border = (left, top, right, bottom) != (0, 0, width, height)
    inwards = 1e-3
    render.border_min_x, render.border_max_x = (left + inwards) / width, (right + inwards) / width
    render.border_min_y, render.border_max_y = (height - bottom + inwards) / height, (height - top + inwards) / height
    return slice(top, bottom), slice(left, right)


def _render_settings(scene: Any, settings: dict[str, Any]) -> None:
    render, cycles = scene.render, scene.cycles
    render.engine = "CYCLES"
    render.resolution_percentage = 100
    render.threads_mode, render.threads = "FIXED", int(settings["threads"])
    render.motion_blur_shutter = float(settings["shutter_frames"])
    if hasattr(render.image_settings, "media_type"):  # from Blender 5.0 on it decides about the formats there are
        render.image_settings.media_type = "MULTI_LAYER_IMAGE"
    render.image_settings.file_format = "OPEN_EXR_MULTILAYER"
    render.image_settings.color_depth = "32"
    render.image_settings.exr_codec = "NONE"
    scene.view_settings.view_transform = "Standard"
    use_device(scene, settings["device"])
    cycles.seed = int(settings["seed"])
    cycles.use_adaptive_sampling = cycles.use_auto_tile = False
    # A handful of lamps: a light tree costs more than it saves. After one real bounce light counts as ambient.
    cycles.use_light_tree = False
    cycles.use_fast_gi, cycles.fast_gi_method, cycles.ao_bounces_render = True, "REPLACE", 1
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 4, 2, 1
    cycles.transparent_max_bounces = 8
    cycles.sample_clamp_indirect = 3.0
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.denoiser = "OPENIMAGEDENOISE"
    cycles.denoising_input_passes = "RGB_ALBEDO_NORMAL"
    cycles.denoising_prefilter = "FAST"


def _camera(scene: Any, spec: dict[str, Any]) -> None:
    """Set Cycles' polynomial fisheye: theta = -(k0 + k1 r + ... + k4 r^4), r in mm on the sensor."""
    data = bpy.data.cameras.new("camera")
    data.type = "PANO"
    data.panorama_type = "FISHEYE_LENS_POLYNOMIAL"
    data.fisheye_fov = 2 * spec["rendered_theta_rad"]
    data.sensor_fit = "AUTO"
    data.sensor_width = PIXEL_MM * max(spec["width_px"], spec["height_px"])
    # The axis in the middle of the image, moved by these shares of its width and height.
    data.shift_x = 0.5 - spec["center_px"][0] / spec["width_px"]
    data.shift_y = spec["center_px"][1] / spec["height_px"] - 0.5
    data.fisheye_polynomial_k0 = 0.0
    for power, coefficient in enumerate(spec["theta_coefficients"], start=1):
        setattr(data, f"fisheye_polynomial_k{power}", -coefficient / PIXEL_MM**power)
    data.clip_start, data.clip_end = 0.01, 100.0
    thing = bpy.data.objects.new("camera", data)
    # Blender's camera looks along -z with y up; the request's along +z with y down.
    thing.matrix_world = Matrix(spec["world_from_camera"]) @ Matrix.Diagonal((1.0, -1.0, -1.0, 1.0))
    scene.collection.objects.link(thing)
    scene.camera = thing


def _world(scene: Any, spec: dict[str, Any], arrays: list[Array]) -> None:
    world = bpy.data.worlds.new("world")
    scene.world = world
    world.use_nodes = True
    tree = world.node_tree
    background = tree.nodes["Background"]
    background.inputs["Color"].default_value = (*spec["color"], 1.0)
    background.inputs["Strength"].default_value = spec["strength"]
    if spec["panorama"] is not None:
        place = tree.nodes.new("ShaderNodeMapping")
        place.inputs["Rotation"].default_value = (0.0, 0.0, spec["turn_rad"])
        tree.links.new(tree.nodes.new("ShaderNodeTexCoord").outputs["Generated"], place.inputs["Vector"])
        light = tree.nodes.new("ShaderNodeTexEnvironment")
        light.image = _panorama(arrays[spec["panorama"]], spec["color"])
        tree.links.new(place.outputs["Vector"], light.inputs["Vector"])
        tree.links.new(light.outputs["Color"], background.inputs["Color"])
    world.light_settings.ao_factor, world.light_settings.distance = AMBIENT_FACTOR, AMBIENT_DISTANCE_M


def _panorama(radiance: Array, tint: list[float]) -> Any:
    """Make an image of linear RGB (H, W, 3), first row on top, times a tint."""
    height, width = radiance.shape[:2]
    image = bpy.data.images.new("panorama", width, height, float_buffer=True)
    image.colorspace_settings.name = "Linear Rec.709"
    pixels = np.ones((height, width, 4), np.float32)
    pixels[..., :3] = radiance[::-1] * np.asarray(tint, np.float32)
    image.pixels.foreach_set(pixels.reshape(-1))
    return image


def _light(scene: Any, spec: dict[str, Any], number: int) -> None:
    data = bpy.data.lights.new(f"light_{number:03d}", "AREA")
    data.shape = "RECTANGLE"
    data.size, data.size_y = spec["size_m"]
    data.energy, data.color = spec["watts"], spec["color"]
    thing = bpy.data.objects.new(data.name, data)
    thing.matrix_world = Matrix(spec["matrix"])
    thing.visible_camera = False
    scene.collection.objects.link(thing)


def _owner(scene: Any, spec: dict[str, Any]) -> Any:
    """Make the empty that carries a person: Cryptomatte names assets after the topmost parent."""
    empty = bpy.data.objects.new(spec["name"], None)
    scene.collection.objects.link(empty)
    motion = np.asarray(spec["motion_m"])
    if motion.any():
        for frame, share in ((FRAME - 1, -1.0), (FRAME + 1, 1.0)):
            empty.location = motion * share
            empty.keyframe_insert("location", frame=frame)
        motions = empty.animation_data  # read by slot, for Blender 5.0 has no other way
        for curve in motions.action.layers[0].strips[0].channelbag(motions.action_slot).fcurves:
            for key in curve.keyframe_points:
                key.interpolation = "LINEAR"
    return empty


def _mesh(spec: dict[str, Any], arrays: list[Array]) -> Any:
    vertices, faces = arrays[spec["vertices"]], arrays[spec["faces"]]
    _check_faces(faces, len(vertices))
    mesh = bpy.data.meshes.new("mesh")
    triangle = faces[:, 2] == faces[:, 3]
    keep = np.ones(faces.shape, bool)
    keep[triangle, 3] = False
    sizes = np.where(triangle, 3, 4).astype(np.int32)
    mesh.vertices.add(len(vertices))
    mesh.loops.add(int(sizes.sum()))
    mesh.polygons.add(len(faces))
    mesh.polygons.foreach_set("loop_start", np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32))
    counts = [part["faces"] for part in spec["parts"]]
    sharp = np.repeat([not part["smooth"] for part in spec["parts"]], counts)
    # Attributes take whole arrays; the properties of the same meaning take one value after the other.
    _fill(mesh, "position", "FLOAT_VECTOR", "POINT", vertices)
    _fill(mesh, ".corner_vert", "INT", "CORNER", faces[keep])
    _fill(mesh, "sharp_face", "BOOLEAN", "FACE", sharp)
    _fill(mesh, "material_index", "INT", "FACE", np.repeat(np.arange(len(counts), dtype=np.int32), counts))
    if spec["rest"] is not None:
        _fill(mesh, REST_ATTRIBUTE, "FLOAT_VECTOR", "POINT", arrays[spec["rest"]])
    if spec["slack"] is not None:
        _fill(mesh, SLACK_ATTRIBUTE, "FLOAT", "POINT", arrays[spec["slack"]])
    if spec["uv"] is not None:
        _fill(mesh, UV_ATTRIBUTE, "FLOAT2", "CORNER", arrays[spec["uv"]][keep])
    mesh.update(calc_edges=True)
    return mesh


def _fill(mesh: Any, name: str, kind: str, domain: str, values: Array) -> None:
    """Set an attribute, which is made where it is not there yet."""
    attribute = mesh.attributes.get(name) or mesh.attributes.new(name, kind, domain)
    attribute.data.foreach_set("value" if kind in ("INT", "BOOLEAN", "FLOAT") else "vector", values.reshape(-1))


def _check_faces(faces: Array, vertex_count: int) -> None:
    """Refuse what would crash Blender; its own check costs as much as the rest of the mesh.

    Raises:
        ValueError: for faces (F, 4) that repeat vertices, but for a triangle's last, or point nowhere.
    """
    if len(faces) and (faces.min() < 0 or faces.max() >= vertex_count):
        raise ValueError("a mesh with faces that point nowhere")
    a, b, c, d = faces.T
    if ((a == b) | (b == c) | (a == c) | (a == d) | (b == d)).any():
        raise ValueError("a mesh with faces that repeat vertices")


def _object(scene: Any, spec: dict[str, Any], number: int, meshes: list[Any], surfaces: SurfaceFactory) -> Any:
    thing = bpy.data.objects.new(f"object_{number:04d}", meshes[spec["mesh"]])
    while len(thing.data.materials) < len(spec["surfaces"]):
        thing.data.materials.append(None)
    # Materials hang on the object, for objects may share a mesh.
    for slot, surface in zip(thing.material_slots, spec["surfaces"], strict=True):
        slot.link = "OBJECT"
        slot.material = surfaces[surface]
    thing.matrix_world = Matrix(spec["matrix"])
    if spec["only_seen"]:
        thing.visible_diffuse = thing.visible_glossy = thing.visible_transmission = thing.visible_shadow = False
    scene.collection.objects.link(thing)
    return thing
