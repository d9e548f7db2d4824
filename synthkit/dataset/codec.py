# SPDX-License-Identifier: Apache-2.0
"""Samples to tar members and back: PNG or JPEG, JSON and plain npy; nothing in them is ever executed.

A sample's members are ``KEY.png`` or ``KEY.jpg``, ``KEY.json`` (see ``description.py``) and one
``KEY.LAYER.png`` or ``KEY.LAYER.npy`` per layer: PNG for 8-bit layers and 16-bit single channels.
"""

from __future__ import annotations

import functools
import hashlib
import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.config import between, setting
from synthkit.dataset import description, images
from synthkit.errors import DatasetError
from synthkit.sample import Sample, Sidecar

IMAGE_SUFFIXES = ("png", "jpg", "jpeg", "image.png", "image.jpg", "image.jpeg")
JSON_SUFFIX = "json"

_LAYER_NAME = re.compile(r"[a-z][a-z0-9_]*")  # readers lower-case what follows the key's dot
_LAYER_SUFFIX = re.compile(r"([a-z][a-z0-9_]*)\.(png|npy)")
_NPY_HEADER = re.compile(
    rb"\{'descr': '([<>|=]?[a-zA-Z?]\d{0,4})', 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,15}, ?)*\d{0,15})\),? ?\}\s*"
)
_MAX_NPY_HEADER_BYTES = 10_000

MAX_LAYERS = 64  # of one sample
MAX_LAYER_PIXELS = 4 * images.MAX_PIXELS  # of all PNG layers of one sample; an npy is as large as its file


@attrs.frozen
class CodecConfig:
    """How samples are stored."""

    image_format: Literal["png", "jpg"] = setting("png", help="format of the images: png (lossless) or jpg")
    jpeg_quality: int = setting(95, help="quality of jpg images", validator=between(1, 100))


@attrs.frozen
class Encoded:
    """A sample's members as (suffix, bytes) in their order, and the sha256 digest of its content."""

    key: str
    members: tuple[tuple[str, bytes], ...]
    content: bytes


def encode(sample: Sample | Sidecar, config: CodecConfig, stored: tuple[str, bytes] | None = None) -> Encoded:
    """Return a sample (or sidecar) as members; the same one gives the same bytes within one environment.

    Args:
        stored: the image as it is to be kept, ``png`` or ``jpg`` and bytes that decode to it; None compresses it.

    Raises:
        DatasetError: when it holds what cannot be stored, naming its key.
    """
    members: list[tuple[str, bytes]] = []
    pixels = None
    try:
        text = description.to_json(sample)
        if isinstance(sample, Sample):
            images.checked_size(*sample.size_px)
            suffix, image = stored or (config.image_format, _image_bytes(sample.image, config))
            members.append((suffix, image))
            # A JPEG's pixels depend on its decoder; its bytes identify it better.
            pixels = sample.image if suffix == "png" else np.frombuffer(image, np.uint8)
        layers = [(name, _stored(name, sample.layers[name])) for name in sorted(sample.layers)]
        _check_amount([layer.shape[1::-1] for _, layer in layers if _is_png(layer)], len(layers))
    except (ValueError, TypeError, AttributeError) as error:
        raise DatasetError(f"sample {sample.key}: cannot be stored: {error}") from None
    members.append((JSON_SUFFIX, text))
    members += [_layer_member(name, layer) for name, layer in layers]
    return Encoded(sample.key, tuple(members), _digest(sample.key, text, pixels, layers))


def image_file(members: Mapping[str, bytes]) -> tuple[str, bytes] | None:
    """Return a sample's image as ``encode`` takes it over, ``png`` or ``jpg`` and bytes, None where there is none."""
    suffix = next((s for s in IMAGE_SUFFIXES if s in members), None)
    if suffix is None:
        return None
    return ("png" if suffix.endswith("png") else "jpg"), members[suffix]


def decode(key: str, members: Mapping[str, bytes], *, where: str) -> Sample:
    """Return the sample whose members are given by suffix; unknown suffixes are ignored.

    Args:
        key: the sample's key. where: what names the archive in errors.

    Raises:
        DatasetError: naming archive and key, when a member is damaged, refused or does not fit.
    """
    suffix = next((s for s in IMAGE_SUFFIXES if s in members), None)
    if suffix is None:
        raise DatasetError(f"{where}: sample {key} has no image ({', '.join(IMAGE_SUFFIXES)})")
    try:
        image = images.decode(members[suffix], rgb=True)
        height, width, _ = image.shape
        layers = _decoded_layers(_layers(members, suffix), (width, height))
        known = description.from_json(members[JSON_SUFFIX]) if JSON_SUFFIX in members else {}
        return Sample(key=key, image=image, layers=layers, **known)
    except (ValueError, TypeError) as error:
        raise DatasetError(f"{where}: sample {key} cannot be read: {error}") from None


def decode_sidecar(key: str, members: Mapping[str, bytes], *, where: str) -> Sidecar:
    """Return the sidecar whose members are given by suffix.

    Raises:
        DatasetError: naming archive and key, when a member is damaged or refused.
    """
    try:
        layers = _decoded_layers(_layers(members, ""), None)
        known = description.from_json(members[JSON_SUFFIX]) if JSON_SUFFIX in members else {}
        known.pop("camera", None)  # which only samples have
        return Sidecar(key=key, layers=layers, **known)
    except (ValueError, TypeError) as error:
        raise DatasetError(f"{where}: sidecar {key} cannot be read: {error}") from None


def without_place(error: Exception, where: str, key: str) -> str:
    """Return what an error of ``decode`` or ``decode_sidecar`` says, but for the archive and the key."""
    return str(error).removeprefix(f"{where}: sample {key} ").removeprefix(f"{where}: sidecar {key} ")


def content_digest(sample: Sample | Sidecar, members: Mapping[str, bytes]) -> bytes:
    """Return the digest of a decoded sample or sidecar, equal to the one ``encode`` gave.

    Args:
        sample: as decoded, with all its layers. members: what it was decoded from.
    """
    pixels: npt.NDArray[Any] | None = None
    if isinstance(sample, Sample):
        pixels = sample.image
        if "png" not in members:
            suffix = next(s for s in IMAGE_SUFFIXES if s in members)
            pixels = np.frombuffer(members[suffix], np.uint8)
    layers = [(name, sample.layers[name]) for name in sorted(sample.layers)]
    return _digest(sample.key, members.get(JSON_SUFFIX, b""), pixels, layers)


@functools.lru_cache(maxsize=1024)  # asked for every member, and always of a few kinds
def is_wanted(suffix: str, layers: tuple[str, ...] | None) -> bool:
    """Return whether a member is needed when only some layers (None: all) are asked for."""
    match = _LAYER_SUFFIX.fullmatch(suffix)
    if suffix == JSON_SUFFIX or suffix in IMAGE_SUFFIXES:
        return True
    return match is not None and (layers is None or match[1] in layers)


def decode_layer(kind: str, data: bytes) -> npt.NDArray[Any]:
    """Return a layer from ``png`` or ``npy`` bytes.

    Raises:
        ValueError: when they are damaged, of another kind, too large, or hold objects.
    """
    return decode_npy(data) if kind == "npy" else images.decode(data, rgb=False)


def _decoded_layers(
    found: list[tuple[str, str, bytes]], image_px: tuple[int, int] | None
) -> dict[str, npt.NDArray[Any]]:
    """Return layers by name; their headers are checked before anything is unpacked.

    Args:
        found: (name, kind, bytes) of each. image_px: the size they must have; None: any, as of sidecars.
    """
    sizes = []
    for name, kind, data in found:
        if kind == "png":
            sizes.append(images.size_px(data))
            if image_px not in (None, sizes[-1]):
                raise ValueError(f"layer {name!r} is of {sizes[-1]} pixels, the image of {image_px}")
    _check_amount(sizes, len(found))
    return {name: decode_layer(kind, data) for name, kind, data in found}


def _check_amount(png_sizes_px: Sequence[Sequence[int]], count: int) -> None:
    """Refuse layers, of which some are PNG of those sizes, that together are more than a reader takes."""
    if count > MAX_LAYERS:
        raise ValueError(f"{count} layers are refused, at most {MAX_LAYERS} are expected")
    pixels = sum(math.prod(images.checked_size(width, height)) for width, height in png_sizes_px)
    if pixels > MAX_LAYER_PIXELS:
        raise ValueError(f"layers of {pixels} pixels in all are refused, at most {MAX_LAYER_PIXELS} are expected")


def _layers(members: Mapping[str, bytes], image_suffix: str) -> list[tuple[str, str, bytes]]:
    found = []
    for suffix, data in members.items():
        match = _LAYER_SUFFIX.fullmatch(suffix)
        if match and suffix != image_suffix:
            found.append((match[1], match[2], data))
    return found


def _stored(name: str, layer: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a layer as it will be read back: little-endian, contiguous, instances in 8 bits if they fit."""
    if not _LAYER_NAME.fullmatch(name) or name == "image":
        raise ValueError(f"layer name {name!r} must be lower-case letters, digits and _, and not 'image'")
    if layer.dtype.kind not in "biuf":
        raise ValueError(f"layer {name!r} is of {layer.dtype}, expected plain numbers")
    if name == "instances" and layer.max(initial=0) <= 255:
        layer = layer.astype(np.uint8)
    return np.ascontiguousarray(layer, dtype=layer.dtype.newbyteorder("<"))


def _is_png(layer: npt.NDArray[Any]) -> bool:
    eight_bit = layer.dtype == np.uint8 and (layer.ndim == 2 or layer.shape[2:] == (3,))
    return eight_bit or (layer.dtype == np.uint16 and layer.ndim == 2)


def _layer_member(name: str, layer: npt.NDArray[Any]) -> tuple[str, bytes]:
    if _is_png(layer):
        return f"{name}.png", images.png(layer)
    buffer = io.BytesIO()
    np.save(buffer, layer, allow_pickle=False)
    return f"{name}.npy", buffer.getvalue()


def _image_bytes(image: npt.NDArray[np.uint8], config: CodecConfig) -> bytes:
    return images.png(image) if config.image_format == "png" else images.jpeg(image, config.jpeg_quality)


def decode_npy(data: bytes, *, kinds: str = "biuf") -> npt.NDArray[Any]:
    """Return an array from npy bytes, of one of the dtype ``kinds``; its header is not believed.

    Raises:
        ValueError: when the bytes are damaged, hold objects, or are not what the header states.
    """
    shape, fortran, dtype, start = _npy_header(data)
    if dtype.kind not in kinds:
        raise ValueError(f"an npy of {dtype} is refused, expected plain numbers")
    if any(n < 0 for n in shape) or math.prod(shape) * dtype.itemsize != len(data) - start:
        raise ValueError(f"an npy states {dtype} {shape}, which is not what it holds")
    array = np.frombuffer(data, dtype, offset=start)
    return array.reshape(shape, order="F" if fortran else "C")


def _npy_header(data: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Return shape, column order, dtype and where the numbers begin, without evaluating anything."""
    length_bytes = {b"\x01\x00": 2, b"\x02\x00": 4}.get(data[6:8], 0)
    start = 8 + length_bytes + int.from_bytes(data[8 : 8 + length_bytes], "little")
    match = _NPY_HEADER.fullmatch(data[8 + length_bytes : min(start, _MAX_NPY_HEADER_BYTES)])
    if data[:6] != b"\x93NUMPY" or not length_bytes or match is None:
        raise ValueError("an npy header is damaged, or of objects or records")
    shape = tuple(int(number) for number in match[3].replace(b" ", b"").split(b",") if number)
    try:
        dtype = np.dtype(match[1].decode())
    except TypeError:
        raise ValueError(f"an npy of unknown numbers {match[1].decode()!r} is refused") from None
    return shape, match[2] == b"True", dtype, start


def _digest(
    key: str, text: bytes, pixels: npt.NDArray[Any] | None, layers: list[tuple[str, npt.NDArray[Any]]]
) -> bytes:
    digest = hashlib.sha256()
    image = [] if pixels is None else [("image", pixels)]
    for name, array in image + layers:
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).data)
    digest.update(key.encode() + b"\n" + text)
    return digest.digest()
