# SPDX-License-Identifier: Apache-2.0
"""A plain WebDataset pipeline over a data set, for training code that is built on one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from synthkit.dataset import codec, stores
from synthkit.dataset.reader import Dataset
from synthkit.errors import DatasetError
from synthkit.sample import Sample


def pipeline(data: Dataset, *, decode: bool = True, **options: Any) -> Any:
    """Return a ``webdataset.WebDataset`` over the shards of a local set, in order.

    WebDataset's own decoders unpickle and its URLs run shells, so it gets plain paths and our decoder.

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
    options = {"shardshuffle": False, "nodesplitter": webdataset.split_by_node, **options}
    stream = webdataset.WebDataset([data.where(n) for n in range(len(data.shards))], **options)
    return stream.map(_decoded) if decode else stream


def _decoded(members: Mapping[str, Any]) -> Sample:
    stored = {name: value for name, value in members.items() if not name.startswith("__")}
    return codec.decode(members["__key__"], stored, where=str(members.get("__url__", "a WebDataset")))
