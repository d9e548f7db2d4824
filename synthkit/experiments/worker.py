# SPDX-License-Identifier: Apache-2.0
"""The process of one step: ``python -m synthkit.experiments.worker OUT FOLDER WORKERS PIPE``.

It reads the step's order, calls the same functions as the commands do, and notes what came of it. It speaks through the
pipe, a JSON table a line; its standard output belongs to whatever the work prints. It ends when its parent does, which
it knows by the end of its standard input; run again, it goes on where it was.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from synthkit import claims, config, evaluation, pipeline
from synthkit.checkpoint import Checkpoint
from synthkit.dataset import Dataset, stores
from synthkit.dataset.records import MANIFEST
from synthkit.dataset.tools import copying
from synthkit.errors import DatasetError, SynthkitError
from synthkit.execution import Local
from synthkit.experiments.description import PLACE_MARK, placed
from synthkit.experiments.steps import (
    DONE_FILE,
    ORDER_FILE,
    RESAMPLED_FILE,
    RESULTS_FILE,
    SET,
    SPENT_FILE,
    TRAINING,
    Done,
    note_done,
    read_json,
)
from synthkit.interfaces import ComponentSpec
from synthkit.plugins import discover
from synthkit.session import Session
from synthkit.settings import RunSettings

INTERRUPTED = 130
_BEAT_S = 5.0
_SECONDS_BETWEEN_MESSAGES = 0.2


@attrs.frozen
class Order:
    """What a step's process is told; see ``Step``."""

    out: Path
    folder: Path
    table: Mapping[str, Any]

    def place(self, name: str) -> str:
        """Return where an input lies."""
        place = str(self.table["inputs"][name])
        return place if stores.is_url(place) else str(self.out / place)

    def places(self, prefix: str) -> dict[str, str]:
        """Return where the inputs lie whose names begin so, by the rest of their names, in their order."""
        names = [name for name in self.table["inputs"] if name.startswith(prefix)]
        return {name.removeprefix(prefix): self.place(name) for name in sorted(names, key=lambda one: (len(one), one))}

    @property
    def component(self) -> ComponentSpec:
        """The component that works."""
        return ComponentSpec(**self.table["component"])


def main(out: str, folder: str, workers: str, pipe: str) -> None:
    """Do a step; exit 0 when it is done, 130 when interrupted, else 1 after having said why."""
    with os.fdopen(int(pipe), "w", buffering=1, encoding="utf-8") as stream:
        speaker = _Speaker(stream)
        try:
            order = Order(Path(out), Path(folder), read_json(Path(folder) / ORDER_FILE) or {})
            _work(order, int(workers), speaker)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
        except SynthkitError as error:
            speaker.say(error=str(error))
            sys.exit(1)
        except OSError as error:
            speaker.say(error=f"{error.filename}: {error.strerror}" if error.filename else str(error))
            traceback.print_exc()
            sys.exit(1)
        except Exception as error:  # it ends this step alone; the log has all of it
            speaker.say(error=f"{type(error).__name__}: {' '.join(str(error).split())}")
            traceback.print_exc()
            sys.exit(1)


def _work(order: Order, workers: int, speaker: _Speaker) -> None:
    meter = _Meter(order.folder)
    threading.Thread(target=meter.beat, daemon=True).start()
    run = config.structure(RunSettings, order.table["run"])
    session = Session(discover(), run, Local(workers), speaker.progress, lambda line: speaker.say(tell=line))
    result = _WORK[order.table["kind"]](session, order)
    seconds, peak_mb = meter.stop(workers)
    found = Done(result, round(seconds, 3), round(peak_mb, 1), _size(order.folder))
    note_done(order.folder, order.table["id"], found)


def _size(folder: Path) -> int:
    """Return the bytes of a folder's files; one may go while it is looked at, as the meter's does."""
    total = 0
    for item in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += item.stat().st_size if item.is_file() else 0
    return total


class _Speaker:
    """Tells the parent; progress not more often than it can be read."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._spoke = stream, 0.0

    def say(self, **table: Any) -> None:
        """Say something."""
        self._stream.write(json.dumps(table) + "\n")

    def progress(self, stage: str, done: int, total: int | None, note: str = "") -> None:
        """Tell how far a stage is; a ``synthkit.interfaces.Progress``."""
        now = time.monotonic()
        if now - self._spoke >= _SECONDS_BETWEEN_MESSAGES or done == total:
            self._spoke = now
            self.say(stage=stage, done=done, total=total, note=note)


class _Meter:
    """Wall seconds that a step took, those of earlier attempts included; it also ends the process with its parent."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / SPENT_FILE
        self._before = float((read_json(self._path) or {}).get("seconds", 0.0))
        self._began = time.monotonic()
        self._ended = False

    def beat(self) -> None:
        """Note the time now and then until standard input ends, and then end the process."""
        import select

        while not self._ended:
            readable, _, _ = select.select([sys.stdin], [], [], _BEAT_S)
            if readable and not sys.stdin.buffer.read(1):
                os._exit(1)  # nobody waits for the result; whatever is written is written whole or not at all
            if not self._ended:
                with contextlib.suppress(OSError, SynthkitError):
                    claims.write_json(self._path, {"seconds": self._seconds()})

    def stop(self, workers: int) -> tuple[float, float]:
        """Return all seconds, and megabytes that this process and its workers took at most."""
        self._ended = True
        own, child = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        unit = 1e6 if sys.platform == "darwin" else 1e3  # bytes there, kilobytes elsewhere
        return self._seconds(), (own + child * workers) / unit

    def _seconds(self) -> float:
        return self._before + time.monotonic() - self._began


def _told(data: Dataset, skipped: int = 0) -> dict[str, Any]:
    return {"fingerprint": data.fingerprint, "samples": len(data), "skipped": skipped}


def _render(session: Session, order: Order) -> dict[str, Any]:
    _begin_with_fewer(order)
    made = pipeline.render(session, order.component, order.folder / SET, order.table["count"])
    return _told(made.dataset, made.skipped)


def _begin_with_fewer(order: Order) -> None:
    """Begin with what the same step has made with a smaller count: no scene depends on how many there are.

    Files of data sets are replaced and never written in, so both sets can have the same ones.
    """
    place = order.folder / SET
    if place.exists():
        return
    found = max(_with_fewer(order), default=None)
    if found is not None:
        begun = place.with_suffix(".begun")
        shutil.rmtree(begun, ignore_errors=True)
        shutil.copytree(found[1], begun, copy_function=_linked)
        begun.rename(place)


def _with_fewer(order: Order) -> Iterator[tuple[int, Path]]:
    """Yield (count, data set) of each finished step that differs from this one in having a smaller count."""
    own = order.table["identity"]
    for folder in order.folder.parent.glob(f"{order.table['kind']}-*"):
        other = (read_json(folder / ORDER_FILE) or {}).get("identity")
        if not isinstance(other, dict) or not all((folder / one).is_file() for one in (DONE_FILE, f"{SET}/{MANIFEST}")):
            continue
        if {**other, "count": own["count"]} == own and other["count"] < own["count"]:
            yield other["count"], folder / SET


def _linked(source: str, to: str) -> None:
    try:
        os.link(source, to)
    except OSError:  # a file system without such links
        shutil.copy2(source, to)


def _import(session: Session, order: Order) -> dict[str, Any]:
    opened = pipeline.opened_real(session, order.table["place"])
    if pipeline.real_identity(opened) != order.table["expected"]:
        raise DatasetError(f"{order.table['place']}: was changed since it was planned; run again")
    return _told(pipeline.as_dataset(session, opened, order.folder / SET))


def _subset(session: Session, order: Order) -> dict[str, Any]:
    """Take some samples, drawn by lot: the first of an order that is the same however many are taken."""
    data, count = Dataset.open(order.place("source")), int(order.table["count"])
    places = session.runtime("subset").seeds.stream("order").permutation(len(data))[:count]
    out, identity = order.folder / SET, {"subset": count, "source": data.fingerprint, "seed": session.run.seed}
    chosen, notes = [copying.Pick(0, int(place)) for place in sorted(places)], copying.inherited(data, out)
    made = copying.copy([copying.Origin(data)], chosen, out, identity=identity, notes={**notes, "subset": identity},
                        verb="copy", progress=session.progress)  # fmt: skip
    return _told(made)


def _fit(session: Session, order: Order) -> dict[str, Any]:
    sets = {role: order.place(role) for role in order.table["inputs"]}
    return _learned(pipeline.fit(session, order.component, sets, order.folder / TRAINING))


def _refine(session: Session, order: Order) -> dict[str, Any]:
    given = Path(order.place("checkpoint")) if "checkpoint" in order.table["inputs"] else None
    spec = pipeline.with_weights(session, order.component, given)
    made = pipeline.refine(session, spec, order.place("source"), order.folder / SET)
    return _told(made.dataset, made.skipped)


def _train(session: Session, order: Order) -> dict[str, Any]:
    parts = zip(order.places("train").values(), order.table["amounts"], strict=True)
    data = [place if amount is None else f"{place}:{amount:g}" for place, amount in parts]
    return _learned(pipeline.train(session, order.component, data, order.folder / TRAINING, order.place("validation")))


def _learned(checkpoint: Checkpoint) -> dict[str, Any]:
    card = checkpoint.card
    told = {name: card[name] for name in ("steps", "chosen_by", "validation", "operating_score") if name in card}
    return {"sha256": checkpoint.sha256, **told}


def _evaluate(session: Session, order: Order) -> dict[str, Any]:
    """Judge, and keep what was said, what stands behind it, and what it would be on resampled items."""
    inputs, named = order.table["inputs"], order.places(PLACE_MARK)
    metrics = [ComponentSpec(**metric) for metric in order.table["metrics"]]
    judged = evaluation.judge(
        session,
        [placed(metric, named) for metric in metrics],
        order.place("candidate"),
        order.place("reference") if "reference" in inputs else None,
        Path(order.place("checkpoint")) if "checkpoint" in inputs else None,
    )  # fmt: skip
    results = [config.plain(result) for judgement in judged for result in judgement.results]
    charts = [config.plain(chart) for one in judged if one.evidence is not None for chart in one.evidence.charts]
    resampled = {name: values for judgement in judged for name, values in judgement.resampled.items()}
    table = {"results": results, "charts": charts, "resampled": list(resampled)}
    with (order.folder / RESAMPLED_FILE).open("wb") as file:
        np.savez(file, values=np.stack(list(resampled.values())) if resampled else np.zeros((0, 0)))
    claims.write_json(order.folder / RESULTS_FILE, table)
    return {"results": len(results)}


_WORK: Mapping[str, Callable[[Session, Order], dict[str, Any]]] = {
    "render": _render,
    "import": _import,
    "subset": _subset,
    "fit": _fit,
    "refine": _refine,
    "train": _train,
    "evaluate": _evaluate,
}

if __name__ == "__main__":
    main(*sys.argv[1:])
