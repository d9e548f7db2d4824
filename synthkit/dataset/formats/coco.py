# SPDX-License-Identifier: Apache-2.0
"""COCO: boxes, masks and key points in one JSON, recognised here, read and written next door.

* ``bbox`` is (left, top, width, height) in pixels counted from the image's corner, as ours.
* Key points count pixels by their centres: a COCO 3 is our 3.5. Their flag v is 0 unknown, 1 hidden, 2 seen.
* Masks are polygons or run lengths down the columns.
* Ids begin with 1: evaluators take 0 for "none".
* What COCO has no field for stands under the key ``synthkit`` of images and annotations, and a rotated box
  under ``rotated_box`` (cx, cy, w, h, degrees clockwise). Programs that do not know these pass them over.
"""

from __future__ import annotations

import mmap
import re
from pathlib import Path

from synthkit.dataset.formats.base import Format
from synthkit.dataset.formats.coco_read import label_files, read
from synthkit.dataset.formats.coco_write import write

_FIRST_BOX = re.compile(rb'"bbox"\s*:\s*\[([^\]]{0,400})\]')


def recognises(folder: Path) -> bool:
    """Return whether a folder has JSON files with categories, whose first box has no angle."""
    return any(_is_coco(path) for path in label_files(folder))


def _is_coco(path: Path) -> bool:
    """Look at as little of a file as is needed: these files can have gigabytes."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            box = _FIRST_BOX.search(text)
            return (box is None or box[1].count(b",") != 4) and text.find(b'"categories"') >= 0
    except (OSError, ValueError):  # not to be read, or empty
        return False


FORMAT = Format("coco", "COCO JSON: boxes, masks and key points", recognises, read, write, has_classes=True)
