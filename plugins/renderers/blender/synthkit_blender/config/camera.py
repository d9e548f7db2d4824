# SPDX-License-Identifier: Apache-2.0
"""Settings of where the sensor hangs and what its lens shows."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import attrs

from synthkit.camera import MISFIT_PX
from synthkit.config import all_of, between, setting
from synthkit_blender.config.limits import Range, a_file, at_most, within

LensName = Literal["mixed", "equidistant", "equisolid", "stereographic", "polynomial"]
FOVS_DEGREES, HEIGHTS_M, LEANS_DEGREES = (30.0, 220.0), (1.9, 15.0), (-60.0, 60.0)


@attrs.frozen
class CameraConfig:
    """Where the sensor hangs, and its lens; with plates, what their plates.toml does not say."""

    lens: LensName = setting("mixed", help="how the image's radius grows with the angle from the lens's axis")
    equisolid: Range = setting(
        (0.0, 0.6),
        help="lens 'mixed': 1 equisolid, 0 equidistant, -1 stereographic, or between",
        validator=within(-1, 1),
    )
    lens_polynomial: tuple[float, ...] = setting(
        (),
        help="lens 'polynomial': a1, a2, ... of the radius a1 t + a2 t^2 + ... at the angle t in radians; any scale",
        validator=all_of(at_most(12, "coefficients (fit the lens with fewer)"), between(-1e9, 1e9)),
    )
    calibration: Path | None = setting(
        None,
        help="cv2.fisheye's calibration instead of a lens by name, centre and circle: YAML, XML or JSON "
        "with camera matrix, distortion and image size",
        validator=a_file,
        decides="content",
    )
    misfit_px: float = setting(
        MISFIT_PX, help="calibration: how far the rendered lens may be from it", validator=between(0.001, 10)
    )
    fov_degrees: Range | None = setting(
        None,
        help="field of view across the image circle; by itself 180, or what a calibration holds for of that",
        validator=attrs.validators.optional(within(*FOVS_DEGREES)),
    )
    circle_share: Range = setting(
        (1.0, 1.0), help="rooms: the image circle's width, of the image's shorter side; above 1 the image crops it",
        validator=within(0.3, 2),
    )  # fmt: skip
    centre_x_share: Range = setting(
        (0.5, 0.5),
        help="rooms: where the lens's axis meets the image, of its width from the left",
        validator=within(0.2, 0.8),
    )
    centre_y_share: Range = setting(
        (0.5, 0.5),
        help="rooms: where the lens's axis meets the image, of its height from the top",
        validator=within(0.2, 0.8),
    )
    height_m: Range = setting((2.4, 3.2), help="the sensor's height over the floor", validator=within(*HEIGHTS_M))
    yaw_degrees: Range = setting(
        (0.0, 360.0), help="rooms: turn about the vertical; a plate's axes are the image's", validator=within(-360, 360)
    )
    tilt_degrees: Range = setting(
        (0.0, 0.0),
        help="how far the axis leans from straight down to the image's top",
        validator=within(*LEANS_DEGREES),
    )
    roll_degrees: Range = setting(
        (0.0, 0.0),
        help="how far the axis leans from straight down to the image's right",
        validator=within(*LEANS_DEGREES),
    )

    def __attrs_post_init__(self) -> None:
        if (self.lens == "polynomial") != bool(self.lens_polynomial):
            raise ValueError("lens 'polynomial' needs lens_polynomial, and no other lens has it")
        if self.calibration is not None and self.lens != "mixed":
            raise ValueError(f"calibration and lens {self.lens!r} both say what the lens is; leave one of them out")
