# SPDX-License-Identifier: Apache-2.0
"""Ranking a set of Market-1501's size beside torchreid's Python evaluator, on the same embeddings, in one run.

    python benchmarks/reid.py --torchreid deep-person-reid/torchreid/metrics     3,368 queries, 15,913 pictures
    python benchmarks/reid.py --quick                                            a tenth of both

``--torchreid`` is the folder with its ``rank.py`` and ``distance.py``, which are run as they are, without its Cython.
The embeddings are drawn, so right pictures are spread over all ranks: the most work there can be. Times with distances
begin at the embeddings. Memory is by how much a process grows meanwhile at most, on Linux.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from reporting import Result, report

from synthkit_reid import distances
from synthkit_reid.ranking import Labels, Protocol, score, score_distances

QUERIES, PICTURES, PEOPLE, CAMERAS, NUMBERS = 3368, 15_913, 750, 6, 512
STRANGERS = 0.18  # of the gallery: Market-1501's distractors
RANKS = 50


@attrs.frozen(eq=False)
class Drawn:
    """Embeddings, people and cameras of queries and gallery; person 0 is a stranger."""

    query: Any
    gallery: Any
    query_people: Any
    gallery_people: Any
    query_cameras: Any
    gallery_cameras: Any

    @classmethod
    def of(cls, share: float) -> Drawn:
        """Draw a share of Market-1501's numbers of queries and pictures."""
        generator = np.random.default_rng(0)
        counts = round(QUERIES * share), round(PICTURES * share)
        vectors = [generator.normal(size=(count, NUMBERS)).astype(np.float32) for count in counts]
        people = [generator.integers(1, PEOPLE + 1, count) for count in counts]
        people[1][: int(STRANGERS * counts[1])] = 0
        cameras = [generator.integers(0, CAMERAS, count) for count in counts]
        return cls(*vectors, *people, *cameras)

    @property
    def labels(self) -> tuple[Labels, Labels]:
        """As our ranking takes them."""
        return Labels(self.query_people - 1, self.query_cameras), Labels(self.gallery_people - 1, self.gallery_cameras)

    @property
    def distances(self) -> Any:
        """Cosine distances (Q, G), float32."""
        unit = [side / np.linalg.norm(side, axis=1)[:, None] for side in (self.query, self.gallery)]
        return 1 - unit[0] @ unit[1].T


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of queries and pictures")
    parser.add_argument("--torchreid", type=Path, help="folder with torchreid's rank.py and distance.py")
    args = parser.parse_args()
    report("Re-identification", ranking(args.quick, args.torchreid))


def ranking(quick: bool, torchreid: Path | None) -> list[Result]:
    """Return how long ranking takes and what memory it needs, from distances and from embeddings."""
    share = 0.1 if quick else 1.0
    size = f"{round(QUERIES * share)} x {round(PICTURES * share)}"
    results = []
    for whole, goal in ((False, 100), (True, 30)):
        ours = _apart(_ours, share, whole, None)
        theirs = None if torchreid is None else _apart(_torchreids, share, whole, torchreid)
        name = f"ranking {size}{' with distances' if whole else ''}"
        if theirs is None:
            results += [Result(name, "s", ours[0]), Result(f"{name}, memory", "MB", ours[1])]
            continue
        same = abs(ours[2] - theirs[2]) < 1e-6 and abs(ours[3] - theirs[3]) < 1e-6
        told = f"{name}, {'the same' if same else 'OTHER'} mAP and rank 1"
        results.append(Result(told, "s", ours[0], theirs[0], "torchreid", goal=theirs[0] / goal))
        results.append(Result(f"{name}, memory", "MB", ours[1], theirs[1], "torchreid"))
    return results


def _apart(task: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a task returns in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(task, *arguments).result()


def _measured(evaluate: Callable[[], tuple[float, float]]) -> tuple[float, float, float, float]:
    """Return seconds, megabytes, and mAP and rank 1."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew
    before = _peak_mb()
    began = time.perf_counter()
    answer = evaluate()
    seconds = time.perf_counter() - began
    return seconds, _peak_mb() - before, *answer


def _peak_mb() -> float:
    """Return the most that this process had resident."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


def _ours(share: float, whole: bool, _: None) -> tuple[float, float, float, float]:
    drawn = Drawn.of(share)
    given = None if whole else drawn.distances

    def evaluate() -> tuple[float, float]:
        protocol = Protocol(most_rank=RANKS)
        if given is not None:
            found = score_distances(given, *drawn.labels, protocol)
        else:
            found = score(distances.blocks(drawn.query, drawn.gallery, "cosine"), *drawn.labels, protocol)
        return float(found.ap.mean()), float(found.cmc[0])

    return _measured(evaluate)


def _torchreids(share: float, whole: bool, folder: Path) -> tuple[float, float, float, float]:
    drawn = Drawn.of(share)
    rank, distance = (_loaded(folder / name) for name in ("rank.py", "distance.py"))
    given = None if whole else drawn.distances

    def evaluate() -> tuple[float, float]:
        matrix = given
        if matrix is None:
            sides = (torch.from_numpy(side) for side in (drawn.query, drawn.gallery))
            matrix = distance.compute_distance_matrix(*sides, "cosine").numpy()
        people, cameras = (drawn.query_people, drawn.gallery_people), (drawn.query_cameras, drawn.gallery_cameras)
        cmc, mean = rank.evaluate_rank(matrix, *people, *cameras, max_rank=RANKS, use_cython=False)
        return float(mean), float(cmc[0])

    return _measured(evaluate)


def _loaded(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"torchreid_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        sys.exit(f"--torchreid: there is no {path}")
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is no Cython
        spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
