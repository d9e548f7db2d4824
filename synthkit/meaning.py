# SPDX-License-Identifier: Apache-2.0
"""Whether a metric's number means what it seems to."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from synthkit.errors import PluginError
from synthkit.interfaces import MetricResult

PUBLISHED = frozenset({"fid", "clean_fid", "fid_clip", "kid", "clean_kid", "inception_score", "lpips"})
"""Names of published scores: what bears one must come from the published network."""

MOST_APART = 2
"""How many times larger than the other one of two sets may be, for their distance to be compared with others."""


def check_name(metric: str, result: MetricResult) -> None:
    """Refuse a result that borrows a published name.

    Raises:
        PluginError: when its extractor is a stand-in, or is not told.
    """
    name = re.split(r"[^a-z0-9_]", result.name.lower().replace("-", "_").replace(" ", "_"))[0]
    if not any(name == known or name.startswith(f"{known}_") for known in PUBLISHED):
        return
    if result.extractor is None or result.extractor.sha256 is None:
        raise PluginError(f"metric {metric!r} calls a result {result.name!r} and does not tell by which weights")
    if result.extractor.stand_in_for:
        raise PluginError(
            f"metric {metric!r} calls a result {result.name!r}, but {result.extractor.name} only stands in for"
            f" {result.extractor.stand_in_for}: numbers of stand-ins must not bear a published name"
        )


def check_value(metric: str, result: MetricResult) -> None:
    """Refuse a result that is no number: it would be printed, compared and written as JSON that none reads.

    Raises:
        PluginError: when its value is not finite.
    """
    if not math.isfinite(result.value):
        raise PluginError(
            f"metric {metric!r} gives {result.value} for {result.name!r}: what it was measured on, or the weights of"
            " its network, may be damaged"
        )


def cautions_of(counts: Mapping[str, int], fingerprints: Mapping[str, str]) -> tuple[str, ...]:
    """Return why a number that compares two sets may mean little.

    Args:
        counts: items by role. fingerprints: of the data sets, by role.
    """
    cautions = []
    if len(fingerprints) > 1 and len(set(fingerprints.values())) == 1:
        cautions.append("a set is compared with itself")
    sizes = [counts[role] for role in ("candidate", "reference") if role in counts]
    if len(sizes) > 1 and max(sizes) > MOST_APART * min(sizes):
        cautions.append(
            f"{sizes[0]} items are compared with {sizes[1]}: only numbers of sets of like sizes can be compared"
        )
    return tuple(cautions)
