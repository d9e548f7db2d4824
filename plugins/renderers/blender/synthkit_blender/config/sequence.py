# SPDX-License-Identifier: Apache-2.0
"""Settings of clips."""

from __future__ import annotations

import attrs

from synthkit.config import between, setting


@attrs.frozen
class SequenceConfig:
    """Whether a scene is one image or a clip of several."""

    frames: int = setting(1, help="images of each scene: 1 is a still, more are a clip", validator=between(1, 1000))
    fps: float = setting(10.0, help="images a second of a clip", validator=between(0.1, 120))

    @property
    def times_s(self) -> tuple[float, ...]:
        """When each image is taken, the first at 0."""
        return tuple(n / self.fps for n in range(self.frames))
