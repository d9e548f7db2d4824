# SPDX-License-Identifier: Apache-2.0
"""Show people who were made anew below the originals, eight in a row; docs/generating.md has the command.

python docs/images/make_generated.py docs/images/generated.png judged/small/originals judged/small/identities KEY...
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from synthkit.dataset import Dataset

COLUMNS = 8


def main() -> None:
    """Read the command line and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the PNG to write")
    parser.add_argument("originals", type=Path, help="data set of crops")
    parser.add_argument("made", type=Path, help="data set of the same crops with others in them")
    parser.add_argument("keys", nargs="+", help="of crops, a multiple of 8 of them; or 'all'")
    parser.add_argument("--scale", type=int, default=2)
    args = parser.parse_args()
    originals, made = (
        {sample.key: sample.image for sample in Dataset.open(path)} for path in (args.originals, args.made)
    )
    keys = list(originals) if args.keys == ["all"] else args.keys
    rows = []
    for start in range(0, len(keys) - COLUMNS + 1, COLUMNS):
        chosen = keys[start : start + COLUMNS]
        rows += [np.concatenate([images[key] for key in chosen], axis=1) for images in (originals, made)]
    sheet = np.concatenate(rows).repeat(args.scale, axis=0).repeat(args.scale, axis=1)
    Image.fromarray(sheet).save(args.out, optimize=True)


if __name__ == "__main__":
    main()
