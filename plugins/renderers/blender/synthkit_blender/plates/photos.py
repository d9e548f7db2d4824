# SPDX-License-Identifier: Apache-2.0
"""A folder's plates: photos of an empty room with what was noted about them, checked before any work starts."""

from __future__ import annotations

import logging
from pathlib import Path

import attrs
import cv2
import numpy as np
from numpy.typing import NDArray

from synthkit.errors import ConfigError, DatasetError
from synthkit_blender.calibration import Calibration
from synthkit_blender.config import CameraConfig
from synthkit_blender.plates.notes import FILE, FolderNotes, PhotoNotes, Point
from synthkit_blender.plates.photo import DAMAGE, Circle, Photo, read_photo

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
CIRCLE_TOLERANCE = 0.01  # of the image circle's diameter
PROBLEMS_TOLD = 5


@attrs.frozen
class Framing:
    """Where a photo lies in an image: image pixels are ``scale`` times the photo's, plus ``left`` and ``top``."""

    scale: float
    left_px: float
    top_px: float

    @classmethod
    def around(cls, circle: Circle, photo_px: tuple[int, int], image_px: tuple[int, int]) -> Framing:
        """Return the framing in which what the photo shows of its image circle fills the image, centred."""
        cx, cy, radius = circle
        low = max(0.0, cx - radius), max(0.0, cy - radius)
        high = min(float(photo_px[0]), cx + radius), min(float(photo_px[1]), cy + radius)
        scale = min(image_px[n] / max(high[n] - low[n], 1.0) for n in (0, 1))
        left, top = (image_px[n] / 2 - scale * (low[n] + high[n]) / 2 for n in (0, 1))
        return cls(scale, left, top)

    def point(self, point: Point) -> Point:
        """Return a point of the photo in the image."""
        return self.scale * point[0] + self.left_px, self.scale * point[1] + self.top_px

    def circle(self, circle: Circle) -> Circle:
        """Return a circle of the photo in the image."""
        return *self.point(circle[:2]), self.scale * circle[2]

    def notes(self, notes: PhotoNotes, image_px: tuple[int, int]) -> PhotoNotes:
        """Return notes in pixels of the photo as notes in pixels of the image."""
        return notes.moved(self.scale, (self.left_px, self.top_px), image_px)

    def warped(self, pixels: NDArray[np.uint8], image_px: tuple[int, int]) -> NDArray[np.uint8]:
        """Return the photo (h, w, 3) in an image of a size, black where it shows nothing."""
        shrunk = min(1.0, self.scale)
        if shrunk < 1:  # averaged over each pixel's area first, then moved by the rest of a pixel
            size = [max(1, round(side * shrunk)) for side in pixels.shape[1::-1]]
            by = size[0] / pixels.shape[1], size[1] / pixels.shape[0]
            pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
        else:
            by = (1.0, 1.0)
        scale = self.scale / by[0], self.scale / by[1]
        # OpenCV counts from the centre of the first pixel.
        matrix = np.array([[scale[0], 0, self.left_px + (scale[0] - 1) / 2],
                           [0, scale[1], self.top_px + (scale[1] - 1) / 2]])  # fmt: skip
        if np.allclose(matrix, np.round(matrix), atol=1e-6):
            method = cv2.INTER_NEAREST
        else:
            method = cv2.INTER_LINEAR if shrunk < 1 else cv2.INTER_CUBIC
        moved = cv2.warpAffine(pixels, matrix, image_px, flags=method, borderMode=cv2.BORDER_REPLICATE)
        inside = cv2.warpAffine(np.full(pixels.shape[:2], 255, np.uint8), matrix, image_px, flags=cv2.INTER_LINEAR)
        return np.where(inside[..., None] > 127, moved, np.uint8(0))


@attrs.frozen
class Plate:
    """A photo for images of one size.

    Args:
        notes: in pixels of the photo. circle_px: its image circle in these. lens: its calibration in these.
    """

    path: Path
    photo_px: tuple[int, int]
    circle_px: Circle
    notes: PhotoNotes
    image_px: tuple[int, int]
    lens: Calibration | None = None

    @property
    def framing(self) -> Framing:
        """Where it lies in the image."""
        return Framing.around(self.circle_px, self.photo_px, self.image_px)

    @property
    def seen(self) -> PhotoNotes:
        """What was noted about it, in pixels of the image, the image circle among it."""
        camera = self.notes.camera
        if camera.calibration is None:
            camera = attrs.evolve(camera, circle_px=self.circle_px)
        notes = attrs.evolve(self.notes, camera=camera)
        return self.framing.notes(notes, self.image_px)

    @property
    def seen_lens(self) -> Calibration | None:
        """Its calibration in pixels of the image."""
        framing = self.framing
        return self.lens and self.lens.moved(framing.scale, (framing.left_px, framing.top_px), self.image_px)

    def read(self) -> NDArray[np.uint8]:
        """Return it as (H, W, 3) sRGB in the image.

        Raises:
            DatasetError: when it can no longer be read.
        """
        try:
            return self.framing.warped(read_photo(self.path), self.image_px)
        except DAMAGE as error:
            raise DatasetError(f"background {self.path}: cannot be read: {error}") from None


@attrs.frozen
class Plates:
    """The plates of a folder in the order of their names, for images of one size."""

    plates: tuple[Plate, ...]

    @classmethod
    def open(
        cls, folder: Path, width_px: int, height_px: int, camera: CameraConfig | None = None,
        cache_dir: Path | None = None,
    ) -> Plates:  # fmt: skip
        """List a folder's images, and decode each once to know that it can be used; tell what is only guessed.

        Args:
            camera: the settings of the camera, whose calibration tells the image circles where there is one.
            cache_dir: where to keep what was found in a photo, so that other processes need not decode it.

        Raises:
            DatasetError: when there is no such folder, no image in it, or a file that is no image, or whose image
                circle cannot fill that of a (width_px, height_px) image. All that are wrong are named.
            ConfigError: when something in the folder's notes is wrong, or the calibration cannot be read.
        """
        paths = photo_paths(folder)
        notes = FolderNotes.read(folder, [path.name for path in paths])
        known = camera or CameraConfig()
        opened = [_opened(Photo(path, cache_dir), notes, (width_px, height_px), known) for path in paths]
        problems = [one for one in opened if isinstance(one, str)]
        if problems:
            more = len(problems) - PROBLEMS_TOLD
            rest = [f"and {more} more of the {len(paths)} files in {folder}"] if more > 0 else []
            raise DatasetError("\n".join([*problems[:PROBLEMS_TOLD], *rest]))
        plates = tuple(one for one in opened if isinstance(one, Plate))
        _warn_of_guesses(folder, plates, known)
        _warn_of_overruled(folder, plates, known)
        return cls(plates)

    def __getitem__(self, index: int) -> Plate:
        """Return plate ``index``, modulo their number."""
        return self.plates[index % len(self.plates)]


def photo_paths(folder: Path) -> tuple[Path, ...]:
    """Return a folder's images by name.

    Raises:
        DatasetError: when there is no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise DatasetError(f"backgrounds {folder}: is not a folder; expected a folder of photos of the empty room")
    paths = tuple(sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES))
    if not paths:
        raise DatasetError(f"backgrounds {folder}: holds no image; expected {', '.join(sorted(SUFFIXES))} files")
    return paths


def _opened(photo: Photo, notes: FolderNotes, image_px: tuple[int, int], camera: CameraConfig) -> Plate | str:
    """Return a plate, or what is wrong with it."""
    path = photo.path
    try:
        size = photo.size_px()
    except DatasetError as error:
        return str(error)
    try:
        own = notes.of_photo(path.name, size)
    except ConfigError as error:
        return f"background {path}: {error}"
    lens = None
    try:
        file = camera.calibration if own.camera.calibration is None else path.parent / own.camera.calibration
        if file is None:
            circle = own.camera.circle_px or photo.circle_px(size)[0]
        else:
            lens = Calibration.read(file).of_size(size)
            circle = lens.circle(own.camera.fov_degrees or (camera.fov_degrees and camera.fov_degrees[1]))
    except ConfigError as error:
        return f"background {path}: {error}"
    except DAMAGE as error:
        return f"background {path}: is not an image that can be read ({error})"
    plate = Plate(path, size, circle, own, image_px, lens)
    return _misfit(plate) or plate


def _misfit(plate: Plate) -> str | None:
    """Return why a plate would leave some of the image circle black: where the photo does not show all of it."""
    framing, (cx, cy, radius) = plate.framing, plate.framing.circle(plate.circle_px)
    for side, centre, start in ((0, cx, framing.left_px), (1, cy, framing.top_px)):
        end = start + framing.scale * plate.photo_px[side]
        low, high = max(0.0, centre - radius), min(float(plate.image_px[side]), centre + radius)
        if max(start - low, high - end) > 2 * CIRCLE_TOLERANCE * radius:
            break
    else:
        return None
    x, y, r = plate.circle_px
    shown = [min(size, c + r) - max(0.0, c - r) for size, c in zip(plate.photo_px, (x, y), strict=True)]
    if min(shown) <= 0:
        return f"background {plate.path}: shows nothing of its image circle {list(plate.circle_px)}; right it in {FILE}"
    scale = min(wanted / has for wanted, has in zip(plate.image_px, shown, strict=True))
    fitting = [max(16, round(side * scale)) for side in shown]
    has, image = ("x".join(map(str, size)) for size in (plate.photo_px, plate.image_px))
    return (
        f"background {plate.path}: its {has} pixels show {shown[0]:.0f}x{shown[1]:.0f} of its image circle of radius "
        f"{r:.0f}, which leaves an image of {image} black in places where people may be; "
        f"set width_px={fitting[0]} and height_px={fitting[1]}, or right the circle in {FILE}"
    )


def _warn_of_guesses(folder: Path, plates: tuple[Plate, ...], settings: CameraConfig) -> None:
    bare = [plate.path.name for plate in plates if not plate.notes.is_annotated]
    cameras = {plate.path.name: plate.notes.camera for plate in plates}
    height = settings.height_m[0] == settings.height_m[1]
    unknown = [
        name
        for name, camera in cameras.items()
        if (camera.height_m is None and not height)
        or {camera.fov_degrees, camera.calibration, settings.calibration} == {None}
    ]
    lacks = []
    if bare:
        lacks.append("the floor and the furniture (people may stand in tables, and nothing hides them)")
    if unknown:
        lacks.append("the camera (its lens and height are drawn from the settings)")
    if lacks:
        count = len({*bare, *unknown})
        logging.getLogger("synthkit").warning(
            "backgrounds %s: %d of %d photos lack notes on %s; draw them with: synthkit plates annotate %s",
            folder, count, len(plates), " and ".join(lacks), folder,
        )  # fmt: skip


def _warn_of_overruled(folder: Path, plates: tuple[Plate, ...], settings: CameraConfig) -> None:
    """Tell where a calibration for all photos stands instead of what was noted on some of them."""
    if settings.calibration is None:
        return
    cameras = {plate.path.name: plate.notes.camera for plate in plates}
    overruled = [name for name, camera in cameras.items() if (camera.circle_px, camera.equisolid) != (None, None)]
    if overruled:
        logging.getLogger("synthkit").warning(
            "backgrounds %s: camera.calibration %s goes before circle_px and equisolid in %s, which %d of %d photos"
            " have, such as %s", folder, settings.calibration, FILE, len(overruled), len(plates), overruled[0],
        )  # fmt: skip
