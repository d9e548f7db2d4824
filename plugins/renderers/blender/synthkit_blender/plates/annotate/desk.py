# SPDX-License-Identifier: Apache-2.0
"""What the page asks for: a folder's photos, their cameras, checked notes, saved notes, rendered previews."""

from __future__ import annotations

import base64
import io
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from PIL import Image

from synthkit import config
from synthkit.cache import cache_dir
from synthkit.camera import FisheyeCamera
from synthkit.dataset.storage import write_atomically
from synthkit.errors import ConfigError, SynthkitError
from synthkit.interfaces import Runtime
from synthkit.sample import Skipped
from synthkit.seeds import Seeds
from synthkit_blender.calibration import Calibration
from synthkit_blender.config import BlenderConfig, CameraConfig
from synthkit_blender.crowd import PeopleSource
from synthkit_blender.optics import draw_camera
from synthkit_blender.plates.notes import FILE, FURNITURE, FolderNotes, PhotoCamera, as_toml, comments, structured
from synthkit_blender.plates.photo import DAMAGE, Photo, read_photo
from synthkit_blender.plates.photos import photo_paths
from synthkit_blender.plates.space import space_of

SHOWN_PX = 2400  # the longer side of a photo on the page at most
RENDERED_PX = 640
LISTS = frozenset({"floor_px", "walls_px", FURNITURE})
CALIBRATIONS = frozenset({".yml", ".yaml", ".xml", ".json"})
USUAL = {"fov_degrees": 180.0, "equisolid": 0.0, "height_m": 2.7, "tilt_degrees": 0.0, "roll_degrees": 0.0}
Plain = dict[str, Any]


class Desk:
    """A folder of photos that notes are taken on.

    Args:
        people: where those of previews come from; None for the body library.

    Raises:
        DatasetError: when there is no photo. ConfigError: when the notes that are there are wrong.
    """

    def __init__(self, folder: Path, people: PeopleSource | None = None) -> None:
        self.folder = folder
        self._paths = {path.name: path for path in photo_paths(folder)}
        self._notes = FolderNotes.read(folder, self._paths)
        self._written = _bytes_of(folder / FILE)
        self._guard, self._rendering = threading.Lock(), threading.Lock()
        self._people = people

    def overview(self) -> Plain:
        """Return the folder's photos, what is noted about them, and how many comments saving would drop."""
        with self._guard:
            notes, written = self._notes, self._written or b""
        files = sorted(path.name for path in self.folder.iterdir() if path.suffix.lower() in CALIBRATIONS)
        return {"folder": str(self.folder), "file": FILE, "photos": list(self._paths), "calibrations": files,
                "usual": USUAL, "common": notes.common, "own": notes.photos,
                "comments": len(comments(written.decode()))}  # fmt: skip

    def photo(self, name: str) -> Plain:
        """Return a photo's size and image circle, and the notes on it in its own pixels.

        Raises:
            SynthkitError: when it cannot be read, or the notes were drawn on another shape.
        """
        photo = Photo(self._path(name))
        size = photo.size_px()
        circle, found = photo.circle_px(size)
        with self._guard:
            notes = self._notes.of_photo(name, size)
        return {"name": name, "size_px": size, "circle_px": circle, "found": found, "notes": config.plain(notes)}

    def jpeg(self, name: str) -> bytes:
        """Return a photo, upright, in a size to be looked at."""
        try:
            image = Image.fromarray(read_photo(self._path(name)))
        except DAMAGE as error:
            raise SynthkitError(f"{name}: cannot be read: {error}") from None
        image.thumbnail((SHOWN_PX, SHOWN_PX), Image.Resampling.LANCZOS)
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=90)
        return stream.getvalue()

    def camera(self, values: Mapping[str, Any]) -> Plain:
        """Return the camera of notes ``camera`` on a photo of ``size_px``, as the page projects with it."""
        camera = self._camera(config.structure(PhotoCamera, values["camera"], path="camera"), values["size_px"])
        return {
            "circle_px": [camera.cx_px, camera.cy_px, camera.max_radius_px],
            "theta_coefficients": camera.theta_coefficients,
            "max_theta_rad": camera.max_theta_rad,
            "world_from_camera": camera.world_from_camera.tolist(),
        }

    def check(self, values: Mapping[str, Any]) -> list[str]:
        """Return everything that is wrong with ``notes`` on a photo."""
        try:
            notes = structured(values["notes"])
            space_of(notes, self._camera(notes.camera, notes.size_px), 1.0)
        except (ConfigError, ValueError) as error:
            return str(error).splitlines()
        return []

    def save(self, values: Mapping[str, Any]) -> Plain:
        """Write ``notes`` for a photo ``name``, or for every photo of the folder with ``everywhere``.

        Raises:
            ConfigError: for all that is wrong; nothing is written then, nor when the file was changed by another.
        """
        if problems := self.check(values):
            raise ConfigError(problems)
        name = self._path(str(values["name"])).name
        own = _lean(values["notes"])
        with self._guard:
            if _bytes_of(self.folder / FILE) != self._written:
                raise ConfigError([f"{FILE}: was changed by another program; reload the page to go on from there"])
            photos = {key: value for key, value in self._notes.photos.items() if key != name}
            if values.get("everywhere"):
                notes = FolderNotes(own, photos)
            else:
                common = self._notes.common
                differing = _differing(own, common)
                notes = FolderNotes(common, {**photos, name: differing} if differing else photos)
            text = as_toml(notes).encode()
            write_atomically(self.folder / FILE, [text])
            self._notes, self._written = notes, text
        return self.overview()

    def render(self, values: Mapping[str, Any]) -> Plain:
        """Return a rendered scene on a photo ``name`` with ``notes``, as a picture of at most ``RENDERED_PX``.

        Raises:
            SynthkitError: for wrong notes, or when Blender cannot render here, or is at it already.
        """
        if problems := self.check(values):
            raise ConfigError(problems)
        if not self._rendering.acquire(blocking=False):
            raise SynthkitError("a picture is being rendered already")
        try:
            with tempfile.TemporaryDirectory(prefix="synthkit-plates-") as folder:
                return self._rendered(Path(folder), self._path(str(values["name"])), values)
        finally:
            self._rendering.release()

    def _rendered(self, folder: Path, path: Path, values: Mapping[str, Any]) -> Plain:
        from synthkit_blender.casting import Casting
        from synthkit_blender.people import BodyLibrary
        from synthkit_blender.renderer import BlenderRenderer

        (folder / path.name).symlink_to(path.resolve())
        (folder / FILE).write_text(as_toml(FolderNotes(_lean(values["notes"]))))
        notes = structured(values["notes"])
        if notes.camera.calibration is not None:
            (folder / notes.camera.calibration).symlink_to((self.folder / notes.camera.calibration).resolve())
        camera = self._camera(notes.camera, notes.size_px)
        seeds, (width, height) = Seeds(int(values.get("seed", 0))), _picture_size(camera)
        settings = {"backgrounds": str(folder), "width_px": width, "height_px": height}
        wanted = config.structure(BlenderConfig, {**settings, "people": values.get("people", {})})
        runtime = Runtime(seeds, cache_dir(), threads=2)
        if self._people is None:
            self._people = Casting(BodyLibrary(runtime.cache_dir / "blender-people"), wanted.people, seeds)
        with BlenderRenderer(wanted, None, runtime, people=self._people) as renderer:
            (result,) = renderer.render(0, seeds.child("scene"))
        if isinstance(result, Skipped):
            raise SynthkitError(result.reason)
        stream = io.BytesIO()
        Image.fromarray(result.image).save(stream, "PNG")
        people = [person.visible_fraction for person in result.people or ()]
        return {"png": base64.b64encode(stream.getvalue()).decode(), "visible": people}

    def _camera(self, known: PhotoCamera, size_px: Any) -> FisheyeCamera:
        """Return the camera of a photo; the usual where nothing is known."""
        width, height = (int(side) for side in size_px)
        values = {name: usual if (own := getattr(known, name)) is None else own for name, usual in USUAL.items()}
        ranges: Plain = {name: (value, value) for name, value in values.items()}
        calibration, rng = None, np.random.default_rng(0)
        if known.calibration is not None:
            calibration = Calibration.read(self.folder / known.calibration).of_size((width, height))
            ranges["calibration"] = calibration.path
            if known.fov_degrees is None:
                ranges["fov_degrees"] = None
        fixed = attrs.evolve(CameraConfig(), yaw_degrees=(0.0, 0.0), **ranges)
        circle = known.circle_px or (width / 2, height / 2, min(width, height) / 2)
        return draw_camera(fixed, width, height, rng, circle_px=circle, calibration=calibration)

    def _path(self, name: str) -> Path:
        """Return a photo's path: by its name in the list, never by what the name may look like as a path."""
        if name not in self._paths:
            raise SynthkitError(f"{name}: there is no such photo in {self.folder}")
        return self._paths[name]


def _picture_size(camera: FisheyeCamera) -> tuple[int, int]:
    """Return the size of a picture of what a photo shows of its image circle."""
    sides, radius = ((camera.width_px, camera.cx_px), (camera.height_px, camera.cy_px)), camera.max_radius_px
    shown = [min(side, centre + radius) - max(0.0, centre - radius) for side, centre in sides]
    scale = RENDERED_PX / max(shown)
    return max(16, round(shown[0] * scale)), max(16, round(shown[1] * scale))


def _lean(notes: Mapping[str, Any]) -> Plain:
    """Return notes without what says nothing, points rounded to a tenth of a pixel."""

    def rounded(value: Any, decimals: int = 3) -> Any:
        if isinstance(value, Mapping):
            kept = {key: item for key, item in value.items() if item not in (None, "")}
            return {key: rounded(item, 1 if key.endswith("_px") else 3) for key, item in kept.items()}
        if isinstance(value, list | tuple):
            return [rounded(item, decimals) for item in value]
        return round(value, decimals) if isinstance(value, float) else value

    lean: Plain = rounded({key: value for key, value in notes.items() if value not in ([], ())})
    return lean


def _differing(own: Mapping[str, Any], common: Mapping[str, Any]) -> Plain:
    """Return what a photo's own table must say for its notes to hold, beside what stands at the top."""
    found: Plain = {key: [] if key in LISTS else "none" for key in common if key not in own}
    for key, value in own.items():
        at_top = common.get(key)
        if isinstance(value, Mapping) and isinstance(at_top, Mapping):
            value, at_top = _differing(value, at_top), {}
        if value != at_top:
            found[key] = value
    return found


def _bytes_of(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None
