# SPDX-License-Identifier: Apache-2.0
"""Calibration files of ``cv2.fisheye``, as OpenCV's storage and others write them: YAML, XML or JSON.

None of them can make anything run: YAML is read as texts, lists and tables without anchors, XML without entities.
"""

from __future__ import annotations

import bisect
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import defusedxml
import numpy as np
import yaml
from defusedxml import ElementTree
from numpy.typing import NDArray

from synthkit.camera import FisheyeCamera, kannala_brandt
from synthkit.errors import ConfigError
from synthkit.files import small_file
from synthkit_blender.config.camera import FOVS_DEGREES

Floats = NDArray[np.float64]
MAX_BYTES = 1 << 20
SHAPE_TOLERANCE = 0.005  # by how much an image's sides may differ from the calibrated ones', scaled
MATRIX = ("cameramatrix", "k", "intrinsicmatrix", "mtx")
DISTORTION = ("distortioncoefficients", "d", "distcoeffs", "distortion", "dist")
WIDTH, HEIGHT, SIZE = ("imagewidth", "width"), ("imageheight", "height"), ("imagesize", "size", "dim")
MODELS = ("fisheye", "equidistant", "kannalabrandt", "kannalabrandt4", "opencvfisheye")  # all names of the same
LARGEST = 1e6  # number in a calibration, in pixels or without a unit
USUAL_HALF_FOV_RAD = math.pi / 2
WIDEST_RAD = math.radians(110)


@attrs.frozen(eq=False)
class Calibration:
    """A lens as ``cv2.fisheye.calibrate`` found it, of images of one size.

    Args:
        matrix: (3, 3) K in pixels, counted as OpenCV does. distortion: k1..k4.
    """

    path: Path
    width_px: float
    height_px: float
    matrix: Floats
    distortion: tuple[float, float, float, float]

    @classmethod
    def read(cls, path: Path) -> Calibration:
        """Read a file.

        Raises:
            ConfigError: saying what is wrong with it.
        """
        try:
            table = {_plain_name(str(key)): value for key, value in _table(path).items()}
            model = str(table.get("distortionmodel", "fisheye"))
            if _plain_name(model) not in MODELS:
                raise ValueError(f"its distortion model is {model!r}; expected one by cv2.fisheye.calibrate")
            k, d = _found(table, MATRIX, "camera_matrix"), _found(table, DISTORTION, "distortion_coefficients")
            size = _size(table)
            found = cls(path, *size, _matrix(k, size), tuple(_numbers(d, "the distortion", 4).tolist()))
            if (seen := 2 * math.degrees(found.usual_half_rad())) < FOVS_DEGREES[0]:
                raise ValueError(f"sees {seen:.1f} degrees only; expected a fisheye of {FOVS_DEGREES[0]:g} or more")
            return found
        except (ValueError, RecursionError) as error:
            raise ConfigError([f"camera.calibration: {path}: {error}"]) from None

    def fitted(self, width_px: int, height_px: int) -> Calibration:
        """Return the calibration of its images scaled to fit into a size and centred in it."""
        scale = min(width_px / self.width_px, height_px / self.height_px)
        margin = (width_px - self.width_px * scale) / 2, (height_px - self.height_px * scale) / 2
        return self.moved(scale, margin, (width_px, height_px))

    def of_size(self, size_px: tuple[int, int]) -> Calibration:
        """Return the calibration of the same images in another size.

        Raises:
            ConfigError: for another shape.
        """
        scale = math.sqrt(size_px[0] * size_px[1] / (self.width_px * self.height_px))
        own = self.width_px, self.height_px
        if any(abs(a * scale - b) > max(1.0, SHAPE_TOLERANCE * b) for a, b in zip(own, size_px, strict=True)):
            was, now = (f"{width:g}x{height:g}" for width, height in (own, size_px))
            text = f"is of images of {was}, and this one is {now}: another shape"
            raise ConfigError([f"camera.calibration: {self.path}: {text}"])
        return self.moved(scale, (0.0, 0.0), size_px)

    def moved(self, scale: float, shift_px: tuple[float, float], size_px: tuple[int, int]) -> Calibration:
        """Return the calibration in other pixels: ``scale`` times these plus a shift, of images of a size."""
        matrix = self.matrix * scale
        # OpenCV counts from the centre of the first pixel, scaling goes from its corner.
        matrix[:2, 2] = (self.matrix[:2, 2] + 0.5) * scale - 0.5 + shift_px
        matrix[2, 2] = 1.0
        return Calibration(self.path, *size_px, matrix, self.distortion)

    def circle(self, fov_degrees: float | None) -> tuple[float, float, float]:
        """Return the centre and the radius of the image circle in pixels, from the image's corner."""
        theta = self.usual_half_rad() if fov_degrees is None else math.radians(fov_degrees) / 2
        curve = kannala_brandt(np.array([theta]), self.distortion)
        (fx, _, cx), (_, fy, cy) = self.matrix[0].tolist(), self.matrix[1].tolist()
        return cx + 0.5, cy + 0.5, (fx + fy) / 2 * float(curve[0])

    def camera(self, half_rad: float | None, misfit_px: float, world_from_camera: Floats) -> FisheyeCamera:
        """Return the camera that is this lens up to ``misfit_px``.

        Args:
            half_rad: half the field of view; None for ``usual_half_rad``.

        Raises:
            ConfigError: when no rendered lens comes so near.
        """
        theta = half_rad or self.usual_half_rad()
        try:
            return self._rendered(theta, misfit_px, world_from_camera)
        except ValueError as error:
            text = str(error).replace("max_theta_rad", "camera.fov_degrees")
            hint = ""
            if "misses" in text:
                met = self._widest_met(theta, misfit_px)
                narrower = "" if met is None else f": it is met with camera.fov_degrees=[{met}, {met}]"
                hint = f", and so does a larger camera.misfit_px{narrower}"
            raise ConfigError([f"camera.calibration: {self.path}: {text}{hint}"]) from None

    def _rendered(self, half_rad: float, misfit_px: float, world_from_camera: Floats | None = None) -> FisheyeCamera:
        size = int(self.width_px), int(self.height_px)
        return FisheyeCamera.from_opencv(
            *size, self.matrix, self.distortion, half_rad, misfit_px=misfit_px, world_from_camera=world_from_camera
        )

    def _widest_met(self, half_rad: float, misfit_px: float) -> int | None:
        """Return the widest field of view in whole degrees, within twice ``half_rad``, that a rendered lens meets."""
        degrees = range(math.ceil(FOVS_DEGREES[0]), math.ceil(2 * math.degrees(half_rad)))

        def misses(fov_degrees: int) -> bool:
            try:
                self._rendered(math.radians(fov_degrees) / 2, misfit_px)
            except ValueError:
                return True
            return False

        first = bisect.bisect_left(degrees, True, key=misses)
        return degrees[first - 1] if first else None

    def usual_half_rad(self) -> float:
        """Return 90 degrees, or the angle at the image's farthest corner, or where radii all but stop to grow."""
        theta = np.linspace(0, WIDEST_RAD, 1101)
        curve = kannala_brandt(theta, self.distortion)
        grows = np.append(np.diff(curve) > 0, True)
        limit = len(theta) - 1 if grows.all() else int(grows.argmin()) * 19 // 20
        (fx, _, cx), (_, fy, cy) = self.matrix[0].tolist(), self.matrix[1].tolist()
        corner = math.hypot(max(cx + 0.5, self.width_px - cx - 0.5) / fx, max(cy + 0.5, self.height_px - cy - 0.5) / fy)
        return float(min(USUAL_HALF_FOV_RAD, theta[limit], np.interp(corner, curve[: limit + 1], theta[: limit + 1])))


class _Loader(yaml.BaseLoader):
    """The loader that makes texts, lists and tables alone, whatever tags say: OpenCV's matrices are tables."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse what could grow without bound."""
        if self.check_event(yaml.AliasEvent):
            raise ValueError("has YAML aliases, which no calibration needs")
        return super().compose_node(parent, index)


def _table(path: Path) -> dict[str, Any]:
    kinds: dict[str, Callable[[str], Any]] = {
        ".yml": _from_yaml,
        ".yaml": _from_yaml,
        ".xml": _from_xml,
        ".json": _from_json,
    }
    kind = kinds.get(path.suffix.lower())
    if kind is None:
        raise ValueError(f"is of no known kind; expected {', '.join(kinds)}")
    data = small_file(path, MAX_BYTES, "a calibration, which has a few hundred")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8: byte {error.start} is {data[error.start]:#x}") from None
    table = kind(text)
    if not isinstance(table, dict):
        raise ValueError("holds no table of names and values")
    return table


def _from_yaml(text: str) -> Any:
    # OpenCV's first line, %YAML:1.0, is no directive of YAML.
    text = re.sub(r"\A%YAML:1\.\d\s*\n(---)?", "", text)
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"is not YAML: {' '.join(str(error).split())}") from None


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:  # not only JSONDecodeError: numbers of more than 4300 digits
        raise ValueError(f"is not JSON: {error}") from None


def _from_xml(text: str) -> Any:
    try:
        root = ElementTree.fromstring(text, forbid_dtd=True)
    except (ElementTree.ParseError, defusedxml.DefusedXmlException) as error:
        raise ValueError(f"is not XML: {error}") from None
    return {child.tag: _from_element(child) for child in root}


def _from_element(element: Any) -> Any:
    if len(element):
        return {child.tag: child.text for child in element}
    return element.text


def _plain_name(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _found(table: dict[str, Any], names: tuple[str, ...], meant: str) -> Any:
    for name in names:
        if name in table:
            return table[name]
    raise ValueError(f"has no {meant}; it holds {', '.join(sorted(table)) or 'nothing'}")


def _size(table: dict[str, Any]) -> tuple[float, float]:
    pair = next((table[name] for name in SIZE if name in table), None)
    if pair is None:
        pair = [_found(table, WIDTH, "image_width"), _found(table, HEIGHT, "image_height")]
    width, height = _numbers(pair, "the image size", 2).tolist()
    if min(width, height) < 1:
        raise ValueError(f"the image size must be positive, got {width:g}x{height:g}")
    return width, height


def _matrix(value: Any, size_px: tuple[float, float]) -> Floats:
    """Return K of images of a size; what has the right count of numbers may still be transposed or of another size."""
    matrix = _numbers(value, "the camera matrix", 9).reshape(3, 3)
    (fx, skew, cx), (below, fy, cy) = matrix[:2].tolist()
    within = 0 <= cx <= size_px[0] and 0 <= cy <= size_px[1]
    if min(fx, fy) <= 0 or below != 0 or matrix[2].tolist() != [0, 0, 1] or not within:
        raise ValueError(
            "the camera matrix must be [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] with fx and fy above 0 and (cx, cy) "
            f"within the image of {size_px[0]:g}x{size_px[1]:g}, got {matrix.tolist()}"
        )
    if skew != 0:
        raise ValueError(f"the camera matrix has a skew of {skew:g}; calibrate with cv2.fisheye.CALIB_FIX_SKEW")
    return matrix


def _numbers(value: Any, what: str, count: int) -> Floats:
    """Return numbers from nested lists, a text with blanks between them, or a matrix of OpenCV's."""
    if isinstance(value, dict):
        value = value.get("data")
    if isinstance(value, str):
        value = value.split()
    try:
        numbers = np.array(value, np.float64).reshape(-1)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{what} must be {count} numbers, got {str(value)[:80]}") from None
    if len(numbers) != count:
        hint = "; cv2.calibrateCamera's five are of another model" if what == "the distortion" else ""
        raise ValueError(f"{what} must be {count} numbers, got {len(numbers)}{hint}")
    if not (np.abs(numbers) <= LARGEST).all():  # NaN is not either
        raise ValueError(f"{what} must be {count} finite numbers up to {LARGEST:g}, got {numbers.tolist()}")
    return numbers
