# SPDX-License-Identifier: Apache-2.0
"""Pascal VOC: an XML file of boxes per image.

* ``Annotations/NAME.xml`` beside ``JPEGImages/NAME.jpg``; some sets have both in one folder.
* Boxes are whole pixels, counted from 1, the last one included: the columns 10..19 of an image, which we
  call left = 10 and right = 20, are xmin = 11 and xmax = 20. Boxes are rounded outwards to whole pixels.
* A set in which a 0 occurs cannot count from 1; its numbers are taken for edges as ours.
* Heads are objects of the class ``head`` after their person, as detectors want them; a person's own part
  ``head``, of VOC's layout task, is read too.
* roLabelImg's ``robndbox`` (cx, cy, w, h, angle in radians, clockwise) is read as a rotated box.
* ``ImageSets/Main`` tells the splits. What the list ``trainval`` alone holds is for training, or for validation
  where a list for training leaves it.
* Documents with a DTD are refused.
"""

from __future__ import annotations

from pathlib import Path

from synthkit.dataset.formats.base import Format
from synthkit.dataset.formats.voc_read import label_files, read
from synthkit.dataset.formats.voc_write import write

_HEAD_BYTES = 4096


def recognises(folder: Path) -> bool:
    """Return whether the first XML file is an annotation."""
    for path in label_files(folder)[:1]:
        try:
            with path.open("rb") as file:
                return b"<annotation" in file.read(_HEAD_BYTES)
        except OSError:
            return False
    return False


FORMAT = Format("voc", "Pascal VOC XML", recognises, read, write, has_classes=True)
