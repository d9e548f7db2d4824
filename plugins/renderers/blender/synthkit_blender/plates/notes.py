# SPDX-License-Identifier: Apache-2.0
"""``plates.toml``: what people noted about the photos of a folder, in pixels of these.

What stands at the top of the file goes for every photo; a table ``[photos."NAME"]`` adds to it or replaces it for one.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import attrs

from synthkit import config
from synthkit.config import between, setting
from synthkit.errors import ConfigError
from synthkit_blender.config.camera import FOVS_DEGREES, HEIGHTS_M, LEANS_DEGREES
from synthkit_blender.polygons import crossing

FILE = "plates.toml"
Point = tuple[float, float]
Kind = Literal["occluder", "table", "seat"]
PHOTOS, FURNITURE = "photos", "furniture"
HEADING = "# What stands at the top goes for every photo here; a table of a photo goes before it."
_STRING_OR_COMMENT = re.compile(
    r"""
    \"{3} (?: \\. | [^\\] )*? \"{3}  |  '{3} .*? '{3}  |
    " (?: \\. | [^"\\\n] )* "  |  ' [^'\n]* '  |
    (?P<comment> \# [^\n]* )
    """,
    re.DOTALL | re.VERBOSE,
)
MOST_CORNERS = 200  # of an outline: cutting it up takes time with the third power of these
LEAST_RADIUS_PX = 3
LARGEST_PX = 1e6
SIZE_TOLERANCE = 0.005  # by how much a photo's sides may differ from those the points were drawn on


def _outline(_: Any, __: Any, value: tuple[Point, ...]) -> None:
    if not value:
        return
    if len(value) < 3:
        raise ValueError(f"must have three or more corners, got {len(value)}")
    if len(value) > MOST_CORNERS:
        raise ValueError(f"must have at most {MOST_CORNERS} corners, got {len(value)}")
    if (edges := crossing(value)) is not None:
        raise ValueError(f"its edges {edges[0]} and {edges[1]} cross (edge n runs from corner n to the next)")


def _circle(_: Any, __: Any, value: tuple[float, float, float]) -> None:
    if not LEAST_RADIUS_PX <= value[2] <= LARGEST_PX:
        limits = f"from {LEAST_RADIUS_PX} to {LARGEST_PX:g}"
        raise ValueError(f"must be [centre x, centre y, radius] with a radius {limits}, got {list(value)}")


def _sides(_: Any, __: Any, value: tuple[int, int]) -> None:
    if min(value) < 1:
        raise ValueError(f"must be [width, height], both at least 1, got {list(value)}")


def _lines(_: Any, __: Any, value: tuple[tuple[Point, ...], ...]) -> None:
    for number, line in enumerate(value):
        if len(line) < 2:
            raise ValueError(f"line {number} must have two or more points, got {len(line)}")


def _beside(_: Any, __: Any, value: str) -> None:
    if not value or value.startswith(".") or set(value) & set("/\\:"):
        raise ValueError(f"must be the name of a file beside the photos, got {value!r}")


@attrs.frozen
class PhotoCamera:
    """The camera that took a photo; what is not known here is drawn from the renderer's ``camera`` settings."""

    circle_px: tuple[float, float, float] | None = setting(
        None, help="image circle: centre x, centre y, radius; none: found in the photo",
        validator=attrs.validators.optional(_circle),
    )  # fmt: skip
    calibration: str | None = setting(
        None, help="name of a calibration of cv2.fisheye beside the photos, instead of circle_px and equisolid",
        validator=attrs.validators.optional(_beside),
    )  # fmt: skip
    fov_degrees: float | None = setting(
        None, help="field of view across the image circle", validator=attrs.validators.optional(between(*FOVS_DEGREES))
    )
    equisolid: float | None = setting(
        None, help="1 equisolid lens, 0 equidistant, -1 stereographic, or between",
        validator=attrs.validators.optional(between(-1, 1)),
    )  # fmt: skip
    height_m: float | None = setting(
        None, help="height over the floor", validator=attrs.validators.optional(between(*HEIGHTS_M))
    )
    tilt_degrees: float | None = setting(
        None, help="how far its axis leans from straight down to the photo's top",
        validator=attrs.validators.optional(between(*LEANS_DEGREES)),
    )  # fmt: skip
    roll_degrees: float | None = setting(
        None, help="how far its axis leans from straight down to the photo's right",
        validator=attrs.validators.optional(between(*LEANS_DEGREES)),
    )  # fmt: skip

    def __attrs_post_init__(self) -> None:
        if self.calibration is not None and (self.circle_px, self.equisolid) != (None, None):
            raise ValueError("calibration says what circle_px and equisolid say; leave these or it out")


@attrs.frozen
class Furniture:
    """A thing in the photo that people keep off, and behind or under which they vanish.

    Its outline is drawn around its upper face, as it is seen; its sides go straight down.
    """

    kind: Kind = setting("occluder", help="occluder: solid down to the floor; table: open below; seat: sat on")
    height_m: float = setting(help="of the upper face over the floor; of a seat, where one sits",
                              validator=between(0.02, 6))  # fmt: skip
    outline_px: tuple[Point, ...] = setting(help="corners of the upper face", validator=_outline)
    facing_px: Point | None = setting(None, help="seats: a point, at the seat's height, that sitters face")
    name: str = setting("", help="for you to know it by")

    def __attrs_post_init__(self) -> None:
        if not self.outline_px:
            raise ValueError("outline_px must have three or more corners")
        if self.kind == "seat" and self.facing_px is None:
            raise ValueError("a seat needs facing_px, a point that its sitters face")
        if self.kind != "seat" and self.facing_px is not None:
            raise ValueError(f"facing_px is for seats, this is kind={self.kind!r}")


@attrs.frozen
class PhotoNotes:
    """What is known about one photo."""

    size_px: tuple[int, int] | None = setting(
        None, help="width and height of the photo that points were drawn on; none: the photo's own",
        validator=attrs.validators.optional(_sides),
    )  # fmt: skip
    camera: PhotoCamera = setting(attrs.Factory(PhotoCamera), help="the camera that took it")
    floor_px: tuple[Point, ...] = setting(
        (), help="corners of the floor, also where furniture hides it", validator=_outline
    )
    walls: bool = setting(True, help="whether walls stand around the floor")
    walls_px: tuple[tuple[Point, ...], ...] = setting(
        (), help="lines along the feet of walls, instead of the whole outline of the floor", validator=_lines
    )
    ceiling_m: float | None = setting(
        None, help="height of the walls; none: as high as the camera hangs",
        validator=attrs.validators.optional(between(1.5, 15)),
    )  # fmt: skip
    furniture: tuple[Furniture, ...] = setting((), help="tables, seats and what else stands there")

    @property
    def is_annotated(self) -> bool:
        """Whether somebody drew anything."""
        return bool(self.floor_px or self.furniture)

    def moved(self, scale: float, shift: Point, size_px: tuple[int, int]) -> PhotoNotes:
        """Return the same notes in other pixels: ``scale`` times these plus ``shift``, of an image of a size."""

        def at(points: Iterable[Point]) -> tuple[Point, ...]:
            return tuple((x * scale + shift[0], y * scale + shift[1]) for x, y in points)

        circle = self.camera.circle_px
        if circle is not None:
            circle = (*at([circle[:2]])[0], circle[2] * scale)
        return attrs.evolve(
            self,
            size_px=size_px,
            camera=attrs.evolve(self.camera, circle_px=circle),
            floor_px=at(self.floor_px),
            walls_px=tuple(map(at, self.walls_px)),
            furniture=tuple(
                attrs.evolve(
                    thing,
                    outline_px=at(thing.outline_px),
                    facing_px=None if thing.facing_px is None else at([thing.facing_px])[0],
                )
                for thing in self.furniture
            ),
        )


@attrs.frozen
class FolderNotes:
    """What ``plates.toml`` says: plain values for every photo, and for some by name."""

    common: Mapping[str, Any] = attrs.field(factory=dict)
    photos: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict)

    @classmethod
    def read(cls, folder: Path, names: Iterable[str]) -> FolderNotes:
        """Read a folder's notes, none where there is no such file, and check all of them.

        Args:
            names: of the folder's photos.

        Raises:
            ConfigError: naming everything that is wrong with the file.
        """
        path = folder / FILE
        if not path.exists():
            return cls()
        values = config.load_toml(path)
        problems: list[str] = []
        notes = cls.of(values, sorted(names), problems)
        if problems:
            raise ConfigError([f"{path}: {problem}" for problem in problems])
        return notes

    @classmethod
    def of(cls, values: Mapping[str, Any], names: list[str], problems: list[str]) -> FolderNotes:
        """Return notes from plain values, noting in ``problems`` what is wrong with them."""
        common = {key: value for key, value in values.items() if key != PHOTOS}
        photos = values.get(PHOTOS, {})
        with config.collected(problems):
            structured(common)
        if not isinstance(photos, Mapping):
            problems.append(f"{PHOTOS}: expected a table of photos, each by its name, got {photos!r}")
            return cls(common)
        broken = bool(problems)
        for name, own in photos.items():
            where = f'{PHOTOS}."{name}"'
            if name not in names:
                problems.append(f"{where}: there is no such photo{config.nearest(name, names)}")
            if not isinstance(own, Mapping):
                problems.append(f"{where}: expected a table, got {own!r}")
                continue
            with config.collected(problems):
                # What is wrong at the top is told once, not again for each photo.
                structured(own if broken else _merged(common, own), where)
        return cls(common, {name: own for name, own in photos.items() if isinstance(own, Mapping)})

    def of_photo(self, name: str, size_px: tuple[int, int]) -> PhotoNotes:
        """Return the notes on a photo, in its own pixels.

        Raises:
            ConfigError: when points were drawn on a photo of another shape.
        """
        notes = structured(_merged(self.common, self.photos.get(name, {})))
        drawn = notes.size_px or size_px
        factor = math.sqrt(size_px[0] * size_px[1] / (drawn[0] * drawn[1]))
        if any(abs(a * factor - b) > max(1.0, SIZE_TOLERANCE * b) for a, b in zip(drawn, size_px, strict=True)):
            was, own = ("x".join(map(str, size)) for size in (drawn, size_px))
            raise ConfigError([f"{FILE}: points were drawn on a photo of {was}, and {name} is {own}: another shape"])
        return notes.moved(factor, (0.0, 0.0), size_px)


def structured(values: Mapping[str, Any], path: str = "") -> PhotoNotes:
    """Return the notes in plain values.

    Raises:
        ConfigError: naming everything that is wrong.
    """
    problems: list[str] = []
    things = values.get(FURNITURE, [])
    where = f"{path}.{FURNITURE}" if path else FURNITURE
    furniture: list[Furniture] = []
    if not isinstance(things, list | tuple):
        problems.append(f"{where}: expected [[{FURNITURE}]] tables, got {things!r}")
        things = []
    for number, thing in enumerate(things):
        with config.collected(problems):
            furniture.append(config.structure(Furniture, thing, path=f"{where}[{number}]"))
    notes = PhotoNotes()
    with config.collected(problems):
        notes = config.structure(PhotoNotes, {k: v for k, v in values.items() if k != FURNITURE}, path=path)
    if problems:
        raise ConfigError(problems)
    return attrs.evolve(notes, furniture=tuple(furniture))


def comments(text: str) -> list[str]:
    """Return the comments that somebody wrote into a ``plates.toml``, which ``as_toml`` knows nothing of."""
    found = (match["comment"] for match in _STRING_OR_COMMENT.finditer(text))
    return [comment for comment in found if comment is not None and comment.strip() != HEADING]


def as_toml(notes: FolderNotes) -> str:
    """Return the text of a ``plates.toml``."""
    lines = [HEADING]
    lines += _table(notes.common, "")
    for name, own in sorted(notes.photos.items()):
        path = f"{PHOTOS}.{_string(name)}"
        lines += ["", f"[{path}]", *_table(own, path)]
    return "\n".join(lines) + "\n"


def _table(values: Mapping[str, Any], path: str) -> list[str]:
    """Return a table's lines: its values, then its tables."""
    lines: list[str] = []
    inner: list[str] = []
    for key, value in values.items():
        name = f"{path}.{key}" if path else key
        if isinstance(value, Mapping):
            inner += ["", f"[{name}]", *_table(value, name)]
        elif isinstance(value, list | tuple) and value and all(isinstance(item, Mapping) for item in value):
            for item in value:
                inner += ["", f"[[{name}]]", *_table(item, name)]
        else:
            lines.append(f"{key} = {_plain(value)}")
    return lines + inner


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_plain, value))}]"
    return repr(value)


def _string(text: str) -> str:
    """Return a TOML basic string: JSON's escapes are a part of TOML's, but for DEL, which TOML wants escaped too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _merged(common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    config.merge_into(values, common)
    config.merge_into(values, own)
    return values
