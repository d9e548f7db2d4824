# SPDX-License-Identifier: Apache-2.0
"""How much of the people in rendered images is treated, by the policy of ``synthkit anonymize``, and what it costs.

    python benchmarks/anonymize_recall.py HELDOUT                    surface-ceiling and squeezedet-ceiling together
    python benchmarks/anonymize_recall.py HELDOUT --detector squeezedet-ceiling --set doubtful=0.3

HELDOUT is a rendered set, whose layer ``instances`` is the truth; detectors see its images alone. What they find is
put together and treated by the code of ``synthkit anonymize``, with the refiner ``anonymizer-mask``, on noise in place
of the image: there every pixel that is treated has another value afterwards. The recall is the share of people's
pixels, in images that are handed on, that were treated; its interval is of other images like these, which are drawn
anew from them (Efron 1979), each a room of its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import attrs
import numpy as np
import numpy.typing as npt
from reporting import Result, report

from synthkit import config, finds
from synthkit.anonymization.people import Look, Quarantined
from synthkit.anonymization.policy import Policy
from synthkit.anonymization.treating import NOTE, Treatment
from synthkit.dataset import Dataset
from synthkit.detection import known_score
from synthkit.detectors import chosen
from synthkit.interfaces import ComponentSpec, Detector
from synthkit.plugins import discover
from synthkit.sample import Sample
from synthkit.seeds import Seeds
from synthkit.session import Session
from synthkit.settings import RunSettings

DETECTORS = ("surface-ceiling", "squeezedet-ceiling")
REFINER = "anonymizer-mask"
GOAL = 0.98
DRAWS = 4000


@attrs.define
class Counts:
    """Of images handed on, pixels: of people, of these treated, of these blurred; of nobody, and of these treated.

    ``people`` and ``blurred`` are who was treated, and who of them was blurred in doubt; ``missed`` true people of whom
    less than half was treated, of ``true``; ``left_out`` images. ``rooms`` has people's pixels, and those treated, of
    each image.
    """

    images: int = 0
    left_out: int = 0
    nobody_px: int = 0
    nobody_treated_px: int = 0
    people: int = 0
    blurred: int = 0
    true: int = 0
    missed: int = 0
    rooms: list[tuple[int, int]] = attrs.field(factory=list)

    @property
    def pixels(self) -> npt.NDArray[np.int64]:
        """People's pixels, and of these treated, of each image (N, 2)."""
        return np.array(self.rooms, np.int64).reshape(-1, 2)

    @property
    def interval(self) -> tuple[float, float]:
        """Where the recall lies in 95 % of draws of as many images."""
        drawn = Seeds(0).stream("rooms").integers(0, len(self.rooms), (DRAWS, len(self.rooms)))
        whole, treated = self.pixels[drawn].sum(axis=1).T
        low, high = np.percentile(treated / np.maximum(whole, 1), (2.5, 97.5))
        return float(low), float(high)

    def add(self, sample: Sample, treated: npt.NDArray[np.bool_], note: Mapping[str, object]) -> None:
        """Count an image that is handed on."""
        numbers = sample.layers["instances"].astype(np.int64)
        somebody, records = numbers > 0, note["people"]
        assert isinstance(records, list)
        self.images += 1
        self.rooms.append((int(somebody.sum()), int((somebody & treated).sum())))
        self.nobody_px += int((~somebody).sum())
        self.nobody_treated_px += int((~somebody & treated).sum())
        self.people += len(records)
        self.blurred += sum(record["treated"] == "blurred" for record in records)
        whole = np.bincount(numbers.ravel())[1:]
        shares = np.bincount(numbers[treated].ravel(), minlength=len(whole) + 1)[1:][whole > 0] / whole[whole > 0]
        self.true += len(shares)
        self.missed += int((shares < 0.5).sum())


def looked(
    session: Session, specs: Mapping[str, ComponentSpec], data: Dataset, policy: Policy
) -> Iterator[tuple[Sample, dict[str, Look]]]:
    """Yield each sample with what detectors find in its image."""
    believed = {name: known_score(session, spec) for name, spec in specs.items()}
    with ExitStack() as stack:
        detectors: dict[str, Detector] = {n: stack.enter_context(session.entered(s)) for n, s in specs.items()}
        for sample in data:
            image = Sample(key=sample.key, image=sample.image, camera=sample.camera)
            looks = {}
            for name, detector in detectors.items():
                (answer,) = detector.detect([image])
                least = believed[name] * policy.doubtful
                looks[name] = Look(finds.sidecar_of(answer, image, detector.class_names, least), believed[name])
            yield sample, looks


def measured(session: Session, specs: Mapping[str, ComponentSpec], data: Dataset, policy: Policy) -> Counts:
    """Return what becomes of all images of a set."""
    counts = Counts()
    refiner = ComponentSpec("refiner", REFINER)
    with session.entered(refiner) as instance:
        sees = session.registry.declared(refiner).sees_people
        treatment = Treatment(REFINER, lambda sample: next(instance.refine([sample])), sees, "body", policy)
        for sample, looks in looked(session, specs, data, policy):
            stream = Seeds(0).stream("noise", counts.images + counts.left_out)
            noise = stream.integers(0, 256, sample.image.shape, dtype=np.uint8)
            try:
                done = treatment(Sample(key=sample.key, image=noise), looks, sample.key)
            except Quarantined:
                counts.left_out += 1
                continue
            counts.add(sample, (done.image != noise).any(axis=2), done.meta[NOTE])
    return counts


def results(counts: Counts) -> list[Result]:
    """Return the table."""
    whole_px, treated_px = counts.pixels.sum(axis=0).tolist()
    share = {
        "people's pixels treated": (treated_px, whole_px, GOAL, False),
        "people of whom less than half is treated": (counts.missed, counts.true, None, True),
        "of those treated, blurred in doubt": (counts.blurred, counts.people, None, True),
        "nobody's pixels treated": (counts.nobody_treated_px, counts.nobody_px, None, True),
        "images left out": (counts.left_out, counts.images + counts.left_out, None, True),
    }
    made = [
        Result(name, "share", part / max(whole, 1), goal=goal, smaller_is_better=smaller)
        for name, (part, whole, goal, smaller) in share.items()
    ]
    if counts.rooms:
        ends = zip(("from", "to"), counts.interval, strict=True)
        made[1:1] = [Result(f"  95 % of draws of rooms {name}", "share", end) for name, end in ends]
    return made


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a rendered set")
    parser.add_argument("--detector", action="append", help=f"one that is ready; else {' and '.join(DETECTORS)}")
    parser.add_argument("--set", action="append", default=[], help="of the policy, such as doubtful=0.3")
    given = parser.parse_args()
    policy = config.structure(Policy, config.parse_sets(given.set))
    registry = discover()
    session = Session(registry, RunSettings(device="cpu", threads=1))
    specs = {name: chosen(registry, name, {}) for name in given.detector or DETECTORS}
    counts = measured(session, specs, Dataset.open(given.data, layers=("instances",)), policy)
    report(f"{' and '.join(specs)}: {counts.images} images handed on, {counts.true} people", results(counts))


if __name__ == "__main__":
    main()
