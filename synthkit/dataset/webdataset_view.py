# SPDX-License-Identifier: Apache-2.0
"""A plain WebDataset pipeline over a data set, for training code that is built on one."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from synthkit.dataset import codec, stores
from synthkit.dataset.reader import Dataset
from synthkit.errors import DatasetError
from synthkit.sample import Sample


def pipeline(data: Dataset, *, decode: bool = True, **options: Any) -> Any:
    """Return a ``webdataset.WebDataset`` over the shards of a local set, in order.

    WebDataset's own decoders unpickle and its URLs run shells, so it gets plain paths and our decoder.
    Keys are those of ``data``, and of its layers only those it was opened with are read.

    Args:
        decode: yield ``Sample``; else the undecoded members by suffix. options: WebDataset's own, such as
            ``shardshuffle`` and ``nodesplitter``; by default nothing is shuffled, and shards are split over nodes.

    Raises:
        DatasetError: when webdataset is not installed, or the set lies at a URL.
    """
    if stores.is_url(data.location):
        raise DatasetError(f"{data.location}: WebDataset reads local files here; use Dataset.stream() for URLs")
    os.environ.setdefault("WDS_SECURE", "1")  # read when it is imported
    try:
        import webdataset
    except ImportError:
        raise DatasetError("webdataset is not installed: pip install 'synthkit-core[stream]'") from None
    wanted = functools.partial(_is_wanted, data.layers)
    options = {"shardshuffle": False, "nodesplitter": webdataset.split_by_node, "select_files": wanted, **options}
    stream = webdataset.WebDataset([data.where(n) for n in range(len(data.shards))], **options)
    stream = stream.compose(_with_our_keys)
    return stream.map(_decoded) if decode else stream


def _is_wanted(layers: tuple[str, ...] | None, name: str) -> bool:
    return codec.is_wanted(name.rpartition("/")[2].partition(".")[2].lower(), layers)


def _with_our_keys(samples: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield samples under the keys that the index gives them: folders are part of a key."""
    for members in samples:
        yield {**members, "__key__": members["__key__"].removeprefix("./").replace("/", "_")}


def _decoded(members: Mapping[str, Any]) -> Sample:
    stored = {name: value for name, value in members.items() if not name.startswith("__")}
    return codec.decode(members["__key__"], stored, where=str(members.get("__url__", "a WebDataset")))
