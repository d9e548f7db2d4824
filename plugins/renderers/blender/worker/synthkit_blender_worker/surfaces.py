# SPDX-License-Identifier: GPL-3.0-or-later
"""Procedural materials as Cycles shader nodes, from plain values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bpy
import numpy as np

from synthkit_blender_worker.wire import Array

REST_ATTRIBUTE = "rest"
SLACK_ATTRIBUTE = "slack"
UV_ATTRIBUTE = "uv"
MAX_TEXTURE_PX = 4096
MAX_BUMP_M = 0.004
MATT_ROUGHNESS = 0.8
CREASE_PERIOD_M = 0.08
CREASE_SHADE = 0.85  # how much darker the bottom of a crease is


class SurfaceFactory:
    """Makes each surface of a request once, on first use."""

    def __init__(self, specs: list[dict[str, Any]], arrays: list[Array]) -> None:
        self._specs, self._arrays = specs, arrays
        self._made: dict[int, Any] = {}
        self._images: dict[int, Any] = {}
        self._makes: dict[_Make, tuple[Any, list[Any]]] = {}

    def __getitem__(self, index: int) -> Any:
        if index not in self._made:
            spec = self._specs[index]
            image = None if spec["texture"] is None else self._image(spec["texture"])
            self._made[index] = self._material(spec, image)
        return self._made[index]

    def _material(self, spec: dict[str, Any], image: Any) -> Any:
        """Make a material: a copy with values of its own of one of the same make, which takes a quarter of the time."""
        make = _make(spec, image)
        if make in self._makes:
            first, values = self._makes[make]
            material = first.copy()
            _compose(_Tree(material.node_tree, values), spec, image)
            return material
        material = bpy.data.materials.new(f"surface_{len(self._makes):04d}")
        material.use_nodes = True
        # What glows here lights nothing worth a shadow ray: real lamps do that.
        material.cycles.emission_sampling = "NONE"
        material.node_tree.nodes.clear()
        tree = _Tree(material.node_tree)
        _compose(tree, spec, image)
        self._makes[make] = material, tree.values
        return material

    def _image(self, index: int) -> Any:
        if index not in self._images:
            self._images[index] = _image(self._arrays[index], index)
        return self._images[index]


def _image(pixels: Array, index: int) -> Any:
    """Make an image of sRGB bytes (H, W, 3 or 4), first row on top.

    Raises:
        ValueError: for an array of another shape.
    """
    if pixels.ndim != 3 or pixels.shape[2] not in (3, 4) or not 0 < min(pixels.shape[:2]) <= MAX_TEXTURE_PX:
        raise ValueError(f"a texture of shape {pixels.shape}")
    height, width, channels = pixels.shape
    image = bpy.data.images.new(f"texture_{index:04d}", width, height, alpha=channels == 4)
    image.alpha_mode = "CHANNEL_PACKED"  # colours stay as they are where nothing is seen of them
    values = np.ones((height, width, 4), np.float32)
    np.multiply(pixels[::-1], np.float32(1 / 255), out=values[..., :channels])
    image.pixels.foreach_set(values.reshape(-1))
    return image


class _Tree:
    """A node tree under construction.

    Args:
        like: the values fed to the tree that this one was copied from: nodes and links are there, and only values
            that differ are set, for each that is set has Blender look at the whole tree again.
    """

    def __init__(self, tree: Any, like: list[Any] | None = None) -> None:
        self._tree, self._like = tree, like
        self._there = iter(tree.nodes[:])
        self.values: list[Any] = []

    def node(self, kind: str, /, inputs: dict[Any, Any] | None = None, **properties: Any) -> Any:
        """Add a node; inputs are values or sockets of other nodes, by their names or numbers."""
        made = self._tree.nodes.new(kind) if self._like is None else next(self._there)
        if made.bl_idname != kind:
            raise RuntimeError(f"a copied material has {made.bl_idname} where {kind} is wanted")
        for name, value in properties.items():
            if getattr(made, name) != value:
                setattr(made, name, value)
        for name, value in (inputs or {}).items():
            self.feed(made.inputs[name], value)
        return made

    def feed(self, socket: Any, value: Any) -> None:
        """Set an input to a value, or link it to another node's output."""
        if isinstance(value, bpy.types.NodeSocket):
            if self._like is None:
                self._tree.links.new(value, socket)
            return
        if self._like is None or value != self._like[len(self.values)]:
            socket.default_value = value
        self.values.append(value)

    def mix(self, factor: Any, first: Any, second: Any) -> Any:
        """Return the colour between two colours."""
        made = self.node("ShaderNodeMix", data_type="RGBA")  # which inputs it has depends on that
        for index, value in ((0, factor), (6, first), (7, second)):
            self.feed(made.inputs[index], value)
        return made.outputs[2]

    def math(self, operation: str, first: Any, second: Any = 0.0) -> Any:
        """Return a sum, product or comparison of two numbers."""
        return self.node("ShaderNodeMath", {0: first, 1: second}, operation=operation).outputs[0]

    def scaled(self, vector: Any, scale: tuple[float, float, float]) -> Any:
        """Return a vector or colour times a scale per component."""
        return self.node("ShaderNodeVectorMath", {0: vector, 1: scale}, operation="MULTIPLY").outputs[0]


_Make = tuple[Any, ...]


def _make(spec: dict[str, Any], image: Any) -> _Make:
    """Return all of a surface that its nodes and links depend on."""
    used = [spec[name] > 0 for name in ("bump", "crease_m", "subsurface", "emission")]
    tinted = tuple(spec["color"]) == (1, 1, 1), spec["hue_turn"] != 0 or spec["saturation"] != 1
    return spec["pattern"], spec["rest"], *used, _is_matt(spec), image and image.depth, *tinted


def _compose(tree: _Tree, spec: dict[str, Any], image: Any) -> None:
    """Add the nodes of a surface to an empty tree."""
    texture = None if image is None else _texture(tree, image)
    color, height = _pattern(tree, spec) if texture is None else (_tinted(tree, texture, spec), None)
    normal = None
    if spec["crease_m"] > 0:
        color, normal = _creased(tree, color, spec["crease_m"])
    shader = _matt(tree, color) if _is_matt(spec) else _glossy(tree, spec, color)
    if spec["bump"] > 0 and height is not None:
        normal = _bump(tree, height, MAX_BUMP_M, spec["bump"], normal)
    if normal is not None:
        tree.feed(shader.inputs["Normal"], normal)
    surface = shader.outputs["BSDF"]
    if texture is not None and image.depth == 32:
        clear = tree.node("ShaderNodeBsdfTransparent").outputs["BSDF"]
        mix = tree.node("ShaderNodeMixShader", {"Fac": texture.outputs["Alpha"], 1: clear, 2: surface})
        surface = mix.outputs["Shader"]
    tree.node("ShaderNodeOutputMaterial", {"Surface": surface})


def _creased(tree: _Tree, color: Any, depth_m: float) -> tuple[Any, Any]:
    """Return the colour of cloth, darker at the bottom of creases, and its normal.

    The creases are noise drawn out into streaks, as deep as the cloth is slack; they stick to the cloth at rest.
    Daylight and lamps come from everywhere, so what shows of a crease is the light that does not get into it.
    """
    where = tree.node("ShaderNodeAttribute", attribute_name=REST_ATTRIBUTE).outputs["Vector"]
    slack = tree.node("ShaderNodeAttribute", attribute_name=SLACK_ATTRIBUTE).outputs["Fac"]
    across = tree.scaled(where, (0.45, 0.45, 1.5))  # trunk and legs are upright at rest: most creases run across
    inputs = {"Vector": across, "Scale": 1 / CREASE_PERIOD_M, "Detail": 1.5, "Distortion": 1.3}
    streaks = _contrast(tree, tree.node("ShaderNodeTexNoise", inputs, noise_dimensions="3D").outputs["Fac"], 0.32, 0.64)
    height = tree.math("MULTIPLY", streaks, slack)
    shade = tree.math("MULTIPLY", tree.math("SUBTRACT", 1.0, streaks), tree.math("MULTIPLY", slack, CREASE_SHADE))
    return tree.mix(shade, color, (0.0, 0.0, 0.0, 1.0)), _bump(tree, height, depth_m, 1.0, None)


def _bump(tree: _Tree, height: Any, distance_m: float, strength: float, normal: Any) -> Any:
    """Return the normal over a height in 0..1, upon another normal if there is one."""
    bump = tree.node("ShaderNodeBump", {"Strength": strength, "Distance": distance_m, "Height": height})
    if normal is not None:
        tree.feed(bump.inputs["Normal"], normal)
    return bump.outputs["Normal"]


def _texture(tree: _Tree, image: Any) -> Any:
    where = tree.node("ShaderNodeAttribute", attribute_name=UV_ATTRIBUTE).outputs["Vector"]
    return tree.node("ShaderNodeTexImage", {"Vector": where}, image=image)


def _tinted(tree: _Tree, texture: Any, spec: dict[str, Any]) -> Any:
    """Return a texture's colour with its hues turned and its saturation changed, times the surface's colour."""
    color = texture.outputs["Color"]
    if spec["hue_turn"] != 0 or spec["saturation"] != 1:
        inputs = {"Hue": 0.5 + spec["hue_turn"], "Saturation": spec["saturation"], "Color": color}
        color = tree.node("ShaderNodeHueSaturation", inputs).outputs["Color"]
    return color if tuple(spec["color"]) == (1, 1, 1) else tree.scaled(color, spec["color"])


def _pattern(tree: _Tree, spec: dict[str, Any]) -> tuple[Any, Any]:
    """Return the colour, a value or a socket, and the height or None."""
    if spec["pattern"] == "plain" and spec["bump"] == 0:
        return (*spec["color"], 1.0), None
    if spec["rest"]:
        where = tree.node("ShaderNodeAttribute", attribute_name=REST_ATTRIBUTE).outputs["Vector"]
    else:
        where = tree.node("ShaderNodeTexCoord").outputs["Object"]
    factor, height = PATTERNS[spec["pattern"]](tree, where, float(spec["scale_m"]))
    first, second = (*spec["color"], 1.0), (*spec["second_color"], 1.0)
    return (first if factor is None else tree.mix(factor, first, second)), height


def _is_matt(spec: dict[str, Any]) -> bool:
    shines = spec["subsurface"] > 0 or spec["emission"] > 0 or spec["metallic"] > 0
    return not shines and spec["roughness"] >= MATT_ROUGHNESS


def _matt(tree: _Tree, color: Any) -> Any:
    """Return a shader without highlights: half the price of one with."""
    return tree.node("ShaderNodeBsdfDiffuse", {"Color": color})


def _glossy(tree: _Tree, spec: dict[str, Any], color: Any) -> Any:
    shader = tree.node("ShaderNodeBsdfPrincipled", {"Base Color": color}, distribution="GGX")
    for name, key in (("Roughness", "roughness"), ("Metallic", "metallic"), ("Specular IOR Level", "specular")):
        tree.feed(shader.inputs[name], spec[key])
    if spec["subsurface"] > 0:
        tree.feed(shader.inputs["Subsurface Weight"], spec["subsurface"])
        tree.feed(shader.inputs["Subsurface Radius"], (1.0, 0.35, 0.2))
        tree.feed(shader.inputs["Subsurface Scale"], 0.01)
    if spec["emission"] > 0:
        tree.feed(shader.inputs["Emission Color"], color)
        tree.feed(shader.inputs["Emission Strength"], spec["emission"])
    return shader


Pattern = Callable[[_Tree, Any, float], tuple[Any, Any]]
"""From coordinates and a period in metres: the mix of the two colours (or None) and a height (or None)."""


def _noise(tree: _Tree, where: Any, scale_m: float, detail: float = 2.0) -> Any:
    inputs = {"Vector": where, "Scale": 1 / scale_m, "Detail": detail}
    return tree.node("ShaderNodeTexNoise", inputs, noise_dimensions="3D").outputs["Fac"]


def _contrast(tree: _Tree, value: Any, low: float, high: float) -> Any:
    inputs = {"Value": value, "From Min": low, "From Max": high}
    return tree.node("ShaderNodeMapRange", inputs, clamp=True).outputs["Result"]


def _plain(tree: _Tree, where: Any, scale_m: float) -> tuple[Any, Any]:
    return None, _noise(tree, where, 0.004, 1.0)


def _cloudy(tree: _Tree, where: Any, scale_m: float) -> tuple[Any, Any]:
    clouds = _noise(tree, where, scale_m)
    return _contrast(tree, clouds, 0.35, 0.65), clouds


def _stripes(tree: _Tree, where: Any, scale_m: float) -> tuple[Any, Any]:
    wave = tree.node("ShaderNodeTexWave", {"Vector": where, "Scale": 0.314 / scale_m}, bands_direction="Z")
    return _contrast(tree, wave.outputs["Fac"], 0.45, 0.55), None


def _checks(tree: _Tree, where: Any, scale_m: float) -> tuple[Any, Any]:
    parts = tree.node("ShaderNodeSeparateXYZ", {"Vector": where})
    bands = []
    for axis in ("X", "Z"):
        phase = tree.math("FRACT", tree.math("DIVIDE", parts.outputs[axis], scale_m))
        bands.append(tree.math("GREATER_THAN", phase, 0.6))
    return tree.math("MULTIPLY", tree.math("ADD", *bands), 0.5), None


def _dots(tree: _Tree, where: Any, scale_m: float) -> tuple[Any, Any]:
    cells = tree.node("ShaderNodeTexVoronoi", {"Vector": where, "Scale": 1 / scale_m, "Randomness": 0.15})
    return tree.math("LESS_THAN", cells.outputs["Distance"], 0.28), None


def _carpet(tree: _Tree, where: Any, scale_m: float) -> tuple[Any, Any]:
    pile = _noise(tree, where, scale_m, 3.0)
    wear = _noise(tree, where, 0.9, 1.0)
    both = tree.math("ADD", tree.math("MULTIPLY", pile, 0.8), tree.math("MULTIPLY", wear, 0.4))
    return _contrast(tree, both, 0.4, 0.8), pile


def _carpet_tiles(tree: _Tree, where: Any, scale_m: float) -> tuple[Any, Any]:
    checker = tree.node("ShaderNodeTexChecker", {"Vector": where, "Scale": 1 / scale_m}).outputs["Fac"]
    pile = _contrast(tree, _noise(tree, where, 0.02, 3.0), 0.3, 0.7)
    return tree.math("ADD", tree.math("MULTIPLY", checker, 0.35), tree.math("MULTIPLY", pile, 0.5)), pile


def _grain(tree: _Tree, where: Any, scale_m: float) -> tuple[Any, Any]:
    """Wood that runs along x."""
    stretched = tree.scaled(where, (0.12, 1.0, 1.0))
    rings = _noise(tree, stretched, scale_m, 4.0)
    fine = _noise(tree, tree.scaled(where, (0.05, 1.0, 1.0)), scale_m / 6, 2.0)
    both = tree.math("ADD", tree.math("MULTIPLY", rings, 0.7), tree.math("MULTIPLY", fine, 0.3))
    return _contrast(tree, both, 0.35, 0.65), both


def _planks(tree: _Tree, where: Any, scale_m: float) -> tuple[Any, Any]:
    """Floorboards along x, ``scale_m`` wide, each of its own shade."""
    boards = tree.node(
        "ShaderNodeTexBrick",
        {"Vector": where, "Scale": 1.0, "Brick Width": scale_m * 8, "Row Height": scale_m, "Mortar Size": 0.003,
         "Color1": (0.0, 0.0, 0.0, 1.0), "Color2": (1.0, 1.0, 1.0, 1.0), "Mortar": (1.6, 1.6, 1.6, 1.0)},
    )  # fmt: skip
    grain, height = _grain(tree, where, 0.05)
    shade = tree.math("MULTIPLY", boards.outputs["Color"], 0.45)
    return tree.math("ADD", shade, tree.math("MULTIPLY", grain, 0.45)), height


def _tiles(tree: _Tree, where: Any, scale_m: float) -> tuple[Any, Any]:
    """Square tiles with joints in the second colour."""
    bricks = tree.node(
        "ShaderNodeTexBrick",
        {"Vector": where, "Scale": 1.0, "Brick Width": scale_m, "Row Height": scale_m, "Mortar Size": 0.004,
         "Color1": (0.0, 0.0, 0.0, 1.0), "Color2": (0.12, 0.12, 0.12, 1.0), "Mortar": (1.0, 1.0, 1.0, 1.0)},
        offset=0.0,
    )  # fmt: skip
    clouds = tree.math("MULTIPLY", _noise(tree, where, 0.15), 0.2)
    return tree.math("ADD", bricks.outputs["Color"], clouds), None


def _weave(tree: _Tree, where: Any, scale_m: float) -> tuple[Any, Any]:
    threads = _noise(tree, where, scale_m, 3.0)
    return _contrast(tree, threads, 0.3, 0.7), threads


PATTERNS: dict[str, Pattern] = {
    "plain": _plain,
    "noise": _cloudy,
    "stripes": _stripes,
    "checks": _checks,
    "dots": _dots,
    "carpet": _carpet,
    "carpet_tiles": _carpet_tiles,
    "grain": _grain,
    "planks": _planks,
    "tiles": _tiles,
    "weave": _weave,
}
