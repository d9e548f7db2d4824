# SPDX-License-Identifier: Apache-2.0
"""FID beside torch-fidelity, with the same weights drawn at random: time, and whether the numbers are the same.

    python benchmarks/fidelity.py            128 + 128 images; 5,000, 2,500, 1,000 and 500 vectors a set
    python benchmarks/fidelity.py --quick    within a minute or two

torch-fidelity (0.4.0) and torchvision, which it imports, must be importable, such as from a folder on PYTHONPATH that
``pip install --no-deps --target FOLDER torch-fidelity torchvision`` filled; without them ours stand alone. Both
compute in float32 on the CPU, statistics in float64, with one thread each unless --threads says otherwise, NumPy's BLAS
as well.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from reporting import Result, report

from synthkit.interfaces import Extractor, Runtime
from synthkit.sample import Sample
from synthkit.seeds import Seeds
from synthkit_fidelity import resizing
from synthkit_fidelity.config import FrechetConfig
from synthkit_fidelity.extractors import Inception, Space
from synthkit_fidelity.gaussians import frechet_distance, of_vectors
from synthkit_fidelity.metrics import FrechetMetric
from synthkit_fidelity.networks import inception

SIDE_PX = 256
DIMENSIONS = 2048
PEER = "torch-fidelity"

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer images and vectors, one round")
    parser.add_argument("--threads", type=int, default=1, help="of torch; 1 by default")
    args = parser.parse_args()
    _limit_threads(args.threads)
    report(f"Fréchet distances, {args.threads} thread(s), float32 network", distances(args.quick, args.threads))


def distances(quick: bool, threads: int) -> list[Result]:
    """Return how long distances take, from images and from vectors, beside torch-fidelity where there is one."""
    torch.set_num_threads(threads)
    peer = _imported()
    images, sizes, rounds = (8, (2500, 500), 1) if quick else (128, (5000, 2500, 1000, 500), 3)
    results = []
    for name, goal, (ours, theirs) in (
        (f"FID of {images} + {images} images", 1.5, _of_images(images, threads)),
        *((f"Fréchet distance of {n} + {n} vectors", 3.0 if n > DIMENSIONS else 20.0, _of_vectors(n)) for n in sizes),
    ):
        seconds, values = _timed([ours, theirs] if peer else [ours], rounds)
        if not peer:
            results.append(Result(name, "s", seconds[0]))
            continue
        told = f"{name}, numbers differ by {abs(values[0] - values[1]) / abs(values[1]):.1e}"
        results.append(Result(told, "s", seconds[0], seconds[1], PEER, goal=seconds[1] / goal))
    return results


def distances_apart(quick: bool) -> list[Result]:
    """Return the same of a process of its own, in which all that counts has one thread."""
    others = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            return pool.submit(distances, quick, 1).result()
    finally:
        for name, value in others.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _limit_threads(threads: int) -> None:
    """Begin anew where NumPy's BLAS may take another number of threads: it asks once, when it is loaded."""
    wanted = dict.fromkeys(_THREADS, str(threads))
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **wanted})


def _timed(tasks: Sequence[Callable[[], float]], rounds: int) -> tuple[list[float], list[float]]:
    """Return the median seconds and the answer of each task, run in turns."""
    seconds: list[list[float]] = [[] for _ in tasks]
    answers = [0.0] * len(tasks)
    for _ in range(rounds):
        for n, task in enumerate(tasks):
            began = time.perf_counter()
            answers[n] = task()
            seconds[n].append(time.perf_counter() - began)
    return [median(values) for values in seconds], answers


def _of_images(count: int, threads: int) -> tuple[Callable[[], float], Callable[[], float]]:
    """Return ours and theirs from images to the distance, networks read and all."""
    sets = [_images(count, seed) for seed in (1, 2)]
    folder = tempfile.TemporaryDirectory(prefix="synthkit-benchmark-")
    path = Path(folder.name) / "random.pth"
    torch.save(_random_weights(), path)

    def ours() -> float:
        runtime = Runtime(Seeds(0), Path(folder.name), threads=threads)
        with _Metric(FrechetConfig(extractor="inception", infinity_points=0, batch=32), path, runtime) as metric:
            roles = zip(("reference", "candidate"), sets, strict=True)
            states = {role: metric.observe(role, list(_samples(pixels))) for role, pixels in roles}
            return metric.compute(states)[0].value

    def theirs() -> float:
        from torch_fidelity import calculate_metrics

        torch.set_num_threads(threads)
        data = [_Planes(pixels) for pixels in sets]
        found = calculate_metrics(
            input1=data[0], input2=data[1], fid=True, cuda=False, batch_size=32, cache=False, verbose=False,
            feature_extractor_weights_path=str(path),
        )  # fmt: skip
        return float(found["frechet_inception_distance"])

    return ours, theirs


def _of_vectors(count: int) -> tuple[Callable[[], float], Callable[[], float]]:
    """Return ours and theirs from vectors to the distance."""
    generator = np.random.default_rng(count)
    mixing = generator.normal(0, 1, (DIMENSIONS, DIMENSIONS)).astype(np.float32) / np.sqrt(DIMENSIONS)
    decay = np.linspace(1, 0.05, DIMENSIONS, dtype=np.float32)
    sets = [
        np.abs((generator.normal(0.1 * n, 1, (count, DIMENSIONS)).astype(np.float32) * decay) @ mixing)
        for n in range(2)
    ]

    def ours() -> float:
        return frechet_distance(*map(of_vectors, sets))

    def theirs() -> float:
        from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

        statistics = [fid_features_to_statistics(torch.from_numpy(vectors)) for vectors in sets]
        return float(fid_statistics_to_metric(*statistics, False)["frechet_inception_distance"])

    return ours, theirs


class _Metric(FrechetMetric):
    """The metric as it is, but for weights that are nobody's; its number is called by no published name."""

    def __init__(self, config: FrechetConfig, path: Path, runtime: Runtime) -> None:
        super().__init__(config, None, runtime)
        self._path = path

    def make_space(self) -> Space:
        return Space(
            Extractor("random", None, "tf1"), lambda image: resizing.tf1(image, inception.INPUT_PX), self._load
        )

    def _load(self, _: Any) -> Inception:
        network = inception.InceptionV3()
        network.load_state_dict(inception.folded(torch.load(self._path, weights_only=True)))
        return Inception(network)


class _Planes(torch.utils.data.Dataset[torch.Tensor]):
    """Images as torch-fidelity takes them."""

    def __init__(self, pixels: np.ndarray[Any, Any]) -> None:
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(self.pixels[index].transpose(2, 0, 1).copy())


def _images(count: int, seed: int) -> np.ndarray[Any, Any]:
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (count, SIDE_PX, SIDE_PX, 3), dtype=np.uint8)


def _samples(pixels: np.ndarray[Any, Any]) -> Iterator[Sample]:
    for n, image in enumerate(pixels):
        yield Sample(key=f"{n:06d}", image=image)


def _random_weights() -> dict[str, torch.Tensor]:
    """Return tensors with the published names, through which a signal neither dies nor explodes."""
    generator = torch.Generator().manual_seed(0)
    found = {}
    for key, tensor in inception.InceptionV3().state_dict().items():
        name, _, kind = key.rpartition(".")
        if name == "fc":
            found[key] = torch.randn(tensor.shape, generator=generator) * 0.02
        elif kind == "weight":
            fan_in = tensor[0].numel()
            found[f"{name}.conv.weight"] = torch.randn(tensor.shape, generator=generator) * (2 / fan_in) ** 0.5
            width = (len(tensor),)
            found[f"{name}.bn.weight"], found[f"{name}.bn.bias"] = torch.ones(width), torch.zeros(width)
            found[f"{name}.bn.running_mean"], found[f"{name}.bn.running_var"] = torch.zeros(width), torch.ones(width)
            found[f"{name}.bn.num_batches_tracked"] = torch.tensor(0)
    return found


def _imported() -> bool:
    """Import torch-fidelity beside a CPU build of torch, which lacks the operators that torchvision's own has."""
    real = torch.library.register_fake

    def tolerant(operator: str, *args: Any, **settings: Any) -> Callable[[Any], Any]:
        def register(function: Any) -> Any:
            with contextlib.suppress(RuntimeError):
                return real(operator, *args, **settings)(function)
            return function

        return register

    torch.library.register_fake = tolerant  # type: ignore[assignment]
    try:
        import torch_fidelity  # noqa: F401
    except ImportError:
        return False
    finally:
        torch.library.register_fake = real
    return True


if __name__ == "__main__":
    main()
