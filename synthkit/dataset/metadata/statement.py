# SPDX-License-Identifier: Apache-2.0
"""What only the user knows about a data set, checked before it is published."""

from __future__ import annotations

import datetime
import re
from typing import Any
from urllib.parse import urlsplit

import attrs

from synthkit.errors import ConfigError

_SPDX_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")
_ORGANISATION = "org:"


@attrs.frozen
class Statement:
    """What the user states; None where nothing is, and then nothing is written.

    Args:
        name, description, citation, version: texts; ``version`` as MAJOR.MINOR.PATCH.
        license: an address, or an identifier of SPDX's list, such as ``CC-BY-4.0``.
        creators: names; ``org:`` before one says that it is an organisation, else it is a person.
        url: the set's page. date: of publication, ``YYYY-MM-DD``.

    Raises:
        ConfigError: telling everything that is wrong, by option.
    """

    name: str | None = None
    description: str | None = None
    license: str | None = None
    creators: tuple[str, ...] = ()
    citation: str | None = None
    url: str | None = None
    date: str | None = None
    version: str | None = None

    def __attrs_post_init__(self) -> None:
        problems = []
        if self.license is not None and not (is_address(self.license) or _SPDX_ID.fullmatch(self.license)):
            problems.append(f"--license {self.license!r}: expected an address or an SPDX identifier, as CC-BY-4.0")
        if self.url is not None and not is_address(self.url):
            problems.append(f"--url {self.url!r}: expected an address that begins with https:// or http://")
        if self.date is not None and not _is_date(self.date):
            problems.append(f"--date {self.date!r}: expected a day, as 2026-01-31")
        if self.version is not None and not re.fullmatch(r"\d+\.\d+\.\d+", self.version, re.ASCII):
            problems.append(f"--version {self.version!r}: expected MAJOR.MINOR.PATCH, as 1.0.0")
        texts = [("--name", self.name), ("--description", self.description), ("--citation", self.citation)]
        texts += [("--creator", name.removeprefix(_ORGANISATION)) for name in self.creators]
        problems += [f"{option}: is empty" for option, text in texts if text is not None and not text.strip()]
        if problems:
            raise ConfigError(problems)

    def to_jsonld(self) -> dict[str, Any]:
        """Return the properties that are stated, in Croissant's words."""
        stated = {
            "name": self.name,
            "description": self.description,
            "license": self.license and _license(self.license),
            "creator": [_creator(name) for name in self.creators] or None,
            "citeAs": self.citation,
            "url": self.url,
            "datePublished": self.date,
            "version": self.version,
        }
        return {key: value for key, value in stated.items() if value is not None}


def is_address(text: str) -> bool:
    """Return whether a text is an address of the web."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc) and text.isprintable() and " " not in text


def is_base(text: str) -> bool:
    """Return whether a text is an address that names of files can be put behind."""
    return is_address(text) and not set(text) & set("?#")


def _license(text: str) -> str:
    return text if is_address(text) else f"https://spdx.org/licenses/{text}.html"


def _creator(name: str) -> dict[str, str]:
    if name.startswith(_ORGANISATION):
        return {"@type": "sc:Organization", "name": name.removeprefix(_ORGANISATION)}
    return {"@type": "sc:Person", "name": name}


def _is_date(text: str) -> bool:
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
