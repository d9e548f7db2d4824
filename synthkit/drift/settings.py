# SPDX-License-Identifier: Apache-2.0
"""The settings of the drift guard, light enough for every command."""

from __future__ import annotations

from typing import Literal

import attrs

from synthkit.config import between, setting

REVISION = 3
"""Raised when the same pictures measure otherwise; part of the fingerprint of everything that was guarded."""


@attrs.frozen
class GuardSettings:
    """What is done about refiners that move labels; ``docs/refining.md`` tells where the limits come from."""

    mode: Literal["on", "record", "off"] = setting(
        "on", help="drift guard: on gives people who drifted their rendered pixels back, record only notes drift"
    )
    moved: float = setting(
        0.06, help="drift guard: a person has moved when displaced edges agree so much better", validator=between(0, 1)
    )
    lost: float = setting(
        0.5, help="drift guard: a person is lost when so much of the edges is gone", validator=between(0, 1)
    )
    new: float = setting(
        0.3, help="drift guard: somebody is new where so much stands out beside the people", validator=between(0, 1)
    )
