# SPDX-License-Identifier: Apache-2.0
"""A whole experiment: its folder, its steps, and its report."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs

from synthkit import claims, pipeline
from synthkit.experiments import running
from synthkit.experiments.comparing import compare
from synthkit.experiments.history import History
from synthkit.experiments.planning import Plan
from synthkit.experiments.running import Budget, Outcome
from synthkit.experiments.steps import Step
from synthkit.experiments.tracking import Trackers
from synthkit.report import templates
from synthkit.session import Session

CLAIM_FILE = "experiment.json"
FORMAT = 1

_SHARE_OF_FREE = 0.8
_SOME_MB = 4000.0  # where the system does not tell
_OWN_GROUP, _GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


@attrs.frozen
class Conducted:
    """What came of an experiment: its report, and how many steps are missing."""

    report: Path
    missing: int


def default_folder(file: Path) -> Path:
    """Return the folder of an experiment that is given none."""
    return pipeline.DEFAULT_PARENT / file.stem


def conduct(session: Session, plan: Plan, out: Path, budget: Budget) -> Conducted:
    """Do all steps of a plan in a folder, as far as they are not done, and write the report of what is there.

    Raises:
        DatasetError: when ``out`` holds something else, or another process works there. SynthkitError: when pages
            cannot be written here.
    """
    from synthkit.report.experiment import write_report

    templates.check()
    trackers = Trackers(session.registry, plan, out.absolute(), session.tell)
    claims.claim(out, CLAIM_FILE, {"experiments": FORMAT})
    results: dict[str, Any] = {}
    report = None
    with closing(pipeline.locked(out)):
        trackers.experiment_began()
        try:
            outcome = running.run(
                plan.steps, out.absolute(), budget, History(), trackers, progress=session.progress, tell=session.tell
            )
            _tell_missing(session, plan, outcome)
            report, results = write_report(session, plan, compare(plan, out), out)
        finally:
            trackers.experiment_ended(results, report)
    return Conducted(report, len(outcome.failed) + len(outcome.kept_back))


def do_steps(session: Session, plan: Plan, steps: Mapping[str, Step], out: Path, budget: Budget) -> None:
    """Do some steps of a plan in an experiment's folder, as far as they are not done; what fails is told.

    Raises:
        DatasetError: when ``out`` holds something else, or another process works there.
    """
    unheard = attrs.evolve(plan, experiment=attrs.evolve(plan.experiment, trackers=()))
    trackers = Trackers(session.registry, unheard, out.absolute(), session.tell)
    claims.claim(out, CLAIM_FILE, {"experiments": FORMAT})
    with closing(pipeline.locked(out)):
        outcome = running.run(
            steps, out.absolute(), budget, History(), trackers, progress=session.progress, tell=session.tell
        )
    _tell_missing(session, plan, outcome)


def _tell_missing(session: Session, plan: Plan, outcome: Outcome) -> None:
    for key, reason in outcome.failed.items():
        session.tell(f"failed: {plan.steps[key].title}: {reason}")
    if outcome.kept_back:
        session.tell(f"{len(outcome.kept_back)} steps need what failed; run again to try it once more")


def free_memory_mb() -> float:
    """Return the megabytes that steps may take together where nobody says: most of what is available."""
    try:
        with Path("/proc/meminfo").open(encoding="ascii") as file:
            available = next(int(line.split()[1]) for line in file if line.startswith("MemAvailable:")) / 1000
    except (OSError, StopIteration, ValueError, IndexError):
        available = _SOME_MB
        if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
            available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2e6
    return min(available, _allowed_mb(_OWN_GROUP, _GROUPS)) * _SHARE_OF_FREE


def _allowed_mb(own: Path, groups: Path) -> float:
    """Return the megabytes that control groups leave to this process, as containers and cluster jobs have a limit.

    Args:
        own: what tells the process's group. groups: where groups say what they allow, of version 2 or 1.
    """
    try:
        group = own.read_text(encoding="ascii").rpartition("0::")[2].strip().lstrip("/")
    except (OSError, ValueError):
        group = ""
    places = [groups / group, *(groups / group).parents]
    files = [place / "memory.max" for place in places if place.is_relative_to(groups)]
    allowed = [math.inf]
    for file in (*files, groups / "memory" / "memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # there is none, or it is "max"
            allowed.append(int(file.read_text(encoding="ascii")) / 1e6)
    return min(allowed)
