# SPDX-License-Identifier: Apache-2.0
"""A sample's truth as JSON and back: declared decimals, sorted keys, and unknown keys kept.

Keys that this version does not know are carried in ``Sample.meta[UNKNOWN]`` and
``Person.attributes[UNKNOWN]``, and stand in their own places again when the sample is written.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.camera import FisheyeCamera
from synthkit.dataset.limits import MAX_JSON_DEPTH, MAX_SAMPLE_JSON_BYTES
from synthkit.sample import Keypoint, Person, RotatedBox, Sample, Sidecar

SCHEMA = 1
UNKNOWN = "synthkit.unknown"

PIXEL_DECIMALS = 3
METRE_DECIMALS = 4
DEGREE_DECIMALS = 4
FRACTION_DECIMALS = 4
CAMERA_DIGITS = 12  # significant, for the camera's coefficients and pose
FREE_DIGITS = 9  # significant, for meta and attributes

_TOO_DEEP = f"is nested deeper than {MAX_JSON_DEPTH} levels"
_CAMERA_MODEL = "fisheye-polynomial"
_CAMERA_FIELDS = (
    "width_px", "height_px", "cx_px", "cy_px", "theta_coefficients", "max_theta_rad", "world_from_camera",
)  # fmt: skip
_CAMERA_KEYS = frozenset({"model", *_CAMERA_FIELDS})
_SAMPLE_KEYS = frozenset({"schema", "people", "camera", "sequence", "frame", "time_s", "meta"})
_PERSON_KEYS = frozenset(field.name for field in attrs.fields(Person))
_KEYPOINT_KEYS = frozenset(field.name for field in attrs.fields(Keypoint))


def to_json(sample: Sample | Sidecar) -> bytes:
    """Return everything of a sample or sidecar but its arrays and its key, as canonical UTF-8 JSON.

    Raises:
        ValueError: when ``meta`` or ``attributes`` hold what JSON cannot (NaN, objects), saying where.
    """
    meta = dict(sample.meta)
    unknown = meta.pop(UNKNOWN, {})
    table: dict[str, Any] = {"schema": SCHEMA}
    if sample.people is not None:
        table["people"] = [_person_table(person, f"people[{i}]") for i, person in enumerate(sample.people)]
    table |= _place_table(sample)
    if meta:
        table["meta"] = plain(meta, "meta")
    _restore(table, plain(unknown, "meta"), _SAMPLE_KEYS)
    text = dump(table)
    if len(text) > MAX_SAMPLE_JSON_BYTES:
        raise ValueError(f"its JSON has {len(text)} bytes, at most {MAX_SAMPLE_JSON_BYTES} can be stored")
    check_depth(table, text)
    return text


def dump(table: Any) -> bytes:
    """Return canonical JSON: sorted keys, no spaces, UTF-8; what is no Unicode becomes JSON escapes."""
    text = json.dumps(table, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode(errors="backslashreplace")


def load(data: bytes) -> Any:
    """Parse JSON from anywhere; NaN, Infinity and nesting deeper than ``MAX_JSON_DEPTH`` are refused.

    Raises:
        ValueError: when it is no such JSON.
    """
    try:
        value = json.loads(data, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    check_depth(value, data)
    return value


def check_depth(value: Any, text: bytes) -> None:
    """Refuse JSON values that are nested deeper than ``MAX_JSON_DEPTH``; ``text``: the same as JSON.

    Raises:
        ValueError: when they are.
    """
    if text.count(b"[") + text.count(b"{") <= MAX_JSON_DEPTH:
        return
    if b"\\" not in text and b"\0" not in text:  # UTF-8 without escapes: strings are between quotes
        deepest = _depth(np.frombuffer(text, np.uint8))
        if deepest > MAX_JSON_DEPTH:
            raise ValueError(_TOO_DEEP)
        return
    level = [value]
    for _ in range(MAX_JSON_DEPTH):
        level = [
            item
            for one in level
            if isinstance(one, dict | list)
            for item in (one.values() if isinstance(one, dict) else one)
            if isinstance(item, dict | list)
        ]
        if not level:
            return
    raise ValueError(_TOO_DEEP)


def _depth(text: npt.NDArray[np.uint8]) -> int:
    """Return how deep JSON without escapes is nested; faster than going through the values."""
    inside = np.bitwise_xor.accumulate(text == ord('"')).view(np.int8)
    folded = text | 0x20  # [ and { become {, ] and } become }
    steps = (folded == ord("{")).view(np.int8) - (folded == ord("}")).view(np.int8)
    return int(np.cumsum(steps * (1 - inside), dtype=np.int32).max(initial=0))


def from_json(data: bytes) -> dict[str, Any]:
    """Return the arguments of ``Sample`` that a description holds.

    JSON without ``schema`` is a stranger's: its values become ``meta``, and nothing else is known.

    Raises:
        ValueError: when the JSON is damaged, of a newer schema, or breaks a rule of the types.
    """
    if len(data) > MAX_SAMPLE_JSON_BYTES:
        raise ValueError(f"its JSON of {len(data)} bytes is refused, at most {MAX_SAMPLE_JSON_BYTES} are expected")
    table = load(data)
    if not isinstance(table, dict) or "schema" not in table:
        return {"meta": table if isinstance(table, dict) else {"json": table}}
    if table["schema"] != SCHEMA:
        raise ValueError(f"schema {table['schema']!r} is not known, expected {SCHEMA}; a newer synthkit wrote it")
    try:
        return _sample_arguments(table)
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"the description is damaged: {type(error).__name__}: {error}") from None


def plain(value: Any, where: str) -> Any:
    """Return JSON values with floats at ``FREE_DIGITS``; ``where`` names the value in errors.

    Raises:
        ValueError: for what is no JSON value.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{where} is {value}, expected a finite number")
        return _digits(value, FREE_DIGITS)
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise ValueError(f"{where} has keys that are no text")
        return {key: plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    raise ValueError(f"{where} is of type {type(value).__name__}, expected a JSON value")


def _place_table(sample: Sample | Sidecar) -> dict[str, Any]:
    """Return where and when an image was taken, as far as it is known; of the camera only samples tell."""
    time_s = None if sample.time_s is None else _digits(sample.time_s, FREE_DIGITS)
    known = sample.camera if isinstance(sample, Sample) else None
    camera = None if known is None else _camera_table(known)
    sequence, frame = plain(sample.sequence, "sequence"), plain(sample.frame, "frame")
    return _known({"camera": camera, "sequence": sequence, "frame": frame, "time_s": time_s})


def _person_table(person: Person, where: str) -> dict[str, Any]:
    attributes = dict(person.attributes)
    unknown = attributes.pop(UNKNOWN, {})
    table = _known(
        {
            "instance": plain(person.instance, f"{where}.instance"),
            "identity": plain(person.identity, f"{where}.identity"),
            "head_px": _rounded(person.head_px, PIXEL_DECIMALS),
            "head_box_xyxy_px": _rounded(person.head_box_xyxy_px, PIXEL_DECIMALS),
            "box_xyxy_px": _rounded(person.box_xyxy_px, PIXEL_DECIMALS),
            "rotated_box": _rotated_table(person.rotated_box),
            "radial_box": _rotated_table(person.radial_box),
            "full_box_xyxy_px": _rounded(person.full_box_xyxy_px, PIXEL_DECIMALS),
            "floor_m": _rounded(person.floor_m, METRE_DECIMALS),
            "occluder": plain(person.occluder, f"{where}.occluder"),
        }
    )
    if person.visible_fraction is not None:
        table["visible_fraction"] = _round(person.visible_fraction, FRACTION_DECIMALS)
    if person.keypoints:
        table["keypoints"] = {name: _keypoint_table(point) for name, point in person.keypoints.items()}
    if attributes:
        table["attributes"] = plain(attributes, f"{where}.attributes")
    _restore(table, plain(unknown, f"{where}.attributes"), _PERSON_KEYS)
    return table


def _rotated_table(box: RotatedBox | None) -> list[float] | None:
    if box is None:
        return None
    degrees = _round(box.degrees, DEGREE_DECIMALS)
    if degrees >= 90:  # rounding must not leave the half-open range
        degrees -= 180
    return [_round(v, PIXEL_DECIMALS) for v in box.as_tuple()[:4]] + [degrees]


def _rotated(values: Any) -> RotatedBox | None:
    return None if values is None else RotatedBox(*_list(values))


def _keypoint_table(point: Keypoint) -> dict[str, Any]:
    table: dict[str, Any] = {
        "x_px": _round(point.x_px, PIXEL_DECIMALS),
        "y_px": _round(point.y_px, PIXEL_DECIMALS),
    }
    return table | _known(
        {"visible": plain(point.visible, "visible"), "world_m": _rounded(point.world_m, METRE_DECIMALS)}
    )


def _camera_table(camera: FisheyeCamera) -> dict[str, Any]:
    return {
        "model": _CAMERA_MODEL,
        "width_px": int(camera.width_px),
        "height_px": int(camera.height_px),
        "cx_px": _digits(camera.cx_px, CAMERA_DIGITS),
        "cy_px": _digits(camera.cy_px, CAMERA_DIGITS),
        "theta_coefficients": [_digits(c, CAMERA_DIGITS) for c in camera.theta_coefficients],
        "max_theta_rad": _digits(camera.max_theta_rad, CAMERA_DIGITS),
        "world_from_camera": [[_digits(v, CAMERA_DIGITS) for v in row] for row in camera.world_from_camera],
    }


def _sample_arguments(table: dict[str, Any]) -> dict[str, Any]:
    unknown = {key: value for key, value in table.items() if key not in _SAMPLE_KEYS}
    camera_table = table.get("camera")
    camera = None
    if isinstance(camera_table, dict) and camera_table.get("model") == _CAMERA_MODEL:
        camera = _camera(dump(camera_table))
        extra = {key: value for key, value in camera_table.items() if key not in _CAMERA_KEYS}
        unknown |= {"camera": extra} if extra else {}
    elif camera_table is not None:  # a model of a later version: carried, not understood
        unknown["camera"] = camera_table
    meta = dict(_table(table.get("meta", {})))
    if unknown:
        meta[UNKNOWN] = unknown
    people = table.get("people")
    return {
        "people": None if people is None else tuple(_person(_table(p)) for p in _list(people)),
        "camera": camera,
        "sequence": _typed(table.get("sequence"), str),
        "frame": _typed(table.get("frame"), int),
        "time_s": _number(table.get("time_s")),
        "meta": meta,
    }


@functools.lru_cache(maxsize=64)  # checking a lens takes longer than decoding a small image
def _camera(text: bytes) -> FisheyeCamera:
    table = json.loads(text)
    camera = FisheyeCamera(**{name: table[name] for name in _CAMERA_FIELDS})
    _camera_table(camera)  # numbers that could not be written again are refused
    return camera


def _person(table: dict[str, Any]) -> Person:
    unknown = {key: value for key, value in table.items() if key not in _PERSON_KEYS}
    points, odd_points = {}, {}
    for name, point in _table(table.get("keypoints", {})).items():
        odd = _table(point).keys() - _KEYPOINT_KEYS
        points[name] = Keypoint(**({key: point[key] for key in point if key not in odd} if odd else point))
        if odd:
            odd_points[name] = {key: point[key] for key in sorted(odd)}
    if odd_points:
        unknown["keypoints"] = odd_points
    attributes = dict(_table(table.get("attributes", {})))
    if unknown:
        attributes[UNKNOWN] = unknown
    return Person(
        instance=_typed(table.get("instance"), int),
        identity=_typed(table.get("identity"), str),
        head_px=table.get("head_px"),
        head_box_xyxy_px=table.get("head_box_xyxy_px"),
        box_xyxy_px=table.get("box_xyxy_px"),
        rotated_box=_rotated(table.get("rotated_box")),
        radial_box=_rotated(table.get("radial_box")),
        full_box_xyxy_px=table.get("full_box_xyxy_px"),
        floor_m=table.get("floor_m"),
        keypoints=points,
        visible_fraction=_number(table.get("visible_fraction")),
        occluder=table.get("occluder"),
        attributes=attributes,
    )


def _restore(table: dict[str, Any], unknown: dict[str, Any], known: frozenset[str]) -> None:
    """Put carried keys back; inside a known key only where that key still has a value."""
    for key, value in unknown.items():
        if key not in known:
            table[key] = value
        elif key not in table:
            if key == "camera" and "model" in value:
                table[key] = value
        elif isinstance(value, dict) and isinstance(table[key], dict):
            for name, item in value.items():
                if isinstance(item, dict) and isinstance(table[key].get(name), dict):
                    table[key][name] = item | table[key][name]
                elif key == "camera":
                    table[key].setdefault(name, item)


def _known(table: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if value is not None}


def _round(value: float, decimals: int) -> float:
    return round(float(value), decimals) + 0.0  # no negative zero


def _rounded(values: tuple[float, ...] | None, decimals: int) -> list[float] | None:
    return None if values is None else [_round(v, decimals) for v in values]


def _digits(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}") + 0.0


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"expected a table, got {str(value)[:40]!r}")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, got {str(value)[:40]!r}")
    return value


def _typed(value: Any, kind: type) -> Any:
    if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
        raise TypeError(f"expected {kind.__name__}, got {str(value)[:40]!r}")
    return value


def _number(value: Any) -> float | None:
    return None if value is None else float(_typed(value, (int, float)))  # type: ignore[arg-type]
