# SPDX-License-Identifier: Apache-2.0
"""Embedders that are known by name: what their files must be, and how pictures go into them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import attrs

from synthkit.embedders.cards import EmbedderCard
from synthkit.weights import Pretrained


@attrs.frozen
class Known:
    """A published network: its file, and its card."""

    weights: Pretrained
    card: EmbedderCard


_OSNET = Known(
    Pretrained(
        name="osnet_x0_25_msmt17",
        file="osnet_x0_25_msmt17.onnx",
        sha256="dddd73c80b78e24ef982f9c352c1947b42d67433887011e8eb33a00313edef5e",
        architecture="OSNet x0.25 (Zhou et al., ICCV 2019), torchreid's, trained on MSMT17; 512 numbers",
        licence="MIT (torchreid); trained on MSMT17, whose terms are for research",
        source="https://github.com/KaiyangZhou/deep-person-reid",
        url="https://github.com/czqosu/person_tracking/raw/7963365cb156e8cd669ac377c532a6ebebd3939e/models/osnet_x0_25_msmt17.onnx",
    ),
    EmbedderCard(),
)
KNOWN: Mapping[str, Known] = MappingProxyType({known.weights.name: known for known in (_OSNET,)})
"""By name."""
