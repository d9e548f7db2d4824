# SPDX-License-Identifier: Apache-2.0
"""How far ``synthkit anonymize`` covered the people of real images: those of labels, of finds, and of tracks.

    synthkit anonymize IN OUT --refiner anonymizer-mask --no-truth --detector ...
    python benchmarks/anonymize_cover.py IN OUT

A pixel is covered when it has another value than in the original, so the set must be stored as PNG. Boxes are those of
IN's labels, where it has some, and those below OUT/finds: of detectors, and of tracks where no detector saw somebody.
For each detector it also says how many labelled boxes its own finds cover, with a margin: from the score on from which
they are believed, and with those in doubt.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from reporting import Result, report

from synthkit import inputs
from synthkit.anonymization.people import SEEN
from synthkit.anonymization.policy import Policy
from synthkit.anonymization.regions import Region, of_person
from synthkit.anonymization.run import DATASET, FINDS
from synthkit.dataset import Dataset
from synthkit.dataset.sidecars import SidecarSet
from synthkit.sample import Person, Sample

MARGIN = 0.04  # of a find's length, as refiners have it
SHARES = (0.5, 0.75, 0.98)

Shares = list[float]
Mask = npt.NDArray[np.bool_]


def regions(people: Iterable[Person] | None, sample: Sample, margin: float = 0.0) -> list[Region]:
    """Return where people's boxes are in an image."""
    found = [of_person(person, None, sample.size_px) for person in people or ()]
    known = [region for region in found if region is not None]
    return [region.grown(margin * region.length_px, sample.size_px) for region in known] if margin else known


def covered(boxes: Sequence[Region], hidden: Mask) -> Shares:
    """Return which share of each box is hidden."""
    return [float(hidden[box.window][box.mask].mean()) for box in boxes]


def by_finds(boxes: Sequence[Region], finds: Sequence[Person], sample: Sample) -> Shares:
    """Return which share of each box the boxes of finds cover."""
    hidden = np.zeros(sample.size_px[::-1], bool)
    for region in regions(finds, sample, MARGIN):
        hidden[region.window] |= region.mask
    return covered(boxes, hidden)


def believed(found: SidecarSet, doubtful: float) -> float:
    """Return the score from which on a detector's finds were believed, as its notes tell; 0 of tracks."""
    stages = found.data.manifest.notes.get("stages", ()) if found.data.manifest else ()
    return float(stages[-1]["least_score"]) / doubtful if stages and "least_score" in stages[-1] else 0.0


def measured(images: inputs.Images, out: Path, doubtful: float) -> tuple[dict[str, Shares], int]:
    """Return which shares of boxes are covered, by what boxes and cover, and how many images were left out."""
    made = Dataset.open(out / DATASET)
    sets = {path.name: SidecarSet("finds", Dataset.open(path, allow_empty=True))
            for path in sorted((out / FINDS).iterdir()) if path.is_dir()}  # fmt: skip
    scores = {name: believed(found, doubtful) for name, found in sets.items()}
    shares: dict[str, Shares] = {}
    left_out = 0
    for place in range(len(images)):
        key = images.key(place)
        if made.find(key) is None:
            left_out += 1
            continue
        original = images.read(place)
        assert isinstance(original, Sample)
        hidden = (made.by_key(key).image != original.image).any(axis=2)
        labels = regions(original.people, original)
        told = {name: [person for person in side.people or () if person.attributes.get(SEEN) is not True]
                for name, found in sets.items() if (side := found.get(key)) is not None}  # fmt: skip
        counted = {"labelled boxes, as handed on": covered(labels, hidden)}
        counted["boxes of finds, and of tracks without, as handed on"] = [
            share for people in told.values() for share in covered(regions(people, original), hidden)
        ]
        detectors = {name: people for name, people in told.items() if scores[name]}
        counted |= _by_detectors(labels, detectors, scores, original)
        for name, values in counted.items():
            shares.setdefault(name, []).extend(values)
    return shares, left_out


def _by_detectors(
    labels: Sequence[Region], found: Mapping[str, Sequence[Person]], scores: Mapping[str, float], sample: Sample
) -> dict[str, Shares]:
    counted = {}
    for name, people in found.items():
        sure = [person for person in people if person.attributes["score"] >= scores[name]]
        counted[f"labelled boxes, by {name} from {scores[name]:.2f} on"] = by_finds(labels, sure, sample)
        counted[f"labelled boxes, by {name} and its doubts"] = by_finds(labels, people, sample)
    everybody = [person for people in found.values() for person in people]
    return {**counted, "labelled boxes, by all detectors and their doubts": by_finds(labels, everybody, sample)}


def results(shares: Mapping[str, Shares], left_out: int) -> list[Result]:
    """Return the table."""
    rows = [Result("images left out", "images", left_out)]
    for name, values in shares.items():
        if values:
            counts = {least: sum(value >= least for value in values) for least in SHARES}
            rows += [
                Result(f"{name}: covered by {least:g} or more", f"of {len(values)}", count, smaller_is_better=False)
                for least, count in counts.items()
            ]
            rows.append(Result(f"{name}: the least covered one", "share", min(values), smaller_is_better=False))
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", help="what was anonymized")
    parser.add_argument("out", type=Path, help="the result")
    parser.add_argument("--doubtful", type=float, default=Policy().doubtful, help="anonymize.doubtful of that run")
    given = parser.parse_args()
    shares, left_out = measured(inputs.open_images(given.images), given.out, given.doubtful)
    report(f"{given.images}: how far people are covered", results(shares, left_out))


if __name__ == "__main__":
    main()
