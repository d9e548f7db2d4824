# SPDX-License-Identifier: Apache-2.0
"""A step of an experiment: known by what decides about its result, done in a folder of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import attrs

from synthkit import claims, config
from synthkit.checkpoint import CHECKPOINT_FILE
from synthkit.dataset import description
from synthkit.dataset.records import MANIFEST

StepKind = Literal["import", "render", "subset", "fit", "refine", "train", "evaluate"]

STEPS = "steps"
"""The folder of all steps, in an experiment's folder."""

ORDER_FILE, DONE_FILE, SPENT_FILE, LOG_FILE = "step.json", "done.json", "spent.json", "log.txt"
SET, TRAINING, RESULTS_FILE, RESAMPLED_FILE = "set", "training", "results.json", "resampled.npz"
"""What steps leave in their folders: a data set; a training; what metrics say."""

_RESULTS = {"fit": f"{TRAINING}/{CHECKPOINT_FILE}", "train": f"{TRAINING}/{CHECKPOINT_FILE}", "evaluate": RESULTS_FILE}
_SHORT_HASH, _LONGEST_NAME = 10, 48


@attrs.frozen
class Step:
    """Work with a result of its own.

    Args:
        kind, label: what it does, and in words on what.
        identity: what decides about the result, the ids of the steps it needs among it; plain JSON.
        order: what the process that does it is told: components, general settings, and where its inputs lie, from the
            experiment's folder; plain JSON.
        needs: the ids of the steps whose results it takes.
        units: how much there is to do, such as images or training steps; None where that is not known before.
        cores: how many processors it keeps busy.
        begun: the folder that it was begun in, from the experiment's, where there is one.
    """

    kind: StepKind
    label: str
    identity: Mapping[str, Any]
    order: Mapping[str, Any]
    needs: tuple[str, ...]
    units: float | None
    cores: int
    begun: str | None = None

    @property
    def id(self) -> str:
        """The fingerprint of all that decides about the result."""
        return config.fingerprint({"kind": self.kind, **self.identity})

    @property
    def title(self) -> str:
        """What it is called to the user."""
        return f"{self.kind} {self.label}"

    @property
    def folder(self) -> str:
        """Where it is done, from the experiment's folder: where it was begun, whatever its row was called then."""
        name = re.sub(r"[^A-Za-z0-9.+-]+", "-", self.label).strip("-.")[:_LONGEST_NAME]
        return self.begun or f"{STEPS}/{self.kind}-{name}-{self.id[:_SHORT_HASH]}"

    @property
    def product(self) -> str:
        """Where its result lies, from the experiment's folder: a data set, a checkpoint, or what metrics say."""
        return f"{self.folder}/{_RESULTS.get(self.kind, SET)}"


@attrs.frozen
class Done:
    """What is known of a step that was done.

    Args:
        result: by kind: fingerprint and samples of a data set, sha256 of a checkpoint; plain JSON.
        seconds: it took, interrupted attempts included. peak_mb: memory, at most. bytes: its folder has.
    """

    result: Mapping[str, Any]
    seconds: float
    peak_mb: float
    bytes: int


def begun(out: Path) -> Callable[[Step], Step]:
    """Return what tells a step where it was begun in an experiment's folder: of several places, where it is done."""
    places = dict[tuple[str, str], tuple[bool, str]]()
    for folder in (out / STEPS).glob("*-*"):
        kind, hashed = folder.name.split("-")[0], folder.name[-_SHORT_HASH:]
        place = ((folder / DONE_FILE).is_file(), f"{STEPS}/{folder.name}")
        places[kind, hashed] = max(places.get((kind, hashed), place), place)
    nowhere = (False, None)
    return lambda step: attrs.evolve(step, begun=places.get((step.kind, step.id[:_SHORT_HASH]), nowhere)[1])


def done(out: Path, step: Step) -> Done | None:
    """Return what is known of a step that was done in an experiment's folder, None where it is not done.

    One whose result somebody removed is not.
    """
    noted, result = read_json(out / step.folder / DONE_FILE), out / step.product
    if noted is None or noted.get("id") != step.id or not (result.is_file() or (result / MANIFEST).is_file()):
        return None
    try:
        return Done(dict(noted["result"]), float(noted["seconds"]), float(noted["peak_mb"]), int(noted["bytes"]))
    except (KeyError, TypeError, ValueError):
        return None


def note_done(folder: Path, step_id: str, found: Done) -> None:
    """Note in a step's folder that it is done; written last."""
    claims.write_json(folder / DONE_FILE, {"id": step_id, **attrs.asdict(found)})


def read_json(path: Path) -> dict[str, Any] | None:
    """Return a table in a JSON file, None where there is none that can be read."""
    try:
        value = description.load(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def order_of(step: Step) -> bytes:
    """Return what a step's process reads."""
    table = {"id": step.id, "kind": step.kind, "label": step.label, "identity": step.identity, **step.order}
    return json.dumps(table, indent=1, sort_keys=True).encode() + b"\n"
