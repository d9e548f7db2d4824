# SPDX-License-Identifier: Apache-2.0
"""What a renderer reads before it renders: plates, panoramas, motions, people; all that is wrong is told at once."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from synthkit.errors import ConfigError, DatasetError
from synthkit.seeds import Seeds
from synthkit_blender.config import BlenderConfig, CameraConfig
from synthkit_blender.environments import Panorama, open_environments
from synthkit_blender.optics import check_lens
from synthkit_blender.people import BodyLibrary
from synthkit_blender.people.assets.licences import UNKNOWN, is_non_commercial
from synthkit_blender.people.capture import Repertoire
from synthkit_blender.people.cast.company import CONVERT_FBX, Cast
from synthkit_blender.plates import Plates
from synthkit_blender.scene import plate_camera, plate_space


@attrs.frozen(eq=False)
class Inputs:
    """What a renderer reads before it renders.

    Args:
        repertoire: poses of motion capture. cast: people from files.
    """

    plates: Plates | None = None
    panoramas: tuple[Panorama, ...] = ()
    repertoire: Repertoire | None = None
    cast: Cast | None = None

    @classmethod
    def opened(cls, config: BlenderConfig, cache_dir: Path) -> Inputs:
        """Read what settings name, and tell what of it somebody should know.

        Raises:
            DatasetError: for a lens that cannot be rendered, and plates, motions, panoramas and a cast that cannot be
                read, all at once.
        """
        plates, panoramas, repertoire, cast = None, tuple[Panorama, ...](), None, None
        problems: dict[str, None] = {}
        with _noted(problems):
            if config.backgrounds is not None:
                plates = _plates(config, cache_dir)
            else:
                check_lens(config.camera, config.width_px, config.height_px)
        with _noted(problems):
            if config.light.environments is not None:
                panoramas = open_environments(config.light.environments)
        with _noted(problems):
            repertoire = motions(config.people.motions, clips=config.sequence.frames > 1)
        with _noted(problems):
            cast = _cast(config.people.cast, cache_dir / "blender-people")
        _tell(problems)
        return cls(plates, panoramas, repertoire, cast)


def _plates(config: BlenderConfig, cache_dir: Path) -> Plates:
    """Return the plates of a folder; what was noted is looked at through both ends of what cameras may be."""
    assert config.backgrounds is not None
    plates = Plates.open(
        config.backgrounds, config.width_px, config.height_px, config.camera, cache_dir / "blender-plates"
    )
    problems: dict[str, None] = {}
    for end in (0, 1):
        at_end = attrs.evolve(config, camera=_end_of_ranges(config.camera, end))
        for plate in plates.plates:
            with _noted(problems):
                plate_space(at_end, plate, plate_camera(at_end, plate, Seeds(0)))
    _tell(problems)
    return plates


def _end_of_ranges(config: CameraConfig, end: int) -> CameraConfig:
    """Return a camera's settings with each (low, high) drawn at one end."""
    values = {field.name: getattr(config, field.name) for field in attrs.fields(CameraConfig)}
    del values["lens_polynomial"]
    ends: dict[str, Any] = {name: (v[end], v[end]) for name, v in values.items() if isinstance(v, tuple)}
    return attrs.evolve(config, **ends)


def motions(folder: Path | None, *, clips: bool) -> Repertoire | None:
    """Return the poses of a folder of motion capture; tell which files have none, and of a licence to know about.

    In clips captured poses stand only: who walks there walks by the library's stride, which goes on.
    """
    if folder is None:
        return None
    tell, repertoire = logging.getLogger("synthkit").warning, Repertoire.of(folder)
    if clips:
        repertoire = attrs.evolve(repertoire, frames={"standing": repertoire.frames["standing"]})
    if left_out := list(repertoire.left_out.values()):
        more = "" if len(left_out) <= 3 else "; ..."
        tell("%s: %d files are left out: %s%s", folder, len(left_out), "; ".join(left_out[:3]), more)
    if repertoire.licence == UNKNOWN:
        tell("%s: no LICENSE file tells the licence of the motions: records say unknown", folder)
    if is_non_commercial(repertoire.licence):
        tell("%s: the motions allow no commercial use (%s)", folder, repertoire.licence)
    return repertoire


def _cast(folder: Path | None, cache_dir: Path) -> Cast | None:
    """Return the people of a folder, and tell what of their licences somebody should know."""
    if folder is None:
        return None
    cast = Cast.open(folder, cache_dir)
    if cast.unread:
        logging.getLogger("synthkit").warning("%s: %d .fbx files are not read; %s", folder, cast.unread, CONVERT_FBX)
    _warn_of_licences(folder, cast.licences, "people")
    return cast


def warn_of_assets(library: BodyLibrary, folder: Path | None) -> None:
    """Tell what of a folder of assets cannot be used, and what of their licences somebody should know."""
    if folder is None:
        return
    tell, assets = logging.getLogger("synthkit").warning, library.catalogue.assets
    if not assets:
        tell("%s: no assets for people in it; expected MakeHuman's folders with .mhclo and .mhmat files", folder)
    if library.left_out:
        reasons = "; ".join(library.left_out[name] for name in sorted(library.left_out)[:3])
        tell("%s: %d assets are left out: %s%s", folder, len(library.left_out), reasons,
             "" if len(library.left_out) <= 3 else "; ...")  # fmt: skip
    _warn_of_licences(folder, {asset.name: asset.licence for asset in assets}, "assets")


def _warn_of_licences(folder: Path, licences: Mapping[str, str], what: str) -> None:
    tell = logging.getLogger("synthkit").warning
    unknown = [name for name, licence in licences.items() if licence == UNKNOWN]
    if unknown:
        tell("%s: %d %s state no licence, such as %s: records say unknown", folder, len(unknown), what, unknown[0])
    limited = [f"{name} ({licence})" for name, licence in licences.items() if is_non_commercial(licence)]
    if limited:
        tell("%s: %d %s allow no commercial use, such as %s", folder, len(limited), what, limited[0])


@contextlib.contextmanager
def _noted(problems: dict[str, None]) -> Iterator[None]:
    """Note what is wrong with settings and inputs, each once, instead of raising it."""
    try:
        yield
    except (ConfigError, DatasetError) as error:
        problems |= dict.fromkeys(str(error).splitlines())


def _tell(problems: dict[str, None]) -> None:
    if problems:
        raise DatasetError("\n".join(problems))
