# SPDX-License-Identifier: Apache-2.0
"""Data sets on disk: WebDataset tars with an index and a commit record each, and a manifest.

::

    dataset.json            identity, notes, and, when finished, the summary
    shards/000000.tar       KEY.png|jpg  KEY.json  KEY.LAYER.png|npy
    shards/000000.idx.npz   keys, digests and places
    shards/000000.json      the commit record
"""

from __future__ import annotations

from synthkit.dataset.codec import CodecConfig
from synthkit.dataset.reader import Dataset
from synthkit.dataset.records import Manifest, Summary
from synthkit.dataset.spool import SceneSpool
from synthkit.dataset.writer import DatasetWriter

__all__ = ["CodecConfig", "Dataset", "DatasetWriter", "Manifest", "SceneSpool", "Summary"]
