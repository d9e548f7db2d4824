# SPDX-License-Identifier: Apache-2.0
"""What is looked at before a renderer is fitted to real images; all that is wrong is told at once."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import attrs

from synthkit import config, pipeline, weights
from synthkit.dataset import Dataset
from synthkit.dataset.formats import Conversion
from synthkit.dataset.tools.outputs import check_file
from synthkit.errors import ConfigError, DatasetError
from synthkit.interfaces import ComponentSpec
from synthkit.session import Session
from synthkit.tuning.features import NETWORK_LAYERS
from synthkit.tuning.plan import Dials, check_renders
from synthkit.tuning.writing import MARK

LEAST_REAL = 4
_PACKAGES = ("cmaes", "tomli_w", "jinja2", "matplotlib")


@attrs.frozen(eq=False)
class Checked:
    """What was asked for, and can be done.

    Args:
        dials: what is fitted. samples_per_scene: of the renderer. real: the real images, opened.
        network: whose features are compared too, or nothing.
    """

    dials: Dials
    samples_per_scene: int
    real: Dataset | Conversion
    network: str


def checked(session: Session, renderer: ComponentSpec, real: str, out: Path, renders: int, extractor: str) -> Checked:
    """Look at all that the user asks for.

    Raises:
        ConfigError: naming everything that is wrong with the options, what the renderer reads, and the real images.
    """
    problems: list[str] = []
    dials, per_scene, opened = None, 1, None
    with config.collected(problems):
        dials = Dials.of(session.registry, renderer)
    with config.collected(problems):
        component = session.registry.build(renderer, session.runtime("renderer"))
        per_scene = component.samples_per_scene
        with component:  # it reads what its settings name
            pass
    with config.collected(problems):
        check_options(out, renders, extractor, per_scene)
    with config.collected(problems):
        opened = pipeline.opened_real(session, real)
        check_count(real, len(opened) if isinstance(opened, Dataset) else len(opened.source))
    if problems or dials is None or opened is None:
        raise ConfigError(problems)
    return Checked(dials, per_scene, opened, _network(extractor))


def check_options(out: Path, renders: int, extractor: str, samples_per_scene: int = 1) -> None:
    """Check the options of the command, and what it needs.

    Raises:
        ConfigError: naming everything that is wrong.
    """
    problems: list[str] = []
    if out.suffix != ".toml":
        problems.append(f"--out {out}: expected a name that ends in .toml")
    for path in (out, out.with_suffix(".html")) if out.suffix else ():
        with config.collected(problems):
            check_file(path, "--out", lambda found: MARK.encode() in found)
    with config.collected(problems):
        check_renders(renders, samples_per_scene)
    known = ("auto", "none", *NETWORK_LAYERS)
    if extractor not in known:
        problems.append(f"--extractor {extractor}: unknown{config.nearest(extractor, known)}")
    if missing := [name for name in _PACKAGES if not importlib.util.find_spec(name)]:
        problems.append(f"tuning needs {', '.join(missing)}: pip install 'synthkit-core[tune,report]'")
    if problems:
        raise ConfigError(problems)


def check_count(real: str, images: int) -> None:
    """Check that the real images are enough to compare with.

    Raises:
        DatasetError: when they are not.
    """
    if images < LEAST_REAL:
        raise DatasetError(f"{real}: has {images} images; at least {LEAST_REAL} are needed")


def _network(extractor: str) -> str:
    """Return the network that an extractor's name means here, or nothing."""
    if extractor != "auto":
        return "" if extractor == "none" else extractor
    there = [name for name in weights.available() if name in NETWORK_LAYERS]
    return there[0] if there and importlib.util.find_spec("torch") else ""
