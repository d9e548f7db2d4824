# SPDX-License-Identifier: Apache-2.0
"""A data set's files and records in Croissant's words.

Each shard is a ``FileObject`` with its sha256; what the tars hold is grouped into a ``FileSet`` for the
images, one for the descriptions and one per layer. Three kinds of ``RecordSet`` read them: ``samples``
(key, image), ``descriptions`` (key, JSON) and ``layers/NAME`` (key, image) for layers kept as PNG.

mlcroissant 1.1 reads one file set per record set inside archives, and no JSON paths there; hence boxes and
key points are told of in the words of ``descriptions``, and not as fields that nobody could read. It also
ignores ``excludes``; hence patterns that match images alone, and not the layers beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from synthkit.dataset import codec, records
from synthkit.dataset.metadata.known import Known

Node = dict[str, Any]

_NPY = "https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html"  # it has no media type
_MEDIA_TYPES = {"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "json": "application/json", "npy": _NPY}
_IMAGES = "images"
_DESCRIPTIONS = "descriptions"
_KEY = {"regex": r"^([^.]+)\."}
_ABOUT_DESCRIPTIONS = (
    "What is known about each sample, as JSON: people[] with box_xyxy_px (left, top, right, bottom edges in"
    " pixels from the image's top left corner), full_box_xyxy_px (hidden parts too), rotated_box and radial_box (cx,"
    " cy, w, h in pixels, degrees clockwise), head_px, keypoints (x_px, y_px, world_m), floor_m (metres), instance"
    " (value in the layer 'instances'), visible_fraction, occluder and identity; camera; meta (sources,"
    " licences). What is not known is left out."
)
_ABOUT_LAYERS = {
    "instances": "0 where there is nobody, n where the person with 'instance' n is seen.",
    "background": "The picture without its people.",
    "alpha": "Coverage by people, 255 where covered fully.",
    "attention": "How much of a pixel a refiner attended, 255 for all of it, 0 also where it did not look.",
    "amodal": "Bit n - 1 is set where the person with 'instance' n is, seen or hidden.",
    "depth": "Metres along the ray, 0 where there is none, float32.",
    "normals": "128 + 127 n for the unit normal n in camera axes (x right, y down, z away), 0 0 0 where there is none.",
    "surface": "1 + the vertex of the MPFB base mesh that is seen, 0 where there is none.",
    "surface_smpl": "1 + the vertex of SMPL's halved mesh (27,554) that is seen, 0 where there is none.",
}


def distribution(known: Known, prefix: str) -> list[Node]:
    """Return the shards and the sets of files in them.

    Args:
        prefix: what leads from the Croissant file (or from nowhere, for an address) to the data set.
    """
    shards = [_shard(record, prefix) for record in known.records]
    inside = [{"@id": shard["@id"]} for shard in shards]
    counted = known.samples
    sets = []
    if counted.images:
        sets.append(_file_set(_IMAGES, inside, sorted(counted.images), _image_patterns(known)))
    sets.append(_file_set(_DESCRIPTIONS, inside, [codec.JSON_SUFFIX], [f"*.{codec.JSON_SUFFIX}"]))
    sets += [_file_set(f"layers/{suffix}", inside, [suffix], [f"*.{suffix}"]) for suffix in sorted(counted.layers)]
    return [*shards, *sets]


def record_sets(known: Known) -> list[Node]:
    """Return how samples are read from the files."""
    found = []
    if known.samples.images:
        found.append(_record_set("samples", _IMAGES, "image", "sc:ImageObject", "Every image with its key."))
    found.append(_record_set(_DESCRIPTIONS, _DESCRIPTIONS, "json", "sc:Text", _ABOUT_DESCRIPTIONS))
    for suffix in sorted(known.samples.layers):
        layer, _, kind = suffix.rpartition(".")
        if kind == "png":
            about = _ABOUT_LAYERS.get(layer, f"The layer {layer!r} of every image that has it.")
            types = ["cr:SegmentationMask", "sc:ImageObject"] if layer == "instances" else "sc:ImageObject"
            found.append(_record_set(f"layers/{layer}", f"layers/{suffix}", "image", types, about))
    return found


def _shard(record: records.ShardRecord, prefix: str) -> Node:
    name = records.tar_name(record.shard)
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": prefix + name,
        "contentSize": f"{record.bytes} B",
        "encodingFormat": "application/x-tar",
        "sha256": record.sha256,
    }


def _file_set(name: str, inside: list[Node], suffixes: Sequence[str], patterns: Sequence[str]) -> Node:
    node: Node = {
        "@type": "cr:FileSet",
        "@id": f"files/{name}",
        "containedIn": inside,
        "encodingFormat": sorted({_media_type(suffix) for suffix in suffixes}),
        "includes": list(patterns),
    }
    layer = name.removeprefix("layers/").rpartition(".")[0]
    return node | ({"description": _ABOUT_LAYERS[layer]} if layer in _ABOUT_LAYERS else {})


def _image_patterns(known: Known) -> list[str]:
    """Return patterns of the images' names: keys have no dots, layers' names do."""
    layered = {suffix.rpartition(".")[2] for suffix in known.samples.layers}
    patterns = []
    for suffix in sorted(known.samples.images):
        if suffix in layered:
            patterns += [f"{'[!.]' * length}.{suffix}" for length in sorted(known.samples.key_lengths)]
        else:
            patterns.append(f"*.{suffix}")
    return patterns


def _record_set(name: str, files: str, field: str, types: str | list[str], about: str) -> Node:
    source = {"fileSet": {"@id": f"files/{files}"}}
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": about,
        "key": {"@id": f"{name}/key"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{name}/key",
                "name": "key",
                "dataType": "sc:Text",
                "source": {**source, "extract": {"fileProperty": "filename"}, "transform": _KEY},
            },
            {
                "@type": "cr:Field",
                "@id": f"{name}/{field}",
                "name": field,
                "dataType": types,
                "source": {**source, "extract": {"fileProperty": "content"}},
            },
        ],
    }


def _media_type(suffix: str) -> str:
    return _MEDIA_TYPES.get(suffix.rpartition(".")[2], "application/octet-stream")
