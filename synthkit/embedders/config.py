# SPDX-License-Identifier: Apache-2.0
"""The settings that name an embedder."""

from __future__ import annotations

from pathlib import Path

import attrs

from synthkit.config import setting
from synthkit.own_networks import known

EMBEDDERS = ("osnet_x0_25_msmt17",)


@attrs.frozen
class EmbedderConfig:
    """Which network tells people apart."""

    embedder: str = setting(
        "osnet_x0_25_msmt17",
        help=f"the network that tells people apart: {', '.join(EMBEDDERS)}, FILE.onnx, or pkg.mod:Class of a torch"
        " module",
        validator=known("embedder", EMBEDDERS),
    )
    weights: Path | None = setting(
        None, help="file or folder of its weights; none looks in the usual places", decides="nothing"
    )
    card: Path | None = setting(
        None,
        help="what goes into FILE.onnx or a class, in TOML or JSON; none: the .toml or .json beside the file, or"
        " 128 x 256 with ImageNet's mean and deviation for a class",
        decides="content",
    )
