# SPDX-License-Identifier: Apache-2.0
"""HTML from the templates that lie in packages."""

from __future__ import annotations

import importlib.util
from functools import partial
from importlib import resources
from typing import Any

from synthkit.errors import SynthkitError


def check() -> None:
    """Check that templates can be filled.

    Raises:
        SynthkitError: when jinja2 is not installed.
    """
    if importlib.util.find_spec("jinja2") is None:
        raise SynthkitError("pages need jinja2: pip install 'synthkit-core[report]'")


def asset(package: str, name: str) -> str:
    """Return a text file that lies in a package."""
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


def filled(package: str, template: str, /, **values: Any) -> bytes:
    """Return a template of a package with values, all of which are escaped unless it says otherwise, as UTF-8."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(partial(asset, package)),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values).encode(errors="replace")
