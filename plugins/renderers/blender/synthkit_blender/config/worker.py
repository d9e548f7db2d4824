# SPDX-License-Identifier: Apache-2.0
"""Settings of the process that runs Blender."""

from __future__ import annotations

from pathlib import Path

import attrs

from synthkit.config import at_least, setting


@attrs.frozen
class WorkerConfig:
    """The process that runs Blender; none of this decides about the images."""

    python: Path | None = setting(
        None, help="Python with synthkit-blender-worker installed; none is this one", decides="nothing"
    )
    blender: Path | None = setting(
        None, help="an installed Blender (4.5 or newer) that runs the worker, instead of a Python", decides="nothing"
    )
    timeout_s: float = setting(
        300.0, help="a frame that takes longer is given up", validator=at_least(0.05), decides="nothing"
    )
    memory_mb: float = setting(
        6000.0, help="a frame that takes more resident memory is given up", validator=at_least(100), decides="nothing"
    )
    recycle_after: int = setting(
        500, help="frames after which the process is replaced", validator=at_least(1), decides="nothing"
    )

    def __attrs_post_init__(self) -> None:
        if self.python is not None and self.blender is not None:
            raise ValueError("set python or blender, not both")
