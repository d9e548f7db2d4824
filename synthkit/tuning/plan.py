# SPDX-License-Identifier: Apache-2.0
"""What can be fitted with some renders, and how they are shared out."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from synthkit.errors import ConfigError
from synthkit.interfaces import Component, ComponentSpec, Tunable
from synthkit.plugins import Registry
from synthkit.tuning.measuring import ROUNDS
from synthkit.tuning.space import Dial, Space, chosen

LEAST_SCENES = 24  # of all renders; with fewer nothing can be told apart
_HELD_SHARE, _HELD_LEAST, _HELD_MOST = 6, 4, 24  # one of so many is rendered with each of the two settings compared
_SCENES_LEAST, _SCENES_MOST, _SCENES_ALONE = 3, 16, 32  # of one evaluation; of the only one
_SCENES_FINISHING = 6  # at least, where many settings are fitted upon the scenes of one evaluation


@attrs.frozen
class Dials:
    """What of a renderer's settings is fitted, and how.

    Args:
        rendered: searched by rendering anew. finishing: searched upon what was rendered.
        people, sizes: measured.
    """

    rendered: Space
    finishing: Space
    people: tuple[Dial, ...]
    sizes: tuple[Dial, ...]

    @classmethod
    def of(cls, registry: Registry, spec: ComponentSpec) -> Dials:
        """Return what can be fitted of a renderer: what it declares, less what the user has set.

        Raises:
            ConfigError: when there is nothing.
        """
        component = registry.get("renderer", spec.name).component
        settings = registry.configure(spec)

        def those(fits: Sequence[str], finishing: bool) -> Space:
            def wanted(tunable: Tunable) -> bool:
                return tunable.fits in fits and (_finishes(component, tunable) == finishing)

            return chosen(component.tunable, spec.options, settings, wanted)

        searched = ("value", "centre", "range")
        found = cls(those(searched, False), those(searched, True), those(["people"], False).dials,
                    those(["size"], False).dials)  # fmt: skip
        if not component.tunable:
            raise ConfigError([f"renderer {spec.name!r} declares no settings that can be tuned"])
        if not (found.rendered.dials or found.finishing.dials or found.people or found.sizes):
            raise ConfigError([f"renderer {spec.name!r}: all that can be tuned is set already; leave some of it away"])
        return found


def _finishes(component: Component, tunable: Tunable) -> bool:
    return tunable.finishing and bool(component.finish_keeps)


def check_renders(renders: int, samples_per_scene: int) -> None:
    """Check that something can be told from so many images.

    Raises:
        ConfigError: when they are too few.
    """
    if renders // samples_per_scene < LEAST_SCENES:
        raise ConfigError([f"--renders {renders}: at least {LEAST_SCENES * samples_per_scene} are needed"])


@attrs.frozen
class Budget:
    """How the renders are shared out, in scenes: for each evaluation, how many of these, and to verify."""

    scenes: int
    evaluations: int
    held_out: int

    @classmethod
    def of(cls, renders: int, samples_per_scene: int, dials: Dials, sized: bool) -> Budget:
        """Share out ``renders`` images.

        Args:
            sized: whether sizes are to be measured, which takes rounds of their own.

        Raises:
            ConfigError: when they are too few.
        """
        check_renders(renders, samples_per_scene)
        total = renders // samples_per_scene
        held = min(max(total // _HELD_SHARE, _HELD_LEAST), _HELD_MOST)
        left = total - 2 * held
        size = dials.rendered.size
        rounds = ROUNDS if sized else 0
        wanted = rounds + (8 + 6 * size if size else 1)
        most = _SCENES_MOST if wanted > 1 else _SCENES_ALONE
        least = _SCENES_FINISHING if dials.finishing.size else _SCENES_LEAST
        scenes = min(max(left // wanted, least), most, left // (1 + rounds))
        return cls(scenes, (left // scenes) if size else 1 + rounds, held)

    def images(self, samples_per_scene: int) -> int:
        """Return how many images are rendered at most."""
        return (self.scenes * self.evaluations + 2 * self.held_out) * samples_per_scene
