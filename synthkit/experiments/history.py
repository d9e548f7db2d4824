# SPDX-License-Identifier: Apache-2.0
"""How long like steps took, and what they took up: kept in the cache, so that plans can tell what to expect."""

from __future__ import annotations

import contextlib
import json
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs

from synthkit import config
from synthkit.cache import cache_dir
from synthkit.experiments.steps import Done, Step

_FILE = "experiments/durations.jsonl"
_DECIDE_LITTLE = {"steps", "seed", "checkpoint_every", "log_every", "picture_every", "evaluate_every"}
_LAST = 5000  # lines that are read


@attrs.frozen
class Cost:
    """What a step takes: wall seconds, megabytes of memory, bytes on disk.

    Args:
        like: whether it is from steps with the same settings; else from others of the same component.
    """

    seconds: float
    peak_mb: float
    bytes: float
    like: bool


class History:
    """What was recorded of steps; ``note`` adds to it, for this experiment and all others of this machine."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = cache_dir() / _FILE if path is None else path
        self._found: dict[str, list[dict[str, float]]] = {}
        with contextlib.suppress(OSError):
            for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST:]:
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    row = json.loads(line)
                    numbers = {name: float(row[name]) for name in ("seconds", "peak_mb", "bytes")}
                    self._keep([str(key) for key in row["keys"]], {**numbers, "units": float(row["units"] or 0)})

    def note(self, step: Step, done: Done) -> None:
        """Keep what a step took."""
        row = {"units": step.units or 0.0, "seconds": done.seconds, "peak_mb": done.peak_mb, "bytes": done.bytes}
        self._keep(_keys(step), row)
        with contextlib.suppress(OSError):  # without it the next plan knows less, and that is all
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"keys": _keys(step), **row}) + "\n")

    def cost(self, step: Step) -> Cost | None:
        """Return what a step will take by what like ones did, None where none are known."""
        for key, like in zip(_keys(step), (True, False), strict=True):
            rows = self._found.get(key)
            if rows:
                return Cost(
                    _scaled(rows, step.units, "seconds"),
                    max(row["peak_mb"] for row in rows),
                    _scaled(
                        rows, step.units if step.kind in ("render", "import", "subset", "refine") else None, "bytes"
                    ),
                    like,
                )
        return None

    def _keep(self, keys: Iterable[str], row: dict[str, float]) -> None:
        for key in keys:
            self._found.setdefault(key, []).append(row)


def _scaled(rows: Iterable[dict[str, Any]], units: float | None, what: str) -> float:
    """Return the median of what rows took, for each unit where units are known."""
    if units is None:
        return float(statistics.median(row[what] for row in rows))
    return float(statistics.median(row[what] / (row["units"] or units) for row in rows)) * units


def _keys(step: Step) -> list[str]:
    """Return by what like steps are known: the same settings, but for how much there is to do; the same component."""
    named = {"kind": step.kind, "threads": step.identity.get("threads")}
    components = [step.identity.get("component"), *step.identity.get("metrics", [])]
    plain = [_without(one) for one in components if one is not None]
    names = [one["name"] for one in plain]
    return [config.fingerprint({**named, "components": plain}), config.fingerprint({**named, "components": names})]


def _without(component: dict[str, Any]) -> dict[str, Any]:
    settings = {key: value for key, value in component["config"].items() if key not in _DECIDE_LITTLE}
    return {**component, "config": settings}
