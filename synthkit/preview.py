# SPDX-License-Identifier: Apache-2.0
"""One scene of a renderer as one picture: its image, its truth, and every layer."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from synthkit import config
from synthkit.dataset import storage
from synthkit.dataset.tools.outputs import check_file
from synthkit.errors import ConfigError, WorkError
from synthkit.interfaces import ComponentSpec
from synthkit.report.drawing import Picture, draw, grid
from synthkit.report.layers import picture
from synthkit.sample import Sample
from synthkit.seeds import Seeds
from synthkit.session import Session

COLUMNS = 3
_CAPTION_PX = 20
_SOFTWARE = "synthkit preview"  # known by it, a picture may be written anew


@attrs.frozen
class Preview:
    """What was shown: the picture's file, the sample's key, how many people are seen, and how long it took."""

    path: Path
    key: str
    people: int
    seconds: float


def check_picture(out: Path) -> None:
    """Check that the picture can be written.

    Raises:
        ConfigError: when ``out`` is not named as PNG, is somebody else's file, or is where nothing can be written.
    """
    if out.suffix.lower() != ".png":
        raise ConfigError([f"--out {out}: expected a name that ends in .png"])
    check_file(out, "--out", lambda found: _SOFTWARE.encode() in found[:4096])


def preview(session: Session, renderer: ComponentSpec, scene: int, out: Path) -> Preview:
    """Render one scene as a run would, with the settings a renderer has for previews under the given ones.

    Raises:
        ConfigError: as ``check_picture`` does, before anything is rendered. WorkError: when the scene is skipped.
    """
    check_picture(out)
    spec = _spec(session, renderer)
    seeds = Seeds(session.run.seed).child("renderer").child("scene", scene)
    started = time.perf_counter()
    with session.entered(spec) as component:
        session.progress("preview", 0, 1)
        first = next(iter(component.render(scene, seeds)))
    session.progress("preview", 1, 1)
    seconds = time.perf_counter() - started
    if not isinstance(first, Sample):
        raise WorkError(f"scene {scene}: {first.reason}")
    _write(sheet(first), out)
    seen = sum(person.instance is not None for person in first.people or ())
    return Preview(out, first.key, seen, seconds)


def _spec(session: Session, renderer: ComponentSpec) -> ComponentSpec:
    """Return the renderer with all that it can show, where the user's settings allow it."""
    component = session.registry.get("renderer", renderer.name).component
    options: dict[str, Any] = {}
    for settings in (component.preview, renderer.options):
        config.merge_into(options, _copied(settings))
    wanted = attrs.evolve(renderer, options=options)
    try:
        session.registry.configure(wanted, path="renderer")
    except ConfigError as error:
        session.tell(f"not all can be shown with these settings: {error}")
        return renderer
    return wanted


def _copied(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copied(item) if isinstance(item, Mapping) else item for key, item in value.items()}


def sheet(sample: Sample) -> Picture:
    """Return the image, the same with its truth, and each layer, captioned, in rows of ``COLUMNS``."""
    panels = [("image", sample.image), ("truth", draw(sample))]
    panels += [(name, picture(sample, name)) for name in sorted(sample.layers)]
    return grid([_captioned(text, shown) for text, shown in panels], COLUMNS)


def _captioned(text: str, shown: Picture) -> Picture:
    height, width = shown.shape[:2]
    canvas = Image.new("RGB", (width, height + _CAPTION_PX), "white")
    canvas.paste(Image.fromarray(shown), (0, _CAPTION_PX))
    ImageDraw.Draw(canvas).text((4, 2), text, fill="black", font=ImageFont.load_default(14))
    return np.asarray(canvas)


def _write(shown: Picture, out: Path) -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Software", _SOFTWARE)
    buffer = io.BytesIO()
    Image.fromarray(shown).save(buffer, "PNG", pnginfo=notes)
    with storage.disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    storage.write_atomically(out, [buffer.getvalue()])
