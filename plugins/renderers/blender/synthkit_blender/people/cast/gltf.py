# SPDX-License-Identifier: Apache-2.0
"""Reading glTF 2.0: the document, its arrays and images, from a .glb or .gltf file of unknown origin.

Source: Khronos Group, glTF 2.0 Specification (2021), sections 3.6 (binary data), 4.4 (binary glTF), 5 (properties).
Of it this reads what a rigged body needs, strictly: every number is looked at before it counts or points at anything,
every array's extent is checked against its buffer before it is read, and no file outside the folder is opened.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import struct
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from synthkit_blender.people.assets.files import MAX_IMAGE_BYTES, AssetError, AssetFolder

MAX_FILE_BYTES = 128 << 20
MAX_JSON_BYTES = 16 << 20
MAX_ITEMS = 1_000_000  # of one array
FORMATS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
# What a file may require: these change no more than the look, or only how numbers are stored.
BEARABLE = ("KHR_materials_", "KHR_mesh_quantization", "KHR_texture_transform")
_MAGIC, _JSON_CHUNK, _BIN_CHUNK = b"glTF", 0x4E4F534A, 0x004E4942


class GltfError(AssetError):
    """A file is no glTF 2.0 file that can be used; the message says where and why."""


class Document:
    """A parsed document; everything that it refers to is looked up through this."""

    def __init__(self, folder: AssetFolder, path: Path) -> None:
        self._folder, self.path = folder, path
        data = folder.read(path, MAX_FILE_BYTES)
        text, self._binary = _chunks(data) if data[:4] == _MAGIC else (data, None)
        self._root = _parsed(text)
        self._buffers: dict[int, bytes] = {}
        version = str(self.table(self._root, "asset").get("version", ""))
        if not version.startswith("2."):
            raise GltfError(f"is of glTF version {version[:10]!r}; expected 2.0")
        for name in self.items(self._root, "extensionsRequired", 100):
            if not str(name).startswith(BEARABLE):
                raise GltfError(f"requires the extension {str(name)[:60]!r}; export it without (no compression)")

    @property
    def asset(self) -> dict[str, Any]:
        """What the file says about itself."""
        return self.table(self._root, "asset")

    def table(self, holder: dict[str, Any], key: str) -> dict[str, Any]:
        """Return the object at a key, empty where there is none."""
        found = holder.get(key, {})
        if not isinstance(found, dict):
            raise GltfError(f"{key} is {_short(found)}; expected an object")
        return found

    def items(self, holder: dict[str, Any], key: str, most: int) -> list[Any]:
        """Return the list at a key, empty where there is none."""
        found = holder.get(key, [])
        if not isinstance(found, list) or len(found) > most:
            raise GltfError(f"{key} is {_short(found)}; expected a list of at most {most}")
        return found

    def all(self, key: str, most: int = 65_536) -> list[dict[str, Any]]:
        """Return the document's objects of a kind, such as "nodes"."""
        found = self.items(self._root, key, most)
        if not all(isinstance(item, dict) for item in found):
            raise GltfError(f"{key} holds something else than objects")
        return found

    def at(self, key: str, number: Any) -> dict[str, Any]:
        """Return one of the document's objects by its number."""
        found = self.all(key)
        return found[whole(number, f"a number of {key}", len(found) - 1)]

    def numbers(self, holder: dict[str, Any], key: str, default: tuple[float, ...]) -> NDArray[np.float64]:
        """Return a short list of finite numbers, as long as its default."""
        found = holder.get(key, default)
        if not (isinstance(found, list | tuple) and len(found) == len(default) and all(map(_finite, found))):
            raise GltfError(f"{key} is {_short(found)}; expected {len(default)} numbers")
        return np.array(found, np.float64)

    def number(self, holder: dict[str, Any], key: str, default: float) -> float:
        """Return a finite number."""
        found = holder.get(key, default)
        if not _finite(found):
            raise GltfError(f"{key} is {_short(found)}; expected a number")
        return float(found)

    def array(self, number: Any, width: int, most: int = MAX_ITEMS) -> NDArray[Any]:
        """Return an accessor's array (N, width); integers that stand for fractions come as these."""
        accessor = self.at("accessors", number)
        form = FORMATS.get(accessor.get("componentType", 0)) if _is_int(accessor.get("componentType")) else None
        kind = accessor.get("type")
        if form is None or not isinstance(kind, str) or WIDTHS.get(kind) != width:
            raise GltfError(f"accessor {number} is of {_short(kind)}; expected {width} numbers an item")
        if "sparse" in accessor or "bufferView" not in accessor:
            raise GltfError(f"accessor {number} is sparse or has no data, which is not supported")
        count = whole(accessor.get("count"), f"the count of accessor {number}", most)
        view = self.at("bufferViews", accessor["bufferView"])
        data = self._view(view)
        dtype = np.dtype(form)
        size = dtype.itemsize * width
        stride = whole(view.get("byteStride", size), "a byteStride", 4096)
        start = whole(accessor.get("byteOffset", 0), "a byteOffset", len(data))
        if stride < size or (count and start + stride * (count - 1) + size > len(data)):
            raise GltfError(f"accessor {number} reaches out of its buffer")
        found: NDArray[Any] = np.ndarray((count, width), dtype, data, start, (stride, dtype.itemsize)).copy()
        if dtype.kind == "f":
            if not np.isfinite(found).all() or np.abs(found, out=found.copy()).max(initial=0) > 1e7:
                raise GltfError(f"accessor {number} has impossible numbers")
        elif accessor.get("normalized") is True:
            return np.asarray(np.maximum(found / np.float32(np.iinfo(dtype).max), -1), np.float32)
        return found

    def image(self, number: Any) -> bytes:
        """Return the bytes of an image's file."""
        image = self.at("images", number)
        if "bufferView" in image:
            return bytes(self._view(self.at("bufferViews", image["bufferView"])))
        return self._resource(image.get("uri"), MAX_IMAGE_BYTES)

    def _view(self, view: dict[str, Any]) -> memoryview:
        buffer = self._buffer(view.get("buffer"))
        start = whole(view.get("byteOffset", 0), "a byteOffset", len(buffer))
        length = whole(view.get("byteLength"), "a byteLength", len(buffer) - start)
        return memoryview(buffer)[start : start + length]

    def _buffer(self, number: Any) -> bytes:
        declared = self.at("buffers", number)
        if number not in self._buffers:
            own = number == 0 and "uri" not in declared and self._binary is not None
            data = self._binary if own else self._resource(declared.get("uri"), MAX_FILE_BYTES)
            assert data is not None
            self._buffers[number] = data[: whole(declared.get("byteLength"), "a buffer's byteLength", len(data))]
        return self._buffers[number]

    def _resource(self, uri: Any, most_bytes: int) -> bytes:
        if not isinstance(uri, str):
            raise GltfError("has data without a place")
        if uri.startswith("data:"):
            head, _, body = uri.partition(",")
            try:
                return base64.b64decode(body, validate=True) if head.endswith(";base64") else unquote(body).encode()
            except (binascii.Error, ValueError):
                raise GltfError("has a data URI that is no base64") from None
        return self._folder.read(self._folder.beside(self.path, unquote(uri)), most_bytes)


def whole(value: Any, what: str, most: int) -> int:
    """Return a whole number from 0 to `most`.

    Raises GltfError for anything else.
    """
    if not _is_int(value) or not 0 <= value <= most:
        raise GltfError(f"{what} is {_short(value)}; expected a whole number from 0 to {most}")
    return int(value)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e7


def _short(value: Any) -> str:
    return "missing" if value is None else repr(value)[:60] if not isinstance(value, dict | list) else "something else"


def _chunks(data: bytes) -> tuple[bytes, bytes | None]:
    """Return the JSON and the binary chunk of binary glTF."""
    if len(data) < 20:
        raise GltfError("ends within its header")
    version, length = struct.unpack_from("<II", data, 4)
    if version != 2 or length > len(data):
        raise GltfError(f"is binary glTF {version} of {length} bytes, with {len(data)} there; expected version 2")
    found: list[tuple[int, bytes]] = []
    at = 12
    while at + 8 <= length and len(found) < 2:
        size, kind = struct.unpack_from("<II", data, at)
        if at + 8 + size > length:
            raise GltfError("ends within a chunk")
        found.append((kind, data[at + 8 : at + 8 + size]))
        at += 8 + size
    if not found or found[0][0] != _JSON_CHUNK:
        raise GltfError("has no JSON chunk first")
    return found[0][1], found[1][1] if len(found) > 1 and found[1][0] == _BIN_CHUNK else None


def _parsed(text: bytes) -> dict[str, Any]:
    if len(text) > MAX_JSON_BYTES:
        raise GltfError(f"has more than {MAX_JSON_BYTES >> 20} MB of JSON")
    try:
        root = json.loads(text.decode("utf-8"), parse_constant=lambda name: math.nan)
    except (ValueError, RecursionError):
        raise GltfError("is no glTF: neither its binary form nor JSON") from None
    if not isinstance(root, dict):
        raise GltfError("is no glTF: its JSON is no object")
    return root
