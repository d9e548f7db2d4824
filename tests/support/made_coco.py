# SPDX-License-Identifier: Apache-2.0
"""COCO sets as strangers write them."""

from __future__ import annotations

import json

from made_sets import HEIGHT, WIDTH, image
from PIL import Image

LABELS = "annotations/instances_default.json"
"""Where ours lie."""


def foreign(folder, change=None, *, layout="val2017", labels="instances_val2017.json"):
    """Write a stranger's set of two images; ``change`` may spoil the table."""
    (folder / "annotations").mkdir(parents=True)
    (folder / layout).mkdir(parents=True, exist_ok=True)
    table = {
        "images": [{"id": 7, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT, "license": 4},
                   {"id": 9, "file_name": "b.jpg", "width": WIDTH, "height": HEIGHT}],
        "licenses": [{"id": 4, "name": "Attribution", "url": "http://example.org/by"}],
        "categories": [{"id": 1, "name": "Person"}, {"id": 18, "name": "dog"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 1, "bbox": [10, 20, 30, 40], "iscrowd": 0,
             "segmentation": [[10, 20, 40, 20, 40, 60, 10, 60]]},
            {"id": 2, "image_id": 7, "category_id": 18, "bbox": [0, 0, 5, 5], "iscrowd": 0},
            {"id": 3, "image_id": 9, "category_id": 1, "bbox": [0, 0, 2, 80], "iscrowd": 1,
             "segmentation": {"size": [HEIGHT, WIDTH], "counts": [0, 160, 9440]}},
        ],
    }  # fmt: skip
    for entry in table["images"]:
        Image.fromarray(image()).save(folder / layout / entry["file_name"])
    if change:
        change(table)
    (folder / "annotations" / labels).write_text(json.dumps(table))
    return folder
