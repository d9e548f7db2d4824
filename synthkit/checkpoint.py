# SPDX-License-Identifier: Apache-2.0
"""Checkpoints as identified artefacts: a safetensors file with its card inside, named by its sha256."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from synthkit.errors import WeightsError
from synthkit.sample import frozen_mapping

CARD_KEY = "synthkit.card"
CHECKPOINT_FILE = "checkpoint.safetensors"
"""What a training's folder calls the end of it."""

_MAX_HEADER_BYTES = 64 * 1024 * 1024


@attrs.frozen
class Checkpoint:
    """Weights on disk with what is known about them.

    Args:
        path: the safetensors file.
        sha256: of the whole file.
        card: plain JSON: component kind, name and revision, configuration, data fingerprints, steps,
            scores, licence. Read from the file's own header, which never executes anything.
    """

    path: Path
    sha256: str
    card: Mapping[str, Any] = attrs.field(converter=frozen_mapping, hash=False)

    @classmethod
    def open(cls, path: Path | str, *, expected_sha256: str | None = None) -> Checkpoint:
        """Read a checkpoint's header and verify its hash.

        Raises:
            WeightsError: when it is missing, no safetensors file, without card, or not the expected one.
        """
        path = Path(path)
        try:
            card = read_card(path)
            digest = sha256_of(path)
        except OSError as error:
            raise WeightsError(f"checkpoint {path}: cannot be read: {error.strerror}") from None
        if expected_sha256 and digest != expected_sha256:
            raise WeightsError(f"checkpoint {path}: sha256 is {digest}, expected {expected_sha256}")
        return cls(path=path, sha256=digest, card=card)

    def require(self, kind: str, *names: str) -> None:
        """Check that these are weights of that kind of component, under one of those names (none: any).

        Raises:
            WeightsError: naming what the card says.
        """
        found = f"{self.card.get('kind')} {self.card.get('name')}"
        if self.card.get("kind") != kind or (names and self.card.get("name") not in names):
            expected = f"{kind} {' or '.join(names)}" if names else f"a {kind}"
            raise WeightsError(f"checkpoint {self.path}: is of {found}, expected {expected}")


def read_card(path: Path) -> Mapping[str, Any]:
    """Return the card in a safetensors file's header.

    Raises:
        WeightsError: when the file is not safetensors or has no card. OSError: when it cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(size - 8, _MAX_HEADER_BYTES):
            raise WeightsError(f"checkpoint {path}: is not a safetensors file")
        raw = file.read(length)
    try:
        metadata = json.loads(raw).get("__metadata__", {})
        card = json.loads(metadata[CARD_KEY])
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        raise WeightsError(
            f"checkpoint {path}: has no synthkit card; 'synthkit fit' and 'synthkit train' write one"
        ) from None
    if not isinstance(card, dict):
        raise WeightsError(f"checkpoint {path}: its card is not a table")
    return card


def sha256_of(path: Path) -> str:
    """Return the sha256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
