# SPDX-License-Identifier: Apache-2.0
"""Flickr Diverse Humans (FDH): WebDataset tars of crops of one person each; recognised here.

``train/out-000000.tar`` and ``val/…``, or the tars alone, have for each key:

* ``image.png``, 160 pixels wide and 288 high, or resampled;
* ``mask.png``: 0 where a person is to be made, anything else (1 or 255) where pixels are kept; and
  ``maskrcnn_mask.png``, the same before it was dilated;
* ``keypoints.npy`` (17, 3): COCO's points with x, y and whether they are seen. The set's own loader says
  0..1, other programs write pixels: which of the two is found out from the numbers;
* ``vertices.npy`` (H, W): the vertex, below 27,554, of the body surface that each pixel shows, where
  ``E_mask.png`` is not 0. WebDataset readers make ``e_mask.png`` of the latter.

Beside them lie ``embed_map.torch`` (27,554 x 16), which turns vertices into embeddings, and ``metadata.json``
with the licence and origin of each key; its ``cateogry`` is the split, and is really spelled so.

In a data set, layers are ``mask`` (uint8, 0 or 255), ``surface_smpl`` (1 + the vertex where it is valid, else 0) and
``instances``: the one person is where ``maskrcnn_mask`` is 0. ``meta["fdh"]`` is the key's entry of the metadata.

Ours can hold more than the original's, in fields of the metadata that others pass over: ``surface`` names the space of
the vertices where it is another one (``mpfb``, whose layer is ``surface``), and ``identity`` tells who it is.
"""

from __future__ import annotations

import itertools
from pathlib import Path

from synthkit.dataset import stores, tar
from synthkit.dataset.formats.base import Format
from synthkit.dataset.formats.fdh_read import FdhSource, first_tar
from synthkit.dataset.formats.fdh_write import write
from synthkit.errors import DatasetError

_LOOKED_AT = 12  # members: two samples
_MARKS = ("image.png", "mask.png")


def recognises(path: Path) -> bool:
    """Return whether a tar, or the first one in a folder, begins with FDH's members."""
    try:
        first = first_tar(path)
        if first is None:
            return False
        members = itertools.islice(tar.scan(stores.at(first.parent), first.name), _LOOKED_AT)
        suffixes = {member.name.rpartition("/")[2].partition(".")[2] for member in members}
    except (DatasetError, OSError):
        return False
    return suffixes.issuperset(_MARKS)


FORMAT = Format("fdh", "FDH WebDataset tars: crops with masks and surfaces", recognises, FdhSource, write)
