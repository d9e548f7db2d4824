# SPDX-License-Identifier: Apache-2.0
"""The tables of thesis 002: what checkpoints make of a set, judged by the metrics that are installed (section 4.11)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from synthkit import config, evaluation, weights
from synthkit.checkpoint import CHECKPOINT_FILE, Checkpoint
from synthkit.dataset import Dataset
from synthkit.errors import ConfigError, DatasetError, SynthkitError
from synthkit.interfaces import ComponentSpec, Keeping, MetricResult, Weighted
from synthkit.plugins import Registry
from synthkit.session import Session
from synthkit.training.checkpoints import write_atomic
from synthkit_anonymizer_gan import drawing, figures, fitting
from synthkit_anonymizer_gan.config import SAMPLING, GeneratingConfig

ORIGINALS = "originals"

METRICS = "fid,fid-clip,lpips,consistency,surface-consistency"
"""What the thesis's tables have; ``surface-consistency`` takes the place of looking at figures 5.1 and 5.2."""


@attrs.frozen
class _Use:
    """Two sets that a metric compares.

    Args:
        name: what is found out. candidate, reference: the sets; no reference for metrics of one set.
        options: settings of the metric.
    """

    name: str
    candidate: str
    reference: str | None = ORIGINALS
    options: Mapping[str, str] = attrs.field(factory=dict)


_DRAWN = _Use("drawn", "drawn")
_IDENTITIES = _Use("identities", "identities")
_USES: Mapping[str, tuple[_Use, ...]] = {
    "lpips": (
        _DRAWN,
        _Use("reconstructed", "reconstructed", options={"measure": "reconstruction"}),
        _Use("reconstructed from another view", "other-view", options={"measure": "reconstruction"}),
        _Use("two draws", "drawn", "drawn-again", {"measure": "diversity"}),
    ),
    "consistency": (_IDENTITIES,),
    "leakage": (_IDENTITIES,),
    "surface-consistency": (
        _Use("identities", "identities", None),
        _Use(ORIGINALS, ORIGINALS, None),
    ),
}
"""By metric; others that compare two sets compare those that were drawn with the originals."""


@attrs.frozen
class Score:
    """A result, of which checkpoint it is, and of what."""

    checkpoint: str
    of: str
    result: MetricResult


def named(checkpoints: Sequence[str]) -> dict[str, Checkpoint]:
    """Return checkpoints by name, from ``NAME=FILE`` or ``FILE``, which is named like its folder.

    Args:
        checkpoints: files, or folders of trainings.

    Raises:
        ConfigError: when a name is given twice or is none. WeightsError: when one is no generator's.
    """
    found: dict[str, Checkpoint] = {}
    for given in checkpoints:
        name, equals, place = given.partition("=")
        path = Path(place if equals else given)
        path = path / CHECKPOINT_FILE if path.is_dir() else path
        if not equals:
            name = path.resolve().parent.name if path.name == CHECKPOINT_FILE else path.stem
        if not name or name in found or Path(name).name != name or name in (".", ".."):
            raise ConfigError([f"--checkpoint {given}: give each a name of its own: NAME=FILE"])
        found[name] = Checkpoint.open(path)
        found[name].require("refiner", fitting.FAMILY)
        fitting.described(found[name])
    return found


def sampling_of(registry: Registry, options: Mapping[str, Any]) -> GeneratingConfig:
    """Return how people are drawn, from plain settings of a refiner.

    Raises:
        ConfigError: when a setting says something else than who is made, or is wrong.
    """
    problems = [
        f"refiner.{name}: is not for judging: take one of {', '.join(SAMPLING)}"
        for name in options if name not in SAMPLING
    ]  # fmt: skip
    if problems:
        raise ConfigError(problems)
    found = registry.configure(ComponentSpec("refiner", "anonymizer-consistent", options), path="refiner")
    assert isinstance(found, GeneratingConfig)
    return found


def judge(
    session: Session,
    data: Path | str,
    checkpoints: Mapping[str, Checkpoint],
    metrics: Sequence[ComponentSpec],
    out: Path,
    *,
    shown: int,
    sampling: GeneratingConfig | None = None,
) -> list[Score]:
    """Make people with each checkpoint in the place of a set's, judge them, and write scores and figures.

    ``out`` gets ``scores.json``, ``scores.md``, and a folder for each checkpoint: the sets that are compared
    (``drawing.Kind``), and figures 5.1 to 5.4. What is there already is not made again.

    Args:
        data: whole images of people who are known to be the same in several of them, for all of it.
        shown: people in each figure; 0 for none. sampling: how latents are drawn and truncated, None for the defaults.

    Raises:
        ConfigError: when a metric has no use here. WeightsError: when its weights cannot be had, before anything is
            made. DatasetError: what could not be judged, after all the rest was written.
    """
    check(session, metrics)
    sampling = sampling or GeneratingConfig()
    scores: list[Score] = []
    problems: list[str] = []
    for name, checkpoint in checkpoints.items():
        folder = out / name
        sets: dict[str, Dataset | None] = {ORIGINALS: drawing.crops_of(session, data, checkpoint, folder / ORIGINALS)}
        for metric in metrics:
            for use in _uses(metric.name):
                try:
                    scores += _scores(session, name, checkpoint, sampling, metric, use, sets, folder)
                except SynthkitError as error:
                    problems.append(f"{name}, {metric.name} of {use.name}: {error}")
        if shown:
            originals = sets[ORIGINALS]
            assert originals is not None
            figures.write(session, originals, checkpoint, sampling, folder, shown)
    _write(scores, list(checkpoints), out)
    if problems:
        raise DatasetError("; ".join(problems))
    return scores


def table(scores: Sequence[Score], checkpoints: Sequence[str]) -> list[str]:
    """Return the lines of a Markdown table: a row for each number, a column for each checkpoint."""
    rows: dict[str, dict[str, str]] = {}
    for score in scores:
        result = score.result
        if result.part in ("", ORIGINALS):
            of = score.of if not result.part else result.part
            low_high = "" if result.interval is None else f" [{result.interval[0]:.4g}, {result.interval[1]:.4g}]"
            label = f"{of}: {result.name} {'↑' if result.better == 'higher' else '↓'}"
            rows.setdefault(label, {})[score.checkpoint] = f"{result.value:.4g}{low_high}"
    head = ["", *checkpoints]
    lines = [head, ["---"] * len(head)]
    lines += [[label, *(cells.get(name, "-") for name in checkpoints)] for label, cells in rows.items()]
    return [f"| {' | '.join(line)} |" for line in lines]


def _scores(
    session: Session, name: str, checkpoint: Checkpoint, sampling: GeneratingConfig, metric: ComponentSpec, use: _Use,
    sets: dict[str, Dataset | None], folder: Path,
) -> Iterator[Score]:  # fmt: skip
    """Yield what a metric says of a use, whose sets are drawn where they are not in ``sets`` yet."""
    wanted = [use.candidate] if use.reference is None else [use.candidate, use.reference]
    for kind in wanted:
        if kind not in sets:
            sets[kind] = _drawn(session, checkpoint, sampling, kind, sets, folder / kind)
    candidate, reference = sets[use.candidate], None if use.reference is None else sets[use.reference]
    if candidate is None:
        return
    spec = attrs.evolve(metric, options={**metric.options, **use.options, **_pictures(metric, name)})
    for result in evaluation.evaluate(session, spec, candidate, reference):
        yield Score(name, use.name, result)


def _pictures(metric: ComponentSpec, checkpoint: str) -> dict[str, str]:
    """Return where a metric that draws pictures puts those of a checkpoint, so that none are another's."""
    folder = metric.options.get("pictures")
    return {} if folder is None else {"pictures": str(Path(folder) / checkpoint)}


def _drawn(
    session: Session, checkpoint: Checkpoint, sampling: GeneratingConfig, kind: str,
    sets: Mapping[str, Dataset | None], out: Path,
) -> Dataset | None:  # fmt: skip
    shape, _ = fitting.described(checkpoint)
    if kind in drawing.FROM_LOOKS and not shape.appearance:
        return None
    originals = sets[ORIGINALS]
    assert originals is not None
    return drawing.draw(session, originals, checkpoint, kind, out, sampling)  # type: ignore[arg-type]


def _uses(metric: str) -> tuple[_Use, ...]:
    return _USES.get(metric, (_DRAWN,))


def check(session: Session, metrics: Sequence[ComponentSpec]) -> None:
    """Check that metrics have a use here and their weights, before anything is made.

    Raises:
        ConfigError: when one has no use. WeightsError: when weights cannot be had.
    """
    problems, needed = [], []
    for spec in metrics:
        metric = session.registry.build(spec, session.runtime("metric"))
        roles = metric.roles
        compares_two = "reference" in roles or "pairs" in roles.values()
        if spec.name not in _USES and not compares_two:
            problems.append(f"metric {spec.name!r}: compares no two sets of images: leave it away")
        if "measure" in spec.options:
            problems.append("metric.measure: each is taken in its place: leave it away")
        if isinstance(metric, Weighted):
            needed += list(metric.weights())
        if isinstance(metric, Keeping):
            for role in roles:
                metric.observed(role)  # reads the cards and stand-ins of networks
    if problems:
        raise ConfigError(problems)
    weights.require(needed, session.progress)


def _write(scores: Sequence[Score], checkpoints: Sequence[str], out: Path) -> None:
    records = [{"checkpoint": score.checkpoint, "of": score.of, **config.plain(score.result)} for score in scores]
    write_atomic(out / "scores.json", (json.dumps(records, indent=2) + "\n").encode())
    write_atomic(out / "scores.md", ("\n".join(table(scores, checkpoints)) + "\n").encode())
