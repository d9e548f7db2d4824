# SPDX-License-Identifier: Apache-2.0
"""SqueezeDet beside YOLOX-Nano: milliseconds an image in torch, ONNX Runtime, and ONNX Runtime with 8 bits.

    python benchmarks/detector.py                     256x256 and 448x336, 1 and 2 threads
    python benchmarks/detector.py --size 416 416      another input
    python benchmarks/detector.py --yolox FILE        a released YOLOX-Nano at its own input, instead of one built here
    python benchmarks/detector.py --quick             one small input, within a minute

Both find one class, with drawn weights, which cost what learned ones do; both end with maps or rows, without decoding
and filter. All variants take turns, so that a busy machine slows all alike; the first turns are left out, and the
median is told. YOLOX wants multiples of 32, so 448x336 becomes 448x352 for both. Sizes of files and multiplications
stand below the table.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import attrs
import numpy as np
import onnx
import onnxruntime
import torch
from reporting import Result, report
from yolox_nano import YoloxNano, folded

from synthkit.deployment.budget import budget
from synthkit.deployment.cards import InputCard
from synthkit.deployment.files import OnnxFile
from synthkit.deployment.quantising import quantise
from synthkit.interfaces import OnnxForm, Runtime
from synthkit.seeds import Seeds
from synthkit.training.checkpoints import save_checkpoint
from synthkit.training.devices import generator
from synthkit.training.onnx_files import converted
from synthkit_squeezedet.config import SqueezeDetConfig
from synthkit_squeezedet.detector import SqueezeDetector
from synthkit_squeezedet.export import Maps
from synthkit_squeezedet.model import Design

OURS, PEER = "SqueezeDet", "YOLOX-Nano"
ANCHORS = tuple((float(side), float(side)) for side in (16, 24, 32, 48, 64, 80, 96, 128, 160))
SIZES = ((256, 256), (448, 352))
CALIBRATION = 4
GOAL_BYTES = 2.1e6

Work = Callable[[], object]


@attrs.frozen(eq=False)
class Network:
    """A network in the forms that are measured; a file's has no torch."""

    name: str
    input_px: tuple[int, int]
    torch: torch.nn.Module | None
    float_file: bytes
    int8_file: bytes

    def works(self, threads: int) -> Iterator[tuple[str, Work]]:
        """Yield each form, ready to run once."""
        width, height = self.input_px
        images = np.random.default_rng(0).integers(0, 256, (1, 3, height, width)).astype(np.float32)
        if self.torch is not None:
            yield "torch", _in_torch(self.torch, torch.from_numpy(images), threads)
        for form, data in (("ONNX Runtime", self.float_file), ("ONNX Runtime, int8", self.int8_file)):
            yield form, _in_runtime(data, images, threads)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one small input, within a minute")
    parser.add_argument("--size", type=int, nargs=2, metavar=("WIDTH", "HEIGHT"), help="input, multiples of 32")
    parser.add_argument("--yolox", type=Path, metavar="FILE", help="a released YOLOX-Nano in ONNX")
    parser.add_argument("--rounds", type=int, default=30, help="turns of each variant that count")
    args = parser.parse_args()
    sizes = [tuple(args.size)] if args.size else [(128, 128)] if args.quick else list(SIZES)
    if any(side % 32 or side < 32 for size in sizes for side in size):
        parser.error("--size: must be multiples of 32")
    peer_file = None if args.yolox is None else OnnxFile.read(args.yolox)
    if peer_file is not None:
        sizes = [_input_of(peer_file)]
    results, notes = [], []
    for size in sizes:
        networks = [squeezedet(size), yolox(size) if peer_file is None else yolox_file(peer_file)]
        for threads in (1, 2):
            results += measure(networks, threads, 3 if args.quick else args.rounds)
        notes += [note for network in networks for note in _notes(network)]
    report("milliseconds an image, SqueezeDet beside YOLOX-Nano", [*results, *notes])


def measure(networks: list[Network], threads: int, rounds: int) -> list[Result]:
    """Return the median milliseconds of each form of both networks, taking turns."""
    works = [(network.name, form, work) for network in networks for form, work in network.works(threads)]
    times: dict[tuple[str, str], list[float]] = {(name, form): [] for name, form, _ in works}
    for turn in range(rounds + 2):
        for name, form, work in works:
            start = time.perf_counter()
            work()
            if turn >= 2:
                times[name, form].append(1000 * (time.perf_counter() - start))
    width, height = networks[0].input_px
    return [
        Result(
            f"{width}x{height}, {form}, {threads} thread{'s' if threads > 1 else ''}", "ms", median(times[OURS, form]),
            median(times[PEER, form]) if (PEER, form) in times else None, PEER,
        )
        for form in dict.fromkeys(form for _, form in times)
        if (OURS, form) in times
    ]  # fmt: skip


def squeezedet(input_px: tuple[int, int]) -> Network:
    """Return SqueezeDet for one class, with nine anchors, through its own export."""
    design = Design(("person",), input_px, ANCHORS, "cells")
    network = design.build()
    network.initialize(generator(Seeds(0), "weights"))
    card = {"kind": "detector", "name": "squeezedet", "design": design.plain(), "config": {}}
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = save_checkpoint(Path(folder) / "c.safetensors", network.state_dict(), card)
        runtime = Runtime(Seeds(0), Path(folder), device="cpu")
        with SqueezeDetector(SqueezeDetConfig(), checkpoint, runtime) as detector:
            graph = detector.onnx_graph(OnnxForm("network"))
    small = quantise(graph.model, "image", _images(input_px), "per-channel", graph.ranges)
    return Network(OURS, input_px, Maps(design, network, confidence=True).eval(), graph.model, small)


def yolox(input_px: tuple[int, int]) -> Network:
    """Return YOLOX-Nano for one class, built here."""
    torch.manual_seed(0)
    network = folded(YoloxNano(1).eval())
    example = torch.zeros((1, 3, input_px[1], input_px[0]))
    data = converted(network, example, ["image"], ["rows"], opset=18).SerializeToString()
    return Network(PEER, input_px, network, data, quantise(data, "image", _images(input_px), "per-channel", {}))


def yolox_file(file: OnnxFile) -> Network:
    """Return a released file, quantised like the others."""
    size, model = _input_of(file), onnx.version_converter.convert_version(file.model, 17)
    name = model.graph.input[0].name
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"node_{number}"
    data = model.SerializeToString()
    return Network(PEER, size, None, data, quantise(data, name, _images(size), "per-channel", {}))


def _input_of(file: OnnxFile) -> tuple[int, int]:
    sides = [side.dim_value for side in file.model.graph.input[0].type.tensor_type.shape.dim]
    if len(sides) != 4 or sides[1] != 3 or not all(sides):
        sys.exit("--yolox: its input must be (1, 3, height, width), and fixed")
    return sides[3], sides[2]


def _images(input_px: tuple[int, int]) -> list[np.ndarray[Any, Any]]:
    generator = np.random.default_rng(1)
    shape = (1, 3, input_px[1], input_px[0])
    return [generator.integers(0, 256, shape).astype(np.float32) for _ in range(CALIBRATION)]


def _in_torch(network: torch.nn.Module, images: torch.Tensor, threads: int) -> Work:
    network = network.to(memory_format=torch.channels_last)
    images = images.to(memory_format=torch.channels_last)

    def work() -> object:
        torch.set_num_threads(threads)
        with torch.inference_mode():
            return network(images)

    return work


def _in_runtime(data: bytes, images: np.ndarray[Any, Any], threads: int) -> Work:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: images})


def _notes(network: Network) -> Iterator[Result]:
    """Yield what a network costs besides time."""
    width, height = network.input_px
    file = OnnxFile.parse(network.int8_file)
    found = budget(file, InputCard(name=file.model.graph.input[0].name, size_px=network.input_px))
    goal = GOAL_BYTES / 1e6 if network.name == OURS else None
    yield Result(f"{width}x{height}, {network.name}: int8 file", "MB", len(network.int8_file) / 1e6, goal=goal)
    yield Result(f"{width}x{height}, {network.name}: multiplications", "million", found.macs / 1e6)
    yield Result(f"{width}x{height}, {network.name}: activations, int8", "kB", found.peak_activation_bytes / 1e3)


if __name__ == "__main__":
    main()
