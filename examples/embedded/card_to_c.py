# SPDX-License-Identifier: Apache-2.0
"""Write a detector's card as the constants that squeezedet.c needs.

python card_to_c.py detector.json > detector_card.h
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from detect import read_card


def constants(card: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of ``struct sd_card``."""
    maps = card["output"]["anchors"]
    if maps is None:
        sys.exit("the file decodes by itself; export it with --variant network")
    return {
        "width": card["input"]["size_px"][0],
        "height": card["input"]["size_px"][1],
        "stride": maps["stride"],
        "classes": len(card["classes"]),
        "anchors": len(maps["anchors"]),
        "rotated": int(maps["boxes"] == "rotated"),
        "published": int(maps["centres"] == "published"),
        "overlap": card["nms_iou"],
        "shapes": maps["anchors"],
    }


def header(card: dict[str, Any]) -> str:
    """Return a C header."""
    classes = ascii(", ".join(card["classes"])).replace("*/", "* /")  # no name may end the comment
    lines = [f"/* {classes}; best believed from score {card['operating_score']} */"]
    lines.append("static const struct sd_card SD_CARD = {")
    for name, value in constants(card).items():
        if name == "shapes":
            text = "{" + ", ".join(f"{{{w}f, {h}f}}" for w, h in ((float(w), float(h)) for w, h in value)) + "}"
        else:
            text = f"{value}f" if isinstance(value, float) else str(value)
        lines.append(f"    .{name} = {text},")
    return "\n".join([*lines, "};"]) + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.stdout.write(header(read_card(Path(sys.argv[1]))))
