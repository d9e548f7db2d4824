# SPDX-License-Identifier: Apache-2.0
"""YOLO: a text file of boxes per image, upright (``yolo``) or as four corners (``yolo-obb``).

* ``images/…/NAME.jpg`` has its labels in ``labels/…/NAME.txt``, or beside it where no folder is called images.
* A line is ``class cx cy w h``, or ``class x1 y1 x2 y2 x3 y3 x4 y4``: fractions of the image's width and height.
* Class numbers are explained by ``names`` in ``data.yaml``, or by the lines of ``classes.txt`` or ``obj.names``.
* An image without label file is one whose people are unknown; an empty file says that nobody is there.
* Trainers turn images as EXIF says before they look at labels; so do we.
* Trainers reject a whole image for one number outside 0..1, so boxes are cut at the image's edges. Corners
  of rotated boxes may stand out, and are kept.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from synthkit.dataset.formats.base import Format
from synthkit.dataset.formats.yolo_read import columns_of, read
from synthkit.dataset.formats.yolo_write import write_boxes, write_corners

_BOX_FIELDS, _CORNER_FIELDS = 5, 9


def recognises(folder: Path) -> bool:
    """Return whether there are class names, and label files of numbers, if any, but not of four corners.

    Key points, polygons and results have other numbers of fields; reading tells what to do about them.
    """
    return columns_of(folder) not in (None, _CORNER_FIELDS)


def recognises_corners(folder: Path) -> bool:
    """Return whether there are class names, and label files whose first line has nine fields."""
    return columns_of(folder) == _CORNER_FIELDS


FORMAT = Format(
    "yolo",
    "YOLO text files, upright boxes",
    recognises,
    partial(read, "yolo", _BOX_FIELDS),
    write_boxes,
    has_classes=True,
)
CORNERS_FORMAT = Format(
    "yolo-obb",
    "YOLO text files, rotated boxes by corners",
    recognises_corners,
    partial(read, "yolo-obb", _CORNER_FIELDS),
    write_corners,
    has_classes=True,
)
