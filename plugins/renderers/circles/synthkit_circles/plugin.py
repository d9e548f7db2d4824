# SPDX-License-Identifier: Apache-2.0
"""What this plugin brings: both domains of the three data sets of thesis 000, figure 5.7."""

from __future__ import annotations

from synthkit.hookspecs import hookimpl
from synthkit.interfaces import Component
from synthkit_circles.config import CirclesConfig

_VARIETIES = {
    1: (0.0, 1.0, "red circles on varying backgrounds"),
    2: (0.15, 1.0, "reddish circles on varying backgrounds"),
    3: (1.0, 0.0, "circles of every hue on one background"),
}
"""By data set: how foregrounds and backgrounds vary, and in words."""


@hookimpl
def synthkit_components() -> list[Component]:
    """Declare ``circles-x1`` to ``circles-x3``, the thesis's domains X, and ``circles-y1`` to ``circles-y3``."""
    return [
        Component(
            kind="renderer",
            name=f"circles-{domain}{number}",
            summary=f"toy domain: {words}{', all in white' if domain == 'y' else ''} (thesis 000, figure 5.7)",
            config=CirclesConfig,
            target="synthkit_circles.renderer:CirclesRenderer",
            defaults={"domain": domain, "foreground_variety": foreground, "background_variety": background},
            provides={"instances", "alpha", "background", "people.head", "people.box", "people.rotated_box"},
            preview={"size_px": 256, "circles": [3, 3]},
        )
        for domain in ("x", "y")
        for number, (foreground, background, words) in _VARIETIES.items()
    ]
