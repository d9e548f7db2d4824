# SPDX-License-Identifier: Apache-2.0
"""CycleGAN and CUT beside their authors' networks and training steps: seconds of a step and of a crop, peak memory.

    python benchmarks/refiners.py                   ours alone, some minutes
    python benchmarks/refiners.py --peer PATH       beside a checkout of junyanz/pytorch-CycleGAN-and-pix2pix
    python benchmarks/refiners.py --cut-peer PATH   beside one of taesungp/contrastive-unpaired-translation
    python benchmarks/refiners.py --quick           small networks, within a minute
    python benchmarks/refiners.py --device cuda     on a GPU

CycleGANs have the same networks (64 filters, nine residual blocks, no skip connection), the same losses (least squares,
pixel cycles of weight 10, no identity loss), the same batch of 1 at 128 pixels and the same optimizers. So have CUTs,
whose networks are anti-aliased, with contrast at 256 places of five layers in source and target. Variants take
turns, so that a busy machine slows all alike, and the first turn is left out. The peer has no mixed precision: bfloat16
is beside its float32, and needs a processor that has it to gain anything. Applying a generator is measured as refiners
do it, crop by crop, and the results of both are compared, made with the same weights. Memory is that of a process of
its own on CPUs, libraries included, and what is allocated on GPUs.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import attrs
import numpy as np
import torch
from reporting import Result, report

from synthkit.seeds import Seeds
from synthkit.training.devices import Precision
from synthkit_cut.config import CUTConfig
from synthkit_cut.training import CUTLearner
from synthkit_cyclegan import winograd
from synthkit_cyclegan.config import CycleGANConfig
from synthkit_cyclegan.crop_refiner import one_by_one
from synthkit_cyclegan.networks import Generator
from synthkit_cyclegan.training import Training

PEER, CUT_PEER = "junyanz/pytorch-CycleGAN-and-pix2pix", "taesungp/contrastive-unpaired-translation"
TRAINED, REDUCED, APPLIED, CUT_TRAINED = "step, float32", "step, bfloat16", "a crop refined", "CUT: step, float32"
GOALS = {TRAINED: 1.0, REDUCED: 2.0, APPLIED: 2.0, CUT_TRAINED: 1.0}
"""How many times faster than the peer."""

GREY_LEVELS_GOAL = 0.5
CROPS = 8

Work = Callable[[], object]


@attrs.frozen
class Setup:
    """What is measured on: sizes, rounds, device, and the peers' checkouts."""

    filters: int
    crop_px: int
    rounds: int
    device: torch.device
    peer: Path | None
    cut_peer: Path | None


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small networks, within a minute")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each variant that count")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="threads on CPUs")
    parser.add_argument("--device", default="cpu", help="where to compute")
    parser.add_argument("--peer", type=Path, metavar="PATH", help=f"a checkout of {PEER}")
    parser.add_argument("--cut-peer", type=Path, metavar="PATH", help=f"a checkout of {CUT_PEER}")
    parser.add_argument("--only", help=argparse.SUPPRESS)  # one variant in a process of its own, for its memory
    args = parser.parse_args()
    for path, name, model in ((args.peer, PEER, "cycle_gan"), (args.cut_peer, CUT_PEER, "cut")):
        if path is not None and not (path / "models" / f"{model}_model.py").is_file():
            parser.error(f"{path} is no checkout of {name}: there is no models/{model}_model.py")
    torch.set_num_threads(args.threads)
    filters, crop_px, rounds = (16, 64, 2) if args.quick else (64, 128, args.rounds)
    setup = Setup(filters, crop_px, rounds, torch.device(args.device), args.peer, args.cut_peer)
    if args.only:
        print(json.dumps({"peak_mb": _peak_mb(_variants(setup)[args.only](), setup.device)}))
        return
    seconds = _seconds(setup)
    memory = {name: _memory_of(name) for name in seconds}
    for option, path, name in (("--peer", setup.peer, PEER), ("--cut-peer", setup.cut_peer, CUT_PEER)):
        if path is None:
            print(f"without {option} PATH, a checkout of {name}, ours is measured alone")
    print(f"{args.threads} threads, {_processor(setup.device)}")
    report(f"CycleGAN and CUT, {setup.filters} filters, {setup.crop_px} px, batch 1", _results(setup, seconds, memory))


def _variants(setup: Setup) -> dict[str, Callable[[], Work]]:
    """Return what makes each variant by name, a thing to be done again and again; the peer's begin with ``peer:``."""
    ours = {
        TRAINED: lambda: _our_step(setup, "float32"),
        REDUCED: lambda: _our_step(setup, "bfloat16"),
        APPLIED: lambda: _our_refining(setup),
        CUT_TRAINED: lambda: _our_cut_step(setup),
    }
    peers: dict[str, Callable[[], Work]] = {}
    if setup.peer is not None:
        peers |= {TRAINED: lambda: _peer_step(setup), APPLIED: lambda: _peer_refining(setup)}
    if setup.cut_peer is not None:
        peers |= {CUT_TRAINED: lambda: _peer_cut_step(setup)}
    return ours | {f"peer: {name}": make for name, make in peers.items()}


def _seconds(setup: Setup) -> dict[str, float]:
    """Return the median time of each variant."""
    variants = {name: make() for name, make in _variants(setup).items()}
    taken: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(setup.rounds + 1):
        for name, work in variants.items():
            began = time.perf_counter()
            work()
            if setup.device.type == "cuda":
                torch.cuda.synchronize()
            if turn > 0:
                taken[name].append(time.perf_counter() - began)
    per_crop = {name: CROPS if name.endswith(APPLIED) else 1 for name in variants}
    return {name: median(times) / per_crop[name] for name, times in taken.items()}


def _our_step(setup: Setup, precision: Precision) -> Work:
    config = CycleGANConfig(
        crop_px=setup.crop_px, generator_filters=setup.filters, discriminator_filters=setup.filters, skip=False,
        cyclic_pixel_weight=10.0, precision=precision, steps=10**6,
    )  # fmt: skip
    crops = _crops(setup)
    training = Training(config, crops, crops[::-1], None, Seeds(0), setup.device)
    return lambda: _repeatable(setup.device, training.advance)


def _our_cut_step(setup: Setup) -> Work:
    config = CUTConfig(
        crop_px=setup.crop_px, generator_filters=setup.filters, discriminator_filters=setup.filters, steps=10**6
    )
    crops = _crops(setup)
    learner = CUTLearner(config, crops, crops[::-1], Seeds(0), setup.device)
    return lambda: _repeatable(setup.device, learner.advance)


def _repeatable(device: torch.device, work: Work) -> object:
    """Do something as trainings do it on a device: repeatably on CPUs. The peer asks for no such thing."""
    torch.use_deterministic_algorithms(device.type == "cpu")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        return work()
    finally:
        torch.use_deterministic_algorithms(False)


def _our_refining(setup: Setup) -> Work:
    generator = _generator(setup)
    quick = winograd.quickened(generator) if setup.device.type == "cpu" else generator
    return lambda: one_by_one(quick, _crops(setup), setup.device)


def _generator(setup: Setup) -> Generator:
    generator = Generator(setup.filters, skip=False, generator=torch.Generator().manual_seed(0))
    return generator.to(setup.device).eval().requires_grad_(False)


def _peer_step(setup: Setup) -> Work:
    return _stepping(_peer_model(setup), _pair(setup))


def _peer_cut_step(setup: Setup) -> Work:
    model, given = _cut_peer_model(setup), _pair(setup)
    model.data_dependent_initialize(given)
    return _stepping(model, given)


def _pair(setup: Setup) -> dict[str, Any]:
    """Return a crop of each domain, as the peers take them."""
    images = [torch.from_numpy(c).permute(2, 0, 1)[None].float() / 127.5 - 1 for c in _crops(setup)[:2]]
    return {"A": images[0], "B": images[1], "A_paths": "", "B_paths": ""}


def _stepping(model: Any, given: dict[str, Any]) -> Work:
    def work() -> None:
        model.set_input(given)
        model.optimize_parameters()

    return work


def _peer_refining(setup: Setup) -> Work:
    generator = _peer_model(setup).netG_A.eval().requires_grad_(False)
    generator.load_state_dict(dict(zip(generator.state_dict(), _generator(setup).state_dict().values(), strict=True)))
    return lambda: one_by_one(generator, _crops(setup), setup.device)


def _peer_model(setup: Setup) -> Any:
    """Return the peer's model with its own defaults, but for the identity loss."""
    assert setup.peer is not None
    with _importing_from(setup.peer), contextlib.redirect_stdout(io.StringIO()):
        from models.cycle_gan_model import CycleGANModel  # type: ignore[import-not-found]

        model = CycleGANModel(
            SimpleNamespace(
                gpu_ids=[], isTrain=True, checkpoints_dir="", name="", preprocess="none", direction="AtoB", input_nc=3,
                output_nc=3, ngf=setup.filters, ndf=setup.filters, netG="resnet_9blocks", netD="basic", n_layers_D=3,
                norm="instance", no_dropout=True, init_type="normal", init_gain=0.02, pool_size=50, gan_mode="lsgan",
                lambda_A=10.0, lambda_B=10.0, lambda_identity=0.0, lr=2e-4, beta1=0.5,
            )
        )  # fmt: skip
    model.device = setup.device
    for network in (model.netG_A, model.netG_B, model.netD_A, model.netD_B, model.criterionGAN):
        network.to(setup.device)
    return model


def _cut_peer_model(setup: Setup) -> Any:
    """Return the peer's model with its own defaults, for CUT."""
    assert setup.cut_peer is not None
    # The peer imports it for a picture that is not drawn here.
    sys.modules.setdefault("torchvision", types.ModuleType("torchvision"))
    with _importing_from(setup.cut_peer), contextlib.redirect_stdout(io.StringIO()):
        from models.cut_model import CUTModel  # type: ignore[import-not-found]

        return CUTModel(
            SimpleNamespace(
                gpu_ids=[0] if setup.device.type == "cuda" else [], isTrain=True, checkpoints_dir="", name="",
                preprocess="none", direction="AtoB", input_nc=3, output_nc=3, ngf=setup.filters, ndf=setup.filters,
                netG="resnet_9blocks", netD="basic", n_layers_D=3, normG="instance", normD="instance", no_dropout=True,
                init_type="xavier", init_gain=0.02, no_antialias=False, no_antialias_up=False, netF="mlp_sample",
                netF_nc=256, nce_layers="0,4,8,12,16", nce_T=0.07, num_patches=256, nce_idt=True, batch_size=1,
                nce_includes_all_negatives_from_minibatch=False, lambda_GAN=1.0, lambda_NCE=1.0,
                flip_equivariance=False, gan_mode="lsgan", lr=2e-4, beta1=0.5, beta2=0.999,
            )
        )  # fmt: skip


@contextlib.contextmanager
def _importing_from(checkout: Path) -> Iterator[None]:
    """Import from a checkout meanwhile; the peers call their packages alike."""
    for name in [name for name in sys.modules if name.partition(".")[0] in ("models", "util", "options")]:
        del sys.modules[name]
    sys.path.insert(0, str(checkout))
    try:
        yield
    finally:
        sys.path.remove(str(checkout))


def _crops(setup: Setup) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return Seeds(0).stream("crops").integers(0, 256, (CROPS, setup.crop_px, setup.crop_px, 3), dtype=np.uint8)


def _peak_mb(work: Work, device: torch.device) -> float:
    for _ in range(2):
        work()
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    # Not getrusage: what it tells begins with the memory of the process that started this one.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _memory_of(name: str) -> float:
    """Return a variant's peak memory, measured by this script in a process of its own."""
    command = [sys.executable, *sys.argv, "--only", name]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout.splitlines()[-1])["peak_mb"])


def _results(setup: Setup, seconds: dict[str, float], memory: dict[str, float]) -> list[Result]:
    results = []
    for name, faster in GOALS.items():
        beside = f"peer: {TRAINED if name == REDUCED else name}"
        peer_s, peer_mb = seconds.get(beside), memory.get(beside)
        shown = None if peer_s is None else CUT_PEER if name == CUT_TRAINED else PEER
        goal_s = None if peer_s is None else peer_s / faster
        results += [
            Result(name, "s", seconds[name], peer_s, shown, goal_s),
            Result(f"{name}: peak memory", "MB", memory[name], peer_mb, shown),
        ]
    results.append(Result(f"{APPLIED}: largest difference", "grey levels", _difference(setup), goal=GREY_LEVELS_GOAL))
    return results


def _difference(setup: Setup) -> float:
    """Return how far refining is from the peer's generator or, without it, from ours as it is trained."""
    plain = _peer_refining(setup) if setup.peer is not None else _plain_refining(setup)
    return float(np.abs(np.asarray(_our_refining(setup)()) - np.asarray(plain())).max())


def _plain_refining(setup: Setup) -> Work:
    return lambda: one_by_one(_generator(setup), _crops(setup), setup.device)


def _processor(device: torch.device) -> str:
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    path = Path("/proc/cpuinfo")
    flags = path.read_text().split() if path.exists() else []
    has = [flag for flag in ("avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16") if flag in flags]
    reduced = "" if {"avx512_bf16", "amx_bf16"} & set(has) else "; bfloat16 is emulated, and gains nothing"
    return f"a processor with {', '.join(has) or 'none of the instructions asked for'}{reduced}"


if __name__ == "__main__":
    main()
